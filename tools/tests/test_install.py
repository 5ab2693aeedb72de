# SPDX-License-Identifier: GPL-2.0
"""make modules_install, install and uninstall, into a copy of the kernel's module tree."""
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


class Install(unittest.TestCase):
    def setUp(self):
        self.release = run("tools/kernel-env", "release").strip()
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        modules = os.path.join(run("tools/fetch-kernel").strip(), "lib/modules", self.release)
        self.tree = os.path.join(self.root, "lib/modules", self.release)
        drivers = os.path.join(self.tree, "kernel/drivers")
        os.makedirs(drivers)
        shutil.copytree(os.path.join(modules, "kernel/drivers/vfio"),
                        os.path.join(drivers, "vfio"))
        for name in ("modules.builtin", "modules.order"):
            shutil.copy(os.path.join(modules, name), self.tree)
        self.before = self.files()

    def files(self):
        return sorted(os.path.join(directory, name)
                      for directory, _, names in os.walk(os.path.join(self.tree, "kernel"))
                      for name in names)

    def make(self, target):
        return run("make", "--no-print-directory", target, f"INSTALL_MOD_PATH={self.root}")

    def file_of(self, module):
        path = run("/sbin/modinfo", "-b", self.root, "-k", self.release, "-n", module).strip()
        return os.path.relpath(path, self.tree)

    def test_ours_win_and_the_way_back(self):
        run("/sbin/depmod", "-b", self.root, self.release)
        self.assertEqual(self.file_of("vfio"), "kernel/drivers/vfio/vfio.ko")

        self.make("install")
        self.assertEqual(self.file_of("vfio"), "updates/vfio_core/vfio.ko")
        self.assertEqual(self.file_of("vfio_iommu_type1"),
                         "updates/vfio_type1/vfio_iommu_type1.ko")
        self.assertEqual(self.file_of("mdev"), "updates/vfio_mdev/mdev.ko")
        self.assertEqual(self.file_of("vfio_pci"), "kernel/drivers/vfio/pci/vfio-pci.ko")
        self.assertEqual(self.files(), self.before, "nothing of the distribution's changes")

        self.make("uninstall")
        self.assertEqual(self.file_of("vfio"), "kernel/drivers/vfio/vfio.ko")
        self.assertEqual(self.file_of("vfio_iommu_type1"),
                         "kernel/drivers/vfio/vfio_iommu_type1.ko")
        self.assertFalse(os.path.exists(os.path.join(self.tree, "updates/vfio_core")))

    def test_modules_install(self):
        self.make("modules_install")
        for name in ("vfio_core/vfio.ko", "vfio_type1/vfio_iommu_type1.ko",
                     "vfio_mdev/mdev.ko"):
            self.assertTrue(os.path.exists(os.path.join(self.tree, "updates", name)), name)


if __name__ == "__main__":
    unittest.main()
