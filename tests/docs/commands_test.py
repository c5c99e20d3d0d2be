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
    """What bash offers for the last of the words."""
    script = """source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        function=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\\n' "${COMPREPLY[@]}" """
    shown = subprocess.run(["bash", "--noprofile", "--norc", "-c", script, "bash", BUILD / COMPLETIONS[command], command, *words],
                           check=True, capture_output=True, text=True)
    assert shown.stderr == "", shown.stderr
    return shown.stdout.split("\n")[:-1]


def completed_by_zsh(line):
    """The line as a real zsh leaves it after a Tab, its first for that command."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as cleanup:
        for bash in COMPLETIONS.values():
            path = BUILD / bash
            shutil.copy(path.with_name(f"_{path.stem}"), folder)
        terminal, theirs = pty.openpty()
        cleanup.callback(os.close, terminal)
        shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                 env={"HOME": folder, "TERM": "dumb", "PATH": f"{BUILD}/bin:/usr/bin:/bin"})
        os.close(theirs)
        cleanup.callback(shell.wait)
        cleanup.callback(shell.kill)

        def tell(text, until):
            """Types the text and returns what the terminal shows up to the words `until`."""
            os.write(terminal, text.encode())
            shown, end = "", time.monotonic() + 30
            while not (found := re.search(until, shown, re.DOTALL)):
                if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                    raise AssertionError(f"zsh has not said {until!r}: {shown!r}")
                shown += os.read(terminal, 65536).decode(errors="replace")
            return found

        tell(f"PS1= RPS1=; unset zle_bracketed_paste; fpath=({folder} $fpath); autoload -U compinit; compinit -u -D; print RE''ADY\n", "READY")
        # The line, once completed, is printed instead of run.
        tell("shown() { print -r -- \"<$BUFFER>\"; BUFFER=; zle accept-line }; zle -N shown; bindkey '^G' shown; print BO''UND\n", "BOUND")
        return tell(f"{line}\t\x07", "<(.*?)>").group(1)


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

    def test_bash_completes_commands_choices_and_files(self):
        self.assertEqual(sorted(completed("vmicache", "")), sorted([*subcommands("vmicache"), "--help", "--version"]))
        self.assertEqual(completed("vmilaunch", "--machine", "mi"), ["microvm"])
        self.assertEqual(completed("vmilaunch", "--vms", "4", "--imag"), ["--image"])
        self.assertEqual(completed("vmicache", "build", "--accel", "t"), ["tcg"])
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a disk.qcow2", "run.h5"):
                (pathlib.Path(folder) / name).touch()
            for command in COMPLETIONS:
                words = ["info"] if subcommands(command) else []
                self.assertEqual(sorted(completed(command, *words, f"{folder}/")), [f"{folder}/a disk.qcow2", f"{folder}/run.h5"])

    @unittest.skipIf(not shutil.which("zsh") and os.environ.get("CI") != "true", "no zsh is installed")
    def test_a_real_zsh_completes_commands_options_and_choices(self):
        for line, expected in (("vmilaunch --machine mi", "microvm"), ("vmilaunch --imag", "--image"), ("vmicache bui", "build"),
                               ("vmicache build --accel t", "tcg"), ("vmireport --recov", "--recover")):
            with self.subTest(line=line):
                self.assertEqual(completed_by_zsh(line).rstrip(), f"{line.rsplit(' ', 1)[0]} {expected}")


if __name__ == "__main__":
    unittest.main()
