// SPDX-License-Identifier: GPL-2.0
//
// The mdev bus: parents that come and go, devices created by anything that may
// be written to a file and removed by anything, references that are kept, and
// calls of the shim that fail. Against a map of what there is; at the end
// nothing may be left of anything.
#include <algorithm>
#include <cctype>
#include <map>

#include "fuzz.hpp"
#include "mdev_world.hpp"

namespace {

class BusFuzz : public fuzz::Input<MdevTest> {
	using Input::Input;

	static constexpr u32 kInstances = 3;

	struct Parent {
		device dev = {"parent", "gpu"};
		mdev_type types[2] = {{.name = "a"}, {.name = "b"}};
		mdev_type *list[2] = {&types[0], &types[1]};
		mdev_parent parent;
		bool registered = false;
		// Whose count the bus keeps: by devices and references kept.
		u32 taken = 0;
	};

	struct Kept {
		mdev_device *mdev;
		std::string name;
		Parent *parent;
	};

	static bool valid(const std::string &text)
	{
		if (text.size() != 36 && text.size() != 37)
			return false;
		for (size_t at = 0; at < 36; at++)
			if (at == 8 || at == 13 || at == 18 || at == 23 ?
				    text[at] != '-' :
				    !isxdigit(static_cast<unsigned char>(text[at])))
				return false;
		return true;
	}

	static std::string name_of(const std::string &text)
	{
		std::string name = text.substr(0, 36);

		std::transform(name.begin(), name.end(), name.begin(),
			       [](unsigned char c) { return tolower(c); });
		return name;
	}

	bool kept(const std::string &name) const
	{
		return std::any_of(kept_.begin(), kept_.end(),
				   [&](const Kept &each) { return each.name == name; });
	}

	// A UUID of a few, perhaps with something wrong about it.
	std::string text()
	{
		std::string text = uuid(static_cast<unsigned>(below(6)));

		switch (below(8)) {
		case 0:
			text[below(text.size())] = static_cast<char>(bytes.byte());
			break;
		case 1:
			text += static_cast<char>(bytes.byte());
			break;
		case 2:
			text.resize(below(80), static_cast<char>(bytes.byte()));
			break;
		case 3:
			for (char &c : text)
				c = static_cast<char>(toupper(c));
			break;
		default:
			break;
		}
		return text;
	}

	void create_step(Parent &parent)
	{
		const std::string written = text();
		const long result = mock::write_create(parent.types[below(2)], written);
		const std::string name = name_of(written);
		long want = static_cast<long>(written.size());

		if (!parent.registered)
			want = -ENODEV;
		else if (!valid(written))
			want = -EINVAL;
		else if (devices_.contains(name) || kept(name))
			want = -EEXIST;
		else if (parent.taken == kInstances)
			want = -EUSERS;
		if (!mock::plan.fired() || result > 0)
			EXPECT_EQ(result, want) << written;
		if (result > 0) {
			devices_[name] = &parent;
			parent.taken++;
		}
	}

	void remove_step()
	{
		static const std::string kValues[] = {"1", "0", "2\n", "x", "", "0x0", "1 1"};
		const std::string name = uuid(static_cast<unsigned>(below(6)));
		const std::string value = bytes.one_of(kValues);
		const auto found = devices_.find(name);
		const bool there = found != devices_.end();
		const long result = mock::write_remove(name, value);

		if (!there) {
			EXPECT_EQ(result, -ENOENT);
		} else if (value == "x" || value.empty() || value == "1 1") {
			EXPECT_EQ(result, -EINVAL);
		} else {
			EXPECT_EQ(result, static_cast<long>(value.size()));
			if (value[0] != '0')
				forget(found->first, *found->second);
		}
	}

	void forget(const std::string &name, Parent &parent)
	{
		if (!kept(name))
			parent.taken--;
		devices_.erase(name);
	}

	void keep_step()
	{
		const std::string name = uuid(static_cast<unsigned>(below(6)));

		if (bytes.flag() && !kept_.empty()) {
			const Kept each = kept_.back();

			kept_.pop_back();
			if (!devices_.contains(each.name))
				each.parent->taken--;
			mock::put_mdev(each.mdev);
		} else if (devices_.contains(name) && !kept(name)) {
			mdev_device *mdev = mock::bus_device(name);

			ASSERT_TRUE(mdev);
			mock::get_mdev(mdev);
			kept_.push_back({mdev, name, devices_[name]});
		}
	}

	void parent_step(Parent &parent)
	{
		// A device that is kept counts against the parent of before.
		if (std::any_of(kept_.begin(), kept_.end(),
				[&](const Kept &each) { return each.parent == &parent; }))
			return;
		if (parent.registered) {
			mdev_core_unregister_parent(parent.parent.core);
			parent.registered = false;
			parent.taken = 0;
			std::erase_if(devices_,
				      [&](const auto &each) { return each.second == &parent; });
			return;
		}
		const int result = mdev_core_register_parent(&parent.parent, &parent.dev, &driver,
							     parent.list, 2);
		if (!mock::plan.fired())
			EXPECT_EQ(result, 0);
		parent.registered = result == 0;
	}

	void check()
	{
		std::vector<std::string> names;

		for (const auto &[name, parent] : devices_)
			names.push_back(name);
		EXPECT_EQ(mock::bus_devices(), names);
		for (Parent &parent : parents_) {
			if (parent.registered)
				EXPECT_EQ(mock::read_available(parent.types[0]),
					  kInstances - parent.taken);
			for (const mdev_type &type : parent.types)
				EXPECT_EQ(type.directory.empty(), !parent.registered);
		}
	}

	void fuzz() override
	{
		driver.max_instances = kInstances;
		while (!bytes.empty() && !HasFailure()) {
			Parent &parent = parents_[below(2)];

			mock::plan.reset();
			if (bytes.byte() < 40)
				plan_failure(bytes);
			switch (below(8)) {
			case 0:
				parent_step(parent);
				break;
			case 1:
				keep_step();
				break;
			case 2:
			case 3:
				remove_step();
				break;
			default:
				create_step(parent);
			}
			check();
		}
		mock::plan.reset();
		for (Parent &parent : parents_)
			if (parent.registered)
				mdev_core_unregister_parent(parent.parent.core);
		// The last references go after the parents.
		for (const Kept &each : kept_)
			mock::put_mdev(each.mdev);
	}

	Parent parents_[2];
	std::map<std::string, Parent *> devices_;
	std::vector<Kept> kept_;
};

} // namespace

FUZZ_TARGET(BusFuzz)
