# SPDX-License-Identifier: GPL-2.0
#
# libFuzzer over the core on this machine. A crash prints its input and how to run it again.
#   make fuzz SECONDS=60                     each target a minute
#   make fuzz TARGETS=type1 SEED=7           one, repeatable
#   make fuzz JOBS=2                         two at a time

.PHONY: fuzz fuzz-build fuzz-merge

fuzz: fuzz-build
	@tests/fuzz/run --seconds $(or $(SECONDS),20) --jobs $(or $(JOBS),1) \
		$(if $(SEED),--seed $(SEED)) $(TARGETS)

fuzz-build:
	@$(MAKE) --no-print-directory -C tests/fuzz 1>&2

# Puts what runs have found since into the corpora, minimised.
fuzz-merge: fuzz-build
	@tests/fuzz/run --merge $(TARGETS)
