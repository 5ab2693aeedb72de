// SPDX-License-Identifier: GPL-2.0
//
// The slab objects that modules hold: what their code, or the kernel called by it, has got from
// kmalloc() and not freed since this module was loaded. <debugfs>/vfio_live_objects lists them: a
// line for each way to get there, with how many objects, and the addresses in modules from the
// innermost one on.
//
// What /proc/slabinfo counts would not do: kmalloc's caches are everybody's, and to them an object
// in KASAN's quarantine is still in use. So this follows kmalloc's and kfree's tracepoints. Objects
// that are freed in bulk pass no tracepoint; KASAN's shadow tells that they are gone.
#include <linux/debugfs.h>
#include <linux/hashtable.h>
#include <linux/kasan.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/stacktrace.h>
#include <linux/vmalloc.h>
#include <trace/events/kmem.h>

enum {
	MAX_OBJECTS = 16384,
	MAX_WAYS = 256,
	DEPTH = 32,
	FRAMES = 4
};

/* Addresses in modules, innermost first, 0 at the end. */
struct way {
	unsigned long frames[FRAMES];
};

struct object {
	struct hlist_node node;
	const void *memory;
	struct way way;
};

struct count {
	struct way way;
	unsigned int objects;
};

static DEFINE_RAW_SPINLOCK(lock);
/* All under the lock. */
static DEFINE_HASHTABLE(live, 12);
static HLIST_HEAD(spare);
static struct object *pool;
static struct count counts[MAX_WAYS];
static bool lost;

static struct dentry *file;

static void forget_locked(const void *memory)
{
	struct object *object;

	hash_for_each_possible(live, object, node, (unsigned long)memory)
	{
		if (object->memory != memory)
			continue;
		hash_del(&object->node);
		hlist_add_head(&object->node, &spare);
		return;
	}
}

static bool in_modules(unsigned long address)
{
	return address >= MODULES_VADDR && address < MODULES_END &&
	       !within_module(address, THIS_MODULE);
}

static bool find_way(struct way *way)
{
	unsigned long stack[DEPTH];
	unsigned int depth, i, found = 0;

	/* What interrupts a module is not called by it. */
	if (!in_task())
		return false;
	memset(way, 0, sizeof(*way));
	depth = stack_trace_save(stack, DEPTH, 1);
	for (i = 0; i < depth && found < FRAMES; i++)
		if (in_modules(stack[i]))
			way->frames[found++] = stack[i];
	return found > 0;
}

static void on_kmalloc(void *data, unsigned long call_site, const void *memory,
		       size_t requested, size_t allocated, gfp_t gfp, int node)
{
	struct object *object;
	struct way way;
	unsigned long flags;
	bool wanted;

	if (ZERO_OR_NULL_PTR(memory))
		return;
	wanted = find_way(&way);
	raw_spin_lock_irqsave(&lock, flags);
	/* What was there before has been freed in bulk. */
	forget_locked(memory);
	if (wanted && hlist_empty(&spare)) {
		lost = true;
	} else if (wanted) {
		object = hlist_entry(spare.first, struct object, node);
		hlist_del(&object->node);
		object->memory = memory;
		object->way = way;
		hash_add(live, &object->node, (unsigned long)memory);
	}
	raw_spin_unlock_irqrestore(&lock, flags);
}

static void on_kfree(void *data, unsigned long call_site, const void *memory)
{
	unsigned long flags;

	if (ZERO_OR_NULL_PTR(memory))
		return;
	raw_spin_lock_irqsave(&lock, flags);
	forget_locked(memory);
	raw_spin_unlock_irqrestore(&lock, flags);
}

static bool is_freed(const void *memory)
{
	return *(const s8 *)kasan_mem_to_shadow(memory) < 0;
}

/* Returns how many ways there are, or an error if some had no place. */
static int count_locked(void)
{
	struct hlist_node *next;
	struct object *object;
	int bucket, i, ways = 0;

	hash_for_each_safe(live, bucket, next, object, node)
	{
		if (is_freed(object->memory)) {
			hash_del(&object->node);
			hlist_add_head(&object->node, &spare);
			continue;
		}
		for (i = 0; i < ways; i++)
			if (!memcmp(&counts[i].way, &object->way,
				    sizeof(object->way)))
				break;
		if (i == MAX_WAYS)
			return -ENOSPC;
		if (i == ways) {
			counts[ways].way = object->way;
			counts[ways++].objects = 0;
		}
		counts[i].objects++;
	}
	return lost ? -ENOSPC : ways;
}

/* There is one reader. */
static int live_objects_show(struct seq_file *seq, void *unused)
{
	unsigned long flags;
	int i, j, ways;

	raw_spin_lock_irqsave(&lock, flags);
	ways = count_locked();
	raw_spin_unlock_irqrestore(&lock, flags);
	for (i = 0; i < ways; i++) {
		seq_printf(seq, "%u", counts[i].objects);
		for (j = 0; j < FRAMES && counts[i].way.frames[j]; j++)
			seq_printf(seq, " %pS",
				   (void *)counts[i].way.frames[j]);
		seq_putc(seq, '\n');
	}
	return ways < 0 ? ways : 0;
}
DEFINE_SHOW_ATTRIBUTE(live_objects);

static int __init live_objects_init(void)
{
	int i, ret;

	pool = vzalloc(array_size(MAX_OBJECTS, sizeof(*pool)));
	if (!pool)
		return -ENOMEM;
	for (i = 0; i < MAX_OBJECTS; i++)
		hlist_add_head(&pool[i].node, &spare);
	ret = register_trace_kfree(on_kfree, NULL);
	if (ret)
		goto free;
	ret = register_trace_kmalloc(on_kmalloc, NULL);
	if (ret)
		goto unregister;
	file = debugfs_create_file("vfio_live_objects", 0400, NULL, NULL,
				   &live_objects_fops);
	return 0;

unregister:
	unregister_trace_kfree(on_kfree, NULL);
	tracepoint_synchronize_unregister();
free:
	vfree(pool);
	return ret;
}
module_init(live_objects_init);

static void __exit live_objects_exit(void)
{
	debugfs_remove(file);
	unregister_trace_kmalloc(on_kmalloc, NULL);
	unregister_trace_kfree(on_kfree, NULL);
	tracepoint_synchronize_unregister();
	vfree(pool);
}
module_exit(live_objects_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Slab objects that modules hold");
