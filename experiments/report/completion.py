# SPDX-License-Identifier: Apache-2.0
"""Shell completion for vmireport, made from its options as the other programs make theirs."""

BASH = """\
# bash completion for {program}; made from its options.
_{program}() {{
  local word=${{COMP_WORDS[COMP_CWORD]#=}}
  case $word in -*) COMPREPLY=($(compgen -W '{names}' -- "$word")); return;; esac
  local IFS=$'\\n'
  COMPREPLY=($(compgen -f -- "$word"))
}}
complete -o filenames -F _{program} {program}
"""

ZSH = """\
#compdef {program}
# zsh completion for {program}; made from its options.
local word=${{words[CURRENT]}}
if [[ $word == --*=* ]]; then compset -P '*='; _files; return; fi
case $word in -*) compadd -- {names}; return;; esac
_files
"""


def completion_script(shell, parser):
    """A script for "bash" or "zsh"."""
    # argparse has no public way to list what was added.
    names = [name for action in parser._actions for name in action.option_strings if name.startswith("--") and name != "--completion"]  # pylint: disable=protected-access
    return {"bash": BASH, "zsh": ZSH}[shell].format(program=parser.prog, names=" ".join(names))
