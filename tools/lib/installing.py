# SPDX-License-Identifier: GPL-2.0
"""What the checks that install vfio-cxx in a bare Debian share: the machine, and running their tests."""
import os
import re
import sys
import traceback

import bareroot

TREE = bareroot.CLONE
APT = ("export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8; "
       "apt-get -qy -o Acquire::Retries=3 --no-install-recommends install ")
STOCK = "kernel/drivers/vfio/vfio.ko"


class Failed(Exception):
    pass


class Machine:
    """The bare root, and what the tests ask of it."""
    def __init__(self, root):
        self.root = root
        self.last = ""
        with open(root.inside(TREE + "/VERSION"), encoding="utf-8") as file:
            self.dkms = "vfio-cxx/" + file.read().strip()

    def release(self, pattern):
        """The newest kernel in /lib/modules whose whole release the pattern matches."""
        found = [name for name in os.listdir(self.root.inside("/lib/modules")) if re.fullmatch(pattern, name)]
        return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])

    def run(self, script, status=0):
        """Output of a script in the tree; it must end with that status, or fail if None."""
        got, self.last = self.root.run(f"cd {TREE}\n{script}",
                                       env={"MAKEFLAGS": f"-j{bareroot.processors()}"})
        if got != status if status is not None else not got:
            raise Failed(f"{script}: ended with status {got}")
        return self.last

    def kdir(self, release):
        return f"/lib/modules/{release}/build"

    def updates(self, release):
        """Files of updates/, as modprobe would name them."""
        top = self.root.inside(f"/lib/modules/{release}")
        return sorted(os.path.relpath(os.path.join(folder, name), top)
                      for folder, _, names in os.walk(f"{top}/updates") for name in names)

    def file_of(self, module, release):
        path = self.run(f"modinfo -k {release} -n {module}").strip()
        return path.removeprefix(f"/lib/modules/{release}/")

    def fits(self, release):
        """The kernel's own modules load on ours: each symbol with the CRC that they want."""
        said = self.run(f"depmod -n -e -E {self.kdir(release)}/Module.symvers {release} 2>&1 >/dev/null")
        equal("disagrees" in said, False, said)
        said = self.run(f"modprobe -S {release} -D vfio-pci")
        equal("/updates/" in said, True, said)

    def configured(self, package):
        equal(self.run(f"dpkg-query -W -f '${{Status}}' {package}"), "install ok installed", package)

    def initrd(self, release):
        """Modules of ours or the kernel's in its initramfs, as modprobe would name them."""
        return sorted(re.findall(rf"lib/modules/{re.escape(release)}/(\S*/(?:vfio|mdev|vfio_iommu_type1)\.ko)",
                                 self.run(f"lsinitramfs /boot/initrd.img-{release}")))


def equal(got, wanted, what=""):
    if got != wanted:
        raise Failed(f"{what}: got {got!r}, wanted {wanted!r}")


def says(text, *wanted):
    for phrase in wanted:
        if phrase not in text:
            raise Failed(f"{phrase!r} is not said")


def run_tests(tests, machine):
    """Runs them in this order: each begins where the one before ended. Prints TAP. Returns the
    status to exit with."""
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        machine.last = ""
        try:
            test(machine)
            print(f"ok {number} - {test.__doc__}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print("    " + machine.last[-8000:].replace("\n", "\n    "))
            if not isinstance(error, Failed):
                traceback.print_exc(file=sys.stdout)
            print(f"    {error}\nnot ok {number} - {test.__doc__}", flush=True)
    return 1 if failed else 0


def prepare(root, packages):
    """Installs the packages and clones the tree. Returns false, and says so, if it cannot."""
    status, out = root.run(f"apt-get -q -o Acquire::Retries=3 update && {APT} {packages} 2>&1")
    if status:
        print(out)
        print("Bail out! the packages cannot be installed")
        return False
    root.clone(TREE)
    return True
