# SPDX-License-Identifier: GPL-2.0
"""tools/where, on the modules that the last `make` built."""
import os
import re
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def where(log, *options):
    return subprocess.run([f"{ROOT}/tools/where", *options], input=log, check=True, text=True,
                          stdout=subprocess.PIPE).stdout.splitlines()


def function(module, pattern):
    """Name and size of a function of the module, by its symbols."""
    said = subprocess.run(["nm", "-S", f"{ROOT}/{module}"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    _, size, name = re.search(rf"^([0-9a-f]+) ([0-9a-f]+) [tT] ({pattern})$", said, re.MULTILINE).groups()
    return name, int(size, 16)


class Where(unittest.TestCase):
    def test_what_was_inlined_is_named_innermost_first(self):
        name, size = function("vfio_core/vfio.ko", r"_ZN4vfio9Container9set_iommu\w+")
        frames = [f"{name}+{offset:#x}/{size:#x} [vfio]" for offset in range(size)]
        said, places = {}, []
        for line in where("".join(f"[ 1.5]  ? {frame}\n" for frame in frames)):
            if line.startswith(" "):
                places.append(line)
            else:
                said[line] = places = []
        self.assertEqual(list(said), frames)
        deepest = max(said.values(), key=len)
        self.assertGreater(len(deepest), 1)
        self.assertRegex(deepest[0], r"^    .* at (include|vfio_core)/\S+:\d+")
        self.assertRegex(deepest[-1], r"\(inlined by\) vfio::Container::set_iommu.* at vfio_core/container.cpp:\d+")

    def test_c_and_shared_shims_have_their_path_in_the_tree(self):
        name, size = function("vfio_type1/vfio_iommu_type1.ko", r"shim_mutex_unlock|shim_mutex_lock")
        said = where(f"RIP: 0010:{name}+0x0/{size:#x} [vfio_iommu_type1]\n")
        self.assertRegex(said[1], rf"{name} at shim/lock.c:\d+")

    def test_a_log_of_another_build_is_said(self):
        name, size = function("vfio_core/vfio.ko", r"_ZN4vfio9Container9set_iommu\w+")
        for frame in (f"{name}+0x1/{size - 1:#x} [vfio]", "no_such+0x1/0x2 [mdev]"):
            self.assertIn("is of another build", "\n".join(where(frame)))

    def test_what_is_not_ours_is_left_out(self):
        self.assertEqual(where("do_one_initcall+0x1/0x2\n kvm_init+0x1/0x2 [kvm]\n"), [])


if __name__ == "__main__":
    unittest.main()
