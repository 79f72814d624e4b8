# SPDX-License-Identifier: MIT
# Prints "file:line name lines" for every function: in our style its braces stand in column 0,
# and its name is the last word before "(" on the nearest line above that starts in column 0.
FNR == 1 { head = ""; start = 0 }
/^[A-Za-z_].*\(/ && !/^#/ { head = $0 }
/^\{/ { start = FNR }
/^\}/ && start {
	name = head
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
	# A macro that makes a function: its first arguments tell which.
	if (name ~ /^[A-Z_]+$/) {
		name = head
		sub(/\).*/, ")", name)
	}
	if (head != "" && $0 !~ /^\} *[;A-Za-z_]/)
		print FILENAME ":" start " " FNR - start - 1 " " name
	start = 0
	head = ""
}
