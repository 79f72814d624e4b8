# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the checks of servers share, beside tools/common.sh, which is read before.

# The loops of this build.
loops=anyc
for loop in libuv libevent libev; do
	[ -e "$top_builddir/.libs/libanyc-${loop#lib}.so" ] && loops="$loops $loop"
done

# Every server that was started and not stopped; it goes with the check.
servers=''
stop_servers() {
	# shellcheck disable=SC2086 # a list of processes
	[ -z "$servers" ] || kill $servers 2>/dev/null
	wait
	rm -rf "$scratch"
}
trap stop_servers EXIT

forget_server() { # PROCESS
	# shellcheck disable=SC2086
	servers=$(printf '%s\n' $servers | grep -vx "$1" | tr '\n' ' ')
}

# Runs a command until it succeeds; twenty seconds at the most, for a busy machine.
await() { # COMMAND...
	tries=0
	until "$@" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 400 ] || return 1
		sleep 0.05
	done
}

# Starts one of the examples that say "listening on ADDRESS:PORT": $server and $port.
start_example() { # LOG COMMAND...
	log=$1
	shift
	: >"$log"
	"$@" >"$log" 2>&1 &
	server=$!
	servers="$servers $server"
	await grep -q '^listening on ' "$log"
	port=$(sed -n 's/^listening on .*:\([0-9][0-9]*\)$/\1/p' "$log")
	result "$loop: it listens" "$([ -n "$port" ] || cat "$log")"
}

# By a signal; it must end well, and have said nothing more.
stop_example() { # PROCESS LOG SIGNAL
	kill "-$3" "$1"
	wait "$1"
	rc=$?
	forget_server "$1"
	result "$loop: SIG$3 ends it well" "$([ $rc -eq 0 ] || echo "status $rc")$(sed 1d "$2")"
}

# A CA, and a certificate of it for localhost: ca.pem, server.pem, server.key.
new_key() { # NAME OPENSSL-ARGUMENT...
	name=$1
	shift
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
		-keyout "$scratch/$name.key" "$@" 2>/dev/null
}
make_certificates() {
	echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >"$scratch/names"
	new_key ca -x509 -days 2 -out "$scratch/ca.pem" &&
		new_key server -out "$scratch/server.csr" &&
		openssl x509 -req -in "$scratch/server.csr" -CA "$scratch/ca.pem" \
			-CAkey "$scratch/ca.key" -CAcreateserial -days 2 \
			-extfile "$scratch/names" -out "$scratch/server.pem" 2>/dev/null
}

# curl, with no surprises from its surroundings.
fetch() { # ARGUMENT...
	curl -q -s --noproxy '*' --max-time 60 --cacert "$scratch/ca.pem" "$@"
}

# What a command writes must be this.
expect() { # TITLE WANT COMMAND...
	title=$1 want=$2
	shift 2
	got=$("$@" 2>&1)
	if [ "$got" = "$want" ]; then
		result "$loop: $title" ''
	else
		result "$loop: $title" "wanted: $want
got: $got"
	fi
}
