# SPDX-License-Identifier: GPL-2.0
"""Turns the counts of bench/plugin/profile.c into a profile by function."""
import base64
import bisect
import gzip
import re
import shutil
import subprocess
import zlib
from collections import defaultdict, namedtuple

from benchguest import Failed

# calls: how often the first instruction of the function was executed.
Line = namedtuple("Line", "function instructions calls")

KERNEL_HALF = 1 << 63
LONGEST = 15  # bytes of an instruction
PROGRAM = "(the program)"


def _packed(text):
    found = re.search(r"^kallsyms begin$(.*)^kallsyms end$", text, re.M | re.S)
    return gzip.decompress(base64.b64decode(found[1], validate=False)).decode()


def has_symbols(text):
    """Whether they came over whole."""
    try:
        return bool(_packed(text))
    except (TypeError, ValueError, OSError, EOFError, zlib.error):
        return False


class Symbols:
    """The guest's /proc/kallsyms, as guest.sh prints it: compressed, between two lines."""

    def __init__(self, text):
        by_address = {}
        for line in _packed(text).splitlines():
            address, _, name, *module = line.split()
            # Of several names for one address the first, but no mark of the linker's.
            by_address.setdefault(int(address, 16), " ".join([name, *module]))
        self._addresses = sorted(by_address)
        self._names = [by_address[address] for address in self._addresses]

    def find(self, address):
        """(name, whether it is the first address)"""
        if address < KERNEL_HALF:
            return PROGRAM, False
        at = bisect.bisect_right(self._addresses, address) - 1
        if at < 0:
            return "?", False
        return self._names[at], self._addresses[at] == address

    def place(self, function):
        """(address, module or None). Names of C++ functions are as the linker has them."""
        for address, name in zip(self._addresses, self._names):
            symbol, _, module = name.partition(" ")
            if symbol == function:
                return address, module.strip("[]") or None
        raise LookupError(f"the guest has no function {function}")


def read_windows(path):
    """[{address: count}], one for each time that the row was measured."""
    windows = []
    with open(path, encoding="ascii") as src:
        for line in src:
            if line == "window\n":
                windows.append({})
            else:
                address, count = line.split()
                windows[-1][int(address, 16)] = int(count)
    return windows


def typical(windows):
    """Those about as long as the median: without the timer's interrupts, if most are."""
    totals = [sum(window.values()) for window in windows]
    median = sorted(totals)[len(totals) // 2]
    return [window for window, total in zip(windows, totals) if abs(total - median) <= median / 100]


def add_up(windows):
    counts = defaultdict(int)
    for window in windows:
        for address, count in window.items():
            counts[address] += count
    return counts


def by_function(counts, symbols):
    instructions, calls = defaultdict(int), defaultdict(int)
    for address, count in counts.items():
        name, first = symbols.find(address)
        instructions[name] += count
        if first:
            calls[name] += count
    return sorted((Line(name, total, calls[name]) for name, total in instructions.items()),
                  key=lambda line: -line.instructions)


def demangle(lines):
    if not shutil.which("c++filt"):
        return lines
    names = subprocess.run(["c++filt"], input="\n".join(line.function for line in lines),
                           check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")
    return [line._replace(function=name) for line, name in zip(lines, names)]


def _measured(text, counts_path, row):
    """(operations, windows in all, those to go by)"""
    operations = int(re.search(rf"^profiled {re.escape(row)} (\d+)$", text, re.M)[1])
    windows = read_windows(counts_path)
    if not windows:
        raise Failed(f"{row} is measured in a way that cannot be profiled")
    taken = typical(windows)
    return operations * len(taken) // len(windows), len(windows), taken


def annotate(text, counts_path, row, function, files):
    """The lines to print: a module's function, and how often each of its instructions was
    executed, an operation. `files`: our modules' by name."""
    operations, _, taken = _measured(text, counts_path, row)
    address, module = Symbols(text).place(function)
    if module not in files:
        raise Failed(f"{function} is not in a module of ours")
    counts = add_up(taken)
    code = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", "-M", "suffix",
                           f"--disassemble={function}", files[module]],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    first = last = None
    for line in code.splitlines():
        if first is None:
            if line.endswith(f"<{function}>:"):
                first = int(line.split()[0], 16)
            continue
        if relocation := re.match(r"\s+([0-9a-f]+): (R_X86_64.*)", line):
            # objdump prints those of all functions.
            if last is not None and last <= int(relocation[1], 16) < last + LONGEST:
                yield f"{'':9}      {relocation[2]}"
        elif instruction := re.match(r"\s*([0-9a-f]+):\t", line):
            last = int(instruction[1], 16)
            count = counts[address + last - first] / operations
            yield f"{count:9.4f}  {line.strip()}" if count else f"{'':9}  {line.strip()}"


def report(text, counts_path, row, top):
    """The lines to print. `text`: what the guest printed; `row`: the row that was profiled."""
    operations, windows, taken = _measured(text, counts_path, row)
    measured = float(re.search(rf"^row {re.escape(row)} (\S+)", text, re.M)[1])
    lines = by_function(add_up(taken), Symbols(text))
    total = sum(line.instructions for line in lines)
    yield (f"{row}: {total / operations:.1f} instructions an operation ({measured:.1f} by the "
           f"guest's clock), {len(taken)} of {windows} runs, those next to the median")
    yield ""
    yield f"{'instructions':>12} {'share':>6} {'in all':>6} {'calls':>10}  function"
    so_far = 0
    for line in demangle(lines[:top]):
        so_far += line.instructions
        yield (f"{line.instructions / operations:12.2f} {100 * line.instructions / total:5.1f}% "
               f"{100 * so_far / total:5.1f}% {line.calls / operations:10.4f}  {line.function}")
    if len(lines) > top:
        yield f"{'':12} {100 - 100 * so_far / total:5.1f}% in {len(lines) - top} more functions"
