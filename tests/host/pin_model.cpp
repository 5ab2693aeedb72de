// SPDX-License-Identifier: GPL-2.0
#include "pin_model.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>

using namespace vfio;

namespace {

// No error.
const Error kNone(0);

} // namespace

PinModel::Pages PinModel::contiguous(u64 n, PinPage page, u64 dma) const
{
	Pages pages;

	for (u64 i = 0; i < n; i++)
		pages.add(page + i, with_dma_ ? dma + i * kPageSize : 0);
	return pages;
}

PinModel::Pages PinModel::scattered(u64 first, u64 n)
{
	Pages pages;

	for (u64 i = 0; i < n; i++) {
		const u64 mixed = (first + i) * 0x9e3779b97f4a7c15;

		pages.add(PinPage::of({mixed >> 32}, (mixed & 1) << 1), mixed << 12);
	}
	return pages;
}

bool PinModel::any_in(u64 first, u64 n) const
{
	const auto at = pins.lower_bound(first);

	return at != pins.end() && at->first - first < n;
}

bool PinModel::too_often(u64 first, u64 n) const
{
	for (auto at = pins.lower_bound(first); at != pins.end() && at->first - first < n; ++at)
		if (at->second.count == PinIndex::kMostPins)
			return true;
	return false;
}

// Whether it was done. expected is what must go wrong, or no error; lack of
// memory comes first only if a call was made to fail.
bool PinModel::finish(const char *what, const Result<void> &result, Error expected) const
{
	const Error got = result.ok() ? kNone : result.error();

	if (got == Error(ENOMEM) && mock::plan.fired())
		return false;
	EXPECT_EQ(got.negative(), expected.negative()) << what;
	return result.ok();
}

bool PinModel::insert(u64 first, const Pages &pages)
{
	const u64 n = pages.page.size();
	const bool done = finish("insert", index.insert(first, n, pages.page.data(), dma_of(pages)),
				 any_in(first, n) ? Error(EEXIST) : kNone);

	for (u64 i = 0; done && i < n; i++)
		pins[first + i] = {pages.page[i], with_dma_ ? pages.dma[i] : 0, 1};
	return done || any_in(first, n);
}

bool PinModel::insert_run(u64 first, u64 n, PinPage page, u64 dma)
{
	const Pages pages = contiguous(n, page, dma);
	const bool done =
		finish("insert_run", index.insert_run(first, n, page, with_dma_ ? dma : 0),
		       any_in(first, n) ? Error(EEXIST) : kNone);

	for (u64 i = 0; done && i < n; i++)
		pins[first + i] = {pages.page[i], pages.dma[i], 1};
	return done || any_in(first, n);
}

Result<void> pin_pages(PinIndex &index, u64 first, u64 npages, PinPage *pages, const u64 *dma)
{
	u64 done = 0;
	Result<void> result;

	while (result.ok() && done < npages) {
		Result<u64> again = index.pin_again(first + done, npages - done, pages + done);

		if (!again.ok()) {
			result = again.error();
			break;
		}
		done += again.value();
		if (const u64 absent = index.absent_from(first + done, npages - done)) {
			result = index.insert(first + done, absent, pages + done,
					      dma ? dma + done : nullptr);
			done += result.ok() ? absent : 0;
		}
	}
	for (u64 undone = 0; !result.ok() && undone < done;) {
		PinnedRuns gone;

		undone += index.unpin(first + undone, done - undone, gone);
	}
	return result;
}

PinnedRun find_page(const PinIndex &index, u64 offset)
{
	PinnedRuns found;

	index.list(offset, offset, found);
	return found.npages() ? *found.begin() : PinnedRun{};
}

bool PinModel::pin(u64 first, const Pages &pages)
{
	const u64 n = pages.page.size();
	Pages given = pages;
	const bool overflow = too_often(first, n);
	const bool done =
		finish("pin", pin_pages(index, first, n, given.page.data(), dma_of(given)),
		       overflow ? Error(EOVERFLOW) : kNone);

	for (u64 i = 0; done && i < n; i++) {
		const Pin fresh{pages.page[i], with_dma_ ? pages.dma[i] : 0, 0};
		Pin &pin = pins.try_emplace(first + i, fresh).first->second;

		pin.count++;
		EXPECT_EQ(given.page[i], pin.page);
	}
	return done || overflow;
}

// The index goes as far as a slot in one call, the model as far as there are pages.
bool PinModel::pin_again(u64 first, u64 n)
{
	for (;;) {
		const u64 most = std::min<u64>(n, kPinSlotPages - first % kPinSlotPages);
		u64 found = 0;
		std::vector<PinPage> pages(n, PinPage{0x5a5a});

		for (auto at = pins.find(first);
		     at != pins.end() && at->first == first + found && found < most; ++at)
			found++;

		const bool overflow = too_often(first, found);
		Result<u64> result = index.pin_again(first, n, pages.data());
		const bool done = finish(
			"pin_again", result.ok() ? Result<void>() : Result<void>(result.error()),
			overflow ? Error(EOVERFLOW) : kNone);
		if (!done)
			return overflow;
		EXPECT_EQ(result.value(), found);
		for (u64 i = 0; i < found; i++) {
			Pin &pin = pins.at(first + i);

			pin.count++;
			EXPECT_EQ(pages[i], pin.page);
		}
		if (found < most || found == n)
			return true;
		first += found;
		n -= found;
	}
}

void PinModel::take_off(u64 first, u64 n, Taken taken)
{
	const u64 blocks = mock::blocks_taken() - mock::blocks_taken_certainly();

	while (n) {
		PinnedRuns gone;
		const u64 done = index.take(first, n, taken, gone);
		const PinnedRun *run = gone.begin();
		u64 in_run = 0;

		ASSERT_TRUE(done == n || gone.end() - gone.begin() == PinnedRuns::kRoom);
		ASSERT_GT(done, 0u);
		for (auto at = pins.lower_bound(first);
		     at != pins.end() && at->first - first < done;) {
			if (taken == Taken::kOnePin && --at->second.count) {
				++at;
				continue;
			}
			ASSERT_NE(run, gone.end());
			ASSERT_EQ(run->first + in_run, at->first);
			ASSERT_EQ(run->page + in_run, at->second.page);
			ASSERT_EQ(with_dma_ ? run->dma + in_run * kPageSize : 0, at->second.dma);
			ASSERT_EQ(run->count, 0u);
			if (++in_run == run->npages) {
				run++;
				in_run = 0;
			}
			at = pins.erase(at);
		}
		ASSERT_EQ(run, gone.end());
		first += done;
		n -= done;
	}
	EXPECT_EQ(mock::blocks_taken() - mock::blocks_taken_certainly(), blocks);
}

void PinModel::unpin(u64 first, u64 n)
{
	take_off(first, n, Taken::kOnePin);
}

void PinModel::unpin_pages(u64 first, u64 n)
{
	const u64 blocks = mock::blocks_taken() - mock::blocks_taken_certainly();

	while (n) {
		std::multiset<PinPage> expected;
		std::multiset<PinPage> got;
		UnpinnedPages gone;
		const u64 done = index.unpin(first, n, gone);

		ASSERT_GT(done, 0u);
		for (auto at = pins.lower_bound(first);
		     at != pins.end() && at->first - first < done;) {
			if (--at->second.count) {
				++at;
				continue;
			}
			expected.insert(at->second.page);
			at = pins.erase(at);
		}
		gone.for_each([&](PinPage page, u64 npages) {
			for (u64 i = 0; i < npages; i++)
				got.insert(page + i);
		});
		ASSERT_EQ(got, expected);
		ASSERT_EQ(gone.npages(), got.size());
		first += done;
		n -= done;
	}
	EXPECT_EQ(mock::blocks_taken() - mock::blocks_taken_certainly(), blocks);
}

void PinModel::drop(u64 first, u64 n)
{
	take_off(first, n, Taken::kAllPins);
}

void PinModel::clear()
{
	index.clear();
	pins.clear();
	EXPECT_EQ(index.bytes(), 0u);
}

void PinModel::operate(Choices &choices, Operation what, u64 first, u64 n, PinPage first_page,
		       bool straight)
{
	const u64 first_dma = first_page.value << 12;
	const Pages pages = straight ? contiguous(n, first_page, first_dma) : scattered(first, n);

	switch (what) {
	case kInsert:
		insert(first, pages);
		break;
	case kInsertRun:
		insert_run(first, n, first_page, first_dma);
		break;
	case kPin:
	case kPinMore:
		pin(first, pages);
		break;
	case kPinAgainOften:
		for (u64 times = choices.below(140); times <= 140 && !mock::plan.fired(); times++)
			pin_again(first, n);
		break;
	case kPinAgain:
		pin_again(first, n);
		break;
	case kDrop:
		drop(first, n);
		break;
	case kPinOneAgain:
		pin_again(first, 1);
		break;
	case kInsertOne:
		insert_run(first, 1, pages.page[0], first_dma);
		break;
	case kUnpinPages:
		unpin_pages(first, n);
		break;
	default:
		unpin(first, n);
	}
	mock::plan.reset();
	check(first, min(first + n, PinIndex::kLastOffset));
}

namespace {

void expect_difference(const PinDifference &found, u64 same, u64 differ, bool recorded)
{
	EXPECT_EQ(found.same, same);
	EXPECT_EQ(found.differ, differ);
	EXPECT_EQ(found.recorded, recorded);
}

} // namespace

void PinModel::check(u64 first, u64 last) const
{
	auto at = pins.lower_bound(first);
	u64 pinned = 0;

	index.for_each(first, last, [&](const PinnedRun &run) {
		EXPECT_GE(run.first, first);
		EXPECT_LE(run.first + run.npages - 1, last);
		for (u64 i = 0; i < run.npages; i++, ++at) {
			ASSERT_NE(at, pins.end());
			ASSERT_EQ(run.first + i, at->first);
			const u64 dma = with_dma_ ? run.dma + i * kPageSize : run.dma;
			ASSERT_EQ((Pin{run.page + i, dma, run.count}), at->second);
		}
	});
	EXPECT_TRUE(at == pins.end() || at->first > last);

	// The length of the first piece, of pages or of holes.
	const bool there = pins.contains(first);
	const u64 n = std::min<u64>(last - first, 3000) + 1;
	while (pinned < n && pins.contains(first + pinned) == there)
		pinned++;
	EXPECT_EQ(index.pinned_from(first, n), there ? pinned : 0);
	EXPECT_EQ(index.absent_from(first, n), there ? 0 : pinned);

	// As the map says, up to the end of the slot, and with one page that is not.
	const u64 in_slot = std::min<u64>(n, kPinSlotPages - first % kPinSlotPages);
	std::vector<PinPage> pages;
	for (u64 i = 0; i < in_slot; i++)
		pages.push_back(pins.contains(first + i) ? pins.at(first + i).page : PinPage{0});
	// A page that is 0 cannot be told from one that is not pinned, and a page that is
	// pinned more than once is never as an array says.
	const bool odd = std::any_of(pins.begin(), pins.end(), [](const auto &pin) {
		return pin.second.page == PinPage{0} || pin.second.count != 1;
	});
	if (!odd) {
		expect_difference(index.compare(first, n, pages.data()), in_slot, 0, false);

		const u64 other = first * 0x9e3779b9 % in_slot;
		pages[other].value ^= 1;
		expect_difference(index.compare(first, n, pages.data()), other, 1,
				  pins.contains(first + other));
	}

	// None of them is pinned as the array says, which has a pfn that no test uses.
	const auto first_pin = pins.lower_bound(first);
	const bool any = first_pin != pins.end() && first_pin->first < first + in_slot;
	std::fill(pages.begin(), pages.end(), PinPage::of({PinPage::kPfnMask - 1}, 3));
	expect_difference(index.compare(first, n, pages.data()), 0, in_slot, any);

	const PinnedRun found = find_page(index, first);
	EXPECT_EQ(found.npages, there);
	if (there) {
		EXPECT_EQ(found.first, first);
		EXPECT_EQ((Pin{found.page, found.dma, found.count}), pins.at(first));
	}
}

void PinModel::check_all() const
{
	ASSERT_TRUE(index.invariants_hold());
	ASSERT_EQ(index.npages(), pins.size());
	ASSERT_EQ(index.empty(), pins.empty());
	check(0, PinIndex::kLastOffset);
}
