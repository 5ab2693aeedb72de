// SPDX-License-Identifier: GPL-2.0
/* The suites of vfio_core_kunit.ko. */
#include <kunit/test.h>
#include <linux/module.h>

extern struct kunit_suite groups_suite, devices_suite, features_suite,
	migration_suite, iova_bitmap_suite, helpers_suite;

kunit_test_suites(&groups_suite, &devices_suite, &features_suite,
		  &migration_suite, &iova_bitmap_suite, &helpers_suite);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-cxx authors");
MODULE_DESCRIPTION("vfio-cxx: KUnit suites of vfio.ko");
