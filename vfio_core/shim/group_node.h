/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The file /dev/vfio/GROUP and its kernel objects. They are counted by the
 * kernel and own the core's group: open files keep it.
 */
#ifndef SHIM_GROUP_NODE_H
#define SHIM_GROUP_NODE_H

#include "shim/base.h"

struct shim_group_node;
struct vfio_group;

SHIM_BEGIN

/**
 * shim_group_node_create() - make the node of a group; no file yet
 * @group: the core's group, the node's from success on:
 *	   vfio_core_group_destroy() is called with it when all references to
 *	   the node have gone
 * @prefix: of its name
 * @number: rest of its name
 * @node: where to put it
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM, or -ENOSPC if there are too many.
 */
int shim_group_node_create(struct vfio_group *group, const char *prefix,
			   int number, struct shim_group_node **node);

/**
 * shim_group_node_add() - make the file
 * @node: the node
 *
 * It can be opened before this returns.
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_group_node_add(struct shim_group_node *node);

/**
 * shim_group_node_del() - take the file away; those who have it open keep it
 * @node: the node
 *
 * Context: may sleep.
 */
void shim_group_node_del(struct shim_group_node *node);

/**
 * shim_group_node_put() - let go of the creator's reference
 * @node: the node
 */
void shim_group_node_put(struct shim_group_node *node);

SHIM_END

#endif
