"""Panels as plotly's figures: plain JSON values that its library for browsers draws."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

from nas.report_document import printable
from nas.report_figures import (
    GREYS,
    PALETTE,
    SCALE,
    Axis,
    Heatmap,
    Panel,
    Series,
    log_ticks,
    tick_text,
)

__all__ = ["DARK", "RING", "panel_json"]

TEXT = ("#24292f", "#d5dae0")
GRID = ("#e3e7eb", "#2e353d")
FAINT = ("#59636e", "#9aa4af")
CLEAR = SCALE[1]
"""Inside of hollow markers."""
PAPER = "rgba(0,0,0,0)"
DARK = dict((*PALETTE, GREYS, TEXT, GRID, FAINT, *SCALE))
"""What a colour is called on a dark page."""

SYMBOLS = {"triangle": "triangle-up", "wedge": "triangle-down", "cross": "x"}
SIZE, STAR, ON_LINE = 8, 14, 6
RING = 16
"""Diameter of what marks the same subject in all panels, in pixels."""
HEIGHT, ROW, WIDE_ROW = 270, 24, 26


def panel_json(panel: Panel | Heatmap) -> dict[str, Any]:
    """``data`` and ``layout`` of a panel; the legend and the title are the page's."""
    return _heatmap(panel) if isinstance(panel, Heatmap) else _panel(panel)


def _panel(panel: Panel) -> dict[str, Any]:
    numbers_x = [x for s in panel.series for x in (*s.x, *s.x_low, *s.x_high)]
    numbers_x += [limit.x for limit in panel.limits]
    numbers_y = [y for s in panel.series for y in (*s.y, *s.y_low, *s.y_high)]
    rows = len(panel.y.categories)
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
    layout = _layout(HEIGHT if not rows else max(HEIGHT, 90 + ROW * rows))
    layout |= {
        "xaxis": _axis(panel.x, numbers_x),
        "yaxis": _axis(panel.y, numbers_y, vertical=True),
        "shapes": shapes,
    }
    return {"data": [_trace(series) for series in panel.series], "layout": layout}


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
        "title": {"text": _text(axis.title), "standoff": 8, "font": {"color": FAINT[0]}},
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
            "ticktext": [_text(name) for name in axis.categories],
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


def _trace(series: Series) -> dict[str, Any]:
    colour = (*PALETTE, GREYS)[series.colour][0]
    modes = [name for name, used in (("lines", series.line), ("markers", series.marker)) if used]
    trace: dict[str, Any] = {
        "type": "scatter",
        "name": _text(series.name),
        "mode": "+".join(modes),
        "x": _numbers(series.x),
        "y": _numbers(series.y),
        "cliponaxis": False,
    }
    if series.line:
        trace["line"] = {"color": colour, "width": 1.5, "dash": series.line}
    if series.marker:
        trace["marker"] = {
            "symbol": SYMBOLS.get(series.marker, series.marker),
            "size": STAR if series.marker == "star" else ON_LINE if series.line else SIZE,
            "color": colour if series.filled else CLEAR[0],
            "line": {"color": CLEAR[0] if series.filled else colour, "width": 1.2},
        }
    for axis, low, high in (
        ("x", series.x_low, series.x_high),
        ("y", series.y_low, series.y_high),
    ):
        if low:
            centre = getattr(series, axis)
            trace[f"error_{axis}"] = {
                "type": "data",
                "symmetric": False,
                "array": [_finite(h - c) for h, c in zip(high, centre, strict=True)],
                "arrayminus": [_finite(c - each) for each, c in zip(low, centre, strict=True)],
                "color": colour,
                "thickness": 1,
                "width": 0,
            }
    if series.subjects:
        trace |= {"customdata": list(series.subjects), "hoverinfo": "none"}
    elif series.texts:
        trace |= {"hovertext": [_text(text) for text in series.texts], "hoverinfo": "text"}
    else:
        trace["hoverinfo"] = "skip"
    return trace


def _heatmap(panel: Heatmap) -> dict[str, Any]:
    names = [_text(name) for name in panel.names]
    n = len(names)
    trace = {
        "type": "heatmap",
        "z": [_numbers(row) for row in panel.values],
        "x": list(range(n)),
        "y": list(range(n)),
        "zmin": -1,
        "zmax": 1,
        "colorscale": [[i / 2, colour[0]] for i, colour in enumerate(SCALE)],
        "xgap": 1,
        "ygap": 1,
        "hovertext": [[_text(text) for text in row] for row in panel.texts],
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
        trace |= {
            "text": [["" if math.isnan(v) else f"{v:.2f}" for v in row] for row in panel.values],
            "texttemplate": "%{text}",
        }
    layout = _layout(150 + WIDE_ROW * n)
    ticks = {
        "tickvals": list(range(n)),
        "ticktext": names,
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "tickfont": {"size": 11},
    }
    layout |= {
        "xaxis": {**ticks, "tickangle": -60},
        "yaxis": {**ticks, "autorange": "reversed"},
    }
    return {"data": [trace], "layout": layout}


def _text(text: str) -> str:
    """Text that plotly shows as it is: it reads some HTML tags."""
    return html.escape(printable(text), quote=False)


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_finite(value) for value in values]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
