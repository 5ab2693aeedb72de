# SPDX-License-Identifier: GPL-2.0
"""That tests/stack/run-vm, without a filter, runs each test in some machine, and each machine."""
import fnmatch
import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STACK = os.path.join(ROOT, "tests/stack")


def read(name):
    with open(os.path.join(STACK, name), encoding="utf-8") as file:
        return file.read()


def matches(name, filter_):
    """As GoogleTest reads a filter: positive patterns, then behind a - negative ones."""
    wanted, _, unwanted = filter_.partition("-")
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted.split(":")) and \
        not any(fnmatch.fnmatchcase(name, pattern) for pattern in unwanted.split(":"))


def runs():
    """[(machine, filter)] of a run without arguments; "plain" is the machine of vm-args alone."""
    script = read("run-vm")
    found = re.findall(r'^    machine (\S+) "\$0" "\$modules" \'([^\']+)\'', script, re.M)
    if re.search(r'^    machine noiommu "\$here/noiommu-vm" "\$modules"', script, re.M):
        found.append(("noiommu", re.search(r"gtest_filter=\$\{2:-([^}]+)\}", read("noiommu-vm"))[1]))
    return found


def tests(having=""):
    """The names of the tests of all files, or of those that have a text, with a parameter's in
    place of those of a suite that has some."""
    names = set()
    prefixes = {}
    texts = [read(os.path.basename(path)) for path in glob.glob(os.path.join(STACK, "*.cpp"))]
    texts = [text for text in texts if having in text]
    for text in texts:
        for prefix, suite in re.findall(r"INSTANTIATE_TEST_SUITE_P\(\s*(\w+),\s*(\w+)", text):
            prefixes.setdefault(suite, []).append(prefix)
    for text in texts:
        for kind, suite, name in re.findall(r"\bTEST(_F|_P)?\(\s*(\w+),\s*(\w+)\)", text):
            if kind == "_P":
                names.update(f"{prefix}/{suite}.{name}/0" for prefix in prefixes[suite])
            else:
                names.add(f"{suite}.{name}")
    return sorted(names)


def lacks(script="run-debug"):
    """The filter of what the debug kernel, or the machine of another script, lacks something for."""
    return ":".join(re.findall(r"^lacks=['\"](?:\$lacks:)?([^'\"]+)['\"]", read(script), re.M))


def on_debug_kernel():
    """The filter of the first of run-debug's machines."""
    return re.search(r'run-vm" ours "([^"]+):\$lacks"', read("run-debug"))[1] + ":" + lacks()


class StackFilters(unittest.TestCase):
    def test_filters_are_read(self):
        self.assertGreater(len(tests()), 300)
        self.assertTrue(matches("A.b", "*:-C*:D*"))
        self.assertFalse(matches("D.b", "*:-C*:D*"))
        self.assertIn("plain", [machine for machine, _ in runs()])
        self.assertIn("noiommu", [machine for machine, _ in runs()])

    def test_each_test_runs_in_some_machine(self):
        for name in tests():
            with self.subTest(name):
                # Only the debug kernel lets allocations fail.
                self.assertTrue(any(matches(name, filter_) for _, filter_ in runs()) or
                                name.startswith("FaultInjection") and matches(name, on_debug_kernel()))

    def test_what_wants_another_machine_does_not_run_in_the_first(self):
        first = next(filter_ for machine, filter_ in runs() if machine == "plain")
        for machine, filter_ in runs():
            for name in tests():
                if machine != "plain" and matches(name, filter_):
                    with self.subTest(name):
                        self.assertFalse(matches(name, first))

    def test_each_machine_is_used_and_finds_tests(self):
        machines = {os.path.basename(path).partition(".")[2]
                    for path in glob.glob(os.path.join(STACK, "vm-args.*"))}
        # Every run on Debian's kernel has KVM; s390x has its own script.
        self.assertEqual(machines - {"kvm", "s390x"},
                         {machine for machine, _ in runs()} - {"plain", "noiommu"})
        for machine, filter_ in runs():
            with self.subTest(machine):
                self.assertTrue(any(matches(name, filter_) for name in tests()))

    def test_each_machine_has_names_and_places_once(self):
        for path in [None, *glob.glob(os.path.join(STACK, "vm-args.*"))]:
            if path and path.endswith(".s390x"):
                continue
            lines = read("vm-args") + read("vm-args.kvm")
            if path and not path.endswith(".kvm"):
                lines += read(os.path.basename(path))
            devices = re.findall(r"-(?:device|object|blockdev) (\S+)", lines)
            names = re.findall(r"\bid=([^, \n]+)", lines)
            # Slots of the root bus; functions of one slot are named 7.0 and 7.1.
            places = [at[1] for device in devices if "bus=" not in device
                      if (at := re.search(r"\baddr=([^,]+)", device))]
            places = [(int(slot, 0), function) for slot, _, function in
                      (place.partition(".") for place in places)]
            with self.subTest(path):
                self.assertGreater(len(names), 5)
                self.assertEqual(len(names), len(set(names)), names)
                self.assertEqual(len(places), len(set(places)), places)

    def test_what_the_debug_kernel_lacks_are_tests(self):
        self.assertNotEqual(lacks(), "")
        for pattern in lacks().split(":"):
            with self.subTest(pattern):
                self.assertTrue(any(fnmatch.fnmatchcase(name, pattern) for name in tests()))

    def test_what_s390x_lacks_are_tests(self):
        self.assertNotEqual(lacks("run-s390x"), "")
        for pattern in lacks("run-s390x").split(":"):
            # Names of parameters are made when the program runs.
            with self.subTest(pattern):
                self.assertTrue(any(fnmatch.fnmatchcase(name, pattern) or
                                    fnmatch.fnmatchcase(name, re.sub("/[^/]*$", "/0", pattern))
                                    for name in tests()))

    def test_most_tests_run_on_s390x(self):
        left = [name for name in tests() if not matches(name, "*-" + lacks("run-s390x"))]
        self.assertLess(len(left), len(tests()) / 2)
        for name in tests():
            if name.startswith("VirtioRng"):
                self.assertNotIn(name, left)

    def test_what_needs_kvm_does_not_run_on_the_debug_kernel(self):
        need = tests("#include <linux/kvm.h>")
        self.assertGreater(len(need), 10)
        for name in need:
            with self.subTest(name):
                self.assertTrue(matches(name, lacks()))


if __name__ == "__main__":
    unittest.main()
