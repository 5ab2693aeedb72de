# SPDX-License-Identifier: GPL-2.0
"""kunit/report: KTAP in a kernel log becomes plain TAP."""
import importlib.machinery
import importlib.util
import os
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
loader = importlib.machinery.SourceFileLoader("report", os.path.join(ROOT, "kunit/report"))
report = importlib.util.module_from_spec(importlib.util.spec_from_loader("report", loader))
loader.exec_module(report)

LOG = """[    1.0] ok 9 before the mark
[    2.0] vfio-cxx: suites of a
[    2.1]     KTAP version 1
[    2.1]     # Subtest: one
[    2.1]     1..3
[    2.2]     ok 1 first
[    2.2]         KTAP version 1
[    2.2]         # Subtest: with
[    2.2]         ok 1 this and that
[    2.2]         not ok 2 other
[    2.2]     not ok 2 with
[    2.2] vfio_mock0: a line of somebody else
[    2.3]     ok 3 later # SKIP no such machine
[    2.3] not ok 1 one
[    3.0] vfio-cxx: end of suites
[    4.0] vfio-cxx: suites of b
[    4.1]     KTAP version 1
[    4.1]     # Subtest: two
[    4.1]     1..1
[    4.2]     ok 1 first
[    4.3] ok 1 two
[    5.0] vfio-cxx: end of suites
"""


class Report(unittest.TestCase):
    def setUp(self):
        with tempfile.NamedTemporaryFile("w") as log:
            log.write(LOG)
            log.flush()
            self.lines = report.ktap(log.name)

    def test_suites_of_all_modules_are_numbered_through(self):
        self.assertEqual(self.lines[:2], ["KTAP version 1", "1..2"])
        self.assertIn("not ok 1 one", self.lines)
        self.assertIn("ok 2 two", self.lines)
        self.assertNotIn("ok 9 before the mark", self.lines)

    def test_only_leaves_count(self):
        self.assertEqual(report.flatten(self.lines), [
            ("one.first", True, None), ("one.with.this and that", True, None),
            ("one.with.other", False, None), ("one.later", True, "SKIP no such machine"),
            ("two.first", True, None)])


if __name__ == "__main__":
    unittest.main()
