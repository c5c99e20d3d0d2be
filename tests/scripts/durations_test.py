#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/lib/durations around a ctest of a few lines."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("VMI_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
SUMMARY = "67% tests passed, 1 tests failed out of 3\n\nTotal Test time (real) =  12.00 sec\n"


class Durations(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="durations-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.kept = self.folder / "cache/durations.json"
        self.ctest = self.folder / "ctest"

    def run_tests(self, times, failed=(), status=0, preset="release", last=""):
        """A ctest that took so many seconds for each test; what durations printed."""
        cases = "".join(f'<testcase name="{name}" time="{seconds}" status="{"fail" if name in failed else "run"}"/>'
                        for name, seconds in times.items())
        self.ctest.write_text("#!/bin/sh\necho 'Test  #1: quick ... Passed'\n"
                              f"for file; do :; done\necho '<testsuite>{cases}</testsuite>' >\"$file\"\n"
                              f"printf '%s' '{SUMMARY}'\n{last}\nexit {status}\n")
        self.ctest.chmod(0o755)
        done = subprocess.run([SOURCE / "scripts/lib/durations", "--kept", self.kept, "--preset", preset, "--", self.ctest, "-j", "2"],
                              stdout=subprocess.PIPE, text=True, check=False, timeout=60)
        self.status = done.returncode
        return done.stdout

    def row(self, out, name):
        return [line.split()[1:] for line in out.splitlines() if line.startswith(f"  {name} ")]

    def test_the_summary_stays_last_and_the_status_is_ctests(self):
        out = self.run_tests({"quick": 0.1, "slow": 9}, status=8)
        self.assertEqual(self.status, 8)
        self.assertTrue(out.startswith("Test  #1: quick ... Passed\n"), out)
        self.assertTrue(out.endswith(SUMMARY), out)
        self.assertEqual(self.row(out, "slow"), [["9.0", "s", "-"]])
        self.assertLess(out.index("slow"), out.index("quick", 30))

    def test_a_test_that_took_much_longer_than_the_last_time_is_told(self):
        self.run_tests({"quick": 0.1, "slow": 9, "steady": 30})
        out = self.run_tests({"quick": 0.9, "slow": 19, "steady": 36})
        much_longer = out.split("Much longer")[1]
        self.assertEqual(self.row(much_longer, "slow"), [["19.0", "s", "9.0", "s"]])
        self.assertEqual(self.row(much_longer, "quick") + self.row(much_longer, "steady"), [])
        self.assertNotIn("Much longer", self.run_tests({"slow": 20}))

    def test_failed_tests_and_those_that_did_not_run_keep_their_time(self):
        self.run_tests({"a": 1, "b": 2, "c": 3})
        self.run_tests({"a": 4, "b": 50}, failed=["b"])
        self.run_tests({"a": 70}, preset="asan")
        self.assertEqual(json.loads(self.kept.read_text()), {"release": {"a": 4, "b": 2, "c": 3}, "asan": {"a": 70}})

    def test_what_was_kept_and_cannot_be_read_is_as_nothing(self):
        self.kept.parent.mkdir()
        for text in ("{", "[]", '{"release": 3}', '{"release": {"a": "long"}}'):
            self.kept.write_text(text)
            self.assertEqual(self.row(self.run_tests({"a": 4}), "a"), [["4.0", "s", "-"]])
            self.assertEqual(json.loads(self.kept.read_text()), {"release": {"a": 4}})

    def test_a_folder_that_cannot_be_made_fails_no_test(self):
        self.kept.parent.write_text("a file")
        out = self.run_tests({"a": 4})
        self.assertEqual(self.status, 0)
        self.assertIn("were not kept", out)

    def test_a_ctest_that_is_killed_is_told_by_the_status(self):
        self.run_tests({"a": 4}, last="kill -TERM $$")
        self.assertEqual(self.status, 128 + signal.SIGTERM)

    def test_the_real_ctest(self):
        tests = self.folder / "build"
        tests.mkdir()
        (tests / "CTestTestfile.cmake").write_text('add_test(good "true")\nadd_test(bad "false")\n')
        done = subprocess.run([SOURCE / "scripts/lib/durations", "--kept", self.kept, "--preset", "release", "--",
                               "ctest", "--test-dir", tests], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 8)
        self.assertEqual(list(json.loads(self.kept.read_text())["release"]), ["good"])
        self.assertRegex(done.stdout, r"(?s)The slowest tests.*50% tests passed, 1 tests failed out of 2.*2 - bad \(Failed\)")


if __name__ == "__main__":
    unittest.main()
