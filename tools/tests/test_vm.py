# SPDX-License-Identifier: GPL-2.0
"""The parts of tools/vm that can be told without a guest."""
import importlib.machinery
import importlib.util
import io
import os
import re
import shutil
import subprocess
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


class Machines(unittest.TestCase):
    def test_the_release_tells_the_machine(self):
        self.assertIs(vm.machine_of("6.12.95+deb12-s390x"), vm.S390X)
        for release in ("6.1.0-56-amd64", "6.1.192", "7.3.4+deb13-rt-amd64"):
            self.assertIs(vm.machine_of(release), vm.X86)

    def test_mdev_is_found_where_it_is(self):
        with tempfile.TemporaryDirectory() as tmp:
            folder = os.path.join(tmp, "lib/modules/1")
            os.makedirs(folder)
            for line, has in (("kernel/drivers/vfio/mdev/mdev.ko:\n", True),
                              ("kernel/drivers/vfio/mdev/mdev.ko.xz: kernel/a.ko\n", True),
                              ("kernel/drivers/vfio/xmdev.ko:\n", False),
                              ("kernel/a.ko: kernel/drivers/vfio/mdev/mdev.ko\n", False)):
                with open(os.path.join(folder, "modules.dep"), "w", encoding="ascii") as dep:
                    dep.write(line)
                self.assertEqual(initramfs.has_mdev(tmp, "1"), has, line)

    def test_libraries_of_a_foreign_program_come_from_its_userland(self):
        with tempfile.TemporaryDirectory() as tmp:
            libraries = os.path.join(tmp, "lib/some-linux-gnu")
            os.makedirs(libraries)
            program = shutil.which("true")
            needed = re.findall(r"\(NEEDED\).*\[(.+)\]", subprocess.run(
                ["readelf", "-d", program], capture_output=True, text=True, check=True).stdout)
            interpreter = re.search(r"interpreter: (/[^]]+)\]", subprocess.run(
                ["readelf", "-l", program], capture_output=True, text=True, check=True).stdout)[1]
            os.makedirs(tmp + os.path.dirname(interpreter), exist_ok=True)
            for path in [tmp + interpreter] + [os.path.join(libraries, name) for name in needed]:
                shutil.copy("/bin/busybox", path)
            archive = initramfs.Archive()
            archive.program(program, "bin/true", tmp)
            for name in needed:
                self.assertIn(f"lib/some-linux-gnu/{name}", archive._entries)
            self.assertIn(interpreter.strip("/"), archive._entries)
            os.unlink(os.path.join(libraries, needed[0]))
            with self.assertRaises(initramfs.Error):
                initramfs.Archive().program(program, "bin/true", tmp)


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
