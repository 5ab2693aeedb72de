/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The node of a group: the file /dev/vfio/GROUP and the kernel's objects behind it.
 * The kernel counts references to the node, and open files hold one. The node owns
 * the core's group.
 *
 * These functions may sleep, except where they say otherwise.
 */
#ifndef SHIM_GROUP_NODE_H
#define SHIM_GROUP_NODE_H

#include "shim/base.h"

struct shim_group_node;
struct vfio_group;

SHIM_BEGIN

/**
 * shim_group_node_create() - make the node of a group, without a file
 * @group: the core's group. After success the node owns it, and calls
 *	   vfio_core_group_destroy() when the last reference to the node is dropped
 * @prefix: the first part of the file's name
 * @number: the rest of the file's name
 * @node: where to put the node, with a reference that the caller puts
 *
 * Return: 0, -ENOMEM, or -ENOSPC if there are too many.
 */
int shim_group_node_create(struct vfio_group *group, const char *prefix,
			   int number, struct shim_group_node **node);

/**
 * shim_group_node_add() - make the file
 * @node: the node
 *
 * The file can be opened before this returns.
 *
 * Return: 0 or a negative errno.
 */
int shim_group_node_add(struct shim_group_node *node);

/**
 * shim_group_node_del() - remove the file; opened files stay open
 * @node: the node
 */
void shim_group_node_del(struct shim_group_node *node);

/**
 * shim_group_node_get() - take another reference
 * @node: the node, to which somebody holds a reference meanwhile
 */
void shim_group_node_get(struct shim_group_node *node);

/**
 * shim_group_node_put() - drop a reference
 * @node: the node
 */
void shim_group_node_put(struct shim_group_node *node);

SHIM_END

#endif
