# SPDX-License-Identifier: GPL-2.0
# Runs a few threads through the real cores in every order: tests/model.

.PHONY: model

# BOUND: how many preemptions at most; as many as are quick if not given.
model:
	@$(MAKE) --no-print-directory -s -C tests/model check
