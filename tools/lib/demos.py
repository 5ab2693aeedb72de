# SPDX-License-Identifier: GPL-2.0
"""What the demos share: a guest whose output is shown as it comes, what is known on this side of
the modules and of the kernel log, and the verdict."""
import hashlib
import lzma
import os
import re
import subprocess
import sys
import tempfile
import time

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TOOLS)
LOGS = os.path.join(ROOT, "build/logs")

STOCK_BELOW = {"vfio": "vfio.ko", "vfio_iommu_type1": "vfio_iommu_type1.ko"}
STOCK_ON_TOP = {"vfio_virqfd": "vfio_virqfd.ko", "vfio_pci_core": "pci/vfio-pci-core.ko",
                "vfio_pci": "pci/vfio-pci.ko"}


# A module of its own in some kernels, of which vfio-pci needs it.
OPTIONAL = "vfio_virqfd"


def module_file(path):
    """The file of a module, which later kernels compress, or None."""
    return next((name for name in (path, path + ".xz") if os.path.exists(name)), None)


def build_id(file):
    with (lzma.open if file.endswith(".xz") else open)(file, "rb") as packed, \
            tempfile.NamedTemporaryFile() as plain:
        plain.write(packed.read())
        plain.flush()
        notes = subprocess.run(["readelf", "-n", plain.name], capture_output=True, text=True,
                               check=True)
    return re.search(r"Build ID: ([0-9a-f]+)", notes.stdout)[1]


def make_image(path, size):
    """Content of a drive, of which every block differs from every other. Returns its SHA-256."""
    content = hashlib.shake_256(b"vfio-cxx demo image").digest(size)
    with open(path, "wb") as out:
        out.write(content)
    return hashlib.sha256(content).hexdigest()


def log_path(name):
    return os.path.join(LOGS, f"{name}.kernel.log")


def run_guest(name, *arguments):
    """Runs tools/vm with the arguments, and shows what the guest prints as it comes. Returns (exit
    status, the text)."""
    os.makedirs(LOGS, exist_ok=True)
    print(f"demo: booting; kernel log in {os.path.relpath(log_path(name), os.getcwd())}", flush=True)
    command = [os.path.join(TOOLS, "vm"), "--name", name, "--log", LOGS, *arguments]
    vm = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    text = b""
    try:
        while chunk := vm.stdout.read1(65536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.flush()
            text += chunk
    except KeyboardInterrupt:
        vm.wait()
        raise
    return vm.wait(), text.decode(errors="replace")


def read_facts(text):
    """The "key: value" lines; progress, rewritten in place, is not among them."""
    facts = {}
    for line in re.split(r"[\r\n]+", text):
        if found := re.match(r"([a-z0-9_-]+(?: [a-z0-9_-]+)?): (.*)", line):
            facts[found[1]] = found[2]
    return facts


def faults(name, bdf):
    """(IOVA, "Read" or "Write") of each of DMAR's reports about the device in the kernel log."""
    with open(log_path(name), encoding="utf-8", errors="replace") as log:
        found = re.findall(r"DMAR: \[DMA (Read|Write)[^]]*\] Request device \["
                           # Later kernels name the PCI domain, too.
                           + "(?:0000:)?" + re.escape((bdf or "none").removeprefix("0000:"))
                           + r"\] fault addr (0x[0-9a-f]+)", log.read())
    return [(int(iova, 16), way) for way, iova in found]


def print_log(name, word):
    """What the kernel logged of that, for who looks for the cause of a line that does not hold."""
    with open(log_path(name), encoding="utf-8", errors="replace") as log:
        for line in log:
            if word in line:
                print(f"  log: {line.rstrip()}")


def judge_modules(facts, claim, files):
    """A row of the verdict: the guest loaded these modules, by name with their files. Each line
    "module NAME: IDENTITY ..." of the guest is one that it loaded."""
    def loaded(name, path):
        found = facts.get(f"module {name}", "").split()
        file = module_file(path)
        return bool(found) and file is not None and found[0] == build_id(file)

    found = [name for name, path in files.items() if loaded(name, path)]
    return claim, ", ".join(found) or "none loaded", len(found) == len(files)


def ask(tool, *arguments):
    return subprocess.run([os.path.join(TOOLS, tool), *arguments], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()


def ours(*paths):
    """The files of modules of ours, by name, as built for the kernel that is booted."""
    out = ask("kernel-env", "out")
    return {os.path.basename(path).removesuffix(".ko"): os.path.join(out, path) for path in paths}


def stock(facts, files):
    """The files of the kernel's own modules, by name."""
    place = os.path.join(ask("fetch-kernel"), "lib/modules", facts.get("kernel", ""),
                         "kernel/drivers/vfio")
    paths = {name: os.path.join(place, path) for name, path in files.items()}
    return {name: path for name, path in paths.items() if name != OPTIONAL or module_file(path)}


def judge_user(facts):
    user = facts.get("user", "nobody")
    return "unprivileged", user, bool(re.search(r"uid [1-9]\d*, CapEff:0+,", user))


def judge_end(facts, status):
    left = facts.get("left", "not unloaded")
    yield "unloads", left.replace("0 modules", "no module left"), left == "0 modules"
    yield "kernel log", "clean" if status == 0 else f"tools/vm ended with {status}", status == 0


def print_verdict(rows, begin):
    """rows: (claim, what was seen, whether it holds). Returns whether all hold."""
    width = max(18, *(len(claim) + 2 for claim, _, _ in rows))
    print()
    for claim, seen, holds in rows:
        print(f"  {claim:{width}}{seen[:76]:76} {'ok' if holds else 'FAILED'}")
    failed = sum(1 for row in rows if not row[2])
    print(f"\n{'all lines hold' if not failed else f'{failed} lines do not hold'}, "
          f"{time.monotonic() - begin:.0f} s", flush=True)
    return not failed
