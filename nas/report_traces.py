"""Series as plotly's traces: lines, points, their intervals and bands."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

from nas.report_document import printable
from nas.report_figures import BAND, GREYS, PALETTE, SCALE, Series, stepped

__all__ = ["CLEAR", "band", "finite_numbers", "shown_text", "trace"]

CLEAR = SCALE[1]
"""Inside of hollow markers."""
SYMBOLS = {"triangle": "triangle-up", "wedge": "triangle-down", "cross": "x"}
SIZE, STAR, ON_LINE = 8, 14, 6


def band(series: Series) -> dict[str, Any]:
    """The area between the ends of the intervals along y."""
    low, high = (
        stepped(series.x, y) if series.step else (series.x, y)
        for y in (series.y_low, series.y_high)
    )
    return {
        "type": "scatter",
        "name": shown_text(series.name),
        "mode": "lines",
        "x": finite_numbers((*low[0], *reversed(high[0]))),
        "y": finite_numbers((*low[1], *reversed(high[1]))),
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": (*PALETTE, GREYS)[series.colour][0],
        "opacity": BAND,
        "hoverinfo": "skip",
    }


def trace(series: Series) -> dict[str, Any]:
    """Points, their line, and their intervals where these are no band."""
    colour = (*PALETTE, GREYS)[series.colour][0]
    modes = [name for name, used in (("lines", series.line), ("markers", series.marker)) if used]
    drawn: dict[str, Any] = {
        "type": "scatter",
        "name": shown_text(series.name),
        "mode": "+".join(modes),
        "x": finite_numbers(series.x),
        "y": finite_numbers(series.y),
        "cliponaxis": False,
    }
    if series.line:
        shape = "hv" if series.step else "linear"
        drawn["line"] = {"color": colour, "width": 1.5, "dash": series.line, "shape": shape}
    if series.marker:
        drawn["marker"] = {
            "symbol": SYMBOLS.get(series.marker, series.marker),
            "size": STAR if series.marker == "star" else ON_LINE if series.line else SIZE,
            "color": colour if series.filled else CLEAR[0],
            "line": {"color": CLEAR[0] if series.filled else colour, "width": 1.2},
        }
    for axis, low, high in (
        ("x", series.x_low, series.x_high),
        ("y", series.y_low, series.y_high),
    ):
        if low and not (series.band and axis == "y"):
            centre = getattr(series, axis)
            drawn[f"error_{axis}"] = {
                "type": "data",
                "symmetric": False,
                "array": [_finite(h - c) for h, c in zip(high, centre, strict=True)],
                "arrayminus": [_finite(c - each) for each, c in zip(low, centre, strict=True)],
                "color": colour,
                "thickness": 1,
                "width": 0,
            }
    if series.subjects:
        drawn |= {"customdata": list(series.subjects), "hoverinfo": "none"}
    elif series.texts:
        drawn |= {"hovertext": [shown_text(text) for text in series.texts], "hoverinfo": "text"}
    else:
        drawn["hoverinfo"] = "skip"
    return drawn


def shown_text(text: str) -> str:
    """Text that plotly shows as it is: it reads some HTML tags."""
    return html.escape(printable(text), quote=False)


def finite_numbers(values: Iterable[float]) -> list[float | None]:
    """Numbers that JSON knows; ``None`` for the others."""
    return [_finite(value) for value in values]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
