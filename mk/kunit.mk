# SPDX-License-Identifier: GPL-2.0
# KUnit suites and mock IOMMUs on the debug kernel; included by the Makefile.

.PHONY: kunit debug-kernel

# In the cache; some 10 minutes the first time.
debug-kernel:
	@tools/debug-kernel

kunit:
	@kunit/run
