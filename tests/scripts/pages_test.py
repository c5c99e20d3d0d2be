#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/lib/pages on pages of a few lines."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("VMI_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
LONG = "word " * 20 + "end"  # 103 columns
FITS = "word " * 19 + "words"  # 100 columns


class Pages(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pages-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "other.md").write_text("# The other page: a `name`, and more\n")

    def look(self, text):
        """The faults of a page, as "line: what"."""
        page = self.folder / "page.md"
        page.write_text(text)
        done = subprocess.run([SOURCE / "scripts/lib/pages", page], stdout=subprocess.PIPE, text=True, check=False, timeout=60)
        found = [line.removeprefix(f"{page}:") for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 1 if found else 0)
        return found

    def test_a_long_line_is_found_wherever_prose_stands(self):
        self.assertEqual(self.look(f"{FITS}\n{LONG}\n"), ["2: has 103 columns, more than 100"])
        for before in ("- ", "- a\n  ", "- a\n\n  ", "- a\n  - ", "- a\n  - b\n    ", "a\n    ", "1. ", "    code\n\n"):
            with self.subTest(before=before):
                self.assertEqual(len(self.look(f"{before}{LONG}\n")), 1)

    def test_code_tables_and_addresses_may_be_long(self):
        address = "https://" + "x" * 100
        for text in (f"    {LONG}\n", f"a\n\n    b\n    {LONG}\n", f"```\n{LONG}\n```\n", f"| {LONG} |\n", f"- a\n\n      {' ' * 2}{LONG}\n", f"{address}\n",
                     f"- {address}\n"):
            with self.subTest(text=text):
                self.assertEqual(self.look(text), [])

    def test_a_link_that_leads_nowhere_is_found(self):
        self.assertEqual(self.look("[a](other.md) [b](gone.md)\n"), ["1: links to 'gone.md', which is not there"])
        self.assertEqual(self.look("[a][b]\n\n[b]: gone.md\n"), ["3: links to 'gone.md', which is not there"])
        self.assertEqual(self.look("[a](other.md#no)\n"), ["1: links to '#no', which is no heading there"])
        self.assertEqual(self.look("# Here\n[a](#here) [b](other.md#the-other-page-a-name-and-more) [c](https://x.example/gone) `[d](gone)`\n"), [])


if __name__ == "__main__":
    unittest.main()
