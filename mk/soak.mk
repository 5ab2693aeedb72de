# SPDX-License-Identifier: GPL-2.0
#
# Random ioctls from many processes on the debug kernel; tests/soak.
#   make soak SECONDS=600 SEED=n     60 s and any seed if not given
#   make soak MULTI=0                the two emulated processors take turns

.PHONY: soak

soak:
	@SECONDS='$(or $(SECONDS),60)' SEED='$(SEED)' MULTI='$(MULTI)' tests/soak/run
