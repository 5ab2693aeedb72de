# SPDX-License-Identifier: GPL-2.0
# Every order in which a few threads can run, of the real cores: tests/model.

.PHONY: model

# BOUND: how many preemptions at most; as many as are quick if not given.
model:
	@$(MAKE) --no-print-directory -s -C tests/model check
