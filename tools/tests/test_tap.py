# SPDX-License-Identifier: GPL-2.0
"""The readers of test output, and the comparison with stock."""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import unittest

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOOLS, "lib"))

import tap  # noqa: E402


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), os.path.join(TOOLS, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


compare_tap = load("compare-tap")


class Tap(unittest.TestCase):
    def test_counts_and_reasons(self):
        report = tap.parse("TAP version 14\n1..3\nok 1 - A.b\nnot ok 2 - A.c\n"
                           "# ok 9 - in a comment\nok 3 - A.d # SKIP no device\n")
        self.assertEqual(report.tests, [("A.b", "passed", ""), ("A.c", "failed", ""),
                                        ("A.d", "skipped", "no device")])
        self.assertEqual(report.problems(), [])

    def test_short_run_is_a_problem(self):
        self.assertEqual(tap.parse("1..2\nok 1 - a\n").problems(), ["1 of 2 planned tests ran"])

    def test_silence_is_a_problem(self):
        self.assertEqual(tap.parse("").problems(), ["no test ran"])

    def test_bail_out(self):
        self.assertIn("bailed out: no device", tap.parse("1..0\nBail out! no device\n").problems())

    def test_skip_without_reason_is_a_problem(self):
        self.assertEqual(tap.parse("ok 1 - a # SKIP\n").problems(),
                         ["a was skipped without a reason"])

    def test_todo_does_not_excuse(self):
        self.assertEqual(tap.parse("not ok 1 - a # TODO later\n").count(tap.FAILED), 1)

    def test_a_guest_that_is_run_again_counts_once(self):
        report = tap.parse("TAP version 14\n1..1\n# observe: A.a.x=1\nok 1 - A.a\n"
                           "TAP version 14\n1..3\n# observe: A.b.x=1\nok 1 - A.b\nBail out! no\n"
                           "ok 2 - A\n# again: what this guest printed does not count\n"
                           "TAP version 14\n1..3\n# observe: A.b.x=2\nok 1 - A.b\nnot ok 2 - A.c\n"
                           "ok 3 - A.d\n")
        self.assertEqual([test[0] for test in report.tests], ["A.a", "A.b", "A.c", "A.d"])
        self.assertEqual(report.observed, {"A.a.x": ["1"], "A.b.x": ["2"]})
        self.assertEqual(report.problems(), [])

    def test_of_two_runs_the_worst_counts(self):
        report = tap.parse("not ok 1 - a\nok 2 - b # SKIP why\nok 3 - c\n"
                           "ok 1 - a\nok 2 - b\nok 3 - c\n")
        self.assertEqual({name: outcome for name, (outcome, _) in report.outcomes().items()},
                         {"a": "failed", "b": "skipped", "c": "passed"})

    def test_words_that_begin_with_ok(self):
        self.assertEqual(tap.parse("okay then\nnot okay\n").tests, [])


class GoogleTest(unittest.TestCase):
    def test_each_test_is_counted_once(self):
        report = tap.parse("[==========] Running 3 tests from 1 test suite.\n"
                           "[ RUN      ] A.b\n[       OK ] A.b (0 ms)\n"
                           "[ RUN      ] A.c\nx.cpp:3: Failure\n[  FAILED  ] A.c (1 ms)\n"
                           "[ RUN      ] A.d/0\nx.cpp:9: Skipped\nno such thing here\n\n"
                           "[  SKIPPED ] A.d/0 (0 ms)\n"
                           "[  PASSED  ] 1 test.\n[  SKIPPED ] 1 test, listed below:\n"
                           "[  SKIPPED ] A.d/0\n[  FAILED  ] 1 test, listed below:\n"
                           "[  FAILED  ] A.c\n", "gtest")
        self.assertEqual(report.tests, [("A.b", "passed", ""), ("A.c", "failed", ""),
                                        ("A.d/0", "skipped", "no such thing here")])
        self.assertEqual(report.problems(), [])

    def test_a_crash_is_seen(self):
        report = tap.parse("[ RUN      ] A.b\n[       OK ] A.b (0 ms)\n[ RUN      ] A.c\n", "gtest")
        self.assertEqual(report.problems(), ["A.c began and did not end"])

    def test_parameters(self):
        report = tap.parse("[ RUN      ] A.b/1\n"
                           "[  FAILED  ] A.b/1, where GetParam() = (1, 2) (3 ms)\n", "gtest")
        self.assertEqual(report.count(tap.FAILED), 1)


class Compare(unittest.TestCase):
    def compare(self, stock, ours, differs=None):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            good = compare_tap.compare(tap.parse(stock), tap.parse(ours), differs or {})
        self.assertEqual(good, tap.parse(out.getvalue()).count(tap.FAILED) == 0 and
                         "# ours:" not in out.getvalue() and "# stock:" not in out.getvalue())
        return good

    def test_same(self):
        text = "1..1\n# observe: A.b.errno=EINVAL\nok 1 - A.b\n"
        self.assertTrue(self.compare(text, text))

    def test_other_outcome(self):
        self.assertFalse(self.compare("1..1\nok 1 - A.b\n", "1..1\nnot ok 1 - A.b\n"))

    def test_other_observation(self):
        self.assertFalse(self.compare("# observe: A.b.errno=EINVAL\nok 1 - A.b\n",
                                      "# observe: A.b.errno=EPERM\nok 1 - A.b\n"))
        self.assertFalse(self.compare("# observe: A.b.errno=EINVAL\nok 1 - A.b\n", "ok 1 - A.b\n"))

    def test_stock_bug(self):
        fails, passes = "not ok 1 - A.b\n", "ok 1 - A.b\n"
        self.assertTrue(self.compare(fails, passes, {"A.b": "overflow"}))
        self.assertFalse(self.compare(passes, passes, {"A.b": "overflow"}))
        self.assertFalse(self.compare(fails, fails, {"A.b": "overflow"}))
        self.assertFalse(self.compare(fails, passes, {"A.b": ""}))

    def test_stock_bug_by_glob(self):
        self.assertTrue(self.compare("not ok 1 - A.b/0\nnot ok 2 - A.b/1\nok 3 - A.c\n",
                                     "ok 1 - A.b/0\nok 2 - A.b/1\nok 3 - A.c\n", {"A.b/*": "x"}))
        self.assertFalse(self.compare("not ok 1 - A.b/0\nok 2 - A.b/1\n",
                                      "ok 1 - A.b/0\nok 2 - A.b/1\n", {"A.b/*": "x"}))

    def test_list_names_no_test(self):
        self.assertFalse(self.compare("ok 1 - A.b\n", "ok 1 - A.b\n", {"A.gone": "reason"}))

    def test_incomplete_run(self):
        self.assertFalse(self.compare("1..2\nok 1 - A.b\n", "1..2\nok 1 - A.b\n"))


if __name__ == "__main__":
    unittest.main()
