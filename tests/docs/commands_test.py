#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Help, man page and completion of every installed command agree."""
import contextlib
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest

BUILD = pathlib.Path(os.environ["VMI_BUILD"])
COMPLETIONS = {"vmicache": "cachegen/vmicache.bash", "vmilaunch": "launcher/vmilaunch.bash", "vmireport": "experiments/vmireport.bash"}
# An option where it is described, and not mentioned.
OPTION = re.compile(r"^ +(?:-\w, )?(--[a-z][a-z-]*)", re.MULTILINE)


def help_of(command, *subcommand):
    return subprocess.run([BUILD / "bin" / command, *subcommand, "--help"], check=True, capture_output=True, text=True).stdout


def subcommands(command):
    listed = re.search(r"^Commands:\n((?:  .*\n)+)", help_of(command), re.MULTILINE)
    return [line.split()[0] for line in listed.group(1).splitlines()] if listed else []


def options(command):
    """Every option that some help describes, by its subcommand."""
    return {word: OPTION.findall(help_of(command, *filter(None, [word]))) for word in subcommands(command) or [""]}


def completed(command, *words):
    """What bash offers for the last of the words, which are as bash splits a line ("--machine=p" is three)."""
    script = """source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        function=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\\n' "${COMPREPLY[@]}" """
    shown = subprocess.run(["bash", "--noprofile", "--norc", "-c", script, "bash", BUILD / COMPLETIONS[command], command, *words],
                           check=True, capture_output=True, text=True)
    assert shown.stderr == "", shown.stderr
    return [word for word in shown.stdout.split("\n") if word]


class Shell:
    """An interactive bash or zsh on a terminal of its own, in a folder, with the completions of all commands."""

    def __init__(self, name, folder):
        self.folder = folder
        self.cleanup = contextlib.ExitStack()
        self.terminal, theirs = pty.openpty()
        self.cleanup.callback(os.close, self.terminal)
        start = {"bash": ["bash", "--noprofile", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}[name]
        shell = subprocess.Popen(start, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=folder,
                                 env={"HOME": folder, "TERM": "dumb", "PATH": f"{BUILD}/bin:/usr/bin:/bin", "INPUTRC": "/dev/null"})
        os.close(theirs)
        self.cleanup.callback(shell.wait)
        self.cleanup.callback(shell.kill)
        # After ^G the line is printed instead of run, as the shell has it. (Words are split here lest the echo be taken for the answer.)
        if name == "zsh":
            functions = pathlib.Path(folder) / ".functions"
            functions.mkdir()
            for bash in COMPLETIONS.values():
                path = BUILD / bash
                shutil.copy(path.with_name(f"_{path.stem}"), functions)
            self.tell(f"PS1= RPS1=; unset zle_bracketed_paste; fpath=({functions} $fpath); autoload -U compinit; compinit -u -D; print RE''ADY\n", "READY")
            self.tell("shown() { print -r -- \"<$BUFFER>\"; BUFFER=; zle accept-line }; zle -N shown; bindkey '^G' shown; print BO''UND\n", "BOUND")
        else:
            self.tell("PS1=; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; echo RE''ADY\n", "READY")
            for bash in COMPLETIONS.values():
                self.tell(f"source {BUILD / bash}; echo SOUR''CED\n", "SOURCED")
            self.tell("shown() { printf '<%s>\\n' \"$READLINE_LINE\"; READLINE_LINE=; }; bind -x '\"\\C-g\": shown'; echo BO''UND\n", "BOUND")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    def tell(self, text, until):
        """Types the text and returns what the terminal shows up to the words `until`."""
        os.write(self.terminal, text.encode())
        shown, end = "", time.monotonic() + 30
        while not (found := re.search(until, shown, re.DOTALL)):
            if not select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"the shell has not said {until!r}: {shown!r}")
            shown += os.read(self.terminal, 65536).decode(errors="replace")
        return found

    def completed(self, line):
        """The line as the shell leaves it after a Tab."""
        return self.tell(f"{line}\t\x07", "<(.*?)>").group(1)


class Commands(unittest.TestCase):
    def test_all_are_known_here(self):
        built = {path.name for path in (BUILD / "bin").iterdir() if re.fullmatch("vmi[a-z]+", path.name)}
        self.assertEqual(built, set(COMPLETIONS))

    def test_man_pages_describe_every_option_of_the_help(self):
        for command in COMPLETIONS:
            page = (BUILD / f"docs/{command}.1").read_text().replace("\\-", "-")
            self.assertNotIn("@", page)
            for subcommand, names in options(command).items():
                self.assertGreater(len(names), 2, command)
                if subcommand:
                    self.assertIn(f"{command} {subcommand}", page)
                for name in names:
                    with self.subTest(command=command, subcommand=subcommand, option=name):
                        self.assertRegex(page, rf"(?m)^\\fB(-\w, )?{name}\b")

    def test_man_pages_describe_no_other_options(self):
        for command in COMPLETIONS:
            page = (BUILD / f"docs/{command}.1").read_text().replace("\\-", "-")
            known = {name for names in options(command).values() for name in names}
            described = set(re.findall(r"(?m)^\\fB(?:-\w, )?(--[a-z][a-z-]*)", page))
            self.assertEqual(described - known, set())

    def test_bash_completes_every_option(self):
        for command in COMPLETIONS:
            for subcommand, names in options(command).items():
                with self.subTest(command=command, subcommand=subcommand):
                    self.assertEqual(set(completed(command, *filter(None, [subcommand]), "--")), set(names))

    def test_bash_offers_commands_choices_and_files_where_they_belong(self):
        self.assertEqual(sorted(completed("vmicache", "")), sorted([*subcommands("vmicache"), "--help", "--version"]))
        self.assertEqual(completed("vmilaunch", "--machine", ""), ["pc", "q35", "microvm"])
        self.assertEqual(completed("vmilaunch", "--machine", "=", "mi"), ["microvm"])
        self.assertEqual(completed("vmilaunch", "--machine", "="), ["pc", "q35", "microvm"])
        self.assertEqual(completed("vmilaunch", "--vms", ""), [])
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a disk.qcow2", "run.h5"):
                (pathlib.Path(folder) / name).touch()
            (pathlib.Path(folder) / "store").mkdir()
            files = [f"{folder}/a disk.qcow2", f"{folder}/run.h5", f"{folder}/store"]
            for words in (("vmicache", "info"), ("vmilaunch", "-i"), ("vmilaunch", "--cache"), ("vmireport",), ("vmilaunch", "--image", "=")):
                self.assertEqual(sorted(completed(*words, f"{folder}/")), files, words)
            self.assertEqual(completed("vmilaunch", "--cache-dir", f"{folder}/"), [f"{folder}/store"])

    def test_a_real_bash_completes(self):
        self.check_completion("bash")

    @unittest.skipIf(not shutil.which("zsh") and os.environ.get("CI") != "true", "no zsh is installed")
    def test_a_real_zsh_completes(self):
        self.check_completion("zsh")

    def check_completion(self, name):
        cases = {"vmilaunch --machine mi": "vmilaunch --machine microvm",
                 "vmilaunch --machine=mi": "vmilaunch --machine=microvm",
                 "vmilaunch --imag": "vmilaunch --image",
                 "vmilaunch --image di": "vmilaunch --image disk.qcow2",
                 "vmilaunch -i di": "vmilaunch -i disk.qcow2",
                 "vmilaunch --cache col": "vmilaunch --cache cold",
                 "vmilaunch --cache di": "vmilaunch --cache disk.qcow2",
                 "vmilaunch --cache-dir=d": "vmilaunch --cache-dir=data/",
                 "vmilaunch --ready ag": "vmilaunch --ready agent",
                 "vmilaunch --vms d": "vmilaunch --vms d",
                 "vmilaunch --image x -- sha256s": "vmilaunch --image x -- sha256sum",
                 "vmilaunch --image x -- cat di": "vmilaunch --image x -- cat disk.qcow2",
                 "vmicache bui": "vmicache build",
                 "vmicache build --accel t": "vmicache build --accel tcg",
                 "vmicache info di": "vmicache info disk.qcow2",
                 "vmireport --plot=di": "vmireport --plot=disk.qcow2",
                 "vmireport --recov": "vmireport --recover"}
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "disk.qcow2").touch()
            (pathlib.Path(folder) / "data").mkdir()
            with Shell(name, folder) as shell:
                for line, expected in cases.items():
                    with self.subTest(line=line):
                        self.assertEqual(shell.completed(line).rstrip(), expected)


if __name__ == "__main__":
    unittest.main()
