# SPDX-License-Identifier: GPL-2.0
"""The rows of the benchmark: what bench/ prints for each, and the bar that it has to reach.

The bars are for Debian's 6.1 behind an emulated VT-d; behind another IOMMU the stock figure is
the bar, and on a later kernel a share of it.
"""
import math
from collections import namedtuple

# key: as bench/ names it. bar: at most this, or None. digits: of the figures in the table.
Row = namedtuple("Row", "key text unit bar digits")
Section = namedtuple("Section", "title rows")

KERNEL = "6.1"

# Between two boots figures differ by less than this, so less is no difference.
TOLERANCE = 0.03


def _pair(name, text, unit, bars, digits=0):
    return [Row(f"{way}-{name}", f"{way.upper()} {text}", unit, bar, digits)
            for way, bar in zip(("map", "unmap"), bars)]


def _merged(count):
    groups = f"{count} group{'s' if count > 1 else ''}"
    return [
        Row(f"map-merged-{count}", f"MAP 1 GiB of scattered 4K pages for {groups}", "a page", 800,
            0),
        Row(f"unmap-merged-{count}", f"UNMAP 1 GiB of scattered 4K pages for {groups}", "a page",
            150, 0),
        Row(f"locked-merged-{count}", f"locked_vm for 1 GiB, {groups}", "KiB", 1048576, 0),
        Row(f"tables-merged-{count}", f"page tables of the IOMMU for 1 GiB, {groups}", "pages",
            None, 0),
    ]


GUESTS = [("small", "64 MiB, 256 pages mapped, 1 function"),
          ("memory-256", "256 MiB"), ("memory-1024", "1 GiB"),
          ("mapped-16384", "16384 pages mapped"), ("mapped-65536", "65536 pages mapped"),
          ("functions-8", "8 functions of 8 devices"), ("functions-64", "64 functions of 8 devices")]


def _nested_growth(name, text):
    return [Row(f"grow-page-{name}", f"{text}: refresh of 1 new page", "a page", None, 0),
            Row(f"grow-256-{name}", f"{text}: refresh of 256 new pages", "a page", None, 0),
            Row(f"grow-remove-{name}", f"{text}: UNMAP_DMA of 2 MiB, half of it mapped", "a call",
                None, 0),
            Row(f"grow-bytes-{name}", f"{text}: bytes of the record", "a page", None, 1)]


def _merge(count):
    mappings = f"{count} mapping{'s' if count > 1 else ''} of 4K"
    return [row for way, text in (("shared", f"it shares a domain with {mappings}"),
                                  ("replay", f"{mappings} are replayed for it"))
            for row in (Row(f"merge-{way}-{count}", text, "a call", None, 0),
                        Row(f"merge-flushes-{way}-{count}", f"{text}: IOTLB flushes", "a call",
                            None, 0))]


def _growth():
    for key, text in (*((f"window-{mib}", f"a window of {mib} MiB, not touched")
                        for mib in (1, 64, 1024)),
                      *((f"touched-{pages}", f"{pages} page{'s' if pages > 1 else ''} touched")
                        for pages in (1, 64, 512, 4096)),
                      *((f"processes-{count}", f"64 pages touched by {count} "
                         f"process{'es' if count > 1 else ''}") for count in (1, 2, 4, 8)),
                      *((f"vcpus-{count}", "8 pages touched by a process and its guest of "
                         f"{count} vCPU{'' if count == 1 else 's'}") for count in (0, 1, 2, 4))):
        yield Row(f"gate-block-{key}", f"block, {text}", "a call", None, 0)
        yield Row(f"gate-open-{key}", f"open, {text}", "a call", None, 0)


# Only in a machine that has such a device: tools/bench --ats.
DEVICE_TLBS = Section("Invalidations of a device's own TLB", [
    Row("device-flushes-adjacent-range", "one UNMAP of 16384 adjacent mappings, by range", "a call",
        1, 0),
    Row("device-flushes-adjacent-all", "one UNMAP of 16384 adjacent mappings, ALL", "a call", 1, 0),
    Row("device-flushes-holes-range", "one UNMAP of 16384 mappings with holes, by range", "a call",
        1, 0),
    Row("device-flushes-holes-all", "one UNMAP of 16384 mappings with holes, ALL", "a call", 1, 0),
])

INSTRUCTIONS = "Instructions"
SECTIONS = [
    Section(INSTRUCTIONS, [
        Row("noop", "an ioctl that does nothing (GET_API_VERSION)", "a call", None, 0),
        *_pair("page", "one 4 KiB page", "a call", (2900, 2750)),
        *_pair("contiguous", "64 MiB of contiguous 4K pages", "a page", (280, 105)),
        *_pair("scattered", "64 MiB of scattered 4K pages", "a page", (800, 150)),
        *_pair("thp-64m", "64 MiB of THP", "a 4K page", (28, 0.6), 2),
        *_pair("thp-512m", "512 MiB of THP", "a 4K page", (28, 0.6), 2),
        *_pair("hugetlb-64m", "64 MiB of hugetlb 2M", "a 4K page", (28, 0.6), 2),
        *_pair("hugetlb-512m", "512 MiB of hugetlb 2M", "a 4K page", (28, 0.6), 2),
        *_pair("bar-1g", "a BAR of 1 GiB", "a 4K page", (99, None), 2),
        Row("unmap-adjacent-range", "one UNMAP of 16384 adjacent mappings, by range", "a mapping",
            400, 0),
        Row("unmap-adjacent-all", "one UNMAP of 16384 adjacent mappings, ALL", "a mapping", 400, 0),
        Row("unmap-holes-range", "one UNMAP of 16384 mappings with holes, by range", "a mapping",
            1200, 0),
        Row("unmap-holes-all", "one UNMAP of 16384 mappings with holes, ALL", "a mapping", 1200, 0),
        Row("map-random", "MAP the nth of 16384 mappings, random order", "a call", 3500, 0),
        Row("dirty-start", "dirty START, 16384 mappings of 4K", "a call", 60000, 0),
        Row("dirty-bitmap", "dirty GET_BITMAP, 16384 mappings of 4K", "a call", 1000000, 0),
        Row("bitmap-512m", "dirty GET_BITMAP, 512 MiB in one mapping", "a call", 4000, 0),
    ]),
    Section("Instructions of devices behind an emulated IOMMU", [
        Row("pin-4k", "pin, 512 a call, scattered 4K, caller's own mm", "a page", 300, 0),
        Row("pin-worker-4k", "the same from a worker (another mm)", "a page", 560, 0),
        Row("pin-thp", "pin, 512 a call, THP, caller's own mm", "a page", 45, 1),
        Row("pin-worker-thp", "the same from a worker (another mm)", "a page", None, 1),
        Row("again-4k", "pin again, 512 a call, scattered 4K", "a page", 25, 1),
        Row("again-thp", "pin again, 512 a call, THP", "a page", 25, 1),
        Row("unpin-4k", "unpin, 512 a call, scattered 4K", "a page", 130, 0),
        Row("unpin-thp", "unpin, 512 a call, THP", "a page", 35, 1),
        Row("pin-single", "pin, one page a call, caller's own mm", "a page", 1250, 0),
        Row("pin-worker-single", "the same from a worker (another mm)", "a page", None, 0),
        Row("again-single", "pin again, one page a call", "a page", 220, 0),
        Row("unpin-single", "unpin, one page a call", "a page", 500, 0),
        Row("pin-8", "pin, 8 pages a call, caller's own mm", "a page", None, 0),
        Row("pin-worker-8", "the same from a worker (another mm)", "a page", None, 0),
        Row("again-8", "pin again, 8 pages a call", "a page", None, 0),
        Row("unpin-8", "unpin, 8 pages a call", "a page", None, 0),
        Row("pin-mappings", "pin pages of 16384 mappings, random, by an ioctl of each", "a page",
            None, 0),
        Row("again-mappings", "pin them again", "a page", None, 0),
        Row("unpin-mappings", "unpin them", "a page", None, 0),
        Row("pin-64th", "pin 1 page in 64, random, by an ioctl of each", "a page", None, 0),
        Row("again-64th", "pin them again", "a page", None, 0),
        Row("unpin-64th", "unpin them", "a page", None, 0),
        Row("pin-4096th", "pin 1 page in 4096, random, by an ioctl of each", "a page", None, 0),
        Row("again-4096th", "pin them again", "a page", None, 0),
        Row("unpin-4096th", "unpin them", "a page", None, 0),
    ]),
    # Stock: a VMM that maps and unmaps page by page through type1.
    Section("Instructions of a guest's I/O page table", [
        Row("nested-map-page", "refresh of 1 new page", "a page", 2300, 0),
        Row("nested-unmap-page", "refresh of 1 page that is invalid now", "a page", None, 0),
        Row("nested-doorbell", "refresh of 1 new page by a doorbell, in the wait queue", "a page",
            1700, 0),
        Row("nested-map-256", "refresh of 256 new pages, scattered in guest memory", "a page", 640,
            0),
        Row("nested-map-thp", "the same, contiguous and in a huge page of the host", "a page", 120,
            0),
        Row("nested-unmap-256", "invalidate 256 pages", "a page", 120, 0),
        Row("nested-unmap-thp", "the same, contiguous and in a huge page of the host", "a page",
            None, 0),
        Row("nested-unchanged", "refresh of 4 GiB that did not change", "a mapped page", 20, 1),
        Row("nested-flushes", "IOTLB flushes of one refresh that unmaps 8192 pages with holes",
            "a refresh", 1, 0),
        Row("nested-bytes", "bytes that record what is mapped", "a page", 10, 1),
    ]),
    # The kernel's modules have none.
    Section("Growth of what a guest's I/O page table costs", [
        row for size in GUESTS for row in _nested_growth(*size)]),
    # Stock: each group in a container of its own.
    Section("Several groups with the same mappings", [
        row for count in (1, 2, 4, 8) for row in _merged(count)]),
    # Stock: by SET_CONTAINER.
    Section("A group joins others by MERGE", [
        row for count in (1, 1000, 16384) for row in _merge(count)]),
    # Stock has no gates; what it has is the first touch of a window.
    Section("A scheduler switches a device", [
        Row("gate-open", "open, nothing parked; less moving the group's domain", "a call", 400, 0),
        Row("gate-block", "block, window not touched; less moving the domain", "a call", 400, 0),
        Row("gate-block-64", "block, 64 pages touched; less the domain and zapping them", "a call",
            400, 0),
        Row("gate-idle-open", "open a device that nobody has opened", "a call", 400, 0),
        Row("gate-idle-block", "block a device that nobody has opened", "a call", 400, 0),
        Row("gate-move", "iommu_attach_group alone, which opening does", "a call", None, 0),
        Row("gate-cut", "iommu_detach_group alone, which blocking does", "a call", None, 0),
        Row("gate-zap-64", "unmap_mapping_range alone, 64 pages touched", "a call", None, 0),
        Row("gate-touch", "first touch of a window of 64 pages; ours: after opening", "a touch",
            None, 0),
        Row("gate-flushes-open", "open: IOTLB flushes", "a call", None, 0),
        Row("gate-flushes-block", "block: IOTLB flushes", "a call", None, 0),
        Row("gate-shootdowns-open", "open: flushes of the processor's TLB", "a call", 0, 0),
        Row("gate-shootdowns-block", "block, not touched: flushes of the processor's TLB", "a call",
            0, 0),
        Row("gate-shootdowns-block-64", "block, 64 pages touched: the same", "a call", 1, 0),
    ]),
    Section("A scheduler remaps pages that a user has mapped", [
        row for key, text, bar in (
            ("64", "64 neighbours, in contiguous memory", 300),
            ("64-scattered", "64 neighbours, in scattered memory", 300),
            ("64-apart", "64 pages, every second one", None),
            ("1", "one page", None))
        for row in (Row(f"gate-remap-{key}", text, "a page", bar, 0),
                    Row(f"gate-remap-{key}-flush", text + ", and a flush", "a page", None, 0))]),
    Section("How switching a device grows, with all that is in it", [*_growth()]),
    Section("IOTLB flushes", [
        Row("flushes-adjacent-range", "one UNMAP of 16384 adjacent mappings, by range", "a call",
            1, 0),
        Row("flushes-adjacent-all", "one UNMAP of 16384 adjacent mappings, ALL", "a call", 1, 0),
        Row("flushes-holes-range", "one UNMAP of 16384 mappings with holes, by range", "a call",
            None, 0),
        Row("flushes-holes-all", "one UNMAP of 16384 mappings with holes, ALL", "a call", None, 0),
    ]),
    DEVICE_TLBS,
    # To whole bytes: a few objects that have nothing to do with it come and go meanwhile.
    Section("Bytes that record what is pinned", [
        Row("bytes-run", "64 MiB of scattered 4K pages", "a run of contiguous pages", 16, 0),
        Row("bytes-thp-512m", "512 MiB of THP", "in all", 8192, 0),
    ]),
    Section("Bytes that record what devices behind an emulated IOMMU pin", [
        Row("bytes-pins-thp", "all of 512 MiB of THP", "a page", 0.1, 3),
        Row("bytes-pins-all", "all pages, scattered", "a page", 10, 1),
        Row("bytes-pins-half", "every second page, scattered", "a page", 20, 1),
        Row("bytes-pins-64th", "1 page in 64, random", "a page", 28, 1),
        Row("bytes-pins-4096th", "1 page in 4096, random", "a page", 40, 1),
        Row("bytes-pins-one", "one page of 512 GiB", "in all", 1024, 0),
    ]),
]

Result = namedtuple("Result", "row stock ours bar met")


def share(key):
    """The share of the stock figure that is the bar on a later kernel, or None."""
    for name, part in (("map-", 0.8), ("unmap-page", 0.8), ("unmap-", 0.5), ("dirty-", 0.2),
                       ("bitmap-", 0.2)):
        if key.startswith(name):
            return part
    return None


def results(stock, ours, bars):
    """(Section title, [Result]) from figures by key. bars: "issue", or "stock" where the stock
    figure is the bar of the instructions (the stock module records no pins at all), or "share"
    where share() of it is."""
    for section in SECTIONS:
        found = []
        as_stock = bars == "stock" and section.title == INSTRUCTIONS
        # No invalidation of a device's TLB at all is a fault, not a saving.
        least = 1 if section is DEVICE_TLBS else 0
        for row in section.rows:
            if row.key not in ours or row.key not in stock:
                continue
            part = share(row.key) if bars == "share" else None
            bar = stock[row.key] if as_stock else row.bar
            if bars == "share":
                bar = part and part * stock[row.key]
            limit = None if bar is None else bar * (1 + TOLERANCE if as_stock else 1)
            found.append(Result(row, stock[row.key], ours[row.key], bar, None if bar is None
                                else least <= round(ours[row.key], row.digits) <= limit))
        if found:
            yield section.title, found


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def ratio(result):
    if min(round(result.stock, result.row.digits), round(result.ours, result.row.digits)) <= 0:
        return ""
    part = result.ours / result.stock
    return f"{part:.{max(2, 1 - math.floor(math.log10(part)))}f}"


def met(result):
    return {None: "", True: "yes", False: "NO"}[result.met]


def cells(result):
    row = result.row
    bar_digits = 0 if result.bar is None or float(result.bar).is_integer() else max(1, row.digits)
    return (f"{row.text}, {row.unit}", number(result.stock, row.digits),
            number(result.ours, row.digits), ratio(result),
            number(result.bar, bar_digits), met(result))


HEAD = ("work", "stock", "ours", "ratio", "bar", "met")


def text_table(groups):
    for title, found in groups:
        yield f"{title:72} {'stock':>10} {'ours':>10} {'ratio':>7} {'bar':>10}  met"
        for result in found:
            work, *figures, ok = cells(result)
            yield ("  " + f"{work:70} {figures[0]:>10} {figures[1]:>10} {figures[2]:>7} "
                   f"{figures[3]:>10}  {ok}").rstrip()
        yield ""


def markdown_table(groups):
    for title, found in groups:
        yield f"### {title}"
        yield ""
        yield "| " + " | ".join(HEAD) + " |"
        yield "|---|--:|--:|--:|--:|---|"
        for result in found:
            yield "| " + " | ".join(cells(result)) + " |"
        yield ""
