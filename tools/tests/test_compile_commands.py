# SPDX-License-Identifier: GPL-2.0
"""tools/compile-commands: clang can read the tree by it. It needs what `make modules` leaves."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class CompileCommands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "compile_commands.json")
        subprocess.run([f"{ROOT}/tools/compile-commands", path], check=True,
                       stdout=subprocess.DEVNULL)
        with open(path, encoding="utf-8") as file:
            cls.entries = json.load(file)

    def test_each_file_of_the_modules_is_there_once(self):
        there = [os.path.relpath(entry["file"], ROOT) for entry in self.entries]
        self.assertEqual(len(there), len(set(there)))
        wanted = subprocess.run([f"{ROOT}/tools/lint/files", "c", "core", "user"], check=True,
                                text=True, stdout=subprocess.PIPE).stdout.splitlines()
        # Those of other modules are there if they have been built.
        wanted = [path for path in wanted if not path.startswith(("samples/", "tests/kmod/"))]
        self.assertEqual(set(wanted) - set(there), set())

    def test_clang_reads_them(self):
        entries = {os.path.relpath(entry["file"], ROOT): entry for entry in self.entries}
        for path in ("vfio_core/main.c", "vfio_type1/main.c", "vfio_mdev/main.c", "shim/lock.c",
                     "shim/sizes.c", "vfio_core/group.cpp", "vfio_type1/map.cpp",
                     "vfio_mdev/mdev.cpp", "tests/host/core_world.cpp", "tests/stack/main.cpp"):
            with self.subTest(path=path):
                compiler, *arguments = entries[path]["arguments"]
                done = subprocess.run([compiler, "-fsyntax-only", *arguments], check=False,
                                      cwd=entries[path]["directory"], text=True,
                                      stderr=subprocess.PIPE)
                self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
