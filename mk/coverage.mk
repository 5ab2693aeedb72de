# SPDX-License-Identifier: GPL-2.0

.PHONY: coverage

# Lines and branches of the core that the host tests reach; fails below 95% of its lines.
coverage:
	@tools/coverage

.PHONY: coverage-kunit

# Lines of the modules that KUnit and the mock IOMMUs' test reach, on the debug kernel.
coverage-kunit:
	@kunit/coverage
