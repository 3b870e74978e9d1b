"""What is drawn: figures as values, as plotly's JSON and as SVG."""

import builtins
import dataclasses
import itertools
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_profiles.errors import UnavailableError
from nas.report_figures import (
    GREY,
    MARKERS,
    PALETTE,
    Axis,
    Figure,
    Heatmap,
    Limit,
    Panel,
    Series,
    staircase,
)
from nas.report_plotly import DARK, panel_json
from nas.report_svg import write_svg
from nas.report_ticks import label_lines, log_ticks

SVG = "{http://www.w3.org/2000/svg}"
POINTS = Series(
    "<b>tied</b> & $x$",
    (1.0, 10.0, 100.0),
    (0.3, 0.2, 0.1),
    2,
    "diamond",
    x_low=(0.5, 9.0, 90.0),
    x_high=(2.0, 12.0, 120.0),
    subjects=(4, 5, 6),
)
LINE = Series("front", (1.0, 10.0), (0.3, 0.2), GREY, line="dash")
PANEL = Panel(
    "macs", Axis("MACs M", log=True), Axis("error"), (LINE, POINTS), limits=(Limit("budget", 50.0),)
)
HEAT = Heatmap("tau", ("a", "b"), ((1.0, math.nan), (-0.5, 1.0)), (("aa", "ab"), ("ba", "bb")))
FIGURE = Figure("curves", "Curves", "How to read.", (PANEL, HEAT, PANEL))

values = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(points=values, more_x=st.booleans(), more_y=st.booleans())
def test_a_staircase_is_the_best_of_what_is_as_cheap(
    points: list[tuple[int, int]], more_x: bool, more_y: bool
) -> None:
    xs, ys = zip(*points, strict=True)
    corners = list(zip(*staircase(xs, ys, more_x, more_y), strict=True))
    best = max if more_y else min
    for x in set(xs):
        reached = best(b for a, b in points if (a >= x if more_x else a <= x))
        drawn = best(b for a, b in corners if (a >= x if more_x else a <= x))
        assert drawn == reached
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        assert (x0 == x1) != (y0 == y1)


@given(low=st.floats(1e-9, 1e9), factor=st.floats(1.5, 1e9))
def test_ticks_of_a_logarithmic_axis_are_few_round_and_within(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert len(ticks) <= 6
    assert list(ticks) == sorted(set(ticks))
    for tick in ticks:
        assert low <= tick <= low * factor
        assert f"{tick:e}".startswith(tuple(f"{digit}.000000" for digit in range(1, 10)))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="`y` must be of 2 points; got 1"):
        Series("a", (1.0, 2.0), (1.0,), marker="circle")
    with pytest.raises(ValueError, match="no marker 'blob'"):
        Series("a", (), (), marker="blob")
    with pytest.raises(ValueError, match="both are empty"):
        Series("a", (), ())
    with pytest.raises(ValueError, match="`band` needs `y_low` and `y_high`"):
        Series("a", (1.0,), (1.0,), line="solid", y_low=(0.5,), band=True)
    with pytest.raises(ValueError, match="squares of 2"):
        Heatmap("t", ("a", "b"), ((1.0, 0.0),), ((("", "")),))
    with pytest.raises(ValueError, match="'A b'"):
        Figure("A b", "", "")
    with pytest.raises(ValueError, match="`log` must not be set"):
        Axis("a", log=True, categories=("a",))


@pytest.mark.parametrize("panel", FIGURE.panels[:2], ids=["panel", "heatmap"])
def test_plotly_knows_every_property(panel: Panel | Heatmap) -> None:
    from plotly.graph_objects import Figure as Checked

    drawn = panel_json(panel)
    assert len(Checked(drawn["data"], drawn["layout"]).data) == len(drawn["data"])
    with pytest.raises(ValueError, match="clipsonaxis"):
        Checked([{"type": "scatter", "clipsonaxis": False}])


def test_plotly_gets_the_numbers_and_shows_names_as_they_are() -> None:
    drawn = panel_json(PANEL)
    line, points = drawn["data"]
    assert (points["x"], points["y"]) == ([1.0, 10.0, 100.0], [0.3, 0.2, 0.1])
    assert points["customdata"] == [4, 5, 6]
    assert points["error_x"]["array"] == pytest.approx([1.0, 2.0, 20.0])
    assert points["error_x"]["arrayminus"] == pytest.approx([0.5, 1.0, 10.0])
    assert points["name"] == "&lt;b&gt;tied&lt;/b&gt; &amp; $x$"
    assert (line["mode"], line["hoverinfo"]) == ("lines", "skip")
    assert [shape["x0"] for shape in drawn["layout"]["shapes"]] == [50.0]
    axis = drawn["layout"]["xaxis"]
    # The budget and the intervals are in view.
    assert 10 ** axis["range"][0] < 0.5
    assert 10 ** axis["range"][1] > 120
    assert panel_json(HEAT)["data"][0]["z"] == [[1.0, None], [-0.5, 1.0]]


BAND = Series(
    "arm", (1.0, 2.0), (3.0, 2.0), line="solid", y_low=(2.0, 1.0), y_high=(4.0, 3.0), band=True,
    step=True,
)  # fmt: skip


def test_a_band_is_one_area_below_its_line_and_hidden_with_it() -> None:
    band, line = panel_json(dataclasses.replace(PANEL, series=(BAND,)))["data"]
    # Along the lower ends and back along the upper ones, each kept until the next x.
    corners = list(zip(band["x"], band["y"], strict=True))
    assert corners == [(1, 2), (2, 2), (2, 1), (2, 3), (2, 4), (1, 4)]
    assert band["fill"] == "toself"
    assert band["name"] == line["name"]
    assert band["hoverinfo"] == "skip"
    assert 0 < band["opacity"] < 0.5
    assert "error_y" not in line
    assert line["line"]["shape"] == "hv"
    straight = dataclasses.replace(BAND, step=False)
    band, line = panel_json(dataclasses.replace(PANEL, series=(straight,)))["data"]
    assert list(zip(band["x"], band["y"], strict=True)) == [(1, 2), (2, 1), (2, 3), (1, 4)]
    assert line["line"]["shape"] == "linear"


def test_long_names_are_broken_into_lines() -> None:
    name = "latency_s@nvidia-h200:cudagraph-fp16-b1"
    rows = Panel("p", Axis("x"), Axis("", categories=(name, "b")), (LINE,))
    assert panel_json(rows)["layout"]["yaxis"]["ticktext"] == [
        "latency_s@nvidia-h200:<br>cudagraph-fp16-b1", "b"
    ]  # fmt: skip
    short = Heatmap("t", ("a", "b"), ((1.0, 1.0),) * 2, (("", ""),) * 2)
    long = dataclasses.replace(short, names=("a", name))
    heights = [panel_json(each)["layout"]["height"] for each in (short, long)]
    # Room for 22 characters on a slant.
    assert heights[1] - heights[0] > 80


@given(st.text(alphabet="ab@:-", max_size=80))
def test_a_label_loses_nothing(name: str) -> None:
    lines = label_lines(name)
    assert "".join(lines) == name
    assert all(len(line) <= 24 or not set("@:") & set(line[:-1]) for line in lines)


def test_families_differ_in_shape_and_colours_have_two_themes() -> None:
    assert len(set(MARKERS)) == len(MARKERS) == len(PALETTE)
    shown = {colour for panel in FIGURE.panels for colour in colours(panel_json(panel))}
    assert shown <= set(DARK) | {"rgba(0,0,0,0)"}
    for light, dark in PALETTE:
        assert contrast(light, "#ffffff") > 3
        assert contrast(dark, "#16191d") > 3


def colours(value: Any) -> set[str]:
    """Every colour that some JSON names."""
    if isinstance(value, str):
        return {value} if value.startswith(("#", "rgba")) else set()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {colour for part in parts for colour in colours(part)}


def contrast(first: str, second: str) -> float:
    """Ratio of luminances, as WCAG 2.2 defines it; 3 is what graphics need."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


class TestSvg:
    """The files that matplotlib writes."""

    def test_it_is_well_formed_and_has_every_mark(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "figure.svg"
        write_svg(dataclasses.replace(FIGURE, panels=(PANEL, PANEL)), path)
        root = ET.parse(path).getroot()
        assert root.tag == f"{SVG}svg"
        full = PALETTE[2][0]
        marks = [
            use
            for use in root.iter(f"{SVG}use")
            if f"fill: {full}" in use.get("style", "") and "stroke: #ffffff" in use.get("style", "")
        ]
        # Three points in each of two panels, and one in the legend.
        assert len(marks) == 2 * 3 + 1
        limits = [
            item
            for item in root.iter(f"{SVG}path")
            if PALETTE[1][0] in item.get("style", "") and "dasharray" in item.get("style", "")
        ]
        assert len(limits) == 2 + 1

    def test_a_band_is_an_area_of_its_colour(self, tmp_path: Path) -> None:
        path = tmp_path / "band.svg"
        write_svg(Figure("a", "b", "c", (dataclasses.replace(PANEL, series=(BAND,)),)), path)
        areas = [
            item.get("style", "")
            for item in ET.parse(path).getroot().iter(f"{SVG}path")
            if "fill-opacity: 0.14" in item.get("style", "")
        ]
        uses = [
            item.get("style", "")
            for item in ET.parse(path).getroot().iter(f"{SVG}use")
            if "fill-opacity: 0.14" in item.get("style", "")
        ]
        (style,) = areas or uses
        assert f"fill: {PALETTE[0][0]}" in style

    def test_names_are_written_as_they_are_and_may_hold_anything(self, tmp_path: Path) -> None:
        strange = dataclasses.replace(PANEL, title="<&> -- $ \x00\ud800")
        write_svg(Figure("a", "b", "c", (strange,)), tmp_path / "a.svg")
        text = (tmp_path / "a.svg").read_text()
        assert "&lt;&amp;&gt;" in text
        ET.fromstring(text)

    def test_the_same_figure_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("a.svg", "b.svg"):
            write_svg(FIGURE, tmp_path / name)
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()

    def test_without_matplotlib_it_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = builtins.__import__

        def refuse(name: str, *rest: Any, **more: Any) -> Any:
            if name.startswith("matplotlib"):
                raise ImportError(name)
            return kept(name, *rest, **more)

        monkeypatch.setattr(builtins, "__import__", refuse)
        with pytest.raises(UnavailableError, match=r"pip install 'hwnas\[plot\]'"):
            write_svg(FIGURE, tmp_path / "a.svg")
        assert not (tmp_path / "a.svg").exists()
