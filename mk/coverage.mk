# SPDX-License-Identifier: GPL-2.0

.PHONY: coverage coverage-kunit coverage-modules

# Lines and branches of the core that the host tests reach; fails below 95% of its lines.
coverage:
	@tools/coverage

# Lines of the modules that KUnit and the mock IOMMUs' test reach, on the debug kernel.
coverage-kunit:
	@kunit/coverage kunit

# And with the whole-stack tests there; some 20 minutes.
coverage-modules:
	@kunit/coverage modules
