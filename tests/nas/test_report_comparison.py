"""Reports of comparisons, against a comparison that can be followed by hand."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hw_profiles.files import read_json
from hw_profiles.store import Store
from nas.compare_search import run_comparison
from nas.comparison import Arm, ArmRun, Comparison, Model
from nas.comparison_folder import ComparisonFolder
from nas.comparison_scores import score
from nas.headline import headline
from nas.indicators import Indicator
from nas.pricing import count_space
from nas.report import read_report
from nas.report_arm_curves import quality_figures
from nas.report_arms import excess_figure, interval_text, regret_figure
from nas.report_comparison import comparison_document
from nas.report_document import Facts, Table
from nas.report_figures import Figure, Panel, Series
from nas.report_page import page
from nas.report_spending import duration
from nas.report_training import arm_training_section, training_counts
from nas.run_energy import run_energies
from nas.table_candidate import column_indicators
from search_spaces import count

INDICATORS = tuple(column_indicators(["macs", "rate"], ["rate"]).values())
MODELS = ("tied a", "tied b", "free c", "free d")
VALUES = np.array([[1.0, 10.0], [2.0, 40.0], [4.0, 20.0], [8.0, 30.0]])
SCORED = np.array([0.4, 0.3, 0.2, 0.1])
ARMS = (Arm("macs", ("macs",)), Arm("all", ("macs", "rate")), Arm("random", (), null=True))
TOOK: Mapping[str, list[int]] = {"macs": [0, 2], "all": [1, 3], "random": [0, 1]}


def luck(seeds: int = 5) -> Comparison:
    """One arm that finds the first and third model with three of five seeds, else the others."""
    whole = comparison(seeds)
    runs = tuple(
        replace(run, models=np.array([0, 2] if run.seed < 3 else [1, 3]))
        for run in whole.runs
        if run.arm == "macs"
    )
    return replace(whole, arms=ARMS[:1], runs=runs)


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
    (figure,) = quality_figures(comparison())
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


def test_bands_are_order_statistics_and_no_answer_is_the_worst() -> None:
    (figure,) = quality_figures(luck())
    line = series(figure.panels[0])["macs"]
    # Of five seeds the ends are the least and the most: at 1 MAC three take 0.4, two have nothing,
    # which is drawn at the worst model known; at 2 these have 0.3, at 4 the three have 0.2.
    assert (line.x, line.y) == ((1, 2, 4, 8), (0.4, 0.4, 0.2, 0.2))
    assert line.y_low == (0.4, 0.3, 0.2, 0.1)
    assert line.y_high == (0.4, 0.4, 0.3, 0.2)
    assert line.band
    assert line.step
    assert "least to the most of 5 seeds" in figure.caption
    assert "93.8 %" in figure.caption
    assert line.texts[3] == "macs: error 0.2 (0.1 to 0.2) at 8"


def test_a_line_begins_where_more_than_half_of_the_seeds_have_an_answer() -> None:
    whole = luck()
    even = replace(whole, runs=tuple(run for run in whole.runs if run.seed != 0))
    line = series(quality_figures(even)[0].panels[0])["macs"]
    assert line.x == (2, 4, 8)
    assert line.y == pytest.approx((0.35, 0.25, 0.15))


def test_a_yield_has_its_bands_the_right_way_round() -> None:
    more = replace(luck(), maximize=True, scored=1 - SCORED)
    told = tuple(replace(run, told=1 - run.told) for run in more.runs)
    line = series(quality_figures(replace(more, runs=told))[0].panels[0])["macs"]
    assert line.y == pytest.approx((0.6, 0.6, 0.8, 0.8))
    assert line.y_low == pytest.approx((0.6, 0.6, 0.7, 0.8))
    assert line.y_high == pytest.approx((0.6, 0.7, 0.8, 0.9))


def test_one_seed_has_no_band() -> None:
    (figure,) = quality_figures(luck(seeds=1))
    line = series(figure.panels[0])["macs"]
    assert not line.band
    assert line.y_low == ()
    assert "no band" in figure.caption


def test_null_arms_have_a_figure_of_their_own_where_arms_are_many() -> None:
    whole = comparison(seeds=2)
    more = [Arm(f"null {i}", (), null=True) for i in range(4)]
    runs = [replace(run, arm=arm.name) for arm in more for run in whole.runs if run.arm == "random"]
    many = replace(whole, arms=(*ARMS, *more), runs=(*whole.runs, *runs))
    costs, null = quality_figures(many)
    assert list(series(costs.panels[0])) == ["best known", "macs", "all"]
    nulls = [arm.name for arm in more]
    assert list(series(null.panels[0])) == ["best known", "all", "random", *nulls]
    # An arm looks the same in both.
    first, second = (series(figure.panels[0])["all"] for figure in (costs, null))
    assert first == second
    assert len({figure.key for figure in (costs, null)}) == 2


@pytest.mark.parametrize(("seeds", "rank"), [(2, 1), (5, 1), (8, 1), (9, 2), (12, 3), (20, 6)])
def test_what_intervals_cover_is_binomial(seeds: int, rank: int) -> None:
    text = interval_text(seeds)
    missed = 2 * sum(math.comb(seeds, k) for k in range(rank)) / 2**seeds
    assert f"in {100 * (1 - missed):.1f} % of cases" in text
    word = {1: "the least", 2: "the second least", 3: "the third least"}.get(rank, "6th least")
    assert word in text


def test_a_bar_without_an_end_is_said_to_be_so() -> None:
    missed = {
        "macs": np.array([[0.3], [0.1], [math.inf], [0.2], [math.inf]]),
        "all": np.array([[0.4], [0.4], [0.5], [0.4], [0.4]]),
        "random": np.full((5, 1), math.inf),
    }
    scores: Any = SimpleNamespace(
        names=("rate",),
        arms=ARMS,
        seeds=5,
        of=lambda arm: SimpleNamespace(excess=missed[arm]),
    )
    (panel,) = excess_figure(scores).panels
    assert isinstance(panel, Panel)
    assert panel.note == "out of reach of random; bars without an upper end: macs"
    (drawn,) = panel.series
    assert drawn.x == pytest.approx((30, 40))
    assert drawn.x_low == pytest.approx((10, 40))
    # As far as anything in the panel goes.
    assert drawn.x_high == pytest.approx((50, 50))
    assert drawn.texts[0] == "macs, miss at equal quality: 30 % (10 % to out of reach)"


def test_training_stands_beside_what_picks_take() -> None:
    section = arm_training_section(luck(), {"train_macs": np.array([1e9, 2e9, 3e9, 6e9])})
    (table,) = (item for item in section.items if isinstance(item, Table))
    headings = [cell.text for cell in table.headings]
    cells = dict(zip(headings, table.rows[0], strict=True))
    # 3 s and 4 s for each of five seeds; both models are picks.
    assert cells["training of a model"].value == 3.5
    assert cells["training in all"].value == 35
    # Means of picks by seed: three times (1 + 3) / 2, twice (2 + 6) / 2.
    assert cells["train_macs"].value == 2
    assert cells["train_macs"].note == "2 to 4"
    assert cells["macs"].value == (1 + 4) / 2
    assert cells["macs"].note == "2.5 to 5"
    assert "least to the most of 5 seeds" in table.caption
    (figure,) = (item for item in section.items if isinstance(item, Figure))
    drawn = {panel.title: series(panel) for panel in figure.panels}
    assert list(drawn) == ["training beside macs", "training beside rate", "train_macs beside macs"]
    seconds = drawn["training beside macs"]["on the front of a search"]
    assert sorted(zip(seconds.x, seconds.y, strict=True)) == [(1, 3), (2, 3), (4, 4), (8, 4)]
    steps = drawn["train_macs beside macs"]["on the front of a search"]
    assert sorted(zip(steps.x, steps.y, strict=True)) == [(1, 1), (2, 2), (4, 3), (8, 6)]


def test_seconds_of_a_model_are_its_median_over_seeds_with_the_least_and_the_most() -> None:
    whole = luck()
    runs = tuple(replace(run, seconds=run.seconds + 10 * run.seed) for run in whole.runs)
    (figure, _) = arm_training_section(replace(whole, runs=runs), {}).items
    assert isinstance(figure, Figure)
    drawn = series(figure.panels[0])["on the front of a search"]
    place = drawn.x.index(1)  # Trained with seeds 0, 1 and 2.
    assert (drawn.y_low[place], drawn.y[place], drawn.y_high[place]) == (3, 13, 23)


def test_picks_are_the_members_of_fronts_alone() -> None:
    whole = luck()
    runs = tuple(replace(run, front=np.array([1])) for run in whole.runs)
    section = arm_training_section(replace(whole, runs=runs), {})
    (table,) = (item for item in section.items if isinstance(item, Table))
    cells = {h.text: c for h, c in zip(table.headings, table.rows[0], strict=True)}
    assert cells["training of a pick"].value == 4
    assert cells["training of a model"].value == 3.5
    assert cells["macs"].value == 4
    (figure,) = (item for item in section.items if isinstance(item, Figure))
    drawn = series(figure.panels[0])
    assert sorted(drawn["evaluated, on no front"].x) == [1, 2]
    assert sorted(drawn["on the front of a search"].x) == [4, 8]


def test_of_a_table_nothing_was_trained() -> None:
    whole = luck()
    runs = tuple(replace(run, seconds=np.zeros(2)) for run in whole.runs)
    section = arm_training_section(replace(whole, runs=runs), {})
    assert section.items == ()
    assert "Nothing was trained" in section.text[0]


def test_training_is_counted_for_models_that_were_compared_by_other_indicators(
    tiny: Any,
    home_copy: Path,
    stub: Any,
    tmp_path: Path,
    quiet: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(home_copy)
    monkeypatch.setattr("nas.training.train", lambda *a: replace(stub(*a), seconds=1.5))
    experiment = tiny(
        search={"objectives": ["macs"], "trials": 4}, compare={"arms": ["macs"], "seeds": 2}
    )
    found = run_comparison(experiment, tmp_path / "out", store=store, report=quiet)
    folder = ComparisonFolder.open(tmp_path / "out")
    counts = training_counts(folder, found, store, quiet)
    assert set(counts) == {"train_macs", "train_memory_bytes"}
    space = experiment.space(experiment.load_dataset())
    table = count_space(space, store, quiet)
    known = {}
    for run in found.runs:
        kept = folder.read_search(run.seed, run.arm, 0)
        assert kept is not None
        for row in kept.codes:
            architecture = space.decode(row)
            exact = count(architecture, table, experiment.training_setup)
            known[architecture.id] = exact.train_macs, exact.train_memory_bytes
    for place, model in enumerate(found.models):
        assert (counts["train_macs"][place], counts["train_memory_bytes"][place]) == known[model.id]

    facts = {
        item.title: item
        for section in read_report(tmp_path / "out", store, quiet).sections
        for item in section.items
        if isinstance(item, Facts)
    }
    spent = facts["The whole comparison"].items
    searched = sum(1 for seed in found.seeds for _ in (folder.path / f"trainings/{seed}").iterdir())
    assert str(spent["trained for searches"]).startswith(f"{searched} trainings, ")
    assert f", {duration(1.5 * searched)} of one core" in spent["trained for searches"]
    charged = sum(len(run.models) for run in found.runs)
    assert str(spent["charged to arms"]).startswith(f"{duration(1.5 * charged)}, ")
    (energy,) = run_energies(read_json(folder.manifest))
    assert energy.source in spent["energy"]


def test_what_no_search_saw_is_not_drawn() -> None:
    whole = comparison()
    object.__setattr__(whole, "scored", np.array([0.4, 0.3, np.nan, 0.1]))
    by_macs = series(quality_figures(whole)[0].panels[0])
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
    document = comparison_document(whole, scores, [box], {"begun to ended": "1 s"}, {})
    assert list(document.lead) == headline(whole, scores)
    keys = [section.key for section in document.sections]
    assert keys == [
        "conditions", "loss", "curves", "indicators", "tests", "right", "disagreement", "matching",
        "training", "fronts", "spending",
    ]  # fmt: skip
    tables = {t.key: t for s in document.sections for t in s.items if isinstance(t, Table)}
    charged = {row[0].text: row for row in tables["charged"].rows}
    assert charged["macs"][1].value == 6
    assert charged["macs"][2].value == 6 * 7.0
    regrets = {row[0].text: row for row in tables["regret-evaluations"].rows}
    assert regrets["all"][1].value == pytest.approx(
        scores.of("all").estimate("regret").value / scores.gain
    )
    assert regrets["macs"][0].note == ""
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
    document = comparison_document(alone, score(alone, budgets=20), [], {}, {})
    said = {section.key: section.text for section in document.sections}
    assert said["matching"] == ("All models are of one family.",)
    assert said["tests"] == ("Nothing is tested: there is no arm to test against.",)


def test_a_comparison_folder_is_reported_on(tmp_path: Path) -> None:
    from nas.cli import main
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
