// SPDX-License-Identifier: GPL-2.0
/* The mdev bus: drivers, parents, types, and devices that are written to life. */
#include <linux/delay.h>
#include <linux/file.h>

#include "fixture.h"

#define TYPES "/sys/devices/mdev_kunit/mdev_supported_types"

static const char *type_of(struct mdev_fixture *f, unsigned int type)
{
	return f->types[type].kobj.name;
}

static bool exists(struct mdev_fixture *f, const char *uuid)
{
	char path[128], text[8];
	struct file *file;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/uevent", uuid);
	file = filp_open(path, O_RDONLY, 0);
	if (IS_ERR(file))
		return false;
	fput(file);
	flush_delayed_fput();
	read_file(path, text, sizeof(text));
	KUNIT_EXPECT_STRNEQ(f->files.test, text, "");
	return true;
}

/* mdev_register_driver() */
static void a_driver_says_what_its_devices_are(struct kunit *test)
{
	struct mdev_driver other = { .driver = { .name = "mdev_kunit_other" } };

	KUNIT_EXPECT_EQ(test, mdev_register_driver(&other), -EINVAL);
	other.device_api = VFIO_DEVICE_API_PCI_STRING;
	KUNIT_EXPECT_EQ(test, mdev_register_driver(&other), 0);
	mdev_unregister_driver(&other);
}

/* mdev_register_parent(), mdev_unregister_parent() */
static void a_parent_shows_its_types(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	char path[128], text[64];

	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	KUNIT_EXPECT_EQ(test, fixture_available(f, 0), MAX_INSTANCES);
	KUNIT_EXPECT_EQ(test, fixture_available(f, 1), MAX_INSTANCES);
	snprintf(path, sizeof(path), TYPES "/%s/name", type_of(f, 1));
	read_file(path, text, sizeof(text));
	KUNIT_EXPECT_STREQ(test, text, "A big one\n");
	snprintf(path, sizeof(path), TYPES "/%s/name", type_of(f, 0));
	read_file(path, text, sizeof(text));
	KUNIT_EXPECT_STREQ(test, text, "small\n");
	snprintf(path, sizeof(path), TYPES "/%s/device_api", type_of(f, 0));
	read_file(path, text, sizeof(text));
	KUNIT_EXPECT_STREQ(test, text, "vfio-pci\n");
	fixture_unregister(f);
	read_file(path, text, sizeof(text));
	KUNIT_EXPECT_STREQ(test, text, "");
	KUNIT_EXPECT_EQ(test, fixture_create(f, 0, fixture_uuid(1)), -ENOENT);
	/* Again, the same structures. */
	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	KUNIT_EXPECT_EQ(test, fixture_available(f, 0), MAX_INSTANCES);
}

/* MdevParent's count of instances; Mdev::create(), Mdev::remove() */
static void no_more_than_there_are(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	for (i = 0; i < MAX_INSTANCES; i++) {
		KUNIT_EXPECT_EQ(test, fixture_available(f, 0),
				MAX_INSTANCES - i);
		KUNIT_EXPECT_EQ(test, fixture_create(f, i % 2, fixture_uuid(i)),
				0);
		KUNIT_EXPECT_TRUE(test, exists(f, fixture_uuid(i)));
	}
	KUNIT_EXPECT_EQ(test, fixture_create(f, 0, fixture_uuid(9)), -EUSERS);
	KUNIT_EXPECT_EQ(test, fixture_create(f, 0, fixture_uuid(1)), -EEXIST);
	KUNIT_EXPECT_EQ(test, fixture_remove(fixture_uuid(1)), 0);
	KUNIT_EXPECT_FALSE(test, exists(f, fixture_uuid(1)));
	KUNIT_EXPECT_EQ(test, fixture_remove(fixture_uuid(1)), -ENOENT);
	KUNIT_EXPECT_EQ(test, fixture_available(f, 1), 1);
	KUNIT_EXPECT_EQ(test, fixture_create(f, 0, fixture_uuid(9)), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&mediated_counts.probes),
			MAX_INSTANCES + 1);
}

/* Uuid::parse() */
static void what_is_no_uuid(struct kunit *test)
{
	static const char *const texts[] = {
		"",
		"\n",
		"1",
		"83b8f4f2-509f-382f-3c1e-e6bfe0fa100",
		"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001\n\n",
		"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001xx",
		"83b8f4f2-509f-382f-3c1e-e6bfe0fa100g",
		"83b8f4f2-509f-382f-3c1ee-6bfe0fa1001",
		"{3b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
		"83b8f4f2509f382f3c1ee6bfe0fa1001",
	};
	struct mdev_fixture *f = test->priv;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	/* A write of nothing does not reach the file. */
	for (i = 1; i < ARRAY_SIZE(texts); i++)
		KUNIT_EXPECT_EQ(test, fixture_create(f, 0, texts[i]), -EINVAL);
	KUNIT_EXPECT_EQ(test, atomic_read(&mediated_counts.probes), 0);
	KUNIT_EXPECT_EQ(
		test,
		fixture_create(f, 0, "83B8F4F2-509f-382F-3c1e-e6BFE0fa1001\n"),
		0);
	KUNIT_EXPECT_TRUE(test,
			  exists(f, "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"));
}

static void a_device_that_its_driver_refuses(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	mediated_counts.probe_error = -EL2HLT;
	KUNIT_EXPECT_EQ(test, fixture_create(f, 0, fixture_uuid(1)), -EL2HLT);
	KUNIT_EXPECT_FALSE(test, exists(f, fixture_uuid(1)));
	KUNIT_EXPECT_EQ(test, fixture_available(f, 0), MAX_INSTANCES);
	mediated_counts.probe_error = 0;
	KUNIT_EXPECT_EQ(test, fixture_create(f, 0, fixture_uuid(1)), 0);
}

static void what_remove_takes(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	char path[128];

	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	KUNIT_ASSERT_EQ(test, fixture_create(f, 0, fixture_uuid(1)), 0);
	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove",
		 fixture_uuid(1));
	KUNIT_EXPECT_EQ(test, write_file(path, "0"), 1);
	KUNIT_EXPECT_EQ(test, write_file(path, "yes"), -EINVAL);
	KUNIT_EXPECT_EQ(test, write_file(path, "-1"), -EINVAL);
	KUNIT_EXPECT_TRUE(test, exists(f, fixture_uuid(1)));
	KUNIT_EXPECT_EQ(test, write_file(path, "0x2\n"), 4);
	KUNIT_EXPECT_FALSE(test, exists(f, fixture_uuid(1)));
}

static void unregistering_takes_the_devices(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	for (i = 0; i < MAX_INSTANCES; i++)
		KUNIT_EXPECT_EQ(test, fixture_create(f, i % 2, fixture_uuid(i)),
				0);
	fixture_unregister(f);
	KUNIT_EXPECT_EQ(test, atomic_read(&mediated_counts.removes),
			MAX_INSTANCES);
	for (i = 0; i < MAX_INSTANCES; i++)
		KUNIT_EXPECT_FALSE(test, exists(f, fixture_uuid(i)));
}

static int unregister(void *arg)
{
	fixture_unregister(arg);
	return 0;
}

static void unregistering_waits_for_who_has_one_open(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct task_struct *thread;
	unsigned int i;

	pinning_open(f, 4, false);
	KUNIT_ASSERT_EQ(test,
			mdev_pins_pin(f->mediated->pins, 0, 4, IOMMU_READ), 0);
	thread = kthread_create(unregister, f, "kunit_unregister");
	KUNIT_ASSERT_FALSE(test, IS_ERR(thread));
	get_task_struct(thread);
	wake_up_process(thread);
	msleep(200);
	KUNIT_EXPECT_EQ(test, atomic_read(&mediated_counts.removes), 0);
	KUNIT_EXPECT_EQ(test, mdev_pins_npages(f->mediated->pins), 4);
	KUNIT_EXPECT_LT(test, fixture_create(f, 1, fixture_uuid(7)), 0);
	for (i = ARRAY_SIZE(f->files.files); i > 0; i--)
		if (f->files.files[i - 1])
			fixture_close(&f->files, f->files.files[i - 1]);
	kthread_stop(thread);
	put_task_struct(thread);
	KUNIT_EXPECT_EQ(test, atomic_read(&mediated_counts.removes), 1);
}

/* --- at one time --- */

static int create_and_remove(void *arg)
{
	struct mdev_fixture *f = arg;
	int created = 0;

	while (!kthread_should_stop()) {
		long ret = fixture_create(f, created % 2,
					  fixture_uuid(created % 2));

		created += ret == 0;
		WARN_ON(ret && ret != -EEXIST && ret != -EUSERS &&
			ret != -ENODEV && ret != -ENOENT);
		ret = fixture_remove(fixture_uuid(created % 3));
		WARN_ON(ret && ret != -ENOENT && ret != -ENODEV &&
			ret != -EAGAIN);
		cond_resched();
	}
	return created;
}

static void creating_removing_and_unregistering(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct task_struct *threads[3];
	unsigned int i, rounds = 0;
	unsigned long end;
	int created = 0;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		threads[i] =
			kthread_create(create_and_remove, f, "kunit_bus%u", i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(threads[i]));
		wake_up_process(threads[i]);
	}
	for (end = jiffies + 3 * HZ; time_before(jiffies, end); rounds++) {
		KUNIT_EXPECT_EQ(test, fixture_register(f), 0);
		msleep(100);
		if (f->registered)
			fixture_unregister(f);
		KUNIT_EXPECT_EQ(test, atomic_read(&mediated_counts.removes),
				atomic_read(&mediated_counts.probes));
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		created += kthread_stop(threads[i]);
	KUNIT_EXPECT_GT(test, rounds, 2);
	KUNIT_EXPECT_GT(test, created, 2);
}

/* --- each allocation fails in turn --- */

static int create_one(struct mdev_fixture *f)
{
	/* As its file would call it: opening that has allocations too. */
	return fixture_create(f, 0, fixture_uuid(1));
}

static void remove_one(struct mdev_fixture *f)
{
	KUNIT_EXPECT_EQ(f->files.test, fixture_remove(fixture_uuid(1)), 0);
}

static void none_there(struct mdev_fixture *f)
{
	struct kunit *test = f->files.test;

	KUNIT_EXPECT_EQ(test, fixture_available(f, 0), MAX_INSTANCES);
	KUNIT_EXPECT_FALSE(test, exists(f, fixture_uuid(1)));
	KUNIT_EXPECT_EQ(test, atomic_read(&mediated_counts.removes),
			atomic_read(&mediated_counts.probes));
}

static void each_allocation_of_creating_fails(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	KUNIT_EXPECT_GT(
		test, fixture_sweep(f, create_one, remove_one, none_there), 30);
}

static int create_again(struct mdev_fixture *f)
{
	unsigned int nth = current->fail_nth;

	/* There unless the last removal failed before it began. */
	current->fail_nth = 0;
	if (!exists(f, fixture_uuid(1)))
		KUNIT_EXPECT_EQ(f->files.test, create_one(f), 0);
	current->fail_nth = nth;
	return fixture_remove(fixture_uuid(1));
}

static void there_or_not(struct mdev_fixture *f)
{
	KUNIT_EXPECT_EQ(f->files.test, fixture_available(f, 0),
			MAX_INSTANCES - exists(f, fixture_uuid(1)));
}

static void nothing(struct mdev_fixture *f)
{
}

static void each_allocation_of_removing_fails(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	KUNIT_EXPECT_GT(
		test, fixture_sweep(f, create_again, nothing, there_or_not), 3);
}

static void none_registered(struct mdev_fixture *f)
{
	char text[8];

	read_file(TYPES "/uevent", text, sizeof(text));
	KUNIT_EXPECT_STREQ(f->files.test, text, "");
}

static void each_allocation_of_registering_fails(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;

	KUNIT_EXPECT_GT(test,
			fixture_sweep(f, fixture_register, fixture_unregister,
				      none_registered),
			10);
}

static struct kunit_case bus_cases[] = {
	KUNIT_CASE(a_driver_says_what_its_devices_are),
	KUNIT_CASE(a_parent_shows_its_types),
	KUNIT_CASE(no_more_than_there_are),
	KUNIT_CASE(what_is_no_uuid),
	KUNIT_CASE(a_device_that_its_driver_refuses),
	KUNIT_CASE(what_remove_takes),
	KUNIT_CASE(unregistering_takes_the_devices),
	KUNIT_CASE(unregistering_waits_for_who_has_one_open),
	KUNIT_CASE(creating_removing_and_unregistering),
	KUNIT_CASE(each_allocation_of_creating_fails),
	KUNIT_CASE(each_allocation_of_removing_fails),
	KUNIT_CASE(each_allocation_of_registering_fails),
	{}
};

struct kunit_suite bus_suite = {
	.name = "vfio_mdev_bus",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = mdev_fixture_init,
	.exit = mdev_fixture_exit,
	.test_cases = bus_cases,
};
