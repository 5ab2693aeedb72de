// SPDX-License-Identifier: GPL-2.0
/* The suites of vfio_type1_kunit.ko. */
#include <kunit/test.h>
#include <linux/module.h>

extern struct kunit_suite dma_ranges_suite, domains_suite, pins_suite,
	accounting_suite, dirty_suite;

kunit_test_suites(&dma_ranges_suite, &domains_suite, &pins_suite,
		  &accounting_suite, &dirty_suite);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-cxx authors");
MODULE_DESCRIPTION("vfio-cxx: KUnit suites of vfio_iommu_type1's core");
