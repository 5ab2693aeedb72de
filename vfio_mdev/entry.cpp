// SPDX-License-Identifier: GPL-2.0
//
// The way in from C: handles become objects, results become integers.
#include "entry.h"

#include "mdev.hpp"
#include "pins.hpp"
#include "type.hpp"

using namespace vfio;

// Not an object with a constructor, which nobody would call.
static constinit MdevList *the_list;

MdevList &vfio::mdev_list()
{
	return *the_list;
}

CORE_ENTRY int mdev_core_init(void)
{
	Result<UniquePtr<MdevList>> made = make<MdevList>();

	if (!made.ok())
		return made.error().negative();
	the_list = made.take().release();
	return 0;
}

CORE_ENTRY void mdev_core_exit(void)
{
	destroy(exchange(the_list, nullptr));
}

CORE_ENTRY int mdev_core_register_driver(mdev_driver *driver)
{
	if (!(shim_mdev_driver_ops(driver) & SHIM_MDEV_DEVICE_API))
		return -EINVAL;
	return shim_mdev_driver_register(driver);
}

/* Parents. */

CORE_ENTRY int mdev_core_register_parent(mdev_parent *parent, device *dev, mdev_driver *driver,
					 mdev_type **types, u32 ntypes)
{
	return MdevParent::register_parent(parent, dev, driver, types, ntypes).negative();
}

CORE_ENTRY void mdev_core_unregister_parent(mdev_core_parent *parent)
{
	MdevParent::of(parent).unregister();
}

CORE_ENTRY void mdev_core_put_parent(mdev_core_parent *parent)
{
	RefPtr<MdevParent>::adopt(&MdevParent::of(parent)).reset();
}

/* Types. */

static Result<long> create(MdevParent &parent, mdev_type *type, const char *text, size_t size)
{
	const Uuid uuid = TRY(Uuid::parse(text, size));

	TRY(Mdev::create(parent, type, uuid));
	return static_cast<long>(size);
}

CORE_ENTRY long mdev_core_create(mdev_core_parent *parent, mdev_type *type, const char *text,
				 size_t size)
{
	return create(MdevParent::of(parent), type, text, size).negative_or_value();
}

CORE_ENTRY u32 mdev_core_available(mdev_core_parent *parent, mdev_type *type)
{
	return MdevParent::of(parent).available(type);
}

CORE_ENTRY const char *mdev_core_type_title(const mdev_type *type)
{
	return type_title(type);
}

CORE_ENTRY u32 mdev_core_description_mode(const mdev_core_parent *parent, u32 mode)
{
	return static_cast<const MdevParent *>(parent)->describes_types() ? mode : 0;
}

/* Mediated devices. */

static Result<long> remove(Mdev &mdev, const char *text, size_t size)
{
	unsigned long value = 0;

	if (shim_parse_number(text, &value) < 0)
		return Error(EINVAL);
	if (value != 0)
		TRY(mdev.remove());
	return static_cast<long>(size);
}

CORE_ENTRY long mdev_core_remove(mdev_core_device *mdev, const char *text, size_t size)
{
	return remove(Mdev::of(mdev), text, size).negative_or_value();
}

CORE_ENTRY void mdev_core_destroy(mdev_core_device *mdev)
{
	destroy(&Mdev::of(mdev));
}

/* Pins. */

CORE_ENTRY int mdev_core_pins_create(vfio_device *vdev, device *dma_dev, u32 direction,
				     mdev_pins **pins)
{
	Result<UniquePtr<Pins>> made = Pins::create(vdev, dma_dev, direction);

	if (!made.ok())
		return made.error().negative();
	*pins = made.take().release();
	return 0;
}

CORE_ENTRY void mdev_core_pins_destroy(mdev_pins *pins)
{
	if (pins)
		destroy(&Pins::of(pins));
}

CORE_ENTRY int mdev_core_pins_pin(mdev_pins *pins, u64 iova, u64 npages, u32 prot)
{
	return Pins::of(pins).pin({iova}, npages, prot).negative();
}

CORE_ENTRY u64 mdev_core_pins_unpin(mdev_pins *pins, u64 iova, u64 npages)
{
	return Pins::of(pins).unpin({iova}, npages);
}

CORE_ENTRY u64 mdev_core_pins_drop(mdev_pins *pins, u64 iova, u64 size)
{
	return Pins::of(pins).drop({iova}, size);
}

CORE_ENTRY bool mdev_core_pins_find(mdev_pins *pins, u64 iova, mdev_core_pin_run *run)
{
	return Pins::of(pins).find({iova}, *run);
}

CORE_ENTRY int mdev_core_pins_for_each(mdev_pins *pins, u64 iova, u64 last,
				       mdev_core_pin_visit *visit, void *arg)
{
	return Pins::of(pins).for_each({iova}, {last}, visit, arg);
}

CORE_ENTRY u64 mdev_core_pins_npages(mdev_pins *pins)
{
	return Pins::of(pins).npages();
}

CORE_ENTRY u64 mdev_core_pins_bytes(mdev_pins *pins)
{
	return Pins::of(pins).bytes();
}
