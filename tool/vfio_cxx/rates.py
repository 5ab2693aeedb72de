# SPDX-License-Identifier: GPL-2.0
"""How much containers do: the differences of two readings of their statistics."""
COUNTED = ("mapped", "mapped_bytes", "unmapped", "unmapped_bytes", "flushes", "pin_calls", "pinned", "unpinned",
           "refreshes")


def failures(statistics):
    return sum(count for errors in statistics["failed"].values() for count in errors.values())


def rates(before, after, seconds):
    """By container, a second: [{container, owner, bytes, failed, ...}], the busiest first. One that was
    not there before has begun with nothing."""
    earlier = {one["container"]: one["statistics"] for one in before}
    found = []
    for one in after:
        now, then = one["statistics"], earlier.get(one["container"], {"failed": {}})
        rate = {name: (now[name] - then.get(name, 0)) / seconds if name in now else None for name in COUNTED}
        rate["failed"] = (failures(now) - failures(then)) / seconds
        found.append({"container": one["container"], "owner": one["owner"], "mappings": one["mappings"],
                      "bytes": one["bytes"], "rates": rate})
    return sorted(found, key=lambda one: -sum(one["rates"][name] or 0 for name in
                                              ("mapped", "unmapped", "pin_calls", "refreshes")))
