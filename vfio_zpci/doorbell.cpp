// SPDX-License-Identifier: GPL-2.0
#include "doorbell.hpp"

#include "entry.h"
#include "zpci.hpp"

namespace vfio {

constinit LockClass Doorbell::lock_class_ = {"zpci_doorbell", {}};
constinit LockClass Zpci::doorbells_lock_class_ = {"zpci_doorbells", {}};

namespace {

// The words of a page, which are little-endian.
constexpr u64 kRequestWord = __builtin_offsetof(vfio_zpci_doorbell_page, request) / sizeof(u64);
constexpr u64 kCompletionWord =
	__builtin_offsetof(vfio_zpci_doorbell_page, completion) / sizeof(u64);
constexpr u64 kRangesWord = __builtin_offsetof(vfio_zpci_doorbell_page, ranges) / sizeof(u64);
constexpr u64 kWordsARange = sizeof(vfio_zpci_range) / sizeof(u64);
static_assert(sizeof(vfio_zpci_doorbell_page) == kPageSize);

u64 little_endian(u64 word)
{
	return kLittleEndian ? word : __builtin_bswap64(word);
}

// What is read later is what the guest has written before.
u64 read_first(const u64 *word)
{
	return little_endian(__atomic_load_n(word, __ATOMIC_ACQUIRE));
}

u64 read(const u64 *word)
{
	return little_endian(__atomic_load_n(word, __ATOMIC_RELAXED));
}

// Who reads the word sees all that was done before.
void write_last(u64 *word, u64 value)
{
	__atomic_store_n(word, little_endian(value), __ATOMIC_RELEASE);
}

constexpr u32 sequence_of(u64 word)
{
	return static_cast<u32>(word);
}

constexpr u64 completion(u64 asked, u64 cc, u64 status, u64 done)
{
	return sequence_of(asked) | cc << VFIO_ZPCI_DOORBELL_CC_SHIFT |
	       status << VFIO_ZPCI_DOORBELL_STATUS_SHIFT | done << VFIO_ZPCI_DOORBELL_DONE_SHIFT;
}

// Of a guest. One eventfd may ring all of them, one after the other with interrupts off.
constexpr u64 kMostDoorbells = 128;

// Counts the pages that a range touches. A range that is too large for an atomic context
// counts as one page more than such a context may refresh.
u64 pages_at_once(u64 start, u64 length)
{
	constexpr u64 kMost = NestedDomain::kMostAtomicPages;

	if (length > kMost * kPageSize)
		return kMost + 1;
	return (start % kPageSize + length + kPageSize - 1) / kPageSize;
}

} // namespace

Doorbell::Doorbell(Zpci &zpci, GuestMemory &memory, u32 fh, u64 page)
	: zpci_(zpci), memory_(memory), fh_{fh}, page_(page)
{
	shim_doorbell_init(&shim_, this);
}

Doorbell::~Doorbell()
{
	stop_.store(true);
	shim_doorbell_unbind(&shim_);
}

Result<void> Doorbell::bind(int eventfd)
{
	return Result<void>::from_negative(shim_doorbell_bind(&shim_, eventfd));
}

void Doorbell::rung()
{
	if (!shim_in_task() || serve(Context::kAtomic).error() == Error(EAGAIN))
		shim_doorbell_defer(&shim_);
}

void Doorbell::work()
{
	// Without the page there is nobody to tell.
	(void)serve(Context::kSleeps);
}

// Calls access(page), if the guest has the page in its memory. Errors: EFAULT if not, EAGAIN.
template <class F> Result<void> Doorbell::with_page(Context context, F access)
{
	if (!memory_.lock.take_shared(context))
		return Error(EAGAIN);

	const ReadGuard guard(memory_.lock, AlreadyTaken{});
	u64 *const page = GuestReader(memory_).writable_page(page_);
	if (!page)
		return Error(EFAULT);
	access(page);
	return {};
}

// Serves what the guest has asked for, if it has. Errors: EAGAIN if that needs a caller who
// may wait; EINTR if the doorbell is being taken away, EFAULT if the page has gone.
Result<void> Doorbell::serve(Context context)
{
	if (!serving_.take(context))
		return Error(EAGAIN);

	const WriteGuard guard(serving_, AlreadyTaken{});
	Request request;
	TRY(with_page(context, [&](const u64 *page) {
		request.asked = read_first(page + kRequestWord);
		request.completed = read(page + kCompletionWord);
		request.first_start = read(page + kRangesWord);
		request.first_length = read(page + kRangesWord + 1);
	}));
	if (sequence_of(request.asked) == sequence_of(request.completed))
		return {};

	// A request is served once, also if the page cannot be written at once.
	if (!answered_ || answered_request_ != request.asked) {
		answer_ = TRY(refresh_ranges(request, context));
		answered_request_ = request.asked;
		answered_ = true;
		(context == Context::kAtomic ? served_ : deferred_).add(1);
	}
	TRY(with_page(context, [&](u64 *page) {
		write_last(page + kCompletionWord,
			   completion(request.asked, answer_.cc, answer_.status, answer_.done));
	}));
	answered_ = false;
	return {};
}

// Range number i of the page. Errors: as with_page().
Result<vfio_zpci_range> Doorbell::range_at(u64 i, Context context)
{
	vfio_zpci_range range = {};

	TRY(with_page(context, [&](const u64 *page) {
		const u64 *const words = page + kRangesWord + i * kWordsARange;

		range = {read(words), read(words + 1)};
	}));
	return range;
}

// Errors: as serve().
Result<Doorbell::Answer> Doorbell::refresh_ranges(const Request &request, Context context)
{
	const u64 count = request.asked >> VFIO_ZPCI_DOORBELL_COUNT_SHIFT;
	vfio_zpci_range range{request.first_start, request.first_length};
	Answer answer{VFIO_ZPCI_CC_OK, 0, 0};
	u64 pages = 0;

	if (count > VFIO_ZPCI_DOORBELL_RANGES)
		return Answer{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_BAD_REQUEST, 0};
	for (; answer.done < count; answer.done++) {
		if (answer.done)
			range = TRY(range_at(answer.done, context));
		if (context == Context::kAtomic) {
			// A range of no pages is some work, too.
			pages += max(pages_at_once(range.start, range.length), u64{1});
			if (pages > NestedDomain::kMostAtomicPages)
				return Error(EAGAIN);
		}

		const Function::Outcome outcome =
			TRY(zpci_.refresh_range(nullptr, static_cast<u32>(fh_.value), range.start,
						range.length, context, &stop_));
		answer.cc = outcome.cc;
		answer.status = outcome.status;
		if (outcome.cc != VFIO_ZPCI_CC_OK)
			break;
		if (stop_.load())
			return Error(EINTR);
	}
	return answer;
}

Result<void> Zpci::set_doorbell(UserVa arg)
{
	vfio_zpci_doorbell request;

	TRY(copy_request(&request, arg, 0));
	if (request.eventfd < -1 || (request.eventfd >= 0 && request.page % kPageSize))
		return Error(EINVAL);

	const Guard guard(doorbells_lock_);
	Doorbell *const bound = doorbells_.find({request.fh});
	{
		const ReadGuard functions(lock_);

		(void)TRY(find(request.fh));
	}
	if (request.eventfd >= 0)
		return bound ? Error(EBUSY) :
			       bind_doorbell(request.fh, request.page, request.eventfd);
	if (!bound)
		return Error(EINVAL);
	doorbells_.erase(*bound);
	destroy(bound);
	return {};
}

Result<void> Zpci::bind_doorbell(u32 fh, u64 page, int eventfd)
{
	if (doorbells_.size() >= kMostDoorbells)
		return Error(ENOSPC);

	UniquePtr<Doorbell> made = TRY(make<Doorbell>(*this, memory_, fh, page));

	TRY(made->bind(eventfd));
	doorbells_.insert(*made.release());
	return {};
}

// Takes the doorbells of functions away that are not known any more.
void Zpci::drop_doorbells()
{
	for (Doorbell *doorbell = doorbells_.first(), *next = nullptr; doorbell; doorbell = next) {
		next = doorbells_.next(*doorbell);
		{
			const ReadGuard guard(lock_);

			if (functions_.find(doorbell->range().first))
				continue;
		}
		doorbells_.erase(*doorbell);
		destroy(doorbell);
	}
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY void zpci_doorbell_rung(zpci_doorbell *handle)
{
	Doorbell::of(handle).rung();
}

CORE_ENTRY void zpci_doorbell_work(zpci_doorbell *handle)
{
	Doorbell::of(handle).work();
}
