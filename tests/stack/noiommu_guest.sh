#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In a guest without an IOMMU: noiommu_guest.sh ours|stock [arguments]
# Loads the modules and binds nothing, the tests do that.
STACK_MODULES=$1
export STACK_MODULES
shift
for module in vfio vfio_iommu_type1 vfio-pci; do
    modprobe $module || { echo "Bail out! modprobe $module"; exit 1; }
done
mkdir -p /tmp
exec /stack_test "$@"
