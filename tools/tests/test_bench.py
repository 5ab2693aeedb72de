# SPDX-License-Identifier: GPL-2.0
"""What tools/bench makes of the figures, without a guest."""
import base64
import gzip
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOOLS, "lib"))

import benchreport  # noqa: E402
import benchrows  # noqa: E402
import iommufdreport  # noqa: E402
import profile_report  # noqa: E402

ROWS = [row for section in benchrows.SECTIONS for row in section.rows]


def results(stock, ours, bars="issue"):
    return {result.row.key: result for _, found in benchrows.results(stock, ours, bars)
            for result in found}


class Bars(unittest.TestCase):
    def test_at_the_bar_is_met_and_above_is_not(self):
        bar = next(row.bar for row in ROWS if row.key == "map-page")
        for figure, met in ((bar, True), (bar + 1, False)):
            found = results({"map-page": 4612}, {"map-page": figure})
            self.assertEqual(found["map-page"].met, met)

    def test_no_bar_is_neither(self):
        self.assertIsNone(results({"noop": 1}, {"noop": 9})["noop"].met)

    def test_stock_as_the_bar(self):
        for figure, met in ((100, True), (102, True), (104, False)):
            found = results({"noop": 100}, {"noop": figure}, "stock")
            self.assertEqual(found["noop"].met, met)

    def test_memory_has_its_own_bar_behind_every_iommu(self):
        self.assertEqual(results({"bytes-run": 0}, {"bytes-run": 16.2}, "stock")["bytes-run"].bar,
                         16)

    def test_a_device_tlb_that_is_never_flushed_is_not_met(self):
        for figure, met in ((0, False), (1, True), (2, False)):
            key = "device-flushes-holes-all"
            self.assertEqual(results({key: 16384}, {key: figure})[key].met, met)

    def test_only_what_both_have(self):
        self.assertEqual(results({"noop": 1}, {"map-page": 1}), {})


class Tables(unittest.TestCase):
    def setUp(self):
        figures = {row.key: 1234.5 for row in ROWS}
        self.groups = list(benchrows.results(figures, figures, "issue"))

    def test_every_row_is_in_the_markdown(self):
        text = "\n".join(benchrows.markdown_table(self.groups))
        for row in ROWS:
            self.assertIn(f"| {row.text}, {row.unit} | ", text)

    def test_the_picture_is_xml_with_two_bars_a_row(self):
        root = xml.etree.ElementTree.fromstring(benchreport.picture(self.groups))
        space = "{http://www.w3.org/2000/svg}"
        bars = [rect for rect in root.iter(space + "rect") if rect.find(space + "title") is not None]
        self.assertEqual(len(bars), 2 * len(ROWS))
        for rect in bars:
            self.assertGreater(float(rect.get("width")), 0)

    def test_a_picture_of_zeros(self):
        figures = {row.key: 0.0 for row in ROWS}
        xml.etree.ElementTree.fromstring(
            benchreport.picture(list(benchrows.results(figures, figures, "issue"))))


class BesideIommufd(unittest.TestCase):
    FOUND = {"iommufd": {"map-page": 5000.4, "flushes-holes-all": 16384},
             "stock": {"map-page": 6000, "flushes-holes-all": 16384},
             "ours": {"map-page": 2500, "flushes-holes-all": 1}}

    def test_a_row_has_the_figures_of_all_columns(self):
        lines = list(iommufdreport.table(self.FOUND))
        self.assertIn("| MAP one 4 KiB page, a call | 5 000 | 6 000 | 2 500 | 0.50 |", lines)
        self.assertEqual(len(lines), 2 + 2)
        self.assertTrue(lines[-1].startswith("| IOTLB flushes of one UNMAP"), lines[-1])

    def test_the_section_is_written_anew_and_the_others_stay(self):
        with tempfile.NamedTemporaryFile("w+") as page:
            page.write("# Benchmarks\n\nText.\n")
            page.flush()
            for version in ("7.3.4-1", "7.3.5-1"):
                iommufdreport.write(page.name, version, dict.fromkeys(self.FOUND, "7.3"), self.FOUND)
            page.seek(0)
            text = page.read()
        self.assertTrue(text.startswith("# Benchmarks\n\nText.\n\n## Beside iommufd\n\n"), text)
        self.assertNotIn("7.3.4-1", text)
        self.assertEqual(text.count("linux-source 7.3.5-1"), 1)
        self.assertTrue(text.endswith(" |\n"), text)


class Profile(unittest.TestCase):
    TEXT = ("row map-page 30.0 30.0 90.0 3\nprofiled map-page 3\nkallsyms begin\n"
            + base64.encodebytes(gzip.compress(
                b"ffffffff81000000 T first\nffffffff81000010 t second\t[vfio]\n")).decode()
            + "kallsyms end\n")

    def report(self, counts):
        with tempfile.NamedTemporaryFile("w") as out:
            out.write(counts)
            out.flush()
            return list(profile_report.report(self.TEXT, out.name, "map-page", 10))

    def test_functions_and_calls_without_the_odd_run(self):
        usual = "window\nffffffff81000000 1\nffffffff81000004 9\nffffffff81000010 2\n" \
                "ffffffff8100001f 8\n400000 10\n"
        odd = "window\nffffffff81000000 90\n"
        lines = self.report(usual + odd + usual)
        self.assertTrue(lines[0].startswith("map-page: 30.0 instructions an operation"), lines[0])
        self.assertIn("2 of 3 runs", lines[0])
        found = {line.split(None, 4)[4]: line.split()[0:4:3] for line in lines[3:]}
        self.assertEqual(found, {"first": ["10.00", "1.0000"], "second [vfio]": ["10.00", "2.0000"],
                                 profile_report.PROGRAM: ["10.00", "0.0000"]})


if __name__ == "__main__":
    unittest.main()
