// SPDX-License-Identifier: GPL-2.0
//
// Groups that are merged, and taken out, while other threads use, close and unregister them.
#include "core_world.hpp"
#include "uapi/vfio_group_merge.h"

using namespace model;

namespace {

// Group 5 has the device dev0, group 6 the device dev2. Both are open.
class MergeWorld : public CoreWorld {
public:
	static long call(u32 cmd, int group, int other, u32 flags = 0)
	{
		const vfio_group_merge arg = {sizeof(arg), flags, other};

		return mock::ioctl(group, cmd, &arg, sizeof(arg));
	}

	long merge()
	{
		return call(VFIO_GROUP_MERGE, group, group2);
	}

	long unmerge()
	{
		return call(VFIO_GROUP_UNMERGE, group, group2);
	}

	void open_groups(bool with_iommu = true)
	{
		add(0);
		// Two groups are locked in the order of their addresses, which must be the
		// same in each run. Memory that is free and too low is taken meanwhile.
		std::vector<std::unique_ptr<char[]>> taken;
		for (add(2); devices[2]->group < devices[0]->group; add(2)) {
			remove(2);
			for (size_t size = 64; size <= 2048; size += 16)
				taken.push_back(std::make_unique<char[]>(size));
		}
		group = mock::open_group("5");
		group2 = mock::open_group("6");
		if (with_iommu)
			expect(set_iommu(group) == 0, "iommu");
	}

	void open_merged()
	{
		open_groups();
		expect(merge() == 0, "merge");
	}

	u64 attached() const
	{
		return type1.latest.load() ? type1.latest.load()->groups.size() : 0;
	}
};

} // namespace

std::vector<Scenario> model::scenarios()
{
	using W = MergeWorld;
	const auto scenario = &model::scenario<W>;

	return {
		scenario("MERGE | MERGE of the same two the other way round",
			 [](W &w) {
				 w.open_groups(false);
				 w.thread([&w] { w.result[0] = w.merge(); });
				 w.thread([&w] {
					 w.result[1] = W::call(VFIO_GROUP_MERGE, w.group2, w.group);
				 });
				 w.at_end = [&w] {
					 W::expect((w.result[0] == 0) != (w.result[1] == 0),
						   "not one set");
				 };
			 }),
		scenario("MERGE | UNMERGE | GET_DEVICE_FD by the merger",
			 [](W &w) {
				 w.open_groups();
				 w.thread([&w] { W::expect(w.merge() == 0, "merge"); });
				 w.thread([&w] { w.result[1] = w.unmerge(); });
				 w.thread([&w] { w.device = W::device_fd(w.group, "dev2"); });
				 w.at_end = [&w] {
					 W::expect(w.device <= 0 || w.attached() == 2,
						   "a device is open outside its set");
				 };
			 }),
		scenario("MERGE | SET_CONTAINER of the other group",
			 [](W &w) {
				 w.open_groups();
				 w.container = W::open_container();
				 w.thread([&w] { w.result[0] = w.merge(); });
				 w.thread([&w] {
					 w.result[1] = W::set_container(w.group2, w.container);
				 });
				 w.at_end = [&w] {
					 W::expect((w.result[0] == 0) != (w.result[1] == 0),
						   "not one container");
				 };
			 }),
		scenario("MERGE | UNSET_CONTAINER of the merger",
			 [](W &w) {
				 w.open_groups();
				 w.thread([&w] { W::expect(w.merge() == 0, "merge"); });
				 w.thread([&w] { W::unset_container(w.group); });
			 }),
		scenario("MERGE | SET_IOMMU of the merger | of the other group",
			 [](W &w) {
				 w.open_groups(false);
				 w.type1.ioctl = nullptr;
				 w.thread([&w] { w.merge(); });
				 w.thread([&w] { W::set_iommu(w.group); });
				 w.thread([&w] { W::set_iommu(w.group2); });
			 }),
		scenario("MERGE | close of the merger | close of the other group",
			 [](W &w) {
				 w.open_groups();
				 w.thread([&w] { w.merge(); });
				 w.thread([&w] { W::close(w.group); });
				 w.thread([&w] { W::close(w.group2); });
			 }),
		scenario("MERGE | unregister of the other group's device",
			 [](W &w) {
				 w.open_groups();
				 w.thread([&w] { w.merge(); });
				 w.thread([&w] { w.remove(2); });
			 }),
		scenario("UNMERGE | GET_DEVICE_FD by the merger",
			 [](W &w) {
				 w.open_merged();
				 w.thread([&w] { w.result[0] = w.unmerge(); });
				 w.thread([&w] { w.device = W::device_fd(w.group, "dev2"); });
				 w.at_end = [&w] {
					 W::expect((w.result[0] == 0) != (w.device > 0),
						   "taken out with a device open");
				 };
			 }),
		scenario("UNMERGE | the same UNMERGE by number | close of the group",
			 [](W &w) {
				 w.open_merged();
				 w.thread([&w] { w.result[0] = w.unmerge(); });
				 w.thread([&w] {
					 w.result[1] = W::call(VFIO_GROUP_UNMERGE, w.group, 6,
							       VFIO_GROUP_UNMERGE_NUMBER);
				 });
				 w.thread([&w] { W::close(w.group2); });
				 w.at_end = [&w] {
					 W::expect(w.result[0] != 0 || w.result[1] != 0,
						   "taken out twice");
				 };
			 }),
		scenario("each group takes the other out",
			 [](W &w) {
				 w.open_merged();
				 w.thread([&w] { w.result[0] = w.unmerge(); });
				 w.thread([&w] {
					 w.result[1] =
						 W::call(VFIO_GROUP_UNMERGE, w.group2, w.group);
				 });
			 }),
		scenario("close of both groups | of a device had by the other's file",
			 [](W &w) {
				 w.open_merged();
				 w.device = W::device_fd(w.group, "dev2");
				 w.thread([&w] { W::close(w.group); });
				 w.thread([&w] { W::close(w.group2); });
				 w.thread([&w] { W::close(w.device); });
			 }),
		scenario("the set is dissolved | its group is unregistered",
			 [](W &w) {
				 w.open_merged();
				 W::close(w.group2);
				 w.thread([&w] { W::close(w.group); });
				 w.thread([&w] { w.remove(2); });
			 }),
		scenario("the set is dissolved | its group is opened",
			 [](W &w) {
				 w.open_merged();
				 W::close(w.group2);
				 w.thread([&w] { W::close(w.group); });
				 w.thread([&w] { w.group2 = mock::open_group("6"); });
			 }),
		scenario("the only group with a file is unregistered | MERGE | GET_DEVICE_FD",
			 [](W &w) {
				 w.open_merged();
				 W::close(w.group2);
				 w.thread([&w] { w.remove(0); });
				 w.thread([&w] { w.device = W::device_fd(w.group, "dev2"); });
				 w.thread([&w] { w.group2 = mock::open_group("6"); });
			 }),
		scenario("ioctl of the IOMMU by a member | UNMERGE | close",
			 [](W &w) {
				 w.open_merged();
				 w.type1.ioctl = [](u32, u64) { return point(), 0L; };
				 w.thread([&w] {
					 mock::ioctl(w.group2, VFIO_IOMMU_MAP_DMA, u64{0});
				 });
				 w.thread([&w] { w.unmerge(); });
				 w.thread([&w] { W::close(w.group); });
			 }),
		scenario("GET_DEVICE_FD of a member | release of KVM's device of another",
			 [](W &w) {
				 w.open_merged();
				 w.drivers_lock_kvm();
				 vfio_core_file_set_kvm(mock::file_of(w.group), w.kvm);
				 w.thread([&w] { w.device = W::device_fd(w.group2, "dev2"); });
				 w.thread([&w] { w.release_kvm(); });
			 }),
		scenario("UNMERGE | who has a device, asked by its file",
			 [](W &w) {
				 w.open_merged();
				 w.thread([&w] { w.unmerge(); });
				 w.thread([&w] {
					 vfio_core_file_has_dev(mock::file_of(w.group),
								w.devices[2]->core);
					 vfio_core_file_enforced_coherent(mock::file_of(w.group2));
				 });
			 }),
	};
}
