# SPDX-License-Identifier: Apache-2.0
"""The command vmireport."""

import argparse
import contextlib
import io
import os
import sys

from .completion import completion_script
from .errors import ENVIRONMENT, USAGE, ReportError
from .outputs import check_csv, check_plot, json_text, say, visible

EXAMPLES = """\
examples:
  vmireport run.h5                              the table of one launch
  vmireport none.h5 cache.h5 --plot both.png    two launches side by side, with ratios, and their plot
  watch vmireport run.h5                        follow a launch that still runs and will write run.h5
  vmireport --recover run.h5.journal            make the record of a launch that was killed
  vmireport one-image.h5 --plot one-image.png   what an experiment found (experiments/run)

exit status: 0 done, 2 usage, 3 a file is no record, 4 environment (a package is missing, a file cannot be written)
"""


def parser(version):
    p = argparse.ArgumentParser(
        prog="vmireport", description="Tabulates, compares and plots the records of vmilaunch.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    p.add_argument("runs", metavar="RUN.h5", nargs="*", help="records, or journals of launches that still run (RUN.h5 finds RUN.h5.journal); several are "
                        "compared with the first")
    p.add_argument("--json", action="store_true", help="print the figures as JSON")
    p.add_argument("--plot", metavar="OUT.png",
                   help="draw the VMs ready over time, the bytes read of the base image, and every VM's life (.png, .pdf or .svg; "
                        "up to 4 records)")
    p.add_argument("--csv", metavar="OUT.csv", help="write a record's VMs, or an experiment's measurements, as CSV")
    p.add_argument("--recover", metavar="JOURNAL",
                   help="make the record of a launch that was killed from its journal, and report it")
    p.add_argument("--output", metavar="RUN.h5",
                   help="with --recover: where to (default: the journal's name without .journal, unless that exists)")
    p.add_argument("-v", "--verbose", action="store_true",
                   help="the whole table of each record, with every VM and attribute")
    p.add_argument("--completion", choices=("bash", "zsh"), help=argparse.SUPPRESS)
    p.add_argument("--version", action="version", version=f"vmireport {version}")
    return p


def main(argv, version, libexec_folders):
    # A stream that was closed by the caller is None.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")
    sys.stdout.reconfigure(errors="replace")
    status = _status_of(argv, version, libexec_folders)
    try:
        sys.stdout.flush()
    except OSError:  # told before; the interpreter would tell it once more, with a status of its own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _status_of(argv, version, libexec_folders):
    try:
        options = parse(argv, version)
        if options:
            run(options, libexec_folders)
        return 0
    except SystemExit as end:
        return end.code
    except ReportError as error:
        print(visible(f"vmireport: error: {error}"), file=sys.stderr)
        return error.status
    except ModuleNotFoundError as error:
        print(f"vmireport: error: Python has no module '{error.name}': install python3-h5py, python3-pandas and "
              "python3-matplotlib", file=sys.stderr)
        return ENVIRONMENT
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as by `vmireport run.h5 | head`: nobody reads on
        return 0


def parse(argv, version):
    """The options; None for --help and the like, which are all that is to be printed."""
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            options = parser(version).parse_args(argv)
    except SystemExit as end:
        if end.code != 0:
            raise  # argparse has said why
        say(shown.getvalue())
        return None
    if options.completion:
        say(completion_script(options.completion, parser(version)))
        return None
    return options


def run(options, libexec_folders):
    if not options.runs and not options.recover:
        raise ReportError(USAGE, "name a record (RUN.h5), or a journal with --recover; see 'vmireport --help'")
    if options.output and not options.recover:
        raise ReportError(USAGE, "--output goes with --recover")
    if options.csv:
        check_csv(options.csv)
    if options.plot:
        check_plot(options.plot)

    paths = list(options.runs)
    if options.recover:
        from .journal import recover
        path, said = recover(options.recover, options.output, libexec_folders)
        for line in said:
            print(f"vmireport: warning: {line}", file=sys.stderr)
        print(f"vmireport: wrote '{path}' from '{options.recover}'", file=sys.stderr)
        paths.insert(0, path)

    from .experiment import is_experiment, report_experiment, write_csv
    if any(is_experiment(path) for path in paths):
        if len(paths) > 1:
            raise ReportError(USAGE, "an experiment's file is reported alone; name one")
        report_experiment(paths[0], options)
        return
    if options.csv and len(paths) > 1:
        raise ReportError(USAGE, "--csv takes one record")

    from .record import labels, load, newer_launch
    from .summary import summarise
    records = [load(path, libexec_folders) for path in paths]
    for path in filter(newer_launch, options.runs):
        print(f"vmireport: note: '{path}' is of an earlier launch; 'vmireport {newer_launch(path)}' shows the later one",
              file=sys.stderr)
    runs = [summarise(record) for record in records]

    if options.json:
        say(json_text({"runs": runs}))
    else:
        from .table import brief, comparison, run_table
        whole = options.verbose or len(runs) == 1
        parts = [run_table(run, options.verbose, record.vms) if whole else brief(run)
                 for run, record in zip(runs, records)]
        if len(runs) > 1:
            parts.append(comparison(runs, labels(records)))
        say(visible("\n\n".join(parts) + "\n"))

    if options.csv:
        write_csv(records[0].vms, options.csv)
    if options.plot:
        from .launch_plot import plot
        plot(records, options.plot)
