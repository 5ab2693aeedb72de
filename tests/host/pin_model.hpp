// SPDX-License-Identifier: GPL-2.0
//
// A pin index beside a plain map: each operation goes to both, and what the
// index says must be what the map says. Whatever the index cannot do for want
// of memory, it must leave as it was.
#pragma once

#include <map>
#include <vector>

#include "choices.hpp"
#include "mock/report.hpp"
#include "pin_index/pin_index.hpp"

// Counts one more pin of each page that is pinned already, and inserts the others: all
// or none. Pages that were pinned are written to pages.
vfio::Result<void> pin_pages(vfio::PinIndex &index, u64 first, u64 npages, vfio::PinPage *pages,
			     const u64 *dma = nullptr);

// Returns one page. Its npages is 0 if the page is not pinned.
vfio::PinnedRun find_page(const vfio::PinIndex &index, u64 offset);

class PinModel {
public:
	struct Pin {
		vfio::PinPage page;
		u64 dma;
		u64 count;

		bool operator==(const Pin &) const = default;
	};

	// A block of pages to be pinned.
	struct Pages {
		std::vector<vfio::PinPage> page;
		std::vector<u64> dma;

		void add(vfio::PinPage new_page, u64 new_dma)
		{
			page.push_back(new_page);
			dma.push_back(new_dma);
		}
	};

	explicit PinModel(bool with_dma = false) : index(with_dma), with_dma_(with_dma)
	{
	}

	// Pages that are contiguous, or that share nothing; kept the same for
	// the same offset, as memory does.
	Pages contiguous(u64 n, vfio::PinPage page, u64 dma) const;
	static Pages scattered(u64 first, u64 n);

	// What these expect, whether it works or not, is up to the map. False
	// if there was no memory.
	bool insert(u64 first, const Pages &pages);
	bool insert_run(u64 first, u64 n, vfio::PinPage page, u64 dma);
	bool pin(u64 first, const Pages &pages);
	bool pin_again(u64 first, u64 n);
	void unpin(u64 first, u64 n);
	// The same as unpin(), with the index's other way to tell what is gone.
	void unpin_pages(u64 first, u64 n);
	// All pins of these pages.
	void drop(u64 first, u64 n);
	void clear();

	// The operations that random tests and fuzzers draw from. kPinMore and
	// kUnpinMore are kPin and kUnpin, which so are drawn twice as often.
	enum Operation {
		kInsert,
		kInsertRun,
		kPin,
		kPinMore,
		kPinAgainOften,
		kPinAgain,
		kDrop,
		kPinOneAgain,
		kInsertOne,
		kUnpinPages,
		kUnpin,
		kUnpinMore,
		kOperations
	};
	// Does one of them to n pages, which are contiguous from first_page on or
	// scattered, and compares what the index says of them and of the next.
	void operate(Choices &choices, Operation what, u64 first, u64 n, vfio::PinPage first_page,
		     bool straight);

	// What the index says about [first, last]; all of it.
	void check(u64 first, u64 last) const;
	void check_all() const;

	vfio::PinIndex index;
	std::map<u64, Pin> pins;

private:
	void take_off(u64 first, u64 n, vfio::Taken taken);
	bool finish(const char *what, const vfio::Result<void> &result, vfio::Error expected) const;
	bool any_in(u64 first, u64 n) const;
	bool too_often(u64 first, u64 n) const;
	const u64 *dma_of(const Pages &pages) const
	{
		return with_dma_ ? pages.dma.data() : nullptr;
	}

	const bool with_dma_;
};
