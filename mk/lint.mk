# SPDX-License-Identifier: GPL-2.0
#
# Each kind of lint is a target that runs alone; `lint` runs them all, one after the other, and
# sums up. tools/check finds them by their name. What they need is in tools/setup.

LINTS := lint-abi lint-boundary lint-docs lint-format lint-headers lint-kernel-doc lint-shell \
	lint-sparse lint-symbols lint-thread-safety

.PHONY: lint format tidy $(LINTS)

lint:
	@tools/make-targets lint

# KERNEL: one of them alone.
lint-abi: ## layout of public structs, exports: against each kernel's binaries
	@tools/lint/abi $(KERNEL)

lint-boundary: ## who may include what, version tests, sizes of files, branches in shims
	@tools/lint/boundary

lint-docs: ## tests and links that the documentation names are there
	@tools/lint/docs

lint-format: ## clang-format on C++ and C
	@tools/lint/format

lint-headers: ## no header of this machine's C library reaches a core
	@tools/lint/build
	@tools/lint/headers

lint-kernel-doc: ## kernel-doc is there and without warnings
	@tools/lint/kernel-doc

lint-shell: ## shellcheck, pyflakes
	@tools/lint/scripts

lint-sparse: ## sparse on the C
	@tools/lint/sparse

lint-symbols: ## undefined symbols, static constructors, stack frames
	@tools/lint/build
	@tools/lint/symbols

lint-thread-safety: ## clang -Wthread-safety on the core
	@tools/lint/thread-safety

format: ## rewrites what lint-format minds
	@tools/lint/format --fix

# Not among what `make check` runs: on a new machine it takes some ten minutes of two processors.
tidy: ## clang-tidy on the C++
	@tools/lint/tidy
