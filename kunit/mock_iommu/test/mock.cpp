// SPDX-License-Identifier: GPL-2.0
#include "mock.hpp"

namespace {

const Fd &control()
{
	static const Fd fd(open("/dev/vfio_mock", O_RDWR | O_CLOEXEC));
	if (fd.get() < 0)
		throw tap::Failure("/dev/vfio_mock: " + std::string(strerror(errno)));
	return fd;
}

template <class Arg> void ask(unsigned long request, Arg *arg)
{
	CHECK_EQ(control().call(request, arg), 0);
}

} // namespace

vfio_mock_pte Device::pte(uint64_t iova) const
{
	vfio_mock_pte pte = {.iommu = iommu, .device = nr, .iova = iova};
	ask(VFIO_MOCK_PTE, &pte);
	return pte;
}

int Device::dma(uint64_t iova, void *data, uint32_t size, bool write) const
{
	vfio_mock_dma dma = {iommu, nr, iova, reinterpret_cast<uint64_t>(data), size, write};
	return control().call(VFIO_MOCK_DMA, &dma);
}

void Device::check_reaches(uint64_t iova, const Memory &memory, bool writes) const
{
	std::vector<uint8_t> copy(kPage);
	for (uint64_t at = 0; at < memory.size(); at += kPage) {
		const vfio_mock_pte entry = pte(iova + at);
		CHECK(entry.size != 0);
		CHECK_EQ(entry.stale, 0u);
		CHECK_EQ(entry.prot & 3, writes ? 3u : 1u);
		CHECK_EQ(dma(iova + at, copy.data(), kPage, false), 0);
		CHECK_EQ(memcmp(copy.data(), memory.data() + at, kPage), 0);
		uint8_t byte = static_cast<uint8_t>(memory.data()[at + 5] + 1);
		CHECK_EQ(dma(iova + at + 5, &byte, 1, true), writes ? 0 : EFAULT);
		if (writes)
			CHECK_EQ(memory.data()[at + 5], byte);
	}
}

void Device::check_reaches_nothing(uint64_t iova, uint64_t size) const
{
	for (uint64_t at = 0; at < size; at += kPage)
		CHECK_EQ(pte(iova + at).size, 0u);
}

std::string Device::name() const
{
	return "vfio_mock" + std::to_string(iommu) + "." + std::to_string(nr);
}

std::string Device::group_path() const
{
	const std::string bus = "vfio_mock" + std::to_string(iommu);
	char target[256] = {};
	if (readlink(("/sys/bus/" + bus + "/devices/" + name() + "/iommu_group").c_str(), target,
		     sizeof(target) - 1) < 0)
		throw tap::Failure(name() + " has no group");
	return std::string("/dev/vfio/") + (strrchr(target, '/') + 1);
}

Fd Device::open_group() const
{
	const std::string path = group_path();
	Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
	if (fd.get() < 0)
		throw tap::Failure(path + ": " + strerror(errno));
	return fd;
}

vfio_mock_counts counts(unsigned iommu)
{
	vfio_mock_counts counts = {.iommu = iommu};
	ask(VFIO_MOCK_COUNTS, &counts);
	return counts;
}

unsigned fail(unsigned iommu, unsigned kind, unsigned nth)
{
	vfio_mock_fail fail = {iommu, kind, nth, 0};
	ask(VFIO_MOCK_FAIL, &fail);
	return fail.left;
}

void set_flags(unsigned iommu, unsigned flags)
{
	vfio_mock_flags arg = {iommu, flags};
	ask(VFIO_MOCK_FLAGS, &arg);
}

uint64_t locked_kib()
{
	std::ifstream status("/proc/self/status");
	std::string word;
	while (status >> word)
		if (word == "VmLck:") {
			uint64_t value;
			status >> value;
			return value;
		}
	throw tap::Failure("/proc/self/status has no VmLck");
}

void set_parameter(const char *name, const char *value)
{
	std::ofstream file(std::string("/sys/module/vfio_iommu_type1/parameters/") + name);
	file << value << std::flush;
	CHECK(file.good());
}

int IommuFile::set_iommu(unsigned long type) const
{
	return fd_.call(VFIO_SET_IOMMU, type);
}

Container::Container() : IommuFile(Fd(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)))
{
	if (fd() < 0)
		throw tap::Failure("/dev/vfio/vfio: " + std::string(strerror(errno)));
}

int Container::attach(const Device &device, unsigned long type)
{
	Fd group = device.open_group();
	const bool first = groups_.empty();
	const int container = fd();
	if (const int error = group.call(VFIO_GROUP_SET_CONTAINER, &container))
		return error;
	if (first)
		if (const int error = set_iommu(type)) {
			CHECK_EQ(group.call(VFIO_GROUP_UNSET_CONTAINER, 0), 0);
			return error;
		}
	groups_.emplace(std::make_pair(device.iommu, device.nr), std::move(group));
	return 0;
}

void Container::detach(const Device &device)
{
	const auto found = groups_.find({device.iommu, device.nr});
	CHECK(found != groups_.end());
	CHECK_EQ(found->second.call(VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	groups_.erase(found);
}

Fd Container::open_device(const Device &device) const
{
	const Fd &group = groups_.at({device.iommu, device.nr});
	Fd fd(ioctl(group.get(), VFIO_GROUP_GET_DEVICE_FD, device.name().c_str()));
	if (fd.get() < 0)
		throw tap::Failure(device.name() + ": " + strerror(errno));
	return fd;
}

int MergedSet::merge(const Device &device)
{
	Fd group = device.open_group();
	vfio_group_merge merge = merge_request(group);
	if (const int error = call(VFIO_GROUP_MERGE, &merge))
		return error;
	groups_.emplace(std::make_pair(device.iommu, device.nr), std::move(group));
	return 0;
}

int MergedSet::unmerge(const Device &device)
{
	const auto found = groups_.find({device.iommu, device.nr});
	CHECK(found != groups_.end());
	vfio_group_merge merge = merge_request(found->second);
	if (const int error = call(VFIO_GROUP_UNMERGE, &merge))
		return error;
	groups_.erase(found);
	return 0;
}

int IommuFile::map(const Memory &memory, uint64_t iova, uint32_t flags, uint64_t size) const
{
	vfio_iommu_type1_dma_map map = {};
	map.argsz = sizeof(map);
	map.flags = flags;
	map.vaddr = reinterpret_cast<uint64_t>(memory.data());
	map.iova = iova;
	map.size = size ? size : memory.size();
	return fd_.call(VFIO_IOMMU_MAP_DMA, &map);
}

uint64_t IommuFile::unmap(uint64_t iova, uint64_t size, uint32_t flags) const
{
	vfio_iommu_type1_dma_unmap unmap = {};
	unmap.argsz = sizeof(unmap);
	unmap.flags = flags;
	unmap.iova = iova;
	unmap.size = size;
	CHECK_EQ(fd_.call(VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
	return unmap.size;
}

long IommuFile::extension(long which) const
{
	return ioctl(fd_.get(), VFIO_CHECK_EXTENSION, which);
}

std::vector<uint8_t> IommuFile::info() const
{
	vfio_iommu_type1_info size = {};
	size.argsz = sizeof(size);
	CHECK_EQ(fd_.call(VFIO_IOMMU_GET_INFO, &size), 0);
	std::vector<uint8_t> all(size.argsz);
	auto *whole = reinterpret_cast<vfio_iommu_type1_info *>(all.data());
	whole->argsz = size.argsz;
	CHECK_EQ(fd_.call(VFIO_IOMMU_GET_INFO, whole), 0);
	return all;
}

uint64_t IommuFile::page_sizes() const
{
	const std::vector<uint8_t> all = info();
	return reinterpret_cast<const vfio_iommu_type1_info *>(all.data())->iova_pgsizes;
}

std::vector<std::pair<uint64_t, uint64_t>> IommuFile::ranges() const
{
	const std::vector<uint8_t> all = info();
	uint32_t at = reinterpret_cast<const vfio_iommu_type1_info *>(all.data())->cap_offset;
	while (at) {
		const auto *cap = reinterpret_cast<const vfio_info_cap_header *>(&all[at]);
		if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			const auto *range =
				reinterpret_cast<const vfio_iommu_type1_info_cap_iova_range *>(cap);
			std::vector<std::pair<uint64_t, uint64_t>> result;
			for (uint32_t i = 0; i < range->nr_iovas; i++)
				result.emplace_back(range->iova_ranges[i].start,
						    range->iova_ranges[i].end);
			return result;
		}
		at = cap->next;
	}
	throw tap::Failure("no capability with the IOVA ranges");
}

Objects live_objects()
{
	std::ifstream file("/sys/kernel/debug/vfio_live_objects");
	Objects objects;
	unsigned count;
	for (std::string way; file >> count && std::getline(file, way);)
		objects[way] = count;
	if (!file.eof())
		throw tap::Failure("cannot read vfio_live_objects");
	return objects;
}

State::State()
{
	for (unsigned i = 0; i < VFIO_MOCK_IOMMUS; i++) {
		const vfio_mock_counts now = counts(i);
		ptes[i] = now.ptes;
		domains[i] = now.domains;
		CHECK_EQ(now.stale, 0u);
		CHECK_EQ(now.violations, 0u);
	}
}

void State::check_same() const
{
	State now;
	CHECK_EQ(now.locked, locked);
	for (unsigned i = 0; i < VFIO_MOCK_IOMMUS; i++) {
		CHECK_EQ(now.ptes[i], ptes[i]);
		CHECK_EQ(now.domains[i], domains[i]);
	}
	/* RCU and workers free some a little later. */
	for (int tries = 0; now.objects != objects && tries < 100; tries++) {
		usleep(20000);
		now.objects = live_objects();
	}
	if (now.objects == objects)
		return;
	std::string text = "slab objects are left or gone:";
	for (const auto &[way, count] : now.objects)
		if (const auto was = objects.find(way); was == objects.end())
			text += "\n#   0, now " + std::to_string(count) + way;
		else if (was->second != count)
			text += "\n#   " + std::to_string(was->second) + ", now " +
				std::to_string(count) + way;
	for (const auto &[way, count] : objects)
		if (!now.objects.contains(way))
			text += "\n#   " + std::to_string(count) + ", now 0" + way;
	throw tap::Failure(text);
}
