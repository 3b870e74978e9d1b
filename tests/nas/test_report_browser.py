"""A report as a browser shows it, where there is one (`playwright` and Chromium)."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.report_document import Cell, Document, Section, Subject, Table
from nas.report_figures import Axis, Figure, Heatmap, Panel, Series
from nas.report_page import page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ATTACK = "<img src=x onerror=\"document.title='broken'\">"
THEMES = [("light", 1280), ("light", 400), ("dark", 1280), ("dark", 400)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    # As root, as in a container, Chromium has no sandbox of its own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    points = Series(ATTACK, (1.0, 100.0, 10.0), (3.0, 1.0, 2.0), 0, "circle", subjects=(0, 1, 2))
    line = Series("line", (1.0, 100.0), (3.0, 1.0), 1, line="dash")
    panels = (
        Panel("log", Axis("macs", log=True), Axis(ATTACK), (line, points), ATTACK),
        Panel("linear", Axis("params"), Axis("error"), (points,)),
        Heatmap("tau", (ATTACK, "b"), ((1.0, -0.5), (-0.5, 1.0)), ((ATTACK, ""), ("", ""))),
    )
    rows = tuple((Cell(name), Cell(str(value), "", value)) for name, value in
                 (("b", 10.0), ("a", 9.0), ("c", 100.0)))  # fmt: skip
    table = Table("table", "caption", (Cell("name"), Cell("value")), rows, (0, 1, 2))
    figure = Figure("figure", "Figure", "Caption", panels)
    subjects = tuple(Subject(f"{ATTACK} {i}", "in the set", (f"value {i}",)) for i in range(3))
    sections = (Section("one", "One", (), (figure, table)),)
    made = Document("Title", "subtitle", ("lead",), sections, (ATTACK,), subjects)
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page(made), encoding="utf-8")
    return file


@pytest.fixture(scope="module", params=THEMES, ids=lambda theme: f"{theme[0]} {theme[1]}")
def shown(browser: Any, path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page after it was drawn, with everything that was asked for and complained of."""
    scheme, width = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 1000}, color_scheme=scheme, offline=True
    )
    opened = context.new_page()
    opened.asked, opened.complaints = [], []
    opened.on("request", lambda item: opened.asked.append(item.url))
    opened.on("console", lambda item: opened.complaints.append(item.text))
    opened.on("pageerror", lambda item: opened.complaints.append(str(item)))
    opened.goto(path.as_uri())
    opened.locator("#figure-2.js-plotly-plot").wait_for(state="attached")
    yield opened
    assert opened.asked == [path.as_uri()]
    assert opened.complaints == []
    assert opened.title() == "Title"
    context.close()


def test_all_is_drawn_and_nothing_is_asked_for(shown: Any) -> None:
    assert shown.locator(".js-plotly-plot").count() == 3
    assert shown.locator("#figure-0 .scatterlayer .point").count() == 3
    assert shown.locator("#figure-1 .scatterlayer .point").count() == 3
    wide = shown.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0


def test_names_are_shown_as_they_are(shown: Any) -> None:
    assert ATTACK in shown.locator("#figure-0").inner_text().replace("\xa0", " ")
    assert shown.locator("img").count() == 0


def test_a_point_tells_of_its_subject_in_every_panel(shown: Any) -> None:
    point = shown.locator("#figure-1 .scatterlayer .point").nth(1)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    shown.wait_for_timeout(200)
    shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    details = shown.locator("#details")
    details.wait_for(state="visible")
    assert details.locator("strong").inner_text() == f"{ATTACK} 1"
    assert details.locator("dd").inner_text() == "value 1"
    rings = shown.locator(".ring:visible")
    assert rings.count() == 2
    for place in (0, 1):
        ring = shown.locator(f"#figure-{place} > .ring").bounding_box()
        mark = shown.locator(f"#figure-{place} .scatterlayer .point").nth(1).bounding_box()
        for start, size in (("x", "width"), ("y", "height")):
            centre = ring[start] + ring[size] / 2
            assert centre == pytest.approx(mark[start] + mark[size] / 2, abs=1.5)
    assert shown.locator("tr.marked th").inner_text() == "a"


def test_tables_are_sorted_by_value(shown: Any) -> None:
    def names() -> list[str]:
        return list(shown.locator("tbody th").all_inner_texts())

    shown.get_by_role("button", name="value").click()
    assert names() == ["a", "b", "c"]
    shown.get_by_role("button", name="value").click()
    assert names() == ["c", "b", "a"]
    assert shown.locator("th[aria-sort=descending]").count() == 1
    shown.get_by_role("button", name="name").click()
    assert names() == ["a", "b", "c"]


def test_the_legend_hides_a_series_in_all_panels(shown: Any) -> None:
    button = shown.locator(".legend button").nth(1)
    assert button.inner_text() == ATTACK
    button.click()
    assert shown.locator(".scatterlayer .point").count() == 0
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert shown.locator(".scatterlayer .point").count() == 6
