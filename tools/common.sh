# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the checks share: where things are, and TAP.  A check calls `result NAME REPORT` once per
# thing it looked at: an empty report is a pass.  `finish` prints the plan and exits.

tools=$(cd "$(dirname "$0")" && pwd)
top_srcdir=${top_srcdir:-$(dirname "$tools")}
top_builddir=${top_builddir:-$top_srcdir/build/default}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP
cd "$top_srcdir" || exit 99
LC_ALL=C
export LC_ALL

checked=0
failed=0

result() {
	checked=$((checked + 1))
	if [ -z "$2" ]; then
		echo "ok $checked - $1"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $checked - $1"
	printf '%s\n' "$2" | sed 's/^/# /'
}

skip() {
	checked=$((checked + 1))
	echo "ok $checked - $1 # SKIP $2"
}

finish() {
	echo "1..$checked"
	[ "$failed" -eq 0 ]
	exit
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# Our files below the given directories (default: all) whose names match a pattern.
files() { # PATTERN [DIR...]
	pattern=$1
	shift
	[ $# -gt 0 ] || set -- include src tests examples bench fuzz docs tools pkgconfig m4
	for dir; do
		[ -d "$dir" ] && find "$dir" -type f -name "$pattern"
	done | sort
}
