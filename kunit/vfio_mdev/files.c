// SPDX-License-Identifier: GPL-2.0
/* Groups, containers and their files, as the suites of vfio.ko have them. */
#include "../vfio_core/fixture.c"
