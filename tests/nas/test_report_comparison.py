"""Reports of comparisons, against a comparison that can be followed by hand."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from nas.comparison import Arm, ArmRun, Comparison, Model
from nas.comparison_scores import score
from nas.headline import headline
from nas.indicators import Indicator
from nas.report_arms import quality_figure, regret_figure
from nas.report_comparison import comparison_document
from nas.report_document import Facts, Table
from nas.report_figures import Panel, Series
from nas.report_page import page
from nas.table_candidate import column_indicators

INDICATORS = tuple(column_indicators(["macs", "rate"], ["rate"]).values())
MODELS = ("tied a", "tied b", "free c", "free d")
VALUES = np.array([[1.0, 10.0], [2.0, 40.0], [4.0, 20.0], [8.0, 30.0]])
SCORED = np.array([0.4, 0.3, 0.2, 0.1])
ARMS = (Arm("macs", ("macs",)), Arm("all", ("macs", "rate")), Arm("random", (), null=True))
TOOK: Mapping[str, list[int]] = {"macs": [0, 2], "all": [1, 3], "random": [0, 1]}


def comparison(seeds: int = 6, scale: float = 1.0, indicators: tuple[Indicator, ...] = INDICATORS):  # type: ignore[no-untyped-def]
    """Four models, of which every arm evaluates the same two with every seed."""
    runs = tuple(
        ArmRun(
            arm.name,
            seed,
            np.array(TOOK[arm.name]),
            SCORED[TOOK[arm.name]] + 0.01 * seed,
            np.array([3.0, 4.0]),
            np.array([0, 1]),
            0.5,
        )
        for arm in ARMS
        for seed in range(seeds)
    )
    return Comparison(
        "four",
        "error",
        False,
        indicators,
        tuple(Model(name[-1], name, name[:4]) for name in MODELS),
        VALUES * scale,
        SCORED,
        ARMS,
        runs,
        2,
        1,
        VALUES * scale,
        {"task": "four models", "devices": "none <b>"},
    )


def series(panel: object) -> dict[str, Series]:
    assert isinstance(panel, Panel)
    return {each.name: each for each in panel.series}


def test_curves_are_what_a_user_takes_under_each_budget() -> None:
    figure = quality_figure(comparison())
    assert [panel.title for panel in figure.panels] == ["macs", "rate"]
    by_macs, by_rate = map(series, figure.panels)
    assert list(by_macs) == ["best known", "macs", "all", "random"]
    # With a budget of 1 only the first model is there; from 4 on the third one is better.
    assert (by_macs["macs"].x, by_macs["macs"].y) == ((1, 2, 4, 8), (0.4, 0.4, 0.2, 0.2))
    assert (by_macs["all"].x, by_macs["all"].y) == ((2, 4, 8), (0.3, 0.3, 0.1))
    # At a rate of at least 40, 30, 20 and 10.
    assert dict(zip(by_rate["all"].x, by_rate["all"].y, strict=True)) == {
        40: 0.3, 30: 0.1, 20: 0.1, 10: 0.1
    }  # fmt: skip
    assert dict(zip(by_rate["macs"].x, by_rate["macs"].y, strict=True)) == {20: 0.2, 10: 0.2}
    assert by_macs["random"].line == "dash"
    assert by_macs["best known"].x[0] == 1
    assert by_macs["best known"].y[-1] == 0.1


def test_what_no_search_saw_is_not_drawn() -> None:
    whole = comparison()
    object.__setattr__(whole, "scored", np.array([0.4, 0.3, np.nan, 0.1]))
    by_macs = series(quality_figure(whole).panels[0])
    assert by_macs["macs"].y == (0.4, 0.4, 0.4)


def test_regrets_are_those_of_the_scores() -> None:
    scores = score(comparison(), budgets=50)
    figure = regret_figure(scores)
    assert [panel.title for panel in figure.panels] == [
        "At equal evaluations", "At equal training seconds"
    ]  # fmt: skip
    drawn = series(figure.panels[0])["what a user takes from the front"]
    for place, arm in enumerate(scores.arms):
        estimate = scores.of(arm.name).estimate("regret")
        assert drawn.x[place] == pytest.approx(100 * estimate.value / scores.gain)
        assert round(drawn.y[place]) == place
        assert drawn.x_low[place] <= drawn.x[place] <= drawn.x_high[place]


def test_the_first_lines_are_the_headline_and_every_part_is_there() -> None:
    whole = comparison()
    scores = score(whole, budgets=50)
    box = Facts("Device: <i>", {"device": "made up"})
    document = comparison_document(whole, scores, [box], {"begun to ended": "1 s"})
    assert list(document.lead) == headline(whole, scores)
    keys = [section.key for section in document.sections]
    assert keys == [
        "conditions", "loss", "curves", "indicators", "tests", "right", "disagreement", "matching",
        "fronts", "spending",
    ]  # fmt: skip
    tables = {t.key: t for s in document.sections for t in s.items if isinstance(t, Table)}
    charged = {row[0].text: row for row in tables["charged"].rows}
    assert charged["macs"][1].value == 6
    assert charged["macs"][2].value == 6 * 7.0
    regrets = {row[0].text: row for row in tables["regret-evaluations"].rows}
    assert regrets["all"][1].value == pytest.approx(
        scores.of("all").estimate("regret").value / scores.gain
    )
    assert regrets["macs"][0].note == "macs"
    assert regrets["all"][0].note == "all indicators"
    assert {row[0].text for row in tables["tests"].rows} == {"macs", "random"}
    assert "unfair as" in [cell.text for cell in tables["matching"].headings]
    text = page(document)
    assert "none &lt;b&gt;" in text
    assert "Device: &lt;i&gt;" in text
    assert text == page(document)


def test_what_cannot_be_compared_leaves_a_sentence() -> None:
    whole = comparison(seeds=2)
    alone = Comparison(
        "one", "error", False, INDICATORS,
        tuple(Model(model.id, model.id) for model in whole.models), VALUES, SCORED,
        ARMS[:1], tuple(run for run in whole.runs if run.arm == "macs"), 2, 1, VALUES,
    )  # fmt: skip
    document = comparison_document(alone, score(alone, budgets=20), [], {})
    said = {section.key: section.text for section in document.sections}
    assert said["matching"] == ("All models are of one family.",)
    assert said["tests"] == ("Nothing is tested: there is no arm to test against.",)


def test_a_comparison_folder_is_reported_on(tmp_path: Path) -> None:
    from nas.cli import main
    from nas.compare_search import run_comparison
    from nas.progress import Reporter
    from nas.table_experiment import TableExperiment

    lines = ["name,width,error,macs,latency_ms"]
    lines += [f"n{i},{i},{1 / (1 + i)},{(i * i) % 31 + 1},{(7 * i) % 13 + 1}" for i in range(24)]
    (tmp_path / "nets.csv").write_text("\n".join(lines))
    data = {
        "name": "nets",
        "table": {
            "file": str(tmp_path / "nets.csv"),
            "quality": "error",
            "costs": ["macs", "latency_ms"],
            "config": ["width"],
        },
        "search": {"trials": 6, "sampler": "random"},
        "compare": {"seeds": 2, "arms": ["macs", "all"], "workers": 1},
    }
    folder = tmp_path / "run"
    run_comparison(TableExperiment.from_data(data), folder, report=Reporter())
    assert main(["report", str(folder), "--out", str(tmp_path / "a.html")]) == 0
    assert "Comparison report: nets" in (tmp_path / "a.html").read_text()
    (folder / "comparison.json").unlink()
    assert main(["report", str(folder), "--out", str(tmp_path / "b.html")]) == 7
