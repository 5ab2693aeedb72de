# SPDX-License-Identifier: GPL-2.0

.PHONY: coverage coverage-kunit coverage-modules

# Lines and branches of the core that the host tests reach; fails below 95% of its lines.
coverage:
	@tools/coverage

# Lines of the modules that KUnit and the test of the mock IOMMUs reach, on the debug kernel.
coverage-kunit:
	@kunit/coverage kunit

# Lines that these and the whole-stack tests reach there; some 20 minutes.
coverage-modules:
	@kunit/coverage modules
