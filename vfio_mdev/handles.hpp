// SPDX-License-Identifier: GPL-2.0
//
// The core's objects as the C side names them. There each is an incomplete
// struct; here it is the empty base of the class, so that a handle becomes its
// object by a static_cast, and nothing else becomes one.
#pragma once

#include "shim/base.h"

struct mdev_core_device {};
struct mdev_core_parent {};
struct mdev_pins {};
