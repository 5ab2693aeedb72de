# SPDX-License-Identifier: GPL-2.0
"""make modules_install, install and uninstall, into a copy of the kernel's module tree."""
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = ("vfio_core/vfio.ko", "vfio_mdev/mdev.ko", "vfio_type1/vfio_iommu_type1.ko",
        "vfio_zpci/vfio_zpci.ko")
OTHER = "6.1.0-1-cloud-amd64"


# What the make above that runs the tests (make check) tells one below it.
OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "LAYERS")


def run(*command, cwd=ROOT, check=True, umask=-1, **env):
    base = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    done = subprocess.run(command, cwd=cwd, check=False, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, umask=umask,
                          env={**base, **env})
    if check and done.returncode:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def write(path, text=""):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def found_below(path):
    return sorted(os.path.relpath(os.path.join(directory, name), path)
                  for directory, _, names in os.walk(path) for name in names)


class Install(unittest.TestCase):
    def setUp(self):
        self.kdir = run("tools/kernel-env", "kdir").strip()
        self.release = run("tools/kernel-env", "release").strip()
        self.root = tempfile.mkdtemp()
        os.chmod(self.root, 0o755)
        self.addCleanup(shutil.rmtree, self.root)
        modules = os.path.join(run("tools/fetch-kernel").strip(), "lib/modules", self.release)
        self.tree = os.path.join(self.root, "lib/modules", self.release)
        drivers = os.path.join(self.tree, "kernel/drivers")
        os.makedirs(drivers)
        shutil.copytree(os.path.join(modules, "kernel/drivers/vfio"),
                        os.path.join(drivers, "vfio"))
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(os.path.join(modules, name), self.tree)
        self.before = found_below(os.path.join(self.tree, "kernel"))
        self.updates = os.path.join(self.tree, "updates")

    def make(self, target, kdir=None, **kwargs):
        return run("make", "--no-print-directory", target, f"INSTALL_MOD_PATH={self.root}",
                   f"KDIR={kdir or self.kdir}", **kwargs)

    def file_of(self, module):
        path = run("/sbin/modinfo", "-b", self.root, "-k", self.release, "-n", module).strip()
        return os.path.relpath(path, self.tree)

    def other_kernel(self):
        """Headers of another kernel, of which no more than the release is true."""
        kdir = os.path.join(self.root, "build")
        write(f"{kdir}/Module.symvers")
        write(f"{kdir}/include/generated/utsrelease.h", f'#define UTS_RELEASE "{OTHER}"\n')
        write(f"{kdir}/include/config/auto.conf", "CONFIG_VFIO=m\n")
        for module in OURS:
            write(f"{self.root}/lib/modules/{OTHER}/updates/{module}")
        return kdir

    def test_ours_win_and_the_way_back(self):
        run("/sbin/depmod", "-b", self.root, self.release)
        self.assertEqual(self.file_of("vfio"), "kernel/drivers/vfio/vfio.ko")

        out = self.make("install")
        self.assertIn(f"The next modprobe of {self.release} takes {self.updates}.", out)
        for frightening in ("SSL error", "Skipping depmod", "WARNING"):
            self.assertNotIn(frightening, out)
        self.assertEqual(self.file_of("vfio"), "updates/vfio_core/vfio.ko")
        self.assertEqual(self.file_of("vfio_iommu_type1"),
                         "updates/vfio_type1/vfio_iommu_type1.ko")
        self.assertEqual(self.file_of("mdev"), "updates/vfio_mdev/mdev.ko")
        self.assertEqual(self.file_of("vfio_pci"), "kernel/drivers/vfio/pci/vfio-pci.ko")
        self.assertEqual(found_below(os.path.join(self.tree, "kernel")), self.before,
                         "nothing of the distribution's changes")
        # The kernel's own modules on ours: each symbol with the CRC that they were built for.
        told = run("/sbin/depmod", "-n", "-e", "-E", f"{self.kdir}/Module.symvers", "-b", self.root,
                   self.release)
        self.assertNotIn("disagrees about version", told)

        self.make("uninstall")
        self.assertEqual(self.file_of("vfio"), "kernel/drivers/vfio/vfio.ko")
        self.assertEqual(self.file_of("vfio_iommu_type1"),
                         "kernel/drivers/vfio/vfio_iommu_type1.ko")
        self.assertFalse(os.path.exists(self.updates))

    def test_modules_install(self):
        out = self.make("modules_install")
        self.assertNotIn("SSL error", out)
        self.assertEqual(found_below(self.updates), sorted(OURS))
        self.assertFalse(os.path.exists(f"{self.tree}/modules.dep"), "depmod is the packager's")

    def test_everybody_can_read_them_whatever_the_umask(self):
        self.make("install", umask=0o077)
        for directory, folders, names in os.walk(self.updates):
            for name in folders + names:
                mode = os.stat(os.path.join(directory, name)).st_mode
                self.assertTrue(mode & 0o004, name)
        self.assertTrue(os.stat(f"{self.tree}/modules.dep").st_mode & 0o004)

    def test_the_kernel_named_is_the_one_that_changes(self):
        self.make("install")
        other = self.other_kernel()
        out = self.make("uninstall", other)
        self.assertEqual(found_below(f"{self.root}/lib/modules/{OTHER}"), [])
        self.assertIn(f"The next modprobe of {OTHER} takes the kernel's own modules.", out)
        self.assertIn(f"{self.release} still has vfio-cxx", out)
        self.assertEqual(self.file_of("vfio"), "updates/vfio_core/vfio.ko")

        self.assertIn("Nothing of make install is in", self.make("uninstall", other))
        out = self.make("uninstall")
        self.assertEqual(self.file_of("vfio"), "kernel/drivers/vfio/vfio.ko")
        self.assertNotIn("still has vfio-cxx", out)

    def test_a_relative_path_names_the_same(self):
        self.other_kernel()
        self.make("uninstall", os.path.relpath(f"{self.root}/build", ROOT))
        self.assertEqual(found_below(f"{self.root}/lib/modules/{OTHER}"), [])

    def test_refuses_beside_dkms(self):
        write(f"{self.updates}/dkms/vfio_iommu_type1.ko.xz")
        out = self.make("install", check=False)
        self.assertIn(f"DKMS has installed vfio-cxx for {self.release}", out)
        self.assertIn("dkms remove vfio-cxx/", out)
        self.assertEqual(found_below(self.updates), ["dkms/vfio_iommu_type1.ko.xz"])
        self.assertIn("DKMS has vfio-cxx", self.make("uninstall"))
        self.assertEqual(found_below(self.updates), ["dkms/vfio_iommu_type1.ko.xz"])

    def test_says_that_an_initramfs_is_old(self):
        write(f"{self.root}/boot/initrd.img-{self.release}")
        bin_path = os.path.join(self.root, "bin")
        for holds in ("usr/lib/modules/x/kernel/drivers/vfio/vfio.ko.xz", "usr/lib/x/ext4.ko"):
            write(f"{bin_path}/lsinitramfs", f"#!/bin/sh\necho {holds}\n")
            os.chmod(f"{bin_path}/lsinitramfs", 0o755)
            for target in ("install", "uninstall"):
                out = self.make(target, PATH=f"{bin_path}:{os.environ['PATH']}")
                self.assertEqual("still contains the old vfio modules" in out, "vfio" in holds, out)


class Names(unittest.TestCase):
    """Of a tree with no more than the Makefile and what it asks: it cannot come to a build."""
    def tree(self, name):
        top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, top)
        tree = os.path.join(top, name)
        os.makedirs(f"{tree}/tools")
        for file in ("Makefile", "tools/kernel-env", "tools/supported-kernels.txt"):
            shutil.copy(os.path.join(ROOT, file), f"{tree}/{file}")
        return tree

    def one_line(self, says, *command, **kwargs):
        lines = [line for line in run(*command, check=False, **kwargs).splitlines()
                 if not line.startswith("make: *** [")]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(says, lines[0])

    def test_a_path_that_kbuild_cannot(self):
        for name in ("with space", "with:colon"):
            for goals in ((), ("demo",), ("install",), ("KERNELRELEASE=6.1.0-1-amd64", "modules")):
                with self.subTest(name=name, goals=goals):
                    self.one_line("a space or a colon", "make", *goals, cwd=self.tree(name))

    def test_headers_that_cannot_be(self):
        tree = self.tree("tree")
        for goals in (("KDIR=/none",), ("KDIR=/none", "install"), ("KDIR=/none", "testmods"),
                      ("KDIR=/none", "uninstall")):
            self.one_line("KDIR=/none is not a directory", "make", *goals, cwd=tree)
            self.one_line("KDIR=/none is not a directory", "make", *goals[1:], cwd=tree, KDIR="/none")

    def test_what_was_built_last_is_what_is_installed(self):
        tree = self.tree("tree")
        other = os.path.join(tree, "other")
        write(f"{other}/Module.symvers")
        write(f"{other}/include/generated/utsrelease.h", f'#define UTS_RELEASE "{OTHER}"\n')
        write(f"{tree}/build/built-for", other + "\n")
        write(f"{tree}/tools/install", "#!/bin/sh\necho $*\n")
        os.chmod(f"{tree}/tools/install", 0o755)
        environment = {"KDIR": ""}
        self.assertEqual(run("make", "-s", "uninstall", cwd=tree, **environment),
                         f"uninstall {other}\n")
        # A kernel that is named, or built for now, comes first.
        kdir = run("tools/kernel-env", "kdir").strip()
        self.assertEqual(run("make", "-s", "uninstall", f"KDIR={kdir}", cwd=tree, **environment),
                         f"uninstall {kdir}\n")
        self.assertNotIn(OTHER, run("make", "-n", "all", "install", cwd=tree, check=False,
                                    **environment))
        # Headers that are gone are no kernel.
        os.unlink(f"{other}/Module.symvers")
        self.assertNotIn(other, run("make", "-s", "uninstall", cwd=tree, **environment))


if __name__ == "__main__":
    unittest.main()
