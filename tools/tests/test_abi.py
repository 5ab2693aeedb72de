# SPDX-License-Identifier: GPL-2.0
"""tools/lint/abi: what of our types and exports is not as the kernel's."""
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import types
import unittest

LINT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lint")
sys.path.insert(0, LINT)
loader = importlib.machinery.SourceFileLoader("abi", os.path.join(LINT, "abi"))
abi = importlib.util.module_from_spec(importlib.util.spec_from_loader("abi", loader))
loader.exec_module(abi)

EXPORTER = abi.EXPORTERS[0]
OURS, _, THEIRS = EXPORTER
SOURCE = """
struct vfio_device { int index; void *data; };
struct vfio_device_ops { int (*open)(struct vfio_device *device); } ops;
long vfio_pin_pages(struct vfio_device *device, unsigned long iova) { return device->index + iova; }
"""
SYMVERS = "0x01234567\tvfio_pin_pages\t{}\tEXPORT_SYMBOL\t\n"


class Abi(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def btf(self, source):
        path = os.path.join(self.folder, "module")
        subprocess.run(["gcc", "-g", "-x", "c", "-c", "-o", f"{path}.o", "-"], input=source.encode(),
                       check=True)
        subprocess.run(["pahole", f"--btf_encode_detached={path}.btf", f"{path}.o"], check=True)
        return abi.Btf(abi.contents(f"{path}.btf"))

    def problems(self, source=SOURCE, symvers=SYMVERS):
        """What is found of a module of ours that is made of this source."""
        kernel = types.SimpleNamespace(btf={THEIRS: self.btf(SOURCE)}, kdir=f"{self.folder}/kernel",
                                       out=f"{self.folder}/ours")
        for path, text in ((kernel.kdir, SYMVERS.format(THEIRS)), (kernel.out, symvers.format(OURS))):
            os.makedirs(path, exist_ok=True)
            with open(f"{path}/Module.symvers", "w", encoding="utf-8") as file:
                file.write(text)
        ours, found = {OURS: self.btf(source)}, []
        self.assertEqual(abi.compare_types(kernel, ours, found),
                         {"struct vfio_device", "struct vfio_device_ops"})
        self.assertEqual(abi.compare_exports(kernel, ours, EXPORTER, found), 1)
        return found

    def changed(self, before, after):
        self.assertIn(before, SOURCE)
        return "\n".join(self.problems(SOURCE.replace(before, after)))

    def test_the_same(self):
        self.assertEqual(self.problems(), [])

    def test_a_member_that_moved(self):
        found = self.changed("int index; void *data;", "void *data; int index;")
        self.assertRegex(found, "struct vfio_device: .* has .*index: s32")

    def test_a_member_of_another_size(self):
        self.assertRegex(self.changed("int index", "short index"), "struct vfio_device: .*index: s16")

    def test_a_member_more(self):
        self.assertRegex(self.changed("void *data;", "void *data, *more;"), "size 24")

    def test_the_prototype_of_an_operation(self):
        self.assertRegex(self.changed("(*open)(struct vfio_device *device)", "(*open)(void)"),
                         r"struct vfio_device_ops: .*open: s32\(\)")

    def test_the_prototype_of_an_export(self):
        self.assertRegex(self.changed("unsigned long iova", "unsigned int iova"),
                         r"vfio_pin_pages: ours is s64\(struct vfio_device \*, u32\)")

    def test_an_export_that_is_missing_or_otherwise(self):
        self.assertRegex("".join(self.problems(symvers="")), "vfio_pin_pages: ours is not there")
        for changed in (SYMVERS.replace("01234567", "01234568"),
                        SYMVERS.replace("EXPORT_SYMBOL", "EXPORT_SYMBOL_GPL"),
                        SYMVERS.replace("\t\n", "\tVFIO\n")):
            self.assertRegex("".join(self.problems(symvers=changed)), "vfio_pin_pages: ours is")


if __name__ == "__main__":
    unittest.main()
