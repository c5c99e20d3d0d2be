# SPDX-License-Identifier: Apache-2.0
"""The Python package vmilaunch, as a user's own script meets it: installed, and outside this project's folders."""

import os
import re
import subprocess
import unittest

from support import InFolder

SOURCE = os.environ["VMI_SOURCE"]
INSTALL = os.path.join(os.path.dirname(os.environ["VMI_TESTS"]), "python", "cmake_install.cmake")


def examples(document):
    """The indented blocks of Python in a page."""
    with open(os.path.join(SOURCE, document), encoding="utf-8") as file:
        blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", file.read(), re.M)
    return [re.sub("^    ", "", block, flags=re.M) for block in blocks if "import" in block]


class Package(InFolder):
    def install(self, prefix, **environment):
        """The package alone, by the rules that `cmake --install` follows."""
        subprocess.run(["/usr/bin/cmake", f"-DCMAKE_INSTALL_PREFIX={prefix}", "-P", INSTALL], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, **environment})

    def python(self, script, **environment):
        """What a script prints that runs in self.folder."""
        done = subprocess.run(["/usr/bin/python3", "-c", script], check=False, capture_output=True, text=True, cwd=self.folder,
                              env={"PATH": "/usr/bin:/bin", "HOME": self.folder, "PYTHONDONTWRITEBYTECODE": "1", **environment})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def in_home(self):
        self.install(self.path(".local"))
        self.sample("run.h5")

    def test_the_examples_of_the_page_print_what_they_promise(self):
        self.in_home()
        first, second = examples("docs/record.md")
        self.assertRegex(self.python(first), r"path s\n0 +8\.0\n(.*\n)*node\n0 +9\.\d+\n1 +9\.\d+\n(.*\n)*327680\n$")
        self.assertRegex(self.python(second), r"^0 +8\.0\n")

    def test_the_example_of_the_package_s_readme_runs(self):
        self.in_home()
        self.assertRegex(self.python(examples("python/README.md")[0]), r"count +7\.0")

    def test_the_example_of_the_manual_page_runs(self):
        self.in_home()
        with open(os.path.join(SOURCE, "docs/man/vmireport.1.scd"), encoding="utf-8") as file:
            script = re.search(r"^\tfrom vmilaunch(?:.*\n)+?\n", file.read(), re.M).group().replace("++\n", "\n").replace("\t", "")
        self.assertRegex(self.python(script), r"8\.0")

    def test_python_finds_it_in_the_prefixes_that_it_knows_and_by_pythonpath_in_others(self):
        self.sample("run.h5")
        script = "from vmilaunch import record; print(len(record.read('run.h5').vms), record.__file__)"
        self.install(self.path("opt/vmilaunch"))
        self.assertIn("8 ", self.python(script, PYTHONPATH=self.path("opt/vmilaunch/share/vmilaunch/python")))
        # What a package for the system would hold; the link must not lead out of it.
        for prefix, folder in (("/usr", "lib/python3/dist-packages"), ("/usr/local", "lib/python3.*/dist-packages")):
            self.install(prefix, DESTDIR=self.path("root"))
            shown = self.python("import glob, sys; sys.path[:0] = glob.glob('root" + prefix + "/" + folder + "'); " + script)
            self.assertIn("8 root" + prefix, shown.replace(self.folder + "/", ""))

    def test_a_second_install_replaces_the_first(self):
        self.in_home()
        self.install(self.path(".local"))
        self.assertIn("8", self.python("from vmilaunch import record; print(len(record.read('run.h5').vms))"))

    def test_unknown_values_texts_and_units(self):
        self.in_home()
        script = """if True:
            from vmilaunch import record
            run = record.read("run.h5")
            vm7 = run.vms.set_index("name").loc["vm7"]
            print(vm7.state, vm7.error[-6:], vm7.t_ready, run.boot_trace.hit.min())
            print(sorted(run.units), run.units["vms"]["bytes_hit"], run.complete, run.attributes["note.link"])
            print(len(run.errors), run.phases.name.tolist()[0], run.images.format[0], run.nodes.hostname[1])"""
        lines = self.python(script).splitlines()
        self.assertEqual(lines[0], "failed größer nan -1")
        self.assertEqual(lines[1], "['boot_trace', 'errors', 'images', 'nodes', 'phases', 'vms'] bytes True 1 Gbit/s")
        self.assertEqual(lines[2], "1 plan qcow2 node1")

    def test_what_is_no_record_raises_and_is_not_waited_for(self):
        self.in_home()
        os.mkfifo(self.path("fifo"))
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write("my thesis")
        self.sample("killed.h5", "killed")
        script = """if True:
            import sys
            from vmilaunch import record
            for name in ("fifo", "text", "killed.h5.journal", "missing", "."):
                try:
                    record.read(name)
                except (record.RecordError, OSError) as error:
                    print(type(error).__name__, error)"""
        lines = self.python(script).splitlines()
        self.assertEqual(len(lines), 5, lines)
        for line, pattern in zip(lines, ("RecordError .*no file", "RecordError .*no HDF5 file", "RecordError .*'vmireport killed.h5.journal'",
                                         "FileNotFoundError ", "IsADirectoryError ")):
            self.assertRegex(line, pattern)


if __name__ == "__main__":
    unittest.main()
