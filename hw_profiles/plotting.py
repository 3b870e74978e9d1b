"""The picture of a certificate: predicted against measured, network by network.

It takes matplotlib, from the extra ``plot``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hw_profiles.certificate import Measured, score
from hw_profiles.errors import UnavailableError
from hw_profiles.quantity import quantity
from hw_profiles.table import BlockTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "plot_certificate"]

FORMATS = ("svg", "png")
"""Suffixes of files that are written."""

BANDS = ((0.10, "#dde3ea"), (0.05, "#b9c6d3"))
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c564b",
    "#7f7f7f",
)  # fmt: skip
"""Most told apart with any colour vision (Okabe & Ito 2008); the markers differ too."""
MARKERS = "osD^vP*Xh"
PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"))
AXIS_LABELS = {
    "latency_s": "latency",
    "decode_step_s": "time of a decoding step",
    "train_step_s": "time of a training step",
    "energy_j": "energy of an inference",
    "train_energy_j": "energy of a training step",
}


def plot_certificate(tables: Sequence[BlockTable], path: Path) -> None:
    """Draws the certificates of tables of one quantity and setting, and writes the picture.

    To the left predicted against measured, to the right the error, which the logarithm hides.

    Args:
        tables: Their networks are drawn together, families by colour.
        path: An ``.svg`` or ``.png``; an old one is replaced.

    Raises:
        ValueError: No table has a certificate, they are not of one setting, or it is another kind
            of file.
        UnavailableError: matplotlib is not installed.
    """
    if path.suffix.lstrip(".") not in FORMATS:
        raise ValueError(f"A plot is written as .{' or .'.join(FORMATS)}; got {path.name!r}.")
    if len({(table.quantity, table.setting, table.device) for table in tables}) != 1:
        raise ValueError(
            f"`tables` must be of one quantity, setting and device; got "
            f"{', '.join(table.name for table in tables) or 'none'}."
        )
    measured = [m for table in tables if table.certificate for m in table.certificate.measured]
    if not measured:
        raise ValueError(f"The table of {tables[0].name} has no certificate to plot.")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnavailableError(
            "Plots need matplotlib, which is not installed; pip install 'hwnas[plot]'."
        ) from error
    style: Any = {
        "svg.hashsalt": "hwnas",
        "font.size": 10,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(10.5, 5.4), layout="constrained")
        _draw(figure, tables[0], measured)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without the date, so that the same certificate gives the same file.
        dated = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=150, metadata=dated)


def _draw(figure: Figure, table: BlockTable, measured: Sequence[Measured]) -> None:
    whole, error = figure.subplots(1, 2, width_ratios=(1, 1.1))
    values = np.array([[m.predicted, float(np.mean(m.measured))] for m in measured])
    scale, prefix = next((item for item in PREFIXES if values.max() >= item[0]), PREFIXES[-1])
    unit = f"{prefix}{quantity(table.quantity).unit}"
    label = AXIS_LABELS.get(table.quantity, table.quantity)
    ends = np.array([values.min() / 1.15, values.max() * 1.15]) / scale
    for limit, colour in BANDS:
        named = f"±{limit:.0%}".replace("%", " %")
        # An error is of the measured value, so a band is straight on both pairs of axes.
        whole.fill_between(ends, ends * (1 - limit), ends * (1 + limit), color=colour, label=named)
        error.axhspan(-100 * limit, 100 * limit, color=colour)
    whole.plot(ends, ends, color="#444444", linewidth=0.8)
    error.axhline(0, color="#444444", linewidth=0.8)
    for index, family in enumerate(sorted({m.family for m in measured})):
        own = [m for m in measured if m.family == family]
        style: Any = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index % len(MARKERS)],
            "s": 16,
            "alpha": 0.75,
            "linewidths": 0,
        }
        x = np.array([float(np.mean(m.measured)) for m in own]) / scale
        whole.scatter(x, np.array([m.predicted for m in own]) / scale, label=_told(own), **style)
        error.scatter(x, [100 * m.error for m in own], **style)
    whole.set(
        xlim=ends, ylim=ends, yscale="log", aspect="equal", ylabel=f"predicted {label} ({unit})"
    )
    reach = 1.1 * max(12.0, *(100 * abs(m.error) for m in measured))
    error.set(xlim=ends, ylim=(-reach, reach), ylabel="predicted over measured, less one (%)")
    for axes in (whole, error):
        axes.set(xscale="log", xlabel=f"measured {label} ({unit})")
        axes.grid(color="#cccccc", linewidth=0.4)
    _label_ticks(whole, error)
    figure.suptitle(
        f"{table.device.name}, {table.setting.name}: {len(measured)} networks that the table was "
        f"not fitted to\nstatistic: {table.conditions.get('statistic', 'not stated')}",
        fontsize=11,
    )
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)


def _told(networks: Sequence[Measured]) -> str:
    """Family and figures, for the legend."""
    figures = score(networks)
    return (
        f"{networks[0].family} (n = {figures.n}): {100 * figures.within_10:.1f} % within ±10 %, "
        f"{100 * figures.within_5:.1f} % within ±5 %"
    )


def _label_ticks(*axes: Axes) -> None:
    """Plain numbers on logarithmic axes, also between powers of ten where those are few."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for each in axes:
        logarithmic: list[Any] = [each.xaxis]
        if each.get_yscale() == "log":
            logarithmic.append(each.yaxis)
        for axis in logarithmic:
            low, high = axis.get_view_interval()
            steps = (1, 2, 5) if high / low < 300 else (1,)
            axis.set_major_locator(LogLocator(subs=steps, numticks=20))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
