# SPDX-License-Identifier: GPL-2.0
# KUnit suites, mock IOMMUs and the whole stack on the debug kernel; included by the Makefile.

.PHONY: kunit debug-kernel stack-debug

# In the cache; some 15 minutes the first time.
debug-kernel:
	@tools/debug-kernel

kunit:
	@kunit/run

# FILTER: of GoogleTest; all, some 20 minutes, if not given.
stack-debug:
	@tests/stack/run-debug $(if $(FILTER),'$(FILTER)')
