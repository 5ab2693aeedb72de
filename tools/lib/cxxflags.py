# SPDX-License-Identifier: GPL-2.0
"""The flags with which clang's tools read a C++ file of the tree outside of its own build."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def core_flags():
    """Of the files of the core, see tools/lint/core-flags."""
    return subprocess.run([os.path.join(ROOT, "tools/lint/core-flags")], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split()


def flags_of(path, core):
    """For a path from the root of the tree, where the compiler must run. core: core_flags()."""
    directory = os.path.dirname(path)
    if path.startswith(("vfio_", "dma/", "nested/", "pin_index/")):
        return [*core, f"-I{directory}"]
    flags = ["-std=c++20", "-D_GNU_SOURCE", f"-I{directory}", "-Iinclude"]
    if path.startswith(("tests/host/", "tests/fuzz/", "tests/model/", "bench/host/")):
        # Built with the core, of one module or the other.
        flags = ["-std=gnu++20", f"-I{directory}", "-Iinclude", "-I.", "-Itests/host", "-Itests/host/mock",
                 "-Ivfio_type1", "-Ivfio_core", "-Ivfio_mdev", "-Ivfio_zpci"]
    return flags
