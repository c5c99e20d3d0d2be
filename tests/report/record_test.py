# SPDX-License-Identifier: Apache-2.0
"""Records as users read them: h5py into pandas, without any code of ours."""

import os
import re
import unittest

import h5py
import numpy
import pandas

from support import InFolder

DOCUMENT = os.path.join(os.environ["VMI_SOURCE"], "docs", "record.md")


def documented(heading):
    """[(name, unit)] of the table under that heading of docs/record.md."""
    with open(DOCUMENT, encoding="utf-8") as file:
        section = file.read().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\w.]+) \| (\w*) ?\|.", section, re.M)
    return [row for row in rows if row[1] != "unit"]


class Records(InFolder):
    def setUp(self):
        super().setUp()
        self.file = h5py.File(self.sample("run.h5"), "r", locking=False)
        self.addCleanup(self.file.close)

    def test_every_table_is_flat_chunked_and_compressed(self):
        self.assertEqual(sorted(self.file), ["boot_trace", "errors", "images", "nodes", "phases", "vms"])
        for name, table in self.file.items():
            with self.subTest(table=name):
                self.assertEqual(table.ndim, 1)
                self.assertEqual((table.compression, table.shuffle), ("gzip", True))
                self.assertIsNotNone(table.chunks)

    def test_every_table_becomes_a_data_frame_with_the_documented_columns_and_units(self):
        for name, table in self.file.items():
            with self.subTest(table=name):
                frame = pandas.DataFrame(table[:])
                self.assertGreater(len(frame), 0)
                self.assertEqual(list(zip(frame.columns, table.attrs["units"])), documented("/" + name))

    def test_columns_are_fixed_utf8_text_float64_or_int64(self):
        for name, table in self.file.items():
            for column, unit in zip(table.dtype.names, table.attrs["units"]):
                with self.subTest(table=name, column=column):
                    kind = table.dtype[column]
                    if unit == "":
                        self.assertEqual(h5py.check_string_dtype(kind).encoding, "utf-8")
                        self.assertIsNotNone(h5py.check_string_dtype(kind).length)
                    else:
                        self.assertEqual(kind, numpy.float64 if unit == "s" else numpy.int64)

    def test_unknown_values_are_nan_and_minus_one(self):
        vms = pandas.DataFrame(self.file["vms"][:]).set_index("name")
        self.assertEqual(vms.state[b"vm7"], b"failed")
        self.assertIn("größer", vms.error[b"vm7"].decode())
        self.assertTrue(numpy.isnan(vms.t_ready[b"vm7"]))
        self.assertAlmostEqual(vms.t_ready[b"vm0"], 8.0)
        writes = pandas.DataFrame(self.file["boot_trace"][:]).query("op == b'write'")
        self.assertEqual(set(writes.hit), {-1})

    def test_root_attributes_are_the_documented_ones(self):
        attributes = dict(self.file.attrs)
        self.assertEqual(attributes.pop("note.link"), "1 Gbit/s")
        rows = documented("Root attributes")
        self.assertEqual(sorted(attributes), sorted(name for name, _ in rows))
        for name, unit in rows:
            with self.subTest(attribute=name):
                wanted = {"": str, "s": numpy.float64}.get(unit, numpy.int64)
                self.assertIsInstance(attributes[name], wanted)


if __name__ == "__main__":
    unittest.main()
