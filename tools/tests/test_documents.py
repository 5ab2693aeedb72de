# SPDX-License-Identifier: GPL-2.0
"""What tools/lib/documents.py takes from a document."""
import os
import sys
import tempfile
import unittest

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOOLS, "lib"))

import documents  # noqa: E402

TEXT = """# A title
## Typing
Words.

    make one      # with a comment
    # a comment alone
    make two

More words.

    # root types
    what is printed
      indented
    $ user types

Words.

    make three

### A part
inner
## Another
outer
"""


class Documents(unittest.TestCase):
    def setUp(self):
        with tempfile.NamedTemporaryFile("w", suffix=".md") as file:
            file.write(TEXT)
            file.flush()
            self.typing = documents.section(file.name, "## Typing")
            self.part = documents.section(file.name, "### A part")
            self.last = documents.section(file.name, "## Another")

    def test_a_section_ends_at_one_of_its_level(self):
        self.assertIn("inner", self.typing)
        self.assertNotIn("outer", self.typing)
        self.assertEqual(self.part, "inner\n")
        self.assertEqual(self.last, "outer\n")

    def test_commands_have_no_comments(self):
        self.assertEqual(documents.commands(self.typing)[:2], ["make one", "make two"])

    def test_blocks_are_as_they_stand(self):
        self.assertEqual(documents.blocks(self.typing)[1],
                         "# root types\nwhat is printed\n  indented\n$ user types\n")

    def test_sessions_have_what_was_printed(self):
        self.assertEqual(documents.sessions("    make three\n"), [])
        self.assertEqual(documents.sessions(self.typing)[-2:],
                         [("root types", ["what is printed", "  indented"]), ("user types", [])])

    def test_a_shape_has_no_numbers_and_no_widths(self):
        self.assertEqual(documents.shape("  nvme-97  [000]   112.068: iova=0x1f00 ret=-12"),
                         "nvme-N [N] N: iova=N ret=-N")
        self.assertNotEqual(documents.shape("ret=-12"), documents.shape("ret=12"))


if __name__ == "__main__":
    unittest.main()
