# SPDX-License-Identifier: GPL-2.0
"""Finds in a kernel log what must never be there, whatever the tests say.

DMAR faults are not in the list: tests provoke them. A line that a test provokes on purpose is
named by the caller (tools/vm --expect-log) and must then really occur.
"""
import re

SPLATS = [re.compile(r) for r in (
    # reports of the kernel's own checks
    r"\bBUG:", r"\bkernel BUG at", r"\bWARNING: (?!Spectre)", r"\bKASAN\b", r"\bKCSAN\b",
    r"\bKFENCE\b", r"\bUBSAN\b", r"\bKMSAN\b",
    r"\bINFO: (?:task .* blocked for more than|rcu|trying to register|possible)",
    r"\brcu: .*(?:detected|stall|starved)", r"\bsoft lockup\b", r"\bhard LOCKUP\b",
    r"\bNMI watchdog: .*(?:LOCKUP|stuck)",
    # lockdep
    r"possible (?:circular|recursive|irq) ?(?:lock|lock inversion)", r"inconsistent lock state",
    r"\b(?:bad|suspicious) (?:unlock|RCU usage)", r"lock held when returning to user",
    # faults
    r"\b[Uu]nable to handle\b", r"\bOops\b", r"\bgeneral protection fault\b",
    r"\binvalid opcode\b", r"\bdivide error\b", r"\bdouble fault\b", r"\bstack guard page\b",
    r"\bKernel panic\b", r"scheduling while atomic", r"sleeping function called from invalid",
    r"stack-protector", r"kernel stack (?:overflow|corrupt)", r"\bunchecked MSR\b",
    # memory and references
    r"\brefcount_t:", r"\bpercpu ref .*(?:<= 0|underflow)", r"\bBad (?:page|rss-counter)",
    r"\b(?:list_add|list_del) corruption", r"\bSLUB\b.*(?:corrupt|overwritten)", r"\bmemory leak(?! detector)",
    r"\bObjects remaining\b", r"still has objects", r"\bTrying to vfree\b",
    r"\bbad (?:frame|pointer)\b", r"\bdetected (?:buffer )?overflow\b",
    r"\bmemory (?:exposure|overwrite) attempt", r"detected while (?:reading|writing)",
    # the driver model and the loader
    r"cannot create duplicate filename", r"does not have a release\(\) function",
    r"\bdisagrees about version of symbol\b", r"\bUnknown symbol\b", r"\bloading out of order\b",
    r"unsupported relocation", r"\bORC unwind", r"stack frame pointer has bad value",
    r"\bmissing (?:ENDBR|__noreturn)\b",
)]

CUT = re.compile(r"-+\[ cut here \]-+")
END = re.compile(r"-+\[ end trace ")


def scan(lines, expected=()):
    """Returns (splats, missing): [(line number, line)], and the expected patterns not seen.

    A warning is a block from "cut here" to "end trace"; if its head is expected, so is all of it.
    """
    patterns = [re.compile(e) for e in expected]
    seen = set()
    splats = []
    forgiven = False
    in_block = False
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n")
        if CUT.search(line):
            in_block, forgiven = True, False
        hits = [p for p in patterns if p.search(line)]
        seen.update(p.pattern for p in hits)
        if hits:
            forgiven = in_block
        elif not forgiven and any(s.search(line) for s in SPLATS):
            splats.append((number, line))
        if END.search(line):
            in_block = forgiven = False
    return splats, [p.pattern for p in patterns if p.pattern not in seen]


def read_lines(path):
    with open(path, encoding="utf-8", errors="replace") as log:
        return log.read().splitlines()
