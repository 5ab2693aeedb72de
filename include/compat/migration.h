/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Migration with pre-copy, which the UAPI headers declare from 6.2 on. On older
 * kernels the two states of pre-copy are not among the first COMPAT_STATES, so that
 * they do not exist, whatever flags a driver has.
 */
#ifndef COMPAT_MIGRATION_H
#define COMPAT_MIGRATION_H

#include "shim/uapi.h"

#ifdef VFIO_MIGRATION_PRE_COPY
#define COMPAT_MIGRATION_PRE_COPY VFIO_MIGRATION_PRE_COPY
#define COMPAT_STATE_PRE_COPY	  VFIO_DEVICE_STATE_PRE_COPY
#define COMPAT_STATE_PRE_COPY_P2P VFIO_DEVICE_STATE_PRE_COPY_P2P
#define COMPAT_STATES		  8
#else
#define COMPAT_MIGRATION_PRE_COPY (1 << 2)
#define COMPAT_STATE_PRE_COPY	  6
#define COMPAT_STATE_PRE_COPY_P2P 7
#define COMPAT_STATES		  6
#endif

/*
 * Features that older kernels' UAPI lacks. There no device has them for the core, which leaves
 * them to the driver as it does with all that it does not know.
 */
#ifdef VFIO_DEVICE_FEATURE_MIG_DATA_SIZE
#define COMPAT_FEATURE_MIG_DATA_SIZE VFIO_DEVICE_FEATURE_MIG_DATA_SIZE
#else
#define COMPAT_FEATURE_MIG_DATA_SIZE 9

struct vfio_device_feature_mig_data_size {
	__u64 stop_copy_length __attribute__((aligned(8)));
};
#endif

#ifdef VFIO_DEVICE_FEATURE_DMA_BUF
#define COMPAT_FEATURE_DMA_BUF VFIO_DEVICE_FEATURE_DMA_BUF
#else
#define COMPAT_FEATURE_DMA_BUF 11
#endif

#ifdef VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2
#define COMPAT_FEATURE_PRECOPY_INFO_V2 VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2
#else
#define COMPAT_FEATURE_PRECOPY_INFO_V2 12
#endif

#endif
