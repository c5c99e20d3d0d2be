# SPDX-License-Identifier: Apache-2.0
"""What all plots share: colours, axes, and how they are saved."""

import warnings

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # texts are file names and guests' last words, with any $ in them
warnings.filterwarnings("ignore", message="Glyph .* missing from current font")

from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import LogLocator, NullLocator  # noqa: E402

from .errors import ENVIRONMENT, ReportError, reason_of  # noqa: E402

# Okabe and Ito's palette: told apart with any colour vision, and by lightness in print.
SKY, ORANGE, BLUE, GREEN, RED = "#56B4E9", "#E69F00", "#0072B2", "#009E73", "#D55E00"
LIGHT_GREEN, GREY = "#A3DCC9", "#6E6E6E"


def doubling(axes, points):
    """The x axis of a quantity that was doubled from point to point."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(points, [str(n) for n in points])


def log_values(axes):
    """A logarithmic y axis whose labels are plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def save(figure, path):
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ReportError(ENVIRONMENT, f"cannot write plot '{path}': {reason_of(error)}") from error
    finally:
        pyplot.close(figure)


def plain(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
