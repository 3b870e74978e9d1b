"""Pages: one file that asks for nothing, in which every name is text."""

import base64
import hashlib
import json
import re
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs

import nas.report_page
from nas.report_document import Cell, Document, Facts, Section, Subject, Table, number, printable
from nas.report_figures import Axis, Figure, Heatmap, Limit, Panel, Series
from nas.report_page import page

VOID = {"meta", "br", "link", "img", "input", "hr", "circle", "path"}
FETCHING = {"src", "href", "srcset", "data", "poster", "action", "background", "xlink:href"}


class Reader(HTMLParser):
    """What a page holds, and that its elements are nested as they must be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        known = {name: value or "" for name, value in attrs}
        self.elements.append((tag, known))
        if tag == "script":
            self.scripts.append((known, ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def raw_data(self) -> str:
        (found,) = [text for known, text in self.scripts if known.get("type")]
        return found

    @property
    def data(self) -> Any:
        return json.loads(self.raw_data)


def document(name: str = "name") -> Document:
    """A document in which one name stands wherever a name can stand."""
    series = Series(name, (1.0,), (2.0,), marker="circle", subjects=(0,))
    told = Series(f"{name} told", (1.0,), (2.0,), line="solid", marker="star", texts=(name,))
    panel = Panel(name, Axis(name), Axis(name, categories=(name,)), (series, told), name)
    limited = Panel(name, Axis(name), Axis(name), (series,), limits=(Limit(name, 1.0),))
    heat = Heatmap(name, (name, "b"), ((1.0, 0.5), (0.5, 1.0)), ((name, name), (name, name)))
    figure = Figure("figure", name, name, (panel, limited, heat))
    row = (Cell(name, name, title=name), Cell("1", name, 1.5))
    table = Table("table", name, (Cell(name, name, title=name), Cell("b")), (row,), (0,))
    facts = Facts(name, {name: (name, name), f"{name} 2": name})
    sections = (
        Section("one", name, (name,), (facts, figure, table)),
        Section("two", name, folded=True),
    )
    return Document(name, name, (name,), sections, (name,), (Subject(name, name, (name,)),))


@pytest.fixture(scope="module")
def whole() -> Reader:
    return Reader(page(document()))


def test_there_is_one_plotly_and_nothing_is_fetched(whole: Reader) -> None:
    codes = [text for known, text in whole.scripts if not known.get("type")]
    assert [get_plotlyjs() == code for code in codes] == [True, False]
    for tag, known in whole.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        for name, value in known.items():
            assert name not in FETCHING or value.startswith("#"), (tag, name, value)
            assert not name.startswith("on")
            assert "url(" not in value
    styles = nas.report_page._file("report.css")
    assert "url(" not in styles
    assert "@import" not in styles


def test_the_policy_names_the_two_scripts_and_forbids_all_else(whole: Reader) -> None:
    (policy,) = [k["content"] for t, k in whole.elements if t == "meta" and "http-equiv" in k]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    codes = [text for known, text in whole.scripts if not known.get("type")]
    sums = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in codes]
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in sums]


def test_a_script_that_ends_its_element_is_kept_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "x = '</script><!-- <script>';\r\n")
    code, _ = [t for known, t in Reader(page(document())).scripts if not known.get("type")]
    assert "<\\/script>" in code
    assert "\r" not in code


def test_the_page_can_be_found_ones_way_in(whole: Reader) -> None:
    tags = [tag for tag, _ in whole.elements]
    assert tags[:3] == ["html", "head", "meta"]
    assert whole.elements[0][1]["lang"] == "en"
    assert tags.count("h1") == tags.count("title") == tags.count("main") == 1
    ids = [known["id"] for _, known in whole.elements if "id" in known]
    assert len(ids) == len(set(ids))
    for _, known in whole.elements:
        for name in ("aria-labelledby", "href"):
            if name in known:
                assert known[name].removeprefix("#") in ids
    plots = [known for _, known in whole.elements if known.get("class") == "plot"]
    assert len(plots) == 3
    assert all(known["role"] == "img" and known["aria-label"] for known in plots)
    assert {known["id"] for known in plots} == set(whole.data["panels"])
    heads = [known for tag, known in whole.elements if tag == "th"]
    assert all(known["scope"] in ("col", "row") for known in heads)


@cache
def shape() -> list[str]:
    return [tag for tag, _ in Reader(page(document())).elements]


@settings(max_examples=60, deadline=None)
@given(name=st.text(st.characters(), min_size=1, max_size=30))
def test_any_name_is_text(name: str) -> None:
    check(name)


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        "</script /",
        "<!--<script>",
        "\" onload='x'",
        "<img src=https://example.org/x.png>",
        "&lt;b&gt;",
        "]]>",
        "\u2028\u2029\ud800\x00",
        "__proto__",
    ],
)
def test_names_that_are_code_are_text(name: str) -> None:
    check(name)


def check(name: str) -> None:
    read = Reader(page(document(name)).encode().decode())
    assert not set("<>&") & set(read.raw_data)
    assert [tag for tag, _ in read.elements] == shape()
    shown = printable(name)
    said = " ".join(read.texts)
    assert shown in said
    assert any(known.get("title") == shown for _, known in read.elements)
    assert read.data["subjects"] == [{"name": shown, "status": shown, "values": [shown]}]
    assert read.data["names"] == [shown]
    (toggle,) = {k["data-series"] for _, k in read.elements if "data-series" in k} & {
        trace["name"] for trace in read.data["panels"]["figure-1"]["data"]
    }
    assert re.sub(r"[&<>].*", "", toggle) == re.sub(r"[&<>].*", "", shown)
    assert "<" not in toggle


def test_the_same_document_gives_the_same_bytes() -> None:
    assert page(document()) == page(document())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5, "1,234"), (-0.000123456, "-0.0001235"), (2e15, "2e+15"),
     (float("nan"), "unknown"), (float("inf"), "inf")],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_of_ragged_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2 cells; got \{1\}"):
        Table("a", "b", (Cell("c"), Cell("d")), ((Cell("e"),),))
