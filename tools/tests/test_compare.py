# SPDX-License-Identifier: GPL-2.0
"""tools/compare-tap: what counts as the same on stock and on ours."""
import os
import subprocess
import sys
import tempfile
import unittest

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPARE = os.path.join(TOOLS, "compare-tap")
KERNEL_ENV = os.path.join(TOOLS, "kernel-env")


def compare(stock, ours, differs=""):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in (("stock", stock), ("ours", ours), ("differs", differs)):
            paths.append(os.path.join(folder, name))
            with open(paths[-1], "w", encoding="utf-8") as out:
                out.write(text)
        run = subprocess.run([sys.executable, "-B", COMPARE, *paths], stdout=subprocess.PIPE,
                             text=True, check=False)
    return run.returncode == 0


GOOD = "# observe: A.b.size=4\nok 1 - A.b\n1..1\n"
OTHER = "# observe: A.b.size=5\nok 1 - A.b\n1..1\n"
FAILED = "# observe: A.b.size=4\nnot ok 1 - A.b\n1..1\n"


class Compare(unittest.TestCase):
    def test_results_of_two_files_count_together(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("a", GOOD), ("b", GOOD.replace("A.b", "A.c")), ("none", "")):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                    out.write(text)
            for ours, good in (("b,a", True), ("a", False)):
                run = subprocess.run([sys.executable, "-B", COMPARE, "a,b", ours, "none"], cwd=folder,
                                     stdout=subprocess.PIPE, text=True, check=False)
                self.assertEqual(run.returncode == 0, good, run.stdout)
                self.assertIn("1..2\n", run.stdout)

    def test_the_same(self):
        self.assertTrue(compare(GOOD, GOOD))

    def test_another_value(self):
        self.assertFalse(compare(GOOD, OTHER))
        self.assertTrue(compare(GOOD, OTHER, "observe A.b.size a reason\n"))

    def test_a_value_that_must_differ(self):
        self.assertFalse(compare(GOOD, GOOD, "observe A.b.size a reason\n"))

    def test_stock_bug(self):
        self.assertFalse(compare(FAILED, GOOD))
        self.assertTrue(compare(FAILED, GOOD, "A.b a reason\n"))
        self.assertFalse(compare(GOOD, GOOD, "A.b a reason\n"))
        self.assertFalse(compare(FAILED, FAILED, "A.b a reason\n"))

    def test_skipped_on_stock(self):
        skipped = "ok 1 - A.b # SKIP stock: panics there\n1..1\n"
        self.assertTrue(compare(skipped, GOOD))
        self.assertFalse(compare(GOOD, skipped))
        self.assertFalse(compare("ok 1 - A.b # SKIP no reason\n1..1\n", GOOD))

    def test_a_list_that_includes_another(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("stock", FAILED), ("ours", GOOD), ("later", "A.b a reason\n"),
                               ("earlier", "include later\n"), ("other", "# none\n")):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                    out.write(text)
            for differs, good in (("later", True), ("earlier", True), ("other", False)):
                run = subprocess.run([sys.executable, "-B", COMPARE, "stock", "ours", differs],
                                     cwd=folder, stdout=subprocess.PIPE, check=False)
                self.assertEqual(run.returncode == 0, good)

    def test_each_kernel_has_a_list(self):
        names = subprocess.run([KERNEL_ENV, "names"], stdout=subprocess.PIPE, text=True, check=True)
        for kernel in set(names.stdout.split()) - {"sid"}:
            # Nothing has run, so that each line of the list is a test that is missed.
            run = subprocess.run([sys.executable, "-B", COMPARE, os.devnull, os.devnull],
                                 env={**os.environ, "KERNEL": kernel}, stdout=subprocess.PIPE,
                                 text=True, check=False)
            self.assertRegex(run.stdout, r"(?m)^1\.\.[1-9]", kernel)


if __name__ == "__main__":
    unittest.main()
