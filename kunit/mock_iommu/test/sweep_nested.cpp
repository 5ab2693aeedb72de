// SPDX-License-Identifier: GPL-2.0
//
// The failure sweep of vfio_zpci's ioctls, and of closing a guest's files. A guest has its
// memory, tables of one format in it, and one function, a device behind a mock IOMMU that has
// large pages for that format's frames.
#include <optional>
#include <sched.h>
#include <sys/eventfd.h>

#include "../../../tests/stack/guest_tables.hpp"
#include "sweep.hpp"

namespace {

constexpr uint32_t kHandle = 7;
/* The window of IOVAs. Its first frame has the pages, its last is for large frames. */
constexpr uint64_t kFirst = 16 << 20, kSize = 16 << 20, kFrame = kFirst + (8 << 20);
/* Guest addresses. The doorbell's page and the tables are in the first huge page. */
constexpr uint64_t kBell = 0, kFrameGpa = kHuge, kMoreGpa = 2 * kHuge;
constexpr unsigned kPages = 40;

constexpr Device kS390Device{2, 0}, kVtdDevice{0, 0};

class Guest {
public:
	explicit Guest(uint32_t format)
		: device_(format == VFIO_ZPCI_FORMAT_S390 ? kS390Device : kVtdDevice),
		  flags_(VFIO_MOCK_INTREMAP | (device_.iommu == 0 ? VFIO_MOCK_COHERENT : 0)),
		  tables_(marked(memory_), format, kHuge)
	{
		set_flags(device_.iommu, flags_ | VFIO_MOCK_BY_PAGE);
		open_files();
		CHECK_EQ(enroll(), 0);
	}
	~Guest()
	{
		close_files();
		set_flags(device_.iommu, flags_);
	}

	void open_files()
	{
		container_.emplace();
		CHECK_EQ(container_->attach(device_, VFIO_ZPCI_IOMMU), 0);
		CHECK_EQ(container_->map(memory_, 0), 0);
		fd_ = container_->open_device(device_);
	}
	void close_files()
	{
		fd_ = Fd();
		container_.reset();
	}

	const Device &device() const
	{
		return device_;
	}
	Container &container()
	{
		return *container_;
	}
	Memory &memory()
	{
		return memory_;
	}
	uint64_t frame_size() const
	{
		return tables_.frame_size();
	}

	/* 0 or the errno. */
	int enroll(uint32_t flags = 0) const
	{
		vfio_zpci_register request = {};
		request.argsz = sizeof(request);
		request.flags = flags;
		request.fh = kHandle;
		request.group_fd = fd_.get();
		request.format = tables_.format();
		request.levels = tables_.levels();
		request.anchor = tables_.anchor();
		request.pba = kFirst;
		request.pal = kFirst + kSize - 1;
		return container_->call(VFIO_ZPCI_REGISTER, &request);
	}
	int deregister(uint32_t flags = 0) const
	{
		vfio_zpci_deregister request = {sizeof(request), flags, kHandle, 0};
		return container_->call(VFIO_ZPCI_DEREGISTER, &request);
	}
	/* ENOMEM also if the guest is told so. */
	int refresh() const
	{
		vfio_zpci_refresh request = {};
		request.argsz = sizeof(request);
		request.fh = kHandle;
		request.start = kFirst;
		request.length = kSize;
		const int error = container_->call(VFIO_ZPCI_REFRESH, &request);
		return error ? error : told(request.cc, request.status);
	}
	/* In two ranges. */
	int refresh_ranges() const
	{
		const vfio_zpci_range ranges[] = {{kFirst, kFrame - kFirst},
						  {kFrame, kFirst + kSize - kFrame}};
		vfio_zpci_refresh_ranges request = {};
		request.argsz = sizeof(request);
		request.fh = kHandle;
		request.count = 2;
		request.ranges = reinterpret_cast<uint64_t>(ranges);
		const int error = container_->call(VFIO_ZPCI_REFRESH_RANGES, &request);
		return error ? error : told(request.cc, request.status);
	}
	int set_doorbell(int eventfd) const
	{
		vfio_zpci_doorbell request = {sizeof(request), 0, kHandle, eventfd, kBell};
		return container_->call(VFIO_ZPCI_SET_DOORBELL, &request);
	}
	/* Asks for the window's first pages, and waits until that is done. */
	int ring(int eventfd)
	{
		auto *page = reinterpret_cast<vfio_zpci_doorbell_page *>(memory_.data() + kBell);
		const uint64_t one = 1;
		page->ranges[0] = {kFirst, 8 * kPage};
		page->request = ++asked_ | uint64_t{1} << VFIO_ZPCI_DOORBELL_COUNT_SHIFT;
		if (write(eventfd, &one, sizeof(one)) < 0)
			return errno;
		/* A system call that copies would be a point. */
		uint64_t word = 0;
		do {
			sched_yield();
			word = __atomic_load_n(&page->completion, __ATOMIC_ACQUIRE);
		} while (static_cast<uint32_t>(word) != asked_);
		return told(word >> VFIO_ZPCI_DOORBELL_CC_SHIFT & 0xff,
			    word >> VFIO_ZPCI_DOORBELL_STATUS_SHIFT & 0xff);
	}

	/* What the guest does to its tables. */
	void map(uint64_t iova, uint64_t gpa, bool writes = true)
	{
		tables_.map(iova, gpa, writes ? stack::kGuestReadWrite : stack::kGuestRead);
		wanted_[iova] = gpa;
	}
	void unmap(uint64_t iova)
	{
		tables_.unmap(iova);
		wanted_[iova] = kNothing;
	}
	void map_frame()
	{
		tables_.map_frame(kFrame, kFrameGpa);
		for (uint64_t at = 0; at < frame_size(); at += kPage)
			wanted_[kFrame + at] = kFrameGpa + at;
	}
	void unmap_frame()
	{
		tables_.unmap(kFrame, 1);
		for (uint64_t at = 0; at < frame_size(); at += kPage)
			wanted_[kFrame + at] = kNothing;
	}
	/* The frame is a page table instead, of which few entries are valid. */
	void split_frame()
	{
		unmap_frame();
		if (split_)
			tables_.write(kFrame, 1, split_);
		for (unsigned i = 0; i < 9; i++)
			map(kFrame + i * 5 * kPage, (40 + i) * kPage);
		split_ = tables_.read(kFrame, 1);
	}

	/*
	 * The device reaches what the tables map, and nothing else, of what they have ever
	 * mapped; if partly is true, it may also reach nothing.
	 */
	void check(bool partly = false) const
	{
		for (const auto &[iova, gpa] : wanted_) {
			const vfio_mock_pte pte = device_.pte(iova);
			uint64_t mark = 0;
			if (gpa == kNothing || (partly && !pte.size)) {
				CHECK_EQ(pte.size, 0u);
				continue;
			}
			CHECK_EQ(pte.stale, 0u);
			CHECK_EQ(device_.dma(iova, &mark, sizeof(mark), false), 0);
			CHECK_EQ(mark, mark_of(gpa));
		}
	}
	/* Where the window's first IOVA is guest address 0. */
	void check_direct() const
	{
		for (uint64_t gpa = kFrameGpa; gpa < memory_.size(); gpa += 64 * kPage) {
			uint64_t mark = 0;
			CHECK_EQ(device_.dma(kFirst + gpa, &mark, sizeof(mark), false), 0);
			CHECK_EQ(mark, mark_of(gpa));
		}
	}
	void check_nothing() const
	{
		for (const auto &entry : wanted_)
			CHECK_EQ(device_.pte(entry.first).size, 0u);
	}

	/* Writes into each page of memory that will be at gpa what check() looks for. */
	static void mark(uint8_t *data, uint64_t size, uint64_t gpa)
	{
		for (uint64_t at = 0; at < size; at += kPage) {
			const uint64_t mark = mark_of(gpa + at);
			memcpy(data + at, &mark, sizeof(mark));
		}
	}

private:
	static constexpr uint64_t kNothing = ~uint64_t{0};

	static uint64_t mark_of(uint64_t gpa)
	{
		return gpa ^ 0x6e65737465640000;
	}
	static uint8_t *marked(const Memory &memory)
	{
		memset(memory.data(), 0, kPage);
		mark(memory.data() + kPage, memory.size() - kPage, kPage);
		return memory.data();
	}
	static int told(uint64_t cc, uint64_t status)
	{
		if (cc == VFIO_ZPCI_CC_OK)
			return 0;
		CHECK_EQ(cc, uint64_t{VFIO_ZPCI_CC_ERROR});
		CHECK_EQ(status, uint64_t{VFIO_ZPCI_STATUS_NO_RESOURCES});
		return ENOMEM;
	}

	const Device device_;
	const unsigned flags_;
	Memory memory_{2 * kHuge, MAP_HUGETLB};
	stack::GuestTables tables_;
	std::optional<Container> container_;
	Fd fd_;
	std::map<uint64_t, uint64_t> wanted_;
	uint64_t split_ = 0;
	uint32_t asked_ = 0;
};

constexpr uint32_t kFormats[] = {VFIO_ZPCI_FORMAT_S390, VFIO_ZPCI_FORMAT_VTD};

std::string in_format(const char *what, uint32_t format)
{
	return std::string(what) + (format == VFIO_ZPCI_FORMAT_S390 ? ", s390" : ", VT-d");
}

/* Pages all over the guest's memory, some of which may only be read. */
void map_pages(Guest &guest)
{
	for (unsigned i = 0; i < kPages; i++)
		guest.map(kFirst + i * 3 * kPage, (1 + i * 7 % 64) * kPage, i % 5);
}

void unmap_pages(Guest &guest)
{
	for (unsigned i = 0; i < kPages; i++)
		guest.unmap(kFirst + i * 3 * kPage);
}

/* Other pages, and other access. */
void change_pages(Guest &guest)
{
	for (unsigned i = 0; i < kPages; i++)
		if (i % 3)
			guest.map(kFirst + i * 3 * kPage, (64 + i) * kPage, i % 2);
		else
			guest.unmap(kFirst + i * 3 * kPage);
}

using Change = void (*)(Guest &);
using Refresh = int (Guest::*)() const;

/*
 * The refresh after the guest has made a change, of what is before. A refresh that finds no
 * memory leaves some pages out; the next one maps them.
 */
void sweep_refresh(const char *what, Change before, Change change, Refresh refresh, unsigned least,
		   const std::set<int> &errors = {ENOMEM, EFAULT})
{
	for (const uint32_t format : kFormats) {
		Guest guest(format);
		const auto again = [&] {
			guest.check();
			before(guest);
			CHECK_EQ(guest.refresh(), 0);
			guest.check();
			change(guest);
		};
		before(guest);
		CHECK_EQ(guest.refresh(), 0);
		change(guest);
		CHECK(sweep(
			      in_format(what, format).c_str(), [&] { return (guest.*refresh)(); },
			      again,
			      [&] {
				      /* With EFAULT before or after it is done. */
				      if (errors.contains(ENOMEM))
					      guest.refresh();
				      CHECK_EQ(guest.refresh(), 0);
				      again();
			      },
			      errors) >= least);

		/* And each call of the IOMMU. */
		for (unsigned nth = 1; errors.contains(ENOMEM); nth++) {
			const State state;
			fail(guest.device().iommu, VFIO_MOCK_FAIL_MAP, nth);
			const int error = (guest.*refresh)();
			const bool failed = !fail(guest.device().iommu, VFIO_MOCK_FAIL_MAP, 0);
			CHECK_EQ(error != 0, failed);
			if (failed) {
				guest.check(true);
				CHECK_EQ(guest.refresh(), 0);
			}
			again();
			state.check_same();
			if (!failed) {
				CHECK(nth > 1);
				break;
			}
		}
	}
}

/* More memory of the guest's, of small pages. */
struct More {
	explicit More(unsigned npages) : memory(npages * kPage)
	{
		Guest::mark(memory.data(), memory.size(), kMoreGpa);
	}

	Memory memory;
};

} // namespace

TEST(sweep_nested_set_iommu)
{
	const Device device{0, 0};
	const Container container;
	const Fd group = device.open_group();
	const int fd = container.fd();
	const auto again = [&] {
		CHECK_EQ(group.call(VFIO_GROUP_UNSET_CONTAINER, 0), 0);
		CHECK_EQ(group.call(VFIO_GROUP_SET_CONTAINER, &fd), 0);
	};
	CHECK_EQ(group.call(VFIO_GROUP_SET_CONTAINER, &fd), 0);
	CHECK(sweep(
		      "SET_IOMMU of vfio_zpci",
		      [&] { return result(ioctl(fd, VFIO_SET_IOMMU, VFIO_ZPCI_IOMMU)); },
		      again) > 4);
	for (const unsigned kind : {VFIO_MOCK_FAIL_ATTACH, VFIO_MOCK_FAIL_ALLOC})
		CHECK(sweep_calls(0, kind, [&] {
			      const int error = container.set_iommu(VFIO_ZPCI_IOMMU);
			      if (!error)
				      again();
			      return error;
		      }) > 0);
}

TEST(sweep_nested_register)
{
	for (const uint32_t format : kFormats) {
		Guest guest(format);
		const auto forget = [&] { (void)guest.deregister(VFIO_ZPCI_DEREGISTER_FORGET); };
		forget();
		CHECK(sweep(
			      in_format("REGISTER", format).c_str(), [&] { return guest.enroll(); },
			      [&] {
				      CHECK_EQ(guest.refresh(), 0);
				      forget();
			      },
			      [&] { CHECK_EQ(guest.deregister(), ENOENT); }) > 1);
	}
}

/* All of the guest's memory is mapped. */
TEST(sweep_nested_register_direct)
{
	Guest guest(VFIO_ZPCI_FORMAT_VTD);
	const More more(kPages);
	const auto forget = [&] {
		guest.check_direct();
		CHECK_EQ(guest.deregister(VFIO_ZPCI_DEREGISTER_FORGET), 0);
	};
	const auto enroll = [&] { return guest.enroll(VFIO_ZPCI_REGISTER_DIRECT); };
	CHECK_EQ(guest.deregister(VFIO_ZPCI_DEREGISTER_FORGET), 0);
	CHECK_EQ(guest.container().map(more.memory, kMoreGpa), 0);
	CHECK(sweep("REGISTER of direct mapping", enroll, forget) > 4);
	CHECK(sweep_calls(guest.device().iommu, VFIO_MOCK_FAIL_MAP, [&] {
		      const int error = enroll();
		      if (!error)
			      forget();
		      return error;
	      }) >= 2);
}

TEST(sweep_nested_refresh_of_new_pages)
{
	sweep_refresh("REFRESH of new pages", unmap_pages, map_pages, &Guest::refresh, 4);
}

TEST(sweep_nested_refresh_of_changed_pages)
{
	sweep_refresh("REFRESH of changed pages", map_pages, change_pages, &Guest::refresh, 4);
}

TEST(sweep_nested_refresh_of_a_large_frame)
{
	sweep_refresh(
		"REFRESH of a large frame", [](Guest &guest) { guest.unmap_frame(); },
		[](Guest &guest) { guest.map_frame(); }, &Guest::refresh, 2);
}

TEST(sweep_nested_refresh_of_a_frame_that_becomes_pages)
{
	sweep_refresh(
		"REFRESH of a frame that becomes pages", [](Guest &guest) { guest.map_frame(); },
		[](Guest &guest) { guest.split_frame(); }, &Guest::refresh, 2);
}

TEST(sweep_nested_refresh_of_ranges)
{
	sweep_refresh(
		"REFRESH_RANGES",
		[](Guest &guest) {
			unmap_pages(guest);
			guest.unmap_frame();
		},
		[](Guest &guest) {
			map_pages(guest);
			guest.map_frame();
		},
		&Guest::refresh_ranges, 4);
}

/* It may not fail for want of memory. */
TEST(sweep_nested_refresh_that_unmaps)
{
	sweep_refresh(
		"REFRESH that unmaps",
		[](Guest &guest) {
			map_pages(guest);
			guest.map_frame();
		},
		[](Guest &guest) {
			unmap_pages(guest);
			guest.unmap_frame();
		},
		&Guest::refresh, 1, {EFAULT});
}

TEST(sweep_nested_deregister)
{
	for (const uint32_t format : kFormats) {
		Guest guest(format);
		const auto again = [&] {
			guest.check_nothing();
			CHECK_EQ(guest.enroll(), 0);
			CHECK_EQ(guest.refresh(), 0);
			guest.check();
		};
		map_pages(guest);
		guest.map_frame();
		CHECK_EQ(guest.refresh(), 0);
		CHECK(sweep(
			      in_format("DEREGISTER", format).c_str(),
			      [&] { return guest.deregister(); }, again,
			      [&] {
				      CHECK_EQ(guest.deregister(), 0);
				      again();
			      },
			      {EFAULT}) > 0);
	}
}

TEST(sweep_nested_map_of_memory)
{
	for (const bool direct : {false, true}) {
		Guest guest(VFIO_ZPCI_FORMAT_VTD);
		const More more(600);
		if (direct) {
			CHECK_EQ(guest.deregister(), 0);
			CHECK_EQ(guest.enroll(VFIO_ZPCI_REGISTER_DIRECT), 0);
		}
		const auto add = [&] { return guest.container().map(more.memory, kMoreGpa); };
		const auto remove = [&] {
			CHECK_EQ(guest.container().unmap(kMoreGpa, more.memory.size()),
				 more.memory.size());
		};
		CHECK(sweep(direct ? "MAP_DMA of direct mapping" : "MAP_DMA of guest memory", add,
			    remove) > 2);
		if (!direct)
			continue;
		CHECK(sweep_calls(guest.device().iommu, VFIO_MOCK_FAIL_MAP, [&] {
			      const int error = add();
			      if (!error)
				      remove();
			      return error;
		      }) > 0);
	}
}

/* The device does not reach it afterwards. It may not fail for want of memory. */
TEST(sweep_nested_unmap_of_memory)
{
	for (const uint32_t format : kFormats) {
		Guest guest(format);
		const More more(kPages);
		const auto reached = [&] {
			unsigned npages = 0;
			for (unsigned i = 0; i < kPages; i++)
				npages += guest.device().pte(kFirst + i * 3 * kPage).size != 0;
			return npages;
		};
		const auto again = [&] {
			CHECK_EQ(reached(), 0u);
			CHECK_EQ(guest.container().map(more.memory, kMoreGpa), 0);
			CHECK_EQ(guest.refresh(), 0);
			guest.check();
		};
		vfio_iommu_type1_dma_unmap unmap = {};
		unmap.argsz = sizeof(unmap);
		unmap.iova = kMoreGpa;
		CHECK_EQ(guest.container().map(more.memory, kMoreGpa), 0);
		for (unsigned i = 0; i < kPages; i++)
			guest.map(kFirst + i * 3 * kPage, kMoreGpa + i * 7 % kPages * kPage);
		guest.map_frame();
		CHECK_EQ(guest.refresh(), 0);
		guest.check();
		CHECK(sweep(
			      in_format("UNMAP_DMA of guest memory", format).c_str(),
			      [&] {
				      unmap.size = more.memory.size();
				      return guest.container().call(VFIO_IOMMU_UNMAP_DMA, &unmap);
			      },
			      again,
			      [&] {
				      /* Not asked for, or done and not told. */
				      guest.container().unmap(kMoreGpa, more.memory.size());
				      again();
			      },
			      {EFAULT}) > 1);
	}
}

TEST(sweep_nested_doorbell)
{
	for (const uint32_t format : kFormats) {
		Guest guest(format);
		const Fd bell(eventfd(0, EFD_CLOEXEC));
		const auto unbind = [&] { (void)guest.set_doorbell(-1); };
		CHECK(sweep(
			      in_format("SET_DOORBELL", format).c_str(),
			      [&] { return guest.set_doorbell(bell.get()); },
			      [&] { CHECK_EQ(guest.set_doorbell(-1), 0); }, unbind) > 1);

		CHECK_EQ(guest.set_doorbell(bell.get()), 0);
		const auto map = [&] {
			for (unsigned i = 0; i < 8; i++)
				guest.map(kFirst + i * kPage, (9 + i) * kPage);
		};
		const auto again = [&] {
			guest.check();
			for (unsigned i = 0; i < 8; i++)
				guest.unmap(kFirst + i * kPage);
			CHECK_EQ(guest.refresh(), 0);
			map();
		};
		map();
		/* What finds no memory there is left to a thread, which does. */
		CHECK(sweep(
			      in_format("ring a doorbell", format).c_str(),
			      [&] { return guest.ring(bell.get()); }, again,
			      [&] {
				      CHECK_EQ(guest.ring(bell.get()), 0);
				      again();
			      },
			      {EFAULT}) > 0);
		unbind();
	}
}

/* Whatever fails, nothing is left. */
TEST(sweep_nested_close)
{
	for (const uint32_t format : kFormats) {
		Guest guest(format);
		const auto begin = [&] {
			CHECK_EQ(guest.refresh(), 0);
			guest.check();
		};
		map_pages(guest);
		guest.map_frame();
		begin();
		(void)sweep(
			in_format("close", format).c_str(),
			[&] {
				guest.close_files();
				return 0;
			},
			[&] {
				guest.check_nothing();
				guest.open_files();
				CHECK_EQ(guest.enroll(), 0);
				begin();
			});
	}
}
