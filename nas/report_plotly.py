"""Panels as plotly's figures: plain JSON values that its library for browsers draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nas.report_figures import (
    GREYS,
    PALETTE,
    SCALE,
    Axis,
    Heatmap,
    Panel,
)
from nas.report_ticks import label_lines, log_ticks, tick_text
from nas.report_traces import CLEAR, band, finite_numbers, shown_text, trace

__all__ = ["DARK", "RING", "panel_json"]

TEXT = ("#24292f", "#d5dae0")
GRID = ("#e3e7eb", "#2e353d")
FAINT = ("#59636e", "#9aa4af")
PAPER = "rgba(0,0,0,0)"
DARK = dict((*PALETTE, GREYS, TEXT, GRID, FAINT, *SCALE))
"""What a colour is called on a dark page."""

RING = 16
"""Diameter of what marks the same subject in all panels, in pixels."""
HEIGHT, LARGE, ROW, SMALL = 270, 340, 26, 11
SMALL_WIDTH, SMALL_HEIGHT = 6.0, 14
"""Of a character and of a line in small type, in pixels."""
LEAST = 200
"""Height of the squares of a heat map at the least."""


def panel_json(panel: Panel | Heatmap) -> dict[str, Any]:
    """``data`` and ``layout`` of a panel; the legend and the title are the page's."""
    return _heatmap(panel) if isinstance(panel, Heatmap) else _panel(panel)


def _panel(panel: Panel) -> dict[str, Any]:
    numbers_x = [x for s in panel.series for x in (*s.x, *s.x_low, *s.x_high)]
    numbers_x += [limit.x for limit in panel.limits]
    numbers_y = [y for s in panel.series for y in (*s.y, *s.y_low, *s.y_high)]
    rows = sum(_row(name) for name in panel.y.categories)
    shapes = [
        {
            "type": "line",
            "x0": limit.x,
            "x1": limit.x,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": PALETTE[1][0], "width": 1.5, "dash": "dash"},
        }
        for limit in panel.limits
    ]
    height = HEIGHT if panel.span == 1 else LARGE
    layout = _layout(round(max(HEIGHT, 90 + rows)) if rows else height)
    layout |= {
        "xaxis": _axis(panel.x, numbers_x),
        "yaxis": _axis(panel.y, numbers_y, vertical=True),
        "shapes": shapes,
    }
    # Bands first, below all lines; of the same name, so that the legend hides both.
    bands = [band(series) for series in panel.series if series.band]
    return {"data": [*bands, *map(trace, panel.series)], "layout": layout}


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 10, "r": 14, "t": 8, "b": 10},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": TEXT[0]},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "hoverlabel": {"bgcolor": CLEAR[0], "bordercolor": GREYS[0], "font": {"color": TEXT[0]}},
    }


def _axis(axis: Axis, numbers: Sequence[float], vertical: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "title": {"text": shown_text(axis.title), "standoff": 8, "font": {"color": FAINT[0]}},
        "automargin": True,
        "gridcolor": GRID[0],
        "linecolor": GREYS[0],
        "tickcolor": GREYS[0],
        "zeroline": False,
        "exponentformat": "none",
        "separatethousands": True,
        "nticks": 6,
        "tickangle": 0,
    }
    if axis.categories:
        last = len(axis.categories) - 1
        shown |= {
            "tickvals": list(range(last + 1)),
            "ticktext": [_label(name) for name in axis.categories],
            "tickfont": {"size": SMALL},
            "range": [last + 0.5, -0.5] if vertical else [-0.5, last + 0.5],
        }
    elif axis.log and numbers:
        low, high = _padded(min(numbers), max(numbers))
        ticks = log_ticks(low, high)
        shown |= {
            "type": "log",
            "range": [math.log10(low), math.log10(high)],
            "tickvals": list(ticks),
            "ticktext": [tick_text(tick) for tick in ticks],
        }
    return shown


def _padded(low: float, high: float) -> tuple[float, float]:
    room = (high / low) ** 0.06 if high > low else 1.5
    return low / room, high * room


def _heatmap(panel: Heatmap) -> dict[str, Any]:
    names = [_label(name) for name in panel.names]
    n = len(names)
    drawn: dict[str, Any] = {
        "type": "heatmap",
        "z": [finite_numbers(row) for row in panel.values],
        "x": list(range(n)),
        "y": list(range(n)),
        "zmin": -1,
        "zmax": 1,
        "colorscale": [[i / 2, colour[0]] for i, colour in enumerate(SCALE)],
        "xgap": 1,
        "ygap": 1,
        "hovertext": [[shown_text(text) for text in row] for row in panel.texts],
        "hoverinfo": "text",
        "colorbar": {
            "thickness": 10,
            "len": 0.9,
            "outlinewidth": 0,
            "title": {"text": "tau", "side": "top"},
            "tickvals": [-1, -0.5, 0, 0.5, 1],
        },
    }
    if n <= 12:
        drawn |= {
            "text": [["" if math.isnan(v) else f"{v:.2f}" for v in row] for row in panel.values],
            "texttemplate": "%{text}",
        }
    squares = max(LEAST, sum(map(_row, panel.names)))
    layout = _layout(round(squares + 50 + _slanted(panel.names)))
    ticks = {
        "tickvals": list(range(n)),
        "ticktext": names,
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "tickfont": {"size": SMALL},
    }
    layout |= {
        "xaxis": {**ticks, "tickangle": -60},
        "yaxis": {**ticks, "autorange": "reversed"},
    }
    return {"data": [drawn], "layout": layout}


def _label(name: str) -> str:
    return "<br>".join(map(shown_text, label_lines(name)))


def _row(name: str) -> float:
    """Height that a label takes."""
    return max(ROW, SMALL_HEIGHT * len(label_lines(name)) + 4)


def _slanted(names: Sequence[str]) -> float:
    """Height that labels take which stand on a slant of 60 degrees."""
    lines = [label_lines(name) for name in names]
    longest = max((len(line) for each in lines for line in each), default=0)
    most = max(map(len, lines), default=0)
    return math.sqrt(3) / 2 * SMALL_WIDTH * longest + SMALL_HEIGHT * most / 2
