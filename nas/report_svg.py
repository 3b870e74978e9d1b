"""Figures as SVG files, drawn by matplotlib (the extra ``plot``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw_profiles.errors import UnavailableError
from nas.report_document import printable
from nas.report_figures import (
    BAND,
    GREYS,
    PALETTE,
    SCALE,
    Axis,
    Figure,
    Heatmap,
    Panel,
    Series,
)
from nas.report_ticks import label_lines, log_ticks, tick_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_svg"]

SHAPES = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle": "^",
    "cross": "X",
    "pentagon": "p",
    "hexagon": "h",
    "wedge": "v",
    "star": "*",
}
LINES = {"": "none", "solid": "-", "dash": "--", "dot": ":"}
COLUMNS = 4
WIDTH, HEIGHT = 3.3, 2.7
"""Of a panel, in inches."""
CELL = 0.3
"""Of a heat map."""
STYLE: Any = {
    "svg.hashsalt": "hwnas",
    "font.size": 8,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}


def write_svg(figure: Figure, path: Path) -> None:
    """Draws a figure; the same one gives the same file.

    Args:
        figure: What to draw; of at least one panel.
        path: The file; an old one is replaced.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise UnavailableError(
            "SVG files need matplotlib, which is not installed; pip install 'hwnas[plot]'."
        ) from error
    with matplotlib.rc_context(STYLE):
        columns = min(COLUMNS, len(figure.panels))
        rows = -(-len(figure.panels) // columns)
        width, height = (max(sizes) for sizes in zip(*map(_size, figure.panels), strict=True))
        canvas = Canvas(figsize=(columns * width, rows * height + 0.7), layout="constrained")
        grid = canvas.subplots(rows, columns, squeeze=False).ravel().tolist()
        for axes, panel in zip(grid, figure.panels, strict=False):
            if isinstance(panel, Heatmap):
                _heatmap(axes, panel)
            else:
                _panel(axes, panel)
        for axes in grid[len(figure.panels) :]:
            axes.axis("off")
        canvas.suptitle(printable(figure.title), fontsize=11)
        handles, labels = _legend(grid)
        if handles:
            canvas.legend(
                handles, labels, loc="outside lower center", ncols=min(4, len(labels)),
                frameon=False,
            )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without the date, so that the same run gives the same file.
        canvas.savefig(path, format="svg", metadata={"Date": None})


def _size(panel: Panel | Heatmap) -> tuple[float, float]:
    if isinstance(panel, Heatmap):
        return 2.2 + CELL * len(panel.names), 2.0 + CELL * len(panel.names)
    rows = len(panel.y.categories)
    return (WIDTH if panel.span == 1 else 2 * WIDTH), max(HEIGHT, 1.2 + 0.22 * rows)


def _panel(axes: Axes, panel: Panel) -> None:
    for series in panel.series:
        _draw(axes, series)
    for limit in panel.limits:
        name = printable(limit.name)
        axes.axvline(limit.x, color=PALETTE[1][0], linestyle="--", linewidth=1, label=name)
    _set_axis(axes, panel.x, "x", [x for s in panel.series for x in s.x])
    _set_axis(axes, panel.y, "y", [y for s in panel.series for y in s.y])
    axes.grid(color="#dddddd", linewidth=0.4)
    _title(axes, panel.title, panel.note)


def _title(axes: Axes, title: str, note: str) -> None:
    lines = [printable(title), *_wrapped(printable(note))]
    axes.set_title("\n".join(lines), fontsize=8, loc="left")


def _label(name: str) -> str:
    return "\n".join(map(printable, label_lines(name)))


def _wrapped(text: str, width: int = 56) -> Sequence[str]:
    import textwrap

    return textwrap.wrap(text, width)


def _draw(axes: Axes, series: Series) -> None:
    colour = (*PALETTE, GREYS)[series.colour][0]
    errors: dict[str, Any] = {}
    for name, low, high in (
        ("xerr", series.x_low, series.x_high),
        ("yerr", series.y_low, series.y_high),
    ):
        if low and not (series.band and name == "yerr"):
            centre = getattr(series, name[0])
            errors[name] = [
                [max(0.0, c - each) for each, c in zip(low, centre, strict=True)],
                [max(0.0, each - c) for each, c in zip(high, centre, strict=True)],
            ]
    if series.band:
        step: Any = "post" if series.step else None
        axes.fill_between(
            series.x, series.y_low, series.y_high, step=step, color=colour, alpha=BAND, linewidth=0
        )
    axes.errorbar(
        series.x,
        series.y,
        **errors,
        label=printable(series.name),
        color=colour,
        linestyle=LINES[series.line],
        drawstyle="steps-post" if series.step else "default",
        linewidth=1.2,
        elinewidth=0.6,
        marker=SHAPES.get(series.marker, "none"),
        markersize=9 if series.marker == "star" else 4.5,
        markerfacecolor=colour if series.filled else "white",
        markeredgecolor="white" if series.filled else colour,
        markeredgewidth=0.5 if series.filled else 0.9,
    )


def _set_axis(axes: Axes, axis: Axis, which: str, numbers: Sequence[float]) -> None:
    axes.set(**{f"{which}label": printable(axis.title)})
    place = axes.xaxis if which == "x" else axes.yaxis
    if axis.categories:
        last = len(axis.categories) - 1
        ends = (-0.5, last + 0.5) if which == "x" else (last + 0.5, -0.5)
        axes.set(**{f"{which}lim": ends})
        place.set_ticks(range(last + 1), [_label(name) for name in axis.categories])
    elif axis.log and numbers:
        axes.set(**{f"{which}scale": "log"})
        low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
        ticks = log_ticks(low, high)
        place.set_ticks(ticks, [tick_text(tick) for tick in ticks])
        place.set_ticks([], minor=True)
    else:
        axes.locator_params(axis="x" if which == "x" else "y", nbins=5)


def _heatmap(axes: Axes, panel: Heatmap) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    n = len(panel.names)
    colours = LinearSegmentedColormap.from_list("tau", [light for light, _ in SCALE])
    axes.imshow(panel.values, cmap=colours, vmin=-1, vmax=1)
    names = [_label(name) for name in panel.names]
    axes.set_xticks(range(n), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), names)
    for row, values in enumerate(panel.values):
        for column, value in enumerate(values):
            if not math.isnan(value):
                dark = abs(value) > 0.6
                axes.text(
                    column, row, f"{value:.2f}", ha="center", va="center", fontsize=6,
                    color="white" if dark else "#24292f",
                )  # fmt: skip
    _title(axes, panel.title, panel.note)


def _legend(grid: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    found: dict[str, Any] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
