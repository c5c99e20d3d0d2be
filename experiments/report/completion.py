# SPDX-License-Identifier: Apache-2.0
"""Shell completion for vmireport, made from its options as the other programs make theirs."""

BASH = """\
# {shell} completion for {program}; made from its options.
_{program}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}}
  case $word in -*) COMPREPLY=($(compgen -W '{names}' -- "$word")); return;; esac
  local IFS=$'\\n'
  COMPREPLY=($(compgen -f -- "$word"))
}}
complete -o filenames -F _{program} {program}
"""


def completion_script(shell, parser):
    """A script for "bash" or "zsh"."""
    # argparse has no public way to list what was added.
    names = [name for action in parser._actions for name in action.option_strings if name.startswith("--") and name != "--completion"]  # pylint: disable=protected-access
    text = BASH.format(shell=shell, program=parser.prog, names=" ".join(names))
    return (f"#compdef {parser.prog}\nautoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else "") + text
