// SPDX-License-Identifier: GPL-2.0
/* The suites of vfio_mdev_kunit.ko. */
#include <kunit/test.h>
#include <linux/module.h>

extern struct kunit_suite pins_suite, bus_suite;

kunit_test_suites(&pins_suite, &bus_suite);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-cxx authors");
MODULE_DESCRIPTION("vfio-cxx: KUnit suites of mdev.ko");
