// SPDX-License-Identifier: GPL-2.0
//
// The failure sweep of what a device's driver calls: registering and
// unregistering, pinning for a device behind an emulated IOMMU, reading and
// writing through the container. The device is vfio_testdev.ko's.
#include <optional>

#include "../../../tests/kmod/vfio_testdev.h"
#include "sweep.hpp"

namespace {

constexpr uint64_t kIova = 0x100000;

Fd control()
{
	Fd fd(open("/dev/vfio_testdev", O_RDWR | O_CLOEXEC));

	if (fd.get() < 0)
		throw tap::Failure("no /dev/vfio_testdev");
	return fd;
}

/* A device, and a container with its group and sixteen pages mapped. */
class Emulated {
public:
	Emulated() : control_(control())
	{
		CHECK_EQ(control_.call(VFIO_TESTDEV_CREATE, &config_), 0);
		group_ = Fd(open(("/dev/vfio/" + std::to_string(config_.group)).c_str(),
				 O_RDWR | O_CLOEXEC));
		const int fd = container_.fd();
		CHECK_EQ(group_.call(VFIO_GROUP_SET_CONTAINER, &fd), 0);
		CHECK_EQ(container_.set_iommu(), 0);
		device_ = Fd(ioctl(group_.get(), VFIO_GROUP_GET_DEVICE_FD, config_.name));
		CHECK(device_.get() >= 0);
		CHECK_EQ(container_.map(memory_, kIova), 0);
	}
	~Emulated()
	{
		device_ = Fd();
		group_ = Fd();
		ioctl(control_.get(), VFIO_TESTDEV_DESTROY, &config_.id);
	}
	/* 0 or the errno, of the ioctl or of what it called. */
	template <class Arg> int call(unsigned long request, Arg &arg) const
	{
		const int error = device_.call(request, &arg);
		return error ? error : arg.ret < 0 ? -arg.ret : 0;
	}
	const Memory &memory() const
	{
		return memory_;
	}

private:
	Fd control_;
	vfio_testdev_create config_ = {};
	Container container_;
	Fd group_, device_;
	Memory memory_{16 * kPage};
};

void sweep_pin(const char *name, int npages, uint32_t flags)
{
	const Emulated emulated;
	vfio_testdev_pin pin = {}, unpin = {};

	pin.iova = unpin.iova = kIova + kPage;
	pin.npage = unpin.npage = npages;
	pin.prot = VFIO_TESTDEV_PROT_READ | VFIO_TESTDEV_PROT_WRITE;
	pin.flags = unpin.flags = flags;
	CHECK(sweep(
		      name, [&] { return emulated.call(VFIO_TESTDEV_PIN, pin); },
		      [&] {
			      CHECK_EQ(pin.ret, npages);
			      CHECK_EQ(emulated.call(VFIO_TESTDEV_UNPIN, unpin), 0);
		      },
		      /* Pinned, but not told. */
		      [&] { (void)emulated.call(VFIO_TESTDEV_UNPIN, unpin); }) > 1);
}

} // namespace

TEST(sweep_register_a_device)
{
	const Fd fd = control();
	vfio_testdev_create config = {};

	CHECK(sweep(
		      "register for an emulated IOMMU",
		      [&] { return fd.call(VFIO_TESTDEV_CREATE, &config); },
		      [&] { CHECK_EQ(fd.call(VFIO_TESTDEV_DESTROY, &config.id), 0); }, [] {},
		      /* The driver core's: no memory for a name, or before probing. */
		      {ENOMEM, EFAULT, EINVAL, ENXIO}) > 10);
}

/* It cannot fail for want of memory; the copy of its argument can. */
TEST(sweep_unregister_a_device)
{
	const Fd fd = control();
	vfio_testdev_create config = {};

	CHECK_EQ(fd.call(VFIO_TESTDEV_CREATE, &config), 0);
	CHECK(sweep(
		      "unregister", [&] { return fd.call(VFIO_TESTDEV_DESTROY, &config.id); },
		      [&] { CHECK_EQ(fd.call(VFIO_TESTDEV_CREATE, &config), 0); }) > 0);
	CHECK_EQ(fd.call(VFIO_TESTDEV_DESTROY, &config.id), 0);
}

TEST(sweep_pin_a_page)
{
	sweep_pin("pin of a page", 1, 0);
}

TEST(sweep_pin_pages)
{
	sweep_pin("pin of eight pages", 8, 0);
}

/* What is pinned must come off, whatever fails. */
TEST(sweep_unpin)
{
	const Emulated emulated;
	vfio_testdev_pin pin = {}, unpin = {};

	pin.iova = unpin.iova = kIova;
	pin.npage = unpin.npage = 8;
	pin.prot = VFIO_TESTDEV_PROT_READ;
	CHECK_EQ(emulated.call(VFIO_TESTDEV_PIN, pin), 0);
	CHECK(sweep(
		      "unpin of eight pages",
		      [&] { return emulated.call(VFIO_TESTDEV_UNPIN, unpin); },
		      [&] { CHECK_EQ(emulated.call(VFIO_TESTDEV_PIN, pin), 0); },
		      [&] {
			      /* Not asked for, or done and not told. */
			      (void)emulated.call(VFIO_TESTDEV_UNPIN, unpin);
			      CHECK_EQ(emulated.call(VFIO_TESTDEV_PIN, pin), 0);
		      }) > 1);
}

TEST(sweep_read_and_write)
{
	const Emulated emulated;
	std::vector<uint8_t> data(3 * kPage, 0x5a);
	vfio_testdev_dma_rw rw = {};

	rw.iova = kIova + 100;
	rw.data = reinterpret_cast<uint64_t>(data.data());
	rw.size = static_cast<uint32_t>(data.size());
	rw.write = 1;
	CHECK(sweep(
		      "dma_rw, writing three pages",
		      [&] { return emulated.call(VFIO_TESTDEV_DMA_RW, rw); },
		      [&] {
			      CHECK_EQ(memcmp(emulated.memory().data() + 100, data.data(),
					      data.size()),
				       0);
		      }) > 1);
	rw.write = 0;
	CHECK(sweep(
		      "dma_rw, reading three pages",
		      [&] { return emulated.call(VFIO_TESTDEV_DMA_RW, rw); }, [] {}) > 1);
}
