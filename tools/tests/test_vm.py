# SPDX-License-Identifier: GPL-2.0
"""The parts of tools/vm that can be told without a guest."""
import importlib.machinery
import importlib.util
import io
import os
import sys
import tempfile
import unittest

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOOLS, "lib"))

import initramfs  # noqa: E402

loader = importlib.machinery.SourceFileLoader("vm", os.path.join(TOOLS, "vm"))
vm = importlib.util.module_from_spec(importlib.util.spec_from_loader("vm", loader))
loader.exec_module(vm)


class Port(unittest.TestCase):
    def feed(self, text, size):
        port = vm.Port("cafe")
        out = b"".join(port.feed(text[i:i + size]) for i in range(0, len(text), size))
        return out + port.rest(), port.status

    def test_status_is_taken_and_not_shown(self):
        for size in (1, 2, 7, 1000):
            with self.subTest(size=size):
                self.assertEqual(self.feed(b"ok 1\r50%\x1ecafe 17\x1eafter", size),
                                 (b"ok 1\r50%", 17))

    def test_other_bytes_pass_untouched(self):
        every = bytes(range(256)) * 2 + b"\x1ecaf\x1e\x1ecafe x\x1e"
        for size in (1, 5, 1000):
            with self.subTest(size=size):
                self.assertEqual(self.feed(every, size), (every, None))

    def test_nothing_is_held_back_that_cannot_be_the_mark(self):
        port = vm.Port("cafe")
        self.assertEqual(port.feed(b"reading 10%\r"), b"reading 10%\r")
        self.assertEqual(port.feed(b"\x1eca"), b"")
        self.assertEqual(port.feed(b"t"), b"\x1ecat")


class Modules(unittest.TestCase):
    def closure(self, names):
        with tempfile.TemporaryDirectory() as tmp:
            with open(os.path.join(tmp, "modules.dep"), "w", encoding="ascii") as dep:
                dep.write("kernel/a/vfio-pci.ko: kernel/a/vfio.ko\nkernel/a/vfio.ko:\n"
                          "kernel/b/other.ko.xz: kernel/a/vfio.ko\n")
            with open(os.path.join(tmp, "modules.builtin"), "w", encoding="ascii") as builtin:
                builtin.write("kernel/c/serial-core.ko\n")
            return initramfs.module_closure(tmp, names)

    def test_dependencies_come_once(self):
        self.assertEqual(self.closure(["vfio_pci", "other", "serial_core"]),
                         ["kernel/a/vfio-pci.ko", "kernel/a/vfio.ko", "kernel/b/other.ko.xz"])

    def test_unknown_module(self):
        with self.assertRaises(initramfs.Error):
            self.closure(["no_such"])


class Kernel(unittest.TestCase):
    def test_the_release_is_found(self):
        with tempfile.TemporaryDirectory() as tmp:
            os.makedirs(os.path.join(tmp, "lib/modules/6.1.0-debug"))
            self.assertEqual(vm.kernel(tmp), (tmp, "6.1.0-debug"))

    def test_no_kernel_and_two_kernels(self):
        with tempfile.TemporaryDirectory() as tmp:
            with self.assertRaises(initramfs.Error):
                vm.kernel(tmp)
            for release in ("1", "2"):
                os.makedirs(os.path.join(tmp, "lib/modules", release))
            with self.assertRaises(initramfs.Error):
                vm.kernel(tmp)


class Archive(unittest.TestCase):
    def test_newc(self):
        archive = initramfs.Archive()
        archive.data("a/b/c", b"hello", 0o600)
        archive.link("l", "/a")
        with tempfile.NamedTemporaryFile() as out:
            archive.write(out.name)
            raw = io.BytesIO(out.read())
        names = []
        while True:
            head = raw.read(110)
            self.assertEqual(head[:6], b"070701")
            size, name_size = int(head[54:62], 16), int(head[94:102], 16)
            name = raw.read(name_size)[:-1]
            raw.read(-raw.tell() % 4)
            content = raw.read(size)
            raw.read(-raw.tell() % 4)
            names.append((name, int(head[14:22], 16), content))
            if name == b"TRAILER!!!":
                break
        self.assertEqual(names[:-1], [(b"a", 0o40755, b""), (b"a/b", 0o40755, b""),
                                      (b"a/b/c", 0o100600, b"hello"), (b"l", 0o120777, b"/a")])


if __name__ == "__main__":
    unittest.main()
