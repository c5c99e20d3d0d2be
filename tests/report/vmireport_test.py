# SPDX-License-Identifier: Apache-2.0
"""The command vmireport, as a user meets it."""

import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import unittest

import h5py
import numpy

from support import VMIREPORT, InFolder


def import_report():
    """Makes vmireport's own package importable."""
    folders = [os.path.join(os.environ["VMI_SOURCE"], folder) for folder in ("experiments", "python")]
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]


class Table(InFolder):
    def test_one_run(self):
        text = self.report(self.sample("run.h5"))
        self.assertIn("7 of 8 VMs ready on 2 nodes by 2 ranks", text)
        self.assertIn("outcome: vm_failed, exit status 1: 1 of 8 VMs failed", text)
        self.assertRegex(text, r"distribute +0\.05 s +0\.40 s +0\.35 s")
        self.assertRegex(text, r"ready, since the launch's start +7 +8\.00 s +9\.31 s +9\.85 s")
        self.assertRegex(text, r"1 +node1 +received +4 +3 +8\.76 s +9\.31 s +9\.69 s +37\.2 MiB +20\.0 MiB +0\.30 s")
        self.assertIn("99.89 % of the bytes hit", text)
        self.assertRegex(text, r"vm7 +failed +node 1 +not ready within 30 s; .* größer")
        self.assertIn("error at 10.00 s, rank 1@node1: 1 VM was not ready in time", text)
        self.assertNotIn("INCOMPLETE", text)

    def test_unknown_counters_are_said_to_be_unknown(self):
        self.assertIn("cache hits and misses: not known", self.report(self.sample("run.h5", "plain")))

    def test_verbose_lists_vms_and_attributes(self):
        text = self.report("-v", self.sample("run.h5"))
        self.assertRegex(text, r"vm3 +tiny.qcow2 +ready +1 +0\.26 s +0\.61 s +1\.01 s +9\.31 s +10\.60 s")
        self.assertRegex(text, r"note\.link +1 Gbit/s")

    def test_two_runs_are_compared_with_ratios(self):
        text = self.report(self.sample("none.h5", "plain", "clean"), self.sample("cache.h5"))
        self.assertRegex(text, r"none\.h5 +cache\.h5 +ratio")
        self.assertRegex(text, r"ready since launch, max +21\.00 s +9\.85 s +0\.469x")
        self.assertRegex(text, r"bytes read from the base +- +320\.0 KiB +-")
        self.assertRegex(text, r"phase ready +20\.40 s +9\.00 s +0\.441x")
        self.assertIn("vm7  failed", text)

    def test_any_number_of_runs_is_readable_in_100_columns(self):
        names = [f"run-of-the-{i}-node-partition-with-a-long-name.h5" for i in range(9)]
        for name in names:
            shutil.copy(self.sample("run.h5", "clean"), self.path(name))
        for runs in (2, 3, 9):
            with self.subTest(runs=runs):
                text = self.report(*map(self.path, names[:runs]))
                table = text[text.index("\nA  "):]
                self.assertLessEqual(max(map(len, table.splitlines())), 100)
                for letter, name in zip("ABCDEFGHI", names[:runs]):
                    self.assertIn(f"\n{letter}  {name}\n", table)
                    self.assertRegex(table, rf"\n {{20,}}.* {letter}\b")
                medians = "".join(re.findall(r"^ready since launch, median.*", table, re.M))
                self.assertGreaterEqual(medians.count("9.41 s"), runs)

    def test_short_names_of_three_runs_stand_above_their_columns(self):
        text = self.report(self.sample("none.h5", "plain", "clean"), self.sample("a.h5", "clean"), self.sample("b.h5", "clean"))
        self.assertRegex(text, r"\n +none\.h5 +a\.h5 +ratio +b\.h5 +ratio\n")

    def test_many_failures_are_counted_not_listed(self):
        self.report("--recover", self.sample("run.h5", "64", "killed"))
        self.assertIn("and 54 more", self.report(self.path("run.h5")))
        self.assertIn("vm63", self.report("-v", self.path("run.h5")))

    def test_a_guests_control_characters_do_not_reach_the_terminal(self):
        path = self.sample("run.h5")
        with h5py.File(path, "r+", locking=False) as file:
            vms = file["vms"][:]
            vms["error"][7] = b"\x1b[2J\x07bad\nnews"
            file["vms"][:] = vms
        text = self.report(path)
        self.assertNotIn("\x1b", text)
        self.assertIn("bad news", text)

    def test_a_closed_pipe_is_no_error(self):
        path = self.sample("run.h5")
        self.assertEqual(os.waitstatus_to_exitcode(os.system(f"bash -o pipefail -c '{VMIREPORT} -v {path} | true'")), 0)


class Json(InFolder):
    def test_figures(self):
        paths = [self.sample("none.h5", "plain", "clean"), self.sample("cache.h5")]
        runs = json.loads(self.report("--json", *paths))["runs"]
        self.assertEqual([run["file"] for run in runs], paths)
        none, cache = runs
        self.assertEqual(none["vms"], {"total": 8, "states": {"ready": 8}, "ready": 8})
        self.assertEqual(none["cache"]["bytes_hit"], None)
        self.assertEqual(cache["cache"]["bytes_hit"], 8 * 38_000_000)
        self.assertEqual(cache["time_to_ready"]["count"], 7)
        self.assertAlmostEqual(none["time_to_ready"]["max"], 21)
        self.assertEqual([p["name"] for p in cache["phases"]], ["plan", "distribute", "prepare", "start", "ready", "stop"])
        self.assertEqual(cache["failures"][0]["name"], "vm7")
        self.assertEqual(cache["attributes"]["note.link"], "1 Gbit/s")
        self.assertEqual(cache["nodes"][1]["cache_source"], "received")
        self.assertIsNone(cache["nodes"][0]["cache_seconds"])

    def test_a_record_without_vms(self):
        path = self.sample("run.h5")
        with h5py.File(path, "r+", locking=False) as file:
            for name in file:
                file[name].resize((0,))
        run = json.loads(self.report("--json", path))["runs"][0]
        self.assertEqual(run["vms"]["total"], 0)
        self.assertIsNone(run["time_to_ready"]["median"])
        self.report(path, "--plot", self.path("empty.png"))


class Recover(InFolder):
    def test_a_killed_launch_is_shown_before_it_is_recovered(self):
        journal = self.sample("run.h5", "killed")
        self.assertIn(f"INCOMPLETE: the launch was killed; this is what its journal knew; 'vmireport --recover {journal}' makes its record",
                      self.report(self.path("run.h5")))
        self.assertTrue(os.path.exists(journal))

    def test_a_killed_launch(self):
        journal = self.sample("run.h5", "killed")
        self.assertFalse(os.path.exists(self.path("run.h5")))
        text = self.report("--recover", journal)
        self.assertIn("INCOMPLETE", text)
        self.assertRegex(text, r"ready +1\.00 s +- +unfinished")
        self.assertIn("0 of 8 VMs ready", text)
        self.assertFalse(os.path.exists(journal))
        with h5py.File(self.path("run.h5"), "r", locking=False) as file:
            self.assertEqual((file.attrs["complete"], file.attrs["outcome"]), (0, "unfinished"))
            self.assertEqual(set(file["vms"]["state"]), {b"running"})
            self.assertTrue(numpy.isnan(file["vms"]["t_ready"]).all())

    def test_an_existing_record_is_only_replaced_when_named(self):
        self.sample("run.h5", "clean")
        journal = self.sample("run.h5", "killed")
        self.assertIn("it exists", self.report("--recover", journal, status=4))
        self.report("--recover", journal, "--output", self.path("other.h5"))
        self.assertIn("outcome: ready", self.report(self.path("run.h5")))
        self.assertIn("outcome: unfinished", self.report(self.path("other.h5")))

    def test_what_is_no_journal_is_named(self):
        path = self.sample("run.h5")
        self.assertIn("is no journal of vmilaunch", self.report("--recover", path, status=3))
        self.assertIn("no.journal': No such file", self.report("--recover", self.path("no.journal"), status=3))

    def test_a_missing_program_is_named(self):
        journal = self.sample("run.h5", "killed")
        self.assertIn("cannot find vmi-recover in /nowhere",
                      self.report("--recover", journal, status=4, VMILAUNCH_LIBEXEC="/nowhere"))


class Running(InFolder):
    """A launch that still writes its journal."""

    def test_it_is_shown_by_its_record_s_name_and_by_its_journal_s(self):
        with self.running("run.h5") as journal:
            for name in (self.path("run.h5"), journal):
                with self.subTest(name=name):
                    text = self.report(name)
                    self.assertIn("0 of 8 VMs ready on 2 nodes", text)
                    self.assertIn("VMs now: 8 running", text)
                    self.assertRegex(text, r"STILL RUNNING, \d+ d \d+ h since its start")
                    self.assertRegex(text, r"ready +1\.00 s +- +\d+ d \d+ h so far")
                    self.assertNotIn("unfinished", text)
                    self.assertNotIn("not ready:", text)
            self.assertTrue(os.path.exists(journal))
            self.assertFalse(os.path.exists(self.path("run.h5")))

    def test_json_tells_its_state(self):
        with self.running("run.h5"):
            run = json.loads(self.report("--json", self.path("run.h5")))["runs"][0]
            self.assertEqual(run["state"], "running")
            self.assertEqual(run["file"], self.path("run.h5"))
            self.assertGreater(run["seconds_so_far"], 0)
            self.assertEqual(run["vms"]["states"], {"running": 8})
            self.assertEqual(run["failures"], [])
        run = json.loads(self.report("--json", self.path("run.h5")))["runs"][0]
        self.assertEqual((run["state"], run["seconds_so_far"]), ("ended", None))

    def test_its_journal_s_name_shows_the_record_once_it_has_ended(self):
        with self.running("run.h5", "clean") as journal:
            pass
        self.assertIn("8 of 8 VMs ready", self.report(journal))

    def test_it_is_compared_and_drawn(self):
        none = self.sample("none.h5", "plain", "clean")
        with self.running("run.h5"):
            self.assertRegex(self.report(none, self.path("run.h5"), "--plot", self.path("out.png")), r"VMs ready +8 +0")
        self.assertGreater(os.path.getsize(self.path("out.png")), 10_000)

    def test_a_record_of_an_earlier_launch_is_not_taken_for_it(self):
        self.sample("run.h5", "clean")
        with self.running("run.h5") as journal:
            done = subprocess.run([VMIREPORT, self.path("run.h5")], check=True, capture_output=True, text=True)
            self.assertIn("8 of 8 VMs ready", done.stdout)
            self.assertIn(f"'vmireport {journal}' shows the later one", done.stderr)
            self.assertIn("STILL RUNNING", self.report(journal))

    def test_one_on_another_machine_is_not_said_to_run(self):
        with self.running("run.h5") as journal:
            with open(journal, encoding="utf-8") as file:
                text = file.read().replace(socket.gethostname() + '"', 'some-other-host"', 1)
            with open(self.path("far.h5.journal"), "w", encoding="utf-8") as file:
                file.write(text)
            self.assertRegex(self.report(self.path("far.h5")), r"STILL RUNNING on some-other-host, .* or killed there[^$]*its last event, \d+\.\d s ago")
            self.assertEqual(json.loads(self.report("--json", self.path("far.h5")))["runs"][0]["state"], "unknown")

    def test_long_times_are_said_in_units_that_people_read(self):
        import_report()
        from report.table import elapsed
        self.assertEqual([elapsed(t) for t in (0, 119.96, 125, 7199, 7260, 172799, 180000)],
                         ["0.0 s", "120.0 s", "2 min 5 s", "119 min 59 s", "2 h 1 min", "47 h 59 min", "2 d 2 h"])

    def test_recovering_it_is_refused_with_a_better_way(self):
        with self.running("run.h5") as journal:
            self.assertIn(f"'vmireport {journal}' shows", self.report("--recover", journal, status=4))


class Plot(InFolder):
    def test_formats(self):
        path = self.sample("run.h5", "64")
        for ending, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
            self.report(path, "--plot", self.path("out." + ending))
            with open(self.path("out." + ending), "rb") as file:
                self.assertTrue(file.read(8).startswith(magic))

    def test_several_runs_complete_and_killed(self):
        self.report("--recover", self.sample("killed.h5", "killed"))
        paths = [self.sample("none.h5", "plain"), self.sample("one.h5", "1", "clean"), self.path("killed.h5")]
        self.report(*paths, "--plot", self.path("out.png"))
        self.assertGreater(os.path.getsize(self.path("out.png")), 10_000)

    def test_what_cannot_be_drawn_is_named_with_a_remedy(self):
        path = self.sample("run.h5")
        self.assertIn("end its name in .png", self.report(path, "--plot", self.path("out.xyz"), status=2))
        self.assertIn("up to 4 records", self.report(*[path] * 5, "--plot", self.path("out.png"), status=2))
        self.assertIn("no/out.png': No such file", self.report(path, "--plot", self.path("no/out.png"), status=4))


class Damaged(InFolder):
    """HDF5's library crashes on some damaged files, and never comes back from others; vmireport does neither."""

    def test_a_record_with_any_wrong_byte_is_shown_or_refused_in_one_line(self):
        import_report()
        from report.errors import ReportError
        from report.main import parser, run
        with open(self.sample("run.h5"), "rb") as file:
            whole = file.read()
        chance = random.Random(21)
        crashed = None
        for _ in range(100):
            at, value = chance.randrange(len(whole)), chance.choice((0, 0xff, 0x10))
            with open(self.path("flipped.h5"), "wb") as file:
                file.write(whole[:at] + bytes([value]) + whole[at + 1:])
            with self.subTest(at=at, value=value), contextlib.redirect_stdout(io.StringIO()):
                try:
                    run(parser("0").parse_args(["-v", self.path("flipped.h5")]), [])
                except ReportError as error:
                    self.assertEqual(error.status, 3)
                    self.assertIn("flipped.h5", str(error))
                    if "crashed" in str(error):
                        crashed = self.path("crashed.h5")
                        os.rename(self.path("flipped.h5"), crashed)
        if crashed:
            self.assertIn("crashed.h5', it is damaged: HDF5's library crashed on it", self.report(crashed, status=3))

    def test_a_crash_and_an_endless_loop_are_told(self):
        import_report()
        from report.errors import ReportError
        from report.guarded import guarded
        with self.assertRaisesRegex(ReportError, r"'x.h5', it is damaged: .* crashed on it \(SIGSEGV\)"):
            guarded(lambda path: os.kill(os.getpid(), signal.SIGSEGV), "x.h5")
        with self.assertRaisesRegex(ReportError, r"'x.h5', it is damaged: .* did not end within 0.1 s"):
            guarded(lambda path: signal.pause(), "x.h5", 0.1)


class Picture(InFolder):
    """What a plot shows, before it becomes pixels."""

    def draw(self, *paths):
        import_report()
        os.environ["MPLCONFIGDIR"] = self.folder
        self.addCleanup(os.environ.pop, "MPLCONFIGDIR")
        from report.launch_plot import draw
        from report.record import load
        figure = draw([load(path, [os.environ["VMI_BIN"]]) for path in paths])
        self.addCleanup(figure.clear)
        return figure

    def counted(self, name, *words, bytes_miss):
        """A sample whose VMs' reads of the base were counted."""
        path = self.sample(name, *words)
        with h5py.File(path, "r+", locking=False) as file:
            vms = file["vms"][:]
            vms["bytes_miss"], vms["bytes_hit"] = bytes_miss, 0
            file["vms"][:] = vms
        return path

    def test_two_launches_share_a_panel_and_their_bytes_are_bars(self):
        figure = self.draw(self.counted("none.h5", "plain", "clean", bytes_miss=40 * 2**20), self.sample("cache.h5", "clean"))
        curves, bars = figure.axes[:2]
        shown = {line.get_label(): line.get_xydata() for line in curves.lines if not line.get_label().startswith("_")}
        self.assertEqual([label.split(":")[0] for label in shown], ["none.h5 (cache", "cache.h5 (cache"])
        for points, last in zip(shown.values(), (21, 10)):
            self.assertAlmostEqual(min(t for t, ready in points if ready == 8), last)
        base = [bar.get_width() for bar in bars.patches[:2]]
        self.assertAlmostEqual(base[0] / base[1], 8 * 40 * 2**20 / (8 * 40_960))
        self.assertIn("320.0 MiB", [text.get_text() for text in bars.texts])
        self.assertEqual(figure.texts[0].get_text(),
                         "8 VMs ready after 10.0 s instead of 21.0 s; 320.0 KiB read from the base image instead of 320.0 MiB")

    def test_what_was_not_counted_is_not_shown_as_nothing(self):
        bars = self.draw(self.sample("none.h5", "plain", "clean"), self.sample("cache.h5", "clean")).axes[1]
        self.assertEqual([text.get_text() for text in bars.texts[:2]], ["not counted", "320.0 KiB"])

    def test_a_failed_launch_says_why(self):
        self.report("--recover", self.sample("killed.h5", "killed"))
        head = "\n".join(text.get_text() for text in self.draw(self.sample("bad.h5"), self.path("killed.h5")).texts)
        self.assertIn("bad.h5 ended with status 1: rank 1@node1: 1 VM was not ready in time", head)
        self.assertIn("vm7: not ready within 30 s; its last line was: Kernel panic", head)
        self.assertIn("killed.h5 was killed", head)

    def test_a_guests_words_are_no_formulas(self):
        path = self.sample("run.h5")
        with h5py.File(path, "r+", locking=False) as file:
            vms = file["vms"][:]
            vms["error"][7] = rb"$\frac{$ $x_{ \x1b[2J"
            file["vms"][:] = vms
        self.assertEqual(self.report(path, "--plot", self.path("out.png")), self.report(path))


class Outputs(InFolder):
    """Files that a slip of the keyboard must not cost, and output that must not get lost in silence."""

    def test_a_file_of_another_kind_is_not_replaced(self):
        run = self.sample("run.h5")
        for name, content, option in (("thesis.csv", "my,thesis\n1,2\n", "--csv"), ("notes.csv", "all my notes\n", "--csv"),
                                      ("photo.png", "\x89PNG a photo", "--plot"), ("thesis.pdf", "%PDF-1.5 a thesis", "--plot"),
                                      ("figure.svg", "<?xml version='1.0'?><svg/>", "--plot"), ("thesis.png", "my thesis", "--plot")):
            with self.subTest(name=name):
                with open(self.path(name), "w", encoding="utf-8") as file:
                    file.write(content)
                self.assertIn("is not replaced", self.report(run, option, self.path(name), status=2))
                with open(self.path(name), encoding="utf-8") as file:
                    self.assertEqual(file.read(), content)
        self.assertIn("does not end in .csv", self.report(run, "--csv", run, status=2))
        self.assertIn("7 of 8 VMs", self.report(run))

    def test_recovery_replaces_no_file_of_another_kind(self):
        with open(self.path("thesis.txt"), "w", encoding="utf-8") as file:
            file.write("my thesis")
        journal = self.sample("run.h5", "killed")
        self.assertIn("is not replaced", self.report("--recover", journal, "--output", self.path("thesis.txt"), status=2))
        with open(self.path("thesis.txt"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "my thesis")
        self.assertTrue(os.path.exists(journal))

    def test_its_own_files_are_replaced(self):
        run = self.sample("run.h5")
        open(self.path("out.csv"), "w", encoding="utf-8").close()
        for _ in range(2):
            self.report(run, "--csv", self.path("out.csv"))
            for ending in ("png", "pdf", "svg"):
                self.report(run, "--plot", self.path("out." + ending))
        figures = os.path.join(os.environ["VMI_SOURCE"], "docs", "evaluation")
        for option, name in (("--csv", "one-image.csv"), ("--plot", "one-image.png")):  # which an experiment wrote
            shutil.copy(os.path.join(figures, name), self.path(name))
            self.report(run, option, self.path(name))

    def test_what_is_no_file_is_not_written_to(self):
        run = self.sample("run.h5")
        os.mkfifo(self.path("fifo.csv"))
        os.mkdir(self.path("folder.png"))
        os.symlink("/dev/null", self.path("null.png"))
        self.assertIn("is no file", self.report(run, "--csv", self.path("fifo.csv"), status=2))
        for name in ("folder.png", "null.png"):
            self.assertIn("is no file", self.report(run, "--plot", self.path(name), status=2))

    def test_a_full_disk_is_told(self):
        run = self.sample("run.h5")
        for words in ([run], ["--json", run], ["-v", run], ["--help"], ["--version"], ["--completion", "bash"]):
            with self.subTest(words=words), open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([VMIREPORT, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
                self.assertEqual((done.returncode, done.stderr),
                                 (4, "vmireport: error: cannot write to standard output: No space left on device\n"))

    def test_closed_streams_are_as_the_null_device(self):
        run = self.sample("run.h5")
        for words in ("2>&-", "<&-", ">&- 2>&-", "--json >&-"):
            with self.subTest(words=words):
                self.assertEqual(os.waitstatus_to_exitcode(os.system(f"{VMIREPORT} {run} >{self.path('log')} {words}")), 0)

    def test_names_and_texts_of_any_bytes(self):
        path = os.fsencode(self.sample("run.h5"))
        strange = os.path.join(os.fsencode(self.folder), b"r\xe9\x1b[2J\xc2\x9bn.h5")
        os.rename(path, strange)
        with h5py.File(strange, "r+", locking=False) as file:
            phases = file["phases"][:]
            phases["name"][0] = b"\x1b[2J"
            file["phases"][:] = phases
        for word, environment in (("--json", {}), ("-v", {"LC_ALL": "C"}), ("-v", {"PYTHONIOENCODING": "latin-1"})):
            with self.subTest(word=word, environment=environment):
                done = subprocess.run([VMIREPORT, word, strange], check=False, capture_output=True, env={**os.environ, **environment})
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                for control in (b"\x1b", b"\x9b"):
                    self.assertNotIn(control, done.stdout)
        run = json.loads(self.report("--json", strange))["runs"][0]
        self.assertEqual((run["phases"][0]["name"], os.path.basename(run["file"])), ("\x1b[2J", "r\ufffd\x1b[2J\x9bn.h5"))


class Command(InFolder):
    def test_help_and_version(self):
        self.assertIn("--recover JOURNAL", self.report("--help"))
        self.assertRegex(self.report("--version"), r"^vmireport \d+\.\d+\.\d+\n$")

    def test_bad_usage(self):
        self.assertIn("name a record", self.report(status=2))
        self.assertIn("--output goes with --recover", self.report("x.h5", "--output", "y.h5", status=2))
        run = self.sample("run.h5")
        self.assertIn("takes one record", self.report(run, run, "--csv", self.path("out.csv"), status=2))
        done = subprocess.run([VMIREPORT, "--no-such-option"], check=False, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("--no-such-option", done.stderr)

    def test_what_is_no_record_is_named_with_the_reason(self):
        text = self.path("text.h5")
        with open(text, "w", encoding="utf-8") as file:
            file.write("hello")
        foreign = self.path("foreign.h5")
        with h5py.File(foreign, "w") as file:
            file["data"] = [1, 2]
        trace = self.path("trace.h5")
        with h5py.File(trace, "w") as file:
            file["boot_trace"] = [1, 2]
        cut = self.sample("cut.h5")
        os.truncate(cut, os.path.getsize(cut) // 2)
        self.assertIn("missing.h5': No such file", self.report(self.path("missing.h5"), status=3))
        self.assertIn("Is a directory", self.report(self.folder, status=3))
        self.assertIn("it is no HDF5 file", self.report(text, status=3))
        self.assertIn("it has no schema_version", self.report(foreign, status=3))
        self.assertIn("use 'vmicache trace", self.report(trace, status=3))
        self.assertIn("it is damaged", self.report(cut, status=3))
        os.mkfifo(self.path("fifo.h5"))
        self.assertIn("it is no file", self.report(self.path("fifo.h5"), status=3))
        self.assertIn("is no file", self.report("--recover", self.path("fifo.h5"), status=3))
        os.rename(self.path("fifo.h5"), self.path("fifo.h5.journal"))
        self.assertIn("is no file", self.report(self.path("fifo.h5"), status=3))

    def test_another_schema_is_named(self):
        path = self.sample("run.h5")
        with h5py.File(path, "r+", locking=False) as file:
            file.attrs["schema_version"] = 99
        self.assertIn("schema version 99", self.report(path, status=3))

    def test_a_missing_table_or_column_is_named(self):
        path = self.sample("run.h5")
        with h5py.File(path, "r+", locking=False) as file:
            del file["phases"]
        self.assertIn("no table 'phases'", self.report(path, status=3))
        with h5py.File(path, "r+", locking=False) as file:
            file["phases"] = numpy.zeros(1, dtype=[("name", "S4"), ("t_begin", "f8")])
        self.assertIn("table 'phases' has no column 't_end'", self.report(path, status=3))


if __name__ == "__main__":
    unittest.main()
