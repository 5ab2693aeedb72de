# SPDX-License-Identifier: GPL-2.0
"""The guest of the benchmark: a machine whose instructions are counted, with a device on vfio-pci,
in which bench/ runs."""
import os
import re
import subprocess
import sys
import time

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TOOLS)
LOGS = os.path.join(ROOT, "build/logs")
PROGRAM = os.path.join(ROOT, "build/bench/bench")
SCRIPT = os.path.join(ROOT, "bench/guest.sh")

# For tools/vm: guest time that counts instructions; and QEMU's edu, which programs drive, behind
# an IOMMU as on hardware.
COUNTING = ("--icount",)
EDU = ("--caching-mode", "off", "--qemu", "-device edu")


class Failed(Exception):
    """A run that gave no figures."""


def boot(modules, machine, arguments, timeout, name=None):
    """Runs the program with the arguments in a guest with "ours" or "stock" modules. machine:
    arguments for tools/vm. Returns what the program prints."""
    name = name or modules
    command = [os.path.join(TOOLS, "vm"), "--modules", modules, "--name", f"bench-{name}", *machine,
               "--script", SCRIPT, "--file", f"{PROGRAM}:/bench", "--log", LOGS,
               "--timeout", f"{timeout:g}", "--", *arguments]
    begin = time.monotonic()
    vm = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    text = vm.stdout.decode(errors="replace").replace("\r", "")
    if vm.returncode:
        sys.stderr.write(text)
        raise Failed(f"the guest with {modules} modules ended with status {vm.returncode}")
    origin = re.findall(r"^module \S+ (\S+)$", text, re.M)
    place = "/updates/" if modules == "ours" else "/kernel/"
    if len(origin) != 2 or not all(place in path for path in origin):
        raise Failed(f"the guest was to load {modules} modules, but loaded {origin}")
    print(f"bench: {name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return text


def figures(text):
    """The medians that the program printed, by row."""
    return {key: float(median) for key, median in re.findall(r"^row (\S+) (\S+) ", text, re.M)}


def kernel(text):
    """The kernel that it ran on."""
    return re.search(r"^kernel (.*)$", text, re.M)[1]
