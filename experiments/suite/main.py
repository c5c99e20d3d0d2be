# SPDX-License-Identifier: Apache-2.0
"""The command experiments/run."""
import argparse
import pathlib
import shlex
import subprocess
import sys

from . import density, distribution, many_images, one_image, quota, scale, traffic, working_set
from .box import ExperimentError, VMIREPORT, check_machine, memory_kept, nodes_alike, say
from .results import Results

EXPERIMENTS = {"one-image": one_image, "many-images": many_images, "distribution": distribution, "working-set": working_set, "quota": quota,
               "traffic": traffic, "density": density, "scale": scale}


def parser():
    names = "\n".join(f"  {name:12} {module.__doc__.splitlines()[0]}" for name, module in EXPERIMENTS.items())
    p = argparse.ArgumentParser(
        prog="experiments/run", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs experiments, and writes DIR/NAME.h5, NAME.csv, NAME.png and NAME.txt for each.", epilog=f"experiments:\n{names}")
    p.add_argument("names", metavar="NAME", nargs="*", choices=[*EXPERIMENTS, "all"], default="all", help="which [all]")
    size = p.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a few small points, within minutes (the default)")
    size.add_argument("--full", action="store_true", help="the points of the evaluation, over two hours")
    p.add_argument("--out", metavar="DIR", type=pathlib.Path, default=pathlib.Path("build/experiments"),
                   help="where to [build/experiments]; what it holds already is not measured again")
    p.add_argument("--dilation", type=float, default=15, metavar="F",
                   help="how much slower guests compute here than with KVM; link rates stand for F times as much. Only recorded [15]")
    p.add_argument("--start-by", choices=["mpirun", "srun"], default="mpirun",
                   help="what starts the launches of one-image; srun: in a Slurm that is started for it [mpirun]")
    p.add_argument("--most-cpu", type=float, default=0.85, metavar="SHARE",
                   help="a measurement during which more of this machine's processors was busy is void [0.85]")
    return p


def named(names):
    """The experiments meant by `names`, a list of theirs; "all", in it or instead of it, is every one."""
    return list(EXPERIMENTS) if "all" in names else names


def main(argv):
    options = parser().parse_args(argv)
    names = named(options.names)
    try:
        check_machine()
        with memory_kept(), nodes_alike():
            for name in names:
                run(name, options)
    except ExperimentError as error:
        print(f"experiments/run: error: {error}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        return 130
    return 0


def run(name, options):
    folder = options.out.resolve() / ("full" if options.full else "quick") / name
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(name, folder, options.most_cpu, command="experiments/run " + shlex.join(sys.argv[1:]), dilation=options.dilation,
                      started_by=options.start_by)
    with results.timed():
        EXPERIMENTS[name].run(results, folder, options.full)
        if results.failures:
            say(f"once more, for what failed: {'; '.join(results.failures)}")
            results.failures.clear()
            EXPERIMENTS[name].run(results, folder, options.full)
    results.save()
    text = subprocess.run([VMIREPORT, results.path, "--csv", folder / f"{name}.csv", "--plot", folder / f"{name}.png"],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    (folder / f"{name}.txt").write_text(text)
    print(text)
    print(f"experiments/run: {name} took {results.attributes['took_s']:.0f} s, calls that were cut off counted; see {folder}", file=sys.stderr)
    if results.failures:
        raise ExperimentError(f"{name}: {len(results.failures)} measurements failed and are not among the results ({'; '.join(results.failures)}); "
                              "call it again for them")
