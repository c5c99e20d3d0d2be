# SPDX-License-Identifier: Apache-2.0
"""Reports what experiments/run measured: one HDF5 file with a table /results and the facts as attributes. Each experiment has
a module here with text(experiment), a paragraph and a table, and draw(experiment), a figure."""

import json
import os
from dataclasses import dataclass

import h5py
import pandas
from vmilaunch import record

from .errors import ENVIRONMENT, UNUSABLE, ReportError, reason_of
from .guarded import guarded
from .outputs import json_text, say, visible


@dataclass
class Experiment:
    path: str
    attributes: dict
    results: pandas.DataFrame

    @property
    def valid(self):
        return self.results[self.results.void == 0]


def is_experiment(path):
    return os.path.isfile(path) and guarded(_has_experiment, path)


def _has_experiment(path):
    try:
        with h5py.File(path, "r", locking=False) as file:
            return "experiment" in file.attrs
    except Exception:  # pylint: disable=broad-exception-caught
        return False  # load() of a record says why


def load(path):
    try:
        return guarded(_read, path)
    except record.RecordError as error:
        raise ReportError(UNUSABLE, str(error)) from error
    except record.DAMAGE as error:
        raise ReportError(UNUSABLE, f"cannot read '{path}', it is damaged: {error}") from error


def _read(path):
    with h5py.File(path, "r", locking=False) as file:
        if "results" not in file:
            raise record.RecordError(f"'{path}' has no table 'results'; run the experiment again")
        return Experiment(path, record.attributes(file), record.table(file["results"]))


def report_experiment(path, options):
    from . import density, distribution, many_images, one_image, quota, scale, traffic, working_set
    reports = {"one-image": one_image, "many-images": many_images, "distribution": distribution, "working-set": working_set,
               "quota": quota, "traffic": traffic, "density": density, "scale": scale}
    experiment = load(path)
    name = experiment.attributes["experiment"]
    if name not in reports:
        raise ReportError(UNUSABLE, f"'{path}' is of an experiment '{name}' that this vmireport does not know")
    if options.json:
        say(json_text({"attributes": experiment.attributes, "results": json.loads(experiment.results.to_json(orient="records"))}))
    else:
        say(visible(reports[name].text(experiment) + "\n\n" + conditions(experiment) + "\n"))
    if options.csv:
        write_csv(experiment.results, options.csv)
    if options.plot:
        from .plot import save
        save(reports[name].draw(experiment), options.plot)


def write_csv(frame, path):
    try:
        frame.to_csv(path, index=False)
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot write '{path}': {reason_of(error)}") from error


def conditions(experiment):
    """What must be known to judge the figures."""
    a, results = experiment.attributes, experiment.results
    void = int((results.void == 1).sum())
    return (f"Conditions: {a['cpus']} processors ({a['cpu']}), {a['qemu_version'].split('(')[0].strip()}, {a['mpi_library']}; "
            f"{len(results)} measurements, the machine's processors busy for {100 * results.cpu_share.median():.0f} % of the time in the median, "
            f"{100 * results.cpu_share.max():.0f} % at most; {void} void (over {100 * a['most_cpu_share']:.0f} %). Made by: {a['command']}")
