"""Reports of searches, against what the run's own files say."""

import json
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_profiles.store import Store
from nas.cli import main
from nas.report import read_report, write_figures, write_report
from nas.report_document import Document, Facts, Table
from nas.report_figures import Axis, Heatmap, Panel, Series
from nas.report_runs import read_run
from nas.report_search import search_document
from nas.report_spending import duration, energy_text
from nas.run_folder import RunFolder
from search_spaces import CorruptFileError

MADE = """name,error,macs,latency_ms,yield
a,0.4,10,9,1
b,0.3,20,8,2
c,0.2,40,3,3
d,0.1,80,5,4
e,0.35,90,20,2.5
"""


@pytest.fixture(scope="module")
def of_search(finished: Any) -> Document:
    return read_report(finished.folder, Store(finished.home))


@pytest.fixture
def table_run(tmp_path: Path) -> Path:
    """A search that asked a whole table of five configurations under a budget."""
    (tmp_path / "made.csv").write_text(MADE)
    (tmp_path / "made.toml").write_text(
        'name = "made"\n[table]\nfile = "made.csv"\nquality = "error"\nquality_error = 0.02\n'
        'costs = ["macs", "latency_ms", "yield:max"]\nconfig = ["name"]\n'
        "[budgets]\nmacs = 85\n"
    )
    assert main(["search", str(tmp_path / "made.toml"), "--out", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


def panels(document: Document) -> dict[str, Panel]:
    """Panels of quality against an indicator, by its name."""
    return {
        panel.title: panel
        for figure in document.figures
        if figure.key.startswith("curves")
        for panel in figure.panels
        if isinstance(panel, Panel)
    }


def items(document: Document, kind: Any) -> dict[str, Any]:
    """Tables by key, or boxes of facts by title."""
    return {
        item.key if isinstance(item, Table) else item.title: item
        for section in document.sections
        for item in section.items
        if isinstance(item, kind)
    }


def points(series: Series) -> set[tuple[float, float]]:
    return set(zip(series.x, series.y, strict=True))


def test_every_indicator_has_a_panel_of_the_same_kind(of_search: Document, finished: Any) -> None:
    first = finished.outcome.pareto.members[0]
    found = panels(of_search)
    assert list(found) == list(first.indicators)
    assert {panel.span for panel in found.values()} == {1}
    assert {len({s.name for s in p.series} - {"measured whole"}) for p in found.values()} == {
        len({s.name for s in found["params"].series})
    }


def test_points_are_what_the_run_found(of_search: Document, finished: Any) -> None:
    log = [json.loads(line) for line in (finished.folder / "events.jsonl").open()]
    told = {item["candidate"]: item["quality"]["value"] for item in log}
    names = [subject.name.split()[0] for subject in of_search.subjects]
    assert names == list(told)
    members = {member.id: member for member in finished.outcome.pareto.members}
    for name, panel in panels(of_search).items():
        seen: dict[str, float] = {}
        for series in panel.series:
            for x, y, row in zip(series.x, series.y, series.subjects, strict=False):
                key = names[row]
                assert y == told[key]
                assert (key in members) or "not in the set" in series.name
                if key in members and series.name not in ("measured whole", "knee of the set"):
                    assert "in the set" in series.name
                    assert "not" not in series.name
                    value, known = members[key].indicators[name], members[key].indicator(name)
                    assert x == pytest.approx(value.value / known.scale, rel=1e-12)
                if series.name != "measured whole":
                    seen[key] = x
        assert seen.keys() == told.keys()


def test_members_are_listed_with_every_value(of_search: Document, finished: Any) -> None:
    table = items(of_search, Table)["set"]
    heads = [cell.text for cell in table.headings]
    members = finished.outcome.pareto.members
    assert [row[0].text for row in table.rows] == [member.id for member in members]
    assert heads[-len(members[0].indicators) :] == list(members[0].indicators)
    for row, member in zip(table.rows, members, strict=True):
        cells = dict(zip(heads, row, strict=True))
        assert cells["validation_error"].value == member.quality.value
        assert cells["on test data"].value == member.test_quality.value
        for name, value in member.indicators.items():
            assert cells[name].value == value.value
            assert value.provenance in cells[name].note
        measured = 1e3 * member.measured["latency_s@local"].value
        told = cells["latency_s@local"].note.split("measured ")[1].split()[0]
        assert float(told) == pytest.approx(measured, rel=1e-3)


def test_what_it_holds_for_and_what_it_took_is_said(of_search: Document, finished: Any) -> None:
    facts = items(of_search, Facts)
    device = RunFolder(finished.folder).latency_table().device.name
    assert device in facts["Device: local"].items["device"]
    assert "1 epochs of batch 64 with adamw" in facts["Task and training"].items["training"]
    assert "10 trained, 0 ended early, 0 failed" in facts["Search"].items["evaluations"]
    energy = facts["Search"].items["energy"]
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    (kept,) = manifest["energy"]
    assert kept["source"] in energy
    assert str(energy).startswith("not measured: ") == (kept["joules"] is None)
    log = [json.loads(line) for line in (finished.folder / "events.jsonl").open()]
    total = duration(sum(item["seconds"] for item in log))
    assert facts["Search"].items["training, in all"] == f"{total} of one core"
    assert any(device in line for line in of_search.lead)
    notes = {name: panel.note for name, panel in panels(of_search).items()}
    assert device in notes["latency_s@local"]
    assert "batch 1" in notes["latency_s@local"]
    assert notes["train_macs"] == "counted, batch 64 with adamw"


class TestEnergy:
    """What a manifest knows of energy, in a line."""

    def test_joules_of_all_openings_are_added(self) -> None:
        kept = [{"joules": 1.8e6, "source": "RAPL"}, {"joules": 1.8e6, "source": "RAPL"}]
        text = energy_text({"openings": 1, "energy": kept})
        assert text == "3,600,000 J (1 kWh), as counted by RAPL"

    def test_an_opening_that_was_killed_is_said_to_be_missing(self) -> None:
        kept = [{"joules": 90.0, "source": "RAPL"}]
        text = energy_text({"openings": 2, "energy": kept})
        assert text.startswith("90 J (2.5e-05 kWh), in 1 of the 3 times that it was worked on")

    def test_without_a_counter_the_reason_stands_and_no_number(self) -> None:
        kept = [{"joules": None, "source": "no zone"}, {"joules": None, "source": "no zone"}]
        assert energy_text({"openings": 1, "energy": kept}) == "not measured: no zone"
        assert energy_text({}) == "not measured: no counter was read"


def test_training_stands_beside_inference(of_search: Document) -> None:
    (figure,) = [f for f in of_search.figures if f.key == "training-inference"]
    titles = [panel.title for panel in figure.panels]
    assert titles == [
        "train_macs beside macs",
        "train_memory_bytes beside peak_memory_bytes",
        "seconds of training beside latency_s@local",
    ]
    across = panels(of_search)
    rows = [dict(zip(s.subjects, s.x, strict=True)) for s in figure.panels[0].series]  # type: ignore[union-attr]
    macs = {row: x for s in across["macs"].series for row, x in zip(s.subjects, s.x, strict=False)}
    assert {k: v for part in rows for k, v in part.items()} == macs


def test_a_table_by_hand(table_run: Path) -> None:
    document = read_report(table_run)
    found = panels(document)
    assert list(found) == ["macs", "latency_ms", "yield"]
    series = {s.name: s for s in found["latency_ms"].series}
    # Nothing is better than c and d in both; a and b are in the set by macs, e breaks the budget.
    assert points(series["in the set"]) == {(9, 0.4), (8, 0.3), (3, 0.2), (5, 0.1)}
    assert "evaluated, not in the set" not in series
    line = series["front of this indicator alone"]
    assert (line.x, line.y) == ((3.0, 5.0, 5.0), (0.2, 0.2, 0.1))
    more = {s.name: s for s in found["yield"].series}["front of this indicator alone"]
    assert (more.x, more.y) == ((4.0,), (0.1,))
    assert found["macs"].limits[0].x == 85.0
    assert found["macs"].x == Axis("macs", log=True)
    low = series["in the set"].y_low
    assert low[series["in the set"].x.index(3.0)] == pytest.approx(0.2 - 1.959964 * 0.02)
    heat = next(p for f in document.figures for p in f.panels if isinstance(p, Heatmap))
    assert heat.names == ("macs", "latency_ms", "yield", "error")
    # Of the six pairs latency orders (c, d) as macs does, and all others the other way round.
    assert heat.values[0][1] == pytest.approx((1 - 5) / 6)
    # More yield is better, and takes more macs in every pair.
    assert heat.values[0][2] == pytest.approx(-1)
    alone = items(document, Table)["alone"]
    rows = {row[0].text: [cell.text for cell in row] for row in alone.rows}
    # At least as good as the median are c and d alone, of which c takes half of d's macs.
    assert rows["macs"][4] == "name=c"
    assert rows["yield"][4] == "name=d"
    assert (alone.rows[2][1].value, alone.rows[0][1].value) == (1, 4)
    budget = items(document, Table)["budget-table"].rows[0]
    assert [cell.text for cell in budget[:4]] == ["macs", "85", "10 to 80", "0"]


def test_what_breaks_a_budget_is_told(table_run: Path) -> None:
    run = RunFolder.open(table_run)
    record = read_run(run, Store(), quiet_reporter())
    first = record.candidates[0]
    broken = replace(first, violations={"macs": 0.25})  # type: ignore[type-var]
    document = search_document(replace(record, candidates=(broken, *record.candidates[1:])))
    assert "breaks the budget of macs" in document.subjects[0].status
    row = items(document, Table)["budget-table"].rows[0]
    assert (row[3].text, row[3].note) == ("1", "by up to 25%")


def quiet_reporter() -> Any:
    from nas.progress import Reporter

    return Reporter()


def test_the_same_run_gives_the_same_bytes(table_run: Path, tmp_path: Path) -> None:
    first, second = (write_report(table_run, tmp_path / name) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()
    assert write_report(table_run) == table_run / "report.html"
    # It is no part of the run, which still holds.
    RunFolder.open(table_run)
    moved = Path(shutil.copytree(table_run, tmp_path / "elsewhere"))
    assert write_report(moved).read_bytes() == first.read_bytes()


def test_every_figure_is_written_as_svg(of_search: Document, tmp_path: Path) -> None:
    paths = write_figures(of_search, tmp_path / "svg")
    assert {path.stem for path in paths} == {figure.key for figure in of_search.figures}
    for path in paths:
        ET.parse(path)


class TestCommand:
    """``hwnas report``."""

    def test_it_writes_a_page_and_figures(
        self, table_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, svg = tmp_path / "new" / "page.html", tmp_path / "svg"
        assert main(["report", str(table_run), "--out", str(out), "--svg", str(svg)]) == 0
        assert capsys.readouterr().out == f"{out}\n"
        assert out.read_text().startswith("<!doctype html>")
        assert {path.suffix for path in svg.iterdir()} == {".svg"}
        assert not (table_run / "report.html").exists()

    def test_no_run_is_not_found(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["report", str(tmp_path)]) == 3
        assert "There is no run in" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_what_is_written_to_must_be_of_its_kind(
        self, table_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "kept").write_text("kept")
        assert main(["report", str(table_run), "--out", str(tmp_path)]) == 2
        assert f"`--out` {tmp_path} is a folder; name a file in it." in capsys.readouterr().err
        assert main(["report", str(table_run), "--svg", str(tmp_path / "kept")]) == 2
        assert "is a file; name a folder" in capsys.readouterr().err
        assert (tmp_path / "kept").read_text() == "kept"
        assert not (table_run / "report.html").exists()

    def test_a_damaged_run_is_corrupt(
        self, table_run: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (table_run / "pareto.json").write_text("{}")
        assert main(["report", str(table_run)]) == 7
        assert "pareto.json" in capsys.readouterr().err
        assert not (table_run / "report.html").exists()

    def test_without_matplotlib_no_report_is_left_behind(
        self, table_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
        assert main(["report", str(table_run), "--svg", str(tmp_path / "svg")]) == 2
        assert not (table_run / "report.html").exists()


def test_a_member_that_was_never_evaluated_is_corrupt(table_run: Path) -> None:
    run = RunFolder.open(table_run)
    run.start(run.table_experiment())
    data = json.loads(run.pareto.read_text())
    data["candidates"][0]["config"]["name"] = "z"
    run.pareto.write_text(json.dumps(data))
    assert main(["report", str(table_run)]) == 7


class TestEvents:
    """What a search took is read from its events."""

    def record(self, run: Path, lines: list[str]) -> Any:
        manifest = RunFolder(run).manifest
        RunFolder(run).start(RunFolder(run).table_experiment())
        (run / "events.jsonl").write_text("".join(lines))
        assert manifest.is_file()
        return read_run(RunFolder.open(run), Store(), quiet_reporter())

    def test_trained_stopped_and_failed(self, table_run: Path) -> None:
        lines = [
            '{"time": "2030-01-01T00:00:00+00:00", "event": "trained", "candidate": "a", '
            '"seconds": 2.5}\n',
            '{"time": "2030-01-01T00:00:09+00:00", "event": "stopped", "candidate": "b", '
            '"seconds": 1.5}\n',
            '{"time": "2030-01-01T00:00:10+00:00", "event": "failed", "candidate": "c", '
            '"reason": "nan"}\n',
            '{"time": "2030-01-01T00:0',
        ]
        cost = self.record(table_run, lines).cost
        assert (cost.seconds, cost.stopped) == ({"a": 2.5}, {"b": 1.5})
        assert cost.failed == {"c": "nan"}
        assert cost.training_s == 4.0
        assert cost.openings == 1
        assert cost.ended.isoformat() == "2030-01-01T00:00:10+00:00"
        assert cost.wall_s == (cost.ended - cost.started).total_seconds()

    @pytest.mark.parametrize("line", ["nonsense\n", "[]\n", '{"event": "trained"}\n'])
    def test_other_lines_are_corrupt(self, table_run: Path, line: str) -> None:
        with pytest.raises(CorruptFileError, match=r"events\.jsonl"):
            self.record(table_run, [line])


def test_candidates_beyond_a_thousand_are_thinned(table_run: Path) -> None:
    record = read_run(RunFolder.open(table_run), Store(), quiet_reporter())
    more = [
        replace(each, config={"name": f"{each.label}{i}"})  # type: ignore[type-var]
        for i in range(299)
        for each in record.candidates
    ]
    many = (*record.candidates, *more)
    document = search_document(replace(record, candidates=many))
    assert len(document.subjects) == len(many) == 1200
    heat = next(p for f in document.figures for p in f.panels if isinstance(p, Heatmap))
    assert heat.title == "All 1000 evaluated"
    assert np.isfinite(heat.values).all()
