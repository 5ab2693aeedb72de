# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# In the guest, on the debug kernel: what ends a run there. /guest-lib.sh, to be sourced.

leaks=/sys/kernel/debug/kmemleak
[ -w $leaks ] || { echo "Bail out! no kmemleak"; exit 1; }

# What kmemleak holds for leaked, as comments; fails if there is any. An object counts as leaked
# when it is old enough and seen twice.
find_leaks() {
	sleep 6
	echo scan >$leaks
	sleep 6
	echo scan >$leaks
	cat $leaks >/tmp/leaks
	sed 's/^/# /' /tmp/leaks
	[ ! -s /tmp/leaks ]
}

# The same as a plan of one test; fails if it does.
test_leaks() {
	echo "1..1"
	find_leaks || { echo "not ok 1 - kmemleak finds nothing"; return 1; }
	echo "ok 1 - kmemleak finds nothing"
}

# Modules that were built with GCOV=y count which lines they ran; kunit/coverage reads this.
print_gcov_counts() {
	counts=/sys/kernel/debug/gcov
	find $counts -name '*.gcda' 2>/dev/null | grep -q /build/debug/ || return 0
	(cd $counts && find . -name '*.gcda') | while read -r file; do
		mkdir -p "/tmp/gcov/${file%/*}"
		cat "$counts/$file" >"/tmp/gcov/$file"
	done
	tar cz -C /tmp/gcov . | base64 | sed 's/^/# gcda /'
	echo "# gcda end"
}
