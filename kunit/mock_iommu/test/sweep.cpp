// SPDX-License-Identifier: GPL-2.0
//
// The failure sweep of the container's and the group's ioctls.
#include "sweep.hpp"

unsigned sweep(const char *name, const std::function<int()> &call,
	       const std::function<void()> &undo, const std::function<void()> &clean,
	       const std::set<int> &errors)
{
	const FailNth fail_nth;
	/* What is kept for the next time is there from now on, such as who the caller is. */
	CHECK_EQ(call(), 0);
	undo();
	for (unsigned nth = 1;; nth++) {
		const State before;
		fail_nth.arm(nth);
		const int error = call();
		const bool failed = fail_nth.disarm();
		(error ? clean : undo)();
		if (error && !errors.contains(error))
			throw tap::Failure(std::string(name) + ": " + strerror(error) +
					   " at point " + std::to_string(nth));
		before.check_same();
		if (!failed) {
			CHECK_EQ(error, 0);
			std::printf("# sweep: %s: %u points\n", name, nth - 1);
			return nth - 1;
		}
	}
}

namespace {

constexpr Device kA{0, 0}, kB{1, 0};
constexpr uint64_t kIova = 0x100000;

/* The ends of it; the other tests look at each page. */
void check_mapped(const Device &device, const Memory &memory)
{
	for (const uint64_t at : {uint64_t{0}, memory.size() - kPage}) {
		std::vector<uint8_t> copy(kPage);
		CHECK_EQ(device.dma(kIova + at, copy.data(), kPage, false), 0);
		CHECK_EQ(memcmp(copy.data(), memory.data() + at, kPage), 0);
	}
}

/* Descriptors and arguments that are there before the call, so that only it is swept. */
struct Setup {
	Container container;
	vfio_iommu_type1_dma_map map = {};
	vfio_iommu_type1_dma_unmap unmap = {};

	int map_call()
	{
		return result(ioctl(container.fd(), VFIO_IOMMU_MAP_DMA, &map));
	}
	int unmap_call()
	{
		unmap.size = map.size;
		return result(ioctl(container.fd(), VFIO_IOMMU_UNMAP_DMA, &unmap));
	}
	void set(const Memory &memory)
	{
		map.argsz = sizeof(map);
		map.flags = kReadWrite;
		map.vaddr = reinterpret_cast<uint64_t>(memory.data());
		map.iova = unmap.iova = kIova;
		map.size = memory.size();
		unmap.argsz = sizeof(unmap);
	}
};

void sweep_map(const char *name, const Memory &memory, bool two_iommus)
{
	Setup s;
	CHECK_EQ(s.container.attach(kA), 0);
	if (two_iommus)
		CHECK_EQ(s.container.attach(kB), 0);
	s.set(memory);
	CHECK(sweep(
		      name, [&] { return s.map_call(); },
		      [&] {
			      check_mapped(kA, memory);
			      CHECK_EQ(s.unmap_call(), 0);
		      }) > 2);
}

} // namespace

TEST(sweep_open_a_container)
{
	int fd = -1;
	CHECK(sweep(
		      "open /dev/vfio/vfio",
		      [&] {
			      fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
			      return result(fd);
		      },
		      [&] { close(fd); }) > 0);
}

TEST(sweep_open_a_group)
{
	const std::string path = kA.group_path();
	int fd = -1;
	CHECK(sweep(
		      "open /dev/vfio/GROUP",
		      [&] {
			      fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
			      return result(fd);
		      },
		      [&] { close(fd); }) > 0);
}

TEST(sweep_the_first_attach)
{
	const Container container;
	const Fd group = kA.open_group();
	const int fd = container.fd();
	CHECK(sweep(
		      "SET_CONTAINER of the first group",
		      [&] { return result(ioctl(group.get(), VFIO_GROUP_SET_CONTAINER, &fd)); },
		      [&] { CHECK_EQ(group.call(VFIO_GROUP_UNSET_CONTAINER, 0), 0); }) > 0);
	CHECK_EQ(group.call(VFIO_GROUP_SET_CONTAINER, &fd), 0);
	CHECK(sweep(
		      "SET_IOMMU",
		      [&] { return result(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)); },
		      [&] {
			      CHECK_EQ(group.call(VFIO_GROUP_UNSET_CONTAINER, 0), 0);
			      CHECK_EQ(group.call(VFIO_GROUP_SET_CONTAINER, &fd), 0);
		      }) > 0);
}

TEST(sweep_attach_of_a_second_iommu)
{
	Setup s;
	const Memory one(3 * kPage), two(kPage);
	CHECK_EQ(s.container.attach(kA), 0);
	CHECK_EQ(s.container.map(one, kIova), 0);
	CHECK_EQ(s.container.map(two, kIova + kHuge), 0);
	const Fd group = kB.open_group();
	const int fd = s.container.fd();
	CHECK(sweep(
		      "SET_CONTAINER of a second IOMMU, with mappings",
		      [&] { return result(ioctl(group.get(), VFIO_GROUP_SET_CONTAINER, &fd)); },
		      [&] {
			      kB.check_reaches(kIova, one);
			      kB.check_reaches(kIova + kHuge, two);
			      CHECK_EQ(group.call(VFIO_GROUP_UNSET_CONTAINER, 0), 0);
		      }) > 4);
}

TEST(sweep_open_a_device)
{
	Container container;
	const Fd group = kA.open_group();
	const int fd = container.fd();
	CHECK_EQ(group.call(VFIO_GROUP_SET_CONTAINER, &fd), 0);
	CHECK_EQ(container.set_iommu(), 0);
	int device = -1;
	CHECK(sweep(
		      "GROUP_GET_DEVICE_FD",
		      [&] {
			      device = ioctl(group.get(), VFIO_GROUP_GET_DEVICE_FD, "vfio_mock0.0");
			      return result(device);
		      },
		      [&] { close(device); }) > 0);
}

TEST(sweep_map_one_page)
{
	sweep_map("MAP_DMA of a page", Memory(kPage), false);
}

TEST(sweep_map_many_pages)
{
	sweep_map("MAP_DMA of 600 pages", Memory(600 * kPage), false);
}

TEST(sweep_map_in_two_iommus)
{
	sweep_map("MAP_DMA of 20 pages in two IOMMUs", Memory(20 * kPage), true);
}

TEST(sweep_map_a_huge_page)
{
	sweep_map("MAP_DMA of a huge page in two IOMMUs", Memory(kHuge, MAP_HUGETLB), true);
}

/* It may not fail for want of memory. */
TEST(sweep_unmap)
{
	Setup s;
	const Memory memory(40 * kPage);
	CHECK_EQ(s.container.attach(kA), 0);
	CHECK_EQ(s.container.attach(kB), 0);
	s.set(memory);
	CHECK_EQ(s.map_call(), 0);
	const auto map_again = [&] {
		kA.check_reaches_nothing(kIova, memory.size());
		kB.check_reaches_nothing(kIova, memory.size());
		CHECK_EQ(s.map_call(), 0);
	};
	CHECK(sweep(
		      "UNMAP_DMA of 40 pages in two IOMMUs", [&] { return s.unmap_call(); },
		      [&] {
			      CHECK_EQ(s.unmap.size, memory.size());
			      map_again();
		      },
		      [&] {
			      /* Not asked for, or done and not told. */
			      s.container.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
			      map_again();
		      },
		      {EFAULT}) > 1);
}

TEST(sweep_info)
{
	Container container;
	CHECK_EQ(container.attach(kA), 0);
	std::vector<uint8_t> all(4096);
	auto *info = reinterpret_cast<vfio_iommu_type1_info *>(all.data());
	CHECK(sweep(
		      "GET_INFO",
		      [&] {
			      info->argsz = static_cast<uint32_t>(all.size());
			      return result(ioctl(container.fd(), VFIO_IOMMU_GET_INFO, info));
		      },
		      [] {}) > 2);
}

TEST(sweep_dirty_tracking)
{
	Setup s;
	const Memory memory(600 * kPage);
	CHECK_EQ(s.container.attach(kA), 0);
	CHECK_EQ(s.container.map(memory, kIova), 0);
	CHECK_EQ(s.container.map(memory, kIova + 2 * kHuge), 0);
	vfio_iommu_type1_dirty_bitmap start = {}, stop = {};
	start.argsz = stop.argsz = sizeof(start);
	start.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
	stop.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
	const int fd = s.container.fd();
	CHECK(sweep(
		      "DIRTY_PAGES start",
		      [&] { return result(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &start)); },
		      [&] { CHECK_EQ(result(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &stop)), 0); }) > 0);

	CHECK_EQ(result(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &start)), 0);
	alignas(8) uint8_t report[sizeof(vfio_iommu_type1_dirty_bitmap) +
				  sizeof(vfio_iommu_type1_dirty_bitmap_get)] = {};
	auto *head = reinterpret_cast<vfio_iommu_type1_dirty_bitmap *>(report);
	auto *get = reinterpret_cast<vfio_iommu_type1_dirty_bitmap_get *>(head + 1);
	uint64_t bits[10] = {};
	head->argsz = sizeof(report);
	head->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	get->iova = kIova;
	get->size = memory.size();
	get->bitmap.pgsize = kPage;
	get->bitmap.size = sizeof(bits);
	get->bitmap.data = reinterpret_cast<__u64 *>(bits);
	CHECK(sweep(
		      "DIRTY_PAGES bitmap of 600 pages",
		      [&] { return result(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, report)); },
		      [&] { CHECK_EQ(bits[0], ~uint64_t{0}); }) > 2);
}
