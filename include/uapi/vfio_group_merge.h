/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Merging groups: one group's file takes other groups in. From then on they are a set, which
 * is one address space and one set of devices:
 *
 * - All members have one container. What is mapped is mapped once, for the devices of all.
 * - VFIO_GROUP_GET_DEVICE_FD on any member's file finds the devices of all members.
 * - All members are equal: each may take in further groups, and each may be taken out.
 * - VFIO_GROUP_SET_CONTAINER and VFIO_GROUP_UNSET_CONTAINER on a member fail with EBUSY.
 *
 * A member whose own file is closed stays in the set, and its node cannot be opened (EBUSY). The
 * set ends when none of its groups and devices has an open file, and also when only one group
 * is left: that one keeps the container, and is a group like any other.
 *
 * Merging needs no container file. VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU and the ioctls of the
 * IOMMU, such as VFIO_IOMMU_MAP_DMA, work on a group's file as well, and act on its container. A
 * group without a container gets one, which has no file, by VFIO_SET_IOMMU or by merging another
 * group. Without a container VFIO_CHECK_EXTENSION answers as for one without groups, and the
 * ioctls of the IOMMU are ENOTTY.
 *
 * Whoever holds both files may merge and unmerge, however it came by them.
 */
#ifndef UAPI_VFIO_GROUP_MERGE_H
#define UAPI_VFIO_GROUP_MERGE_H

#include <linux/types.h>
#include <linux/vfio.h>

/* For VFIO_CHECK_EXTENSION, on files of containers and groups: whether groups can be merged. */
#define VFIO_GROUP_MERGE_EXTENSION 41

/* Of VFIO_GROUP_GET_STATUS: the group is a member of a set of two groups or more. */
#define VFIO_GROUP_FLAGS_MERGED (1 << 16)

/**
 * struct vfio_group_merge - take a group in or out (VFIO_GROUP_MERGE, VFIO_GROUP_UNMERGE)
 * @argsz: size of the structure that the caller knows; smaller than it is is EINVAL
 * @flags:	of VFIO_GROUP_UNMERGE alone: VFIO_GROUP_UNMERGE_NUMBER, @group is the number in
 *		the name of the group's node, for a member whose file is closed; others are EINVAL
 * @group:	the file descriptor of the other group, or the number
 *
 * VFIO_GROUP_MERGE takes a group in. The mappings that are there are replayed for it, all or none.
 * The group that it is called on may be in use; the other one has no container.
 *
 * VFIO_GROUP_UNMERGE takes a member out of the set, also the group itself that it is called on. Its
 * devices reach nothing that the set has mapped. If its file is open, it is then a group without
 * a container.
 *
 * Return: 0, or -1 with errno, and nothing has changed. Of both: EBADF for a bad descriptor, EINVAL
 * for one that is no group's file. Of VFIO_GROUP_MERGE: EINVAL for the group itself; EBUSY if the
 * other group has a container, which it also has as a member of a set or if one of its devices is
 * open, or if it is not viable; ENODEV if the last device of a group has gone; EPERM if the latest
 * mapping in the container was made by a process that does not share memory with the caller, or if
 * one group is of no-IOMMU mode and the other is not; the errors of attaching a group to the
 * container's IOMMU, as VFIO_GROUP_SET_CONTAINER has them: EINVAL if the group's IOMMU cannot take
 * the mappings that are there. Of VFIO_GROUP_UNMERGE: EINVAL if there is no such member; EBUSY
 * if one of its devices is open.
 */
struct vfio_group_merge {
	__u32 argsz;
	__u32 flags;
#define VFIO_GROUP_UNMERGE_NUMBER (1 << 0)
	__s32 group;
};
#define VFIO_GROUP_MERGE   _IO(VFIO_TYPE, VFIO_BASE + 140)
#define VFIO_GROUP_UNMERGE _IO(VFIO_TYPE, VFIO_BASE + 141)

#endif
