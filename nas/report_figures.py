"""Figures of a report: what is drawn, said once, so that a page and an SVG file cannot differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = [
    "BAND",
    "GREY",
    "GREYS",
    "MARKERS",
    "PALETTE",
    "SCALE",
    "Axis",
    "Figure",
    "Heatmap",
    "Limit",
    "Panel",
    "Series",
    "staircase",
    "stepped",
]

PALETTE = (
    ("#0072b2", "#56a8e0"),
    ("#d55e00", "#ff8a3d"),
    ("#009e73", "#2cc99b"),
    ("#b8598f", "#e59ac6"),
    ("#b07a00", "#e9b233"),
    ("#3d8fbf", "#9ad4f5"),
    ("#4d4d4d", "#d0d0d0"),
    ("#8c564b", "#c99489"),
)
"""Told apart with any colour vision, after Okabe & Ito 2008: each on white, and on black."""
GREY = len(PALETTE)
"""Number of the colour of what is there for orientation."""
GREYS = ("#8a929b", "#8b949e")
SCALE = (("#b3470a", "#ff8a3d"), ("#fefefe", "#16191d"), ("#00629b", "#56a8e0"))
"""Of numbers from -1 over 0 to 1."""
MARKERS = ("circle", "square", "diamond", "triangle", "cross", "pentagon", "hexagon", "wedge")
"""Shapes beside the colours, which alone tell nothing to those who do not see them."""

BAND = 0.14
"""Opacity of bands, so that several can be seen through each other."""

DASHES = ("", "solid", "dash", "dot")


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a panel.

    Attributes:
        title: What it shows, with the unit.
        log: Whether it is logarithmic; then every number on it is above 0.
        categories: What stands at 0, 1, ...; numbers when empty.
    """

    title: str
    log: bool = False
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.log and self.categories:
            raise ValueError("`log` must not be set of an axis with `categories`.")


@dataclass(frozen=True, slots=True)
class Series:
    """Points or a line of one kind.

    Attributes:
        name: What the legend calls it; series of one name look alike in all panels.
        x: Of each point.
        y: Likewise.
        colour: Number in :data:`PALETTE`, or :data:`GREY`.
        marker: One of :data:`MARKERS` or ``"star"``; empty for a line alone.
        line: ``"solid"``, ``"dash"`` or ``"dot"``; empty for points alone.
        filled: Whether markers are full.
        x_low: Lower ends of intervals along x; empty where there are none.
        x_high: Upper ends.
        y_low: Along y, likewise.
        y_high: Upper ends.
        band: Whether the intervals along y are drawn as one band, rather than as bars.
        step: Whether the line keeps to each y until the next x.
        subjects: Row of each point among what the report tells of; empty where it is none.
        texts: What is said of each point where it is none.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    colour: int = 0
    marker: str = ""
    line: str = ""
    filled: bool = True
    x_low: tuple[float, ...] = ()
    x_high: tuple[float, ...] = ()
    y_low: tuple[float, ...] = ()
    y_high: tuple[float, ...] = ()
    band: bool = False
    step: bool = False
    subjects: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("y", "x_low", "x_high", "y_low", "y_high", "subjects", "texts"):
            given = getattr(self, name)
            if len(given) != len(self.x) and (given or name == "y"):
                raise ValueError(f"`{name}` must be of {len(self.x)} points; got {len(given)}.")
        if self.marker not in ("", "star", *MARKERS) or self.line not in DASHES:
            raise ValueError(f"There is no marker {self.marker!r} or no line {self.line!r}.")
        if self.band and not (self.y_low and self.y_high):
            raise ValueError("`band` needs `y_low` and `y_high`; one of them is empty.")
        if not self.marker and not self.line:
            raise ValueError("`marker` or `line` must say how points are drawn; both are empty.")


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on x, such as a budget.

    Attributes:
        name: What the legend calls it.
        x: Where it is.
    """

    name: str
    x: float


@dataclass(frozen=True, slots=True)
class Panel:
    """Series on one pair of axes.

    Attributes:
        title: What it is about.
        x: Horizontal.
        y: Vertical.
        series: The later ones are drawn over the earlier.
        note: What it holds for: device, runtime, batch.
        limits: Vertical lines.
        span: How many columns it takes; 0 for a whole row.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    note: str = ""
    limits: tuple[Limit, ...] = ()
    span: int = 1


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A square of numbers between -1 and 1.

    Attributes:
        title: What it is about.
        names: Of rows and columns.
        values: ``[names][names]``; NaN where there is none.
        texts: What is said of each, likewise.
        note: What it holds for.
    """

    title: str
    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for rows in (self.values, self.texts):
            if [len(row) for row in rows] != [len(self.names)] * len(self.names):
                raise ValueError(f"`values` and `texts` must be squares of {len(self.names)}.")


@dataclass(frozen=True, slots=True)
class Figure:
    """Panels that are read together.

    Attributes:
        key: Name of its file and of its place in a page: lower-case letters, digits and hyphens.
        title: What it shows.
        caption: How to read it.
        panels: In order.
    """

    key: str
    title: str
    caption: str
    panels: tuple[Panel | Heatmap, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.key or not set(self.key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise ValueError(f"`key` must be of a-z, 0-9 and hyphens; got {self.key!r}.")

    @property
    def legend(self) -> tuple[Series, ...]:
        """The first series of each name, in the order of the panels."""
        found: dict[str, Series] = {}
        for panel in self.panels:
            for series in panel.series if isinstance(panel, Panel) else ():
                found.setdefault(series.name, series)
        return tuple(found.values())

    @property
    def limits(self) -> tuple[str, ...]:
        """Names of the limits that some panel has."""
        panels = [panel for panel in self.panels if isinstance(panel, Panel)]
        return tuple(dict.fromkeys(limit.name for panel in panels for limit in panel.limits))


def staircase(
    x: Sequence[float], y: Sequence[float], more_x: bool = False, more_y: bool = False
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Corners of the border of what some points dominate, from the cheapest of them on.

    Args:
        x: Of each point.
        y: Likewise.
        more_x: Whether more of x is better.
        more_y: Whether more of y is.

    >>> staircase([1, 3, 2], [9, 4, 6])
    ((1, 2, 2, 3, 3), (9, 9, 6, 6, 4))
    """
    sign_x, sign_y = (-1 if more_x else 1), (-1 if more_y else 1)
    corners: list[tuple[float, float]] = []
    for each_x, each_y in sorted(
        zip(x, y, strict=True), key=lambda p: (sign_x * p[0], sign_y * p[1])
    ):
        if corners and sign_y * each_y >= sign_y * corners[-1][1]:
            continue
        if corners:
            corners.append((each_x, corners[-1][1]))
        corners.append((each_x, each_y))
    return tuple(each for each, _ in corners), tuple(each for _, each in corners)


def stepped(x: Sequence[float], y: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Corners of the line that keeps to each y until the next x.

    >>> stepped([1, 2], [9, 4])
    ((1, 2, 2), (9, 9, 4))
    """
    across = [each for each in x for _ in (0, 1)][1:]
    up = [each for each in y for _ in (0, 1)][:-1]
    return tuple(across), tuple(up)
