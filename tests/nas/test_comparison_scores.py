import json
from dataclasses import replace

import numpy as np
import pytest

from nas.arm_estimates import ArmEstimates
from nas.budget_regret import BudgetUsers, draw_budgets
from nas.comparison import Arm, ArmRun, Comparison, Model, own_front, seen_by
from nas.comparison_rendering import print_comparison
from nas.comparison_scores import ComparisonScores, finalists, score
from nas.conclusion_text import conclusion_lines
from nas.conclusions import Conclusion, traits
from nas.equal_charge import equal_runs
from nas.front_scores import FEW
from nas.headline import headline
from nas.indicators import Indicator
from nas.paired_tests import Estimate, PairedTest
from nas.shares import percent

NAMES = ("params", "latency_s")


def searches(
    seeds: int = 8, *, gap: float = 0.0, seconds: float = 0.0, arms: tuple[str, ...] = ()
) -> Comparison:
    """Deep models have few params, wide ones little latency; the arm of each finds these.

    Args:
        seeds: How many.
        gap: By how much models of single arms are worse in quality than those of ``all``.
        seconds: What a training takes at the most.
        arms: Their names; all of them when empty.
    """
    known = (
        Arm("params", ("params",)), Arm("latency_s", ("latency_s",)), Arm("all", NAMES),
        Arm("random", (), True), Arm("quality", (), True),
    )  # fmt: skip
    models: list[Model] = []
    rows: list[list[float]] = []
    runs = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        for arm in known:
            places = list(range(len(models), len(models) + 10))
            for place in places:
                deep = {"params": 1.0, "latency_s": 0.0}.get(arm.name, rng.random())
                deep = float(np.clip(deep + rng.normal(0, 0.1), 0, 1))
                size = 4 ** rng.random()
                family = "deep" if deep > 0.5 else "wide"
                models.append(Model(f"m{place}", f"depth={round(1 + 9 * deep)}", family))
                worse = 0 if arm.name == "all" else gap
                rows.append([size * (2 - deep), size * (1 + deep), 1 / size + worse])
            table = np.array(rows)[places]
            front = own_front(arm, NAMES, table[:, 2], table[:, :2])
            taken = seconds * rng.random(10)
            runs.append(ArmRun(arm.name, seed, np.array(places), table[:, 2], taken, front))
    table = np.array(rows)
    kept = [arm for arm in known if not arms or arm.name in arms]
    columns = tuple(Indicator(name, "", "inference", "", name) for name in NAMES)
    return Comparison(
        "s", "error", False, columns, tuple(models), table[:, :2], table[:, 2], tuple(kept),
        tuple(run for run in runs if run.arm in {arm.name for arm in kept}), 10, 2, table[::3, :2],
        {"task": "made up"},
    )  # fmt: skip


def scored(comparison: Comparison) -> ComparisonScores:
    return score(comparison, budgets=100)


def test_own_fronts_are_by_what_an_arm_has_seen() -> None:
    told = np.array([1.0, 2, 3, 3])
    costs = np.array([[3.0, 1], [2, 2], [1, 3], [4, 0]])
    fronts = {arm.name: own_front(arm, NAMES, told, costs).tolist() for arm in searches(1).arms}
    assert fronts == {
        "params": [0, 1, 2], "latency_s": [0, 3], "all": [0, 1, 2, 3], "random": [0, 1, 2, 3],
        "quality": [0],
    }  # fmt: skip
    assert seen_by(Arm("weighted-product", (), True), NAMES) == NAMES


def test_every_arm_is_tested_against_all() -> None:
    scores = scored(searches())
    assert [test.arm for test in scores.primary] == ["params", "latency_s", "random", "quality"]
    assert {test.against for test in scores.primary} == {"all"}
    assert [test.arm for test in scores.own] == ["params", "latency_s"]
    differences = scores.of("quality").values["regret"] - scores.of("all").values["regret"]
    assert scores.primary[-1].difference.low <= np.median(differences)
    assert scores.primary[-1].difference.high >= np.median(differences)
    # The correction is for all tests of a family: the smallest p times their number.
    least = min(scores.primary, key=lambda test: test.p)
    assert least.adjusted_p == pytest.approx(4 * least.p)
    assert min(test.adjusted_p for test in scores.secondary) == pytest.approx(
        len(scores.secondary) * min(test.p for test in scores.secondary)
    )


def test_another_arm_may_be_what_others_are_tested_against() -> None:
    scores = score(searches(), budgets=100, reference="random")
    tests = (*scores.primary, *scores.own, *scores.secondary)
    assert scores.reference == "random"
    assert {test.against for test in tests} == {"random"}
    assert [test.arm for test in scores.primary] == ["params", "latency_s", "all", "quality"]
    assert {test.score for test in scores.secondary}.isdisjoint({"regret"})


def test_arms_that_did_the_same_do_not_differ() -> None:
    base = searches(10, arms=("all",))
    twins = replace(
        base,
        arms=(*base.arms, Arm("params", NAMES, True)),
        runs=(*base.runs, *(replace(run, arm="params") for run in base.runs)),
    )
    scores = scored(twins)
    tests = (*scores.primary, *scores.secondary)
    assert len(tests) == 4
    assert {test.p for test in tests} == {1.0}
    assert {test.difference.value for test in tests} == {0.0}
    for name, values in scores.of("all").values.items():
        np.testing.assert_array_equal(values, scores.of("params").values[name])


def test_what_an_arm_loses_more_is_found_in_the_primary_endpoint() -> None:
    scores = scored(searches(10, gap=0.5))
    for test in scores.primary:
        assert test.significant
        assert test.difference.low > 0
    # An archive holds its front and, scored as it was told, answers no worse. Not capped it may, as
    # an answer can lose more than none.
    for arm in scores.arms:
        front, archive = scores.of(arm.name), scores.of(arm.name, "archive")
        less = archive.values["regret_capped"] <= front.values["regret_capped"] + 1e-12
        assert less.all()


def test_runs_are_cut_where_the_shortest_of_their_seed_ends() -> None:
    base = searches(1, arms=("params", "all"))
    seconds = (np.full(10, 3.0), np.full(10, 2.0))
    runs = tuple(replace(r, seconds=s) for r, s in zip(base.runs, seconds, strict=True))
    comparison = replace(base, runs=runs)
    first, second = equal_runs(comparison, "training_seconds")
    assert (len(first.models), len(second.models)) == (6, 10)  # 18 s fit in 20 s, 21 s do not.
    costs = comparison.costs[first.models]
    expected = own_front(comparison.arms[0], NAMES, first.told, costs)
    np.testing.assert_array_equal(first.front, expected)
    assert 0 < len(expected) < 6
    assert scored(comparison).charges == ("evaluations", "training_seconds")
    assert scored(base).charges == ("evaluations",)


def test_finalists_are_all_that_scores_ask_for() -> None:
    base = searches(4, seconds=2.0)
    rng = np.random.default_rng(0)
    runs = tuple(replace(r, told=r.told + rng.normal(0, 0.2, 10)) for r in base.runs)
    told = replace(base, runs=runs, scored=np.full(len(base.models), np.nan))
    wanted = finalists(told, budgets=100)
    assert 0 < len(wanted) < len(base.models)
    known = told.scored.copy()
    known[wanted] = base.scored[wanted]
    # Fronts are kept by what was told before, so all of these are scored.
    scores = scored(replace(told, scored=known))
    assert max(item.values["unscored"].max() for item in scores.sets) == 0
    np.testing.assert_array_equal(wanted, finalists(replace(told, scored=known), budgets=100))
    by_seed = [finalists(told, budgets=1, seed=seed).tolist() for seed in range(5)]
    assert any(each != by_seed[0] for each in by_seed)


def test_families_that_a_single_indicator_prefers_are_told_first() -> None:
    comparison = searches(12)
    scores = scored(comparison)
    by_arm = {item.arm: item for item in scores.conclusions}
    assert {item.trait for item in scores.conclusions} == {"family"}
    assert by_arm["params"].picked.value > 0.9
    assert by_arm["latency_s"].picked.value < 0.1
    *alone, right, shown = headline(comparison, scores)[:4]
    judged = "Judged by {} alone, the models to take: mostly of family {} ("
    found = [line.partition("(")[0] + "(" for line in alone]
    assert sorted(found) == sorted([judged.format("params", "deep"),
                                    judged.format("latency_s", "wide")])  # fmt: skip
    assert right.startswith("Right here, over budgets on all 2 indicators: mostly of family ")
    assert shown.startswith("The difference in family is shown for params and latency_s: p is ")


def _concluded(arm: str, picked: dict[str, float], p: float) -> list[Conclusion]:
    right = {"width": 60.0, "depth": 2.0}
    return [
        Conclusion(
            arm, trait, "", "", Estimate(value, 0, 99, 0.95), Estimate(right[trait], 0, 99, 0.95),
            PairedTest(arm, "right", trait, Estimate(1, 0, 2, 0.95), p, p, 3),
        )
        for trait, value in picked.items()
    ]  # fmt: skip


@pytest.mark.parametrize(("p", "tested"), [
    (0.3, "These are estimates: no difference is shown, p is at least 0.15 after Holm's "
          "correction."),
    (0.01, "The difference in width is shown for a, c, b, d and e: p is at most 0.01 after "
           "Holm's correction."),
])  # fmt: skip
def test_indicators_of_one_conclusion_are_told_of_together(p: float, tested: str) -> None:
    # From a, b is 2 and 5 % away; c is 50 % deeper than a; d and e are nearest to what is right.
    items = [
        *_concluded("a", {"width": 100, "depth": 2}, p),
        *_concluded("c", {"width": 100, "depth": 4}, p),
        *_concluded("b", {"width": 98, "depth": 1.9}, p / 2),
        *_concluded("d", {"width": 50, "depth": 2}, p),
        *_concluded("e", {"width": 61, "depth": 2}, p),
    ]
    firm = [item for item in items if p > 0.05 or item.trait == "width"]
    scores = replace(scored(searches(3)), conclusions=tuple(firm))
    *alone, right, last = conclusion_lines(scores, {"e": "energy"})
    deep = p > 0.05
    assert alone == [f"Judged by {arms} alone, the models to take: {models}." for arms, models in (
        [
            ("c", "mean width 100 and mean depth 4"),
            ("a or b", "mean width 98 to 100 and mean depth 1.9 to 2"),
            ("d or energy", "mean width 50 to 61 and mean depth 2"),
        ] if deep else [
            ("a, c or b", "mean width 98 to 100"),
            ("d or energy", "mean width 50 to 61"),
        ]
    )]  # fmt: skip
    assert right == "Right here, over budgets on all 2 indicators: mean width 60{}.".format(
        " and mean depth 2" * deep
    )
    assert last == tested.replace("e:", "energy:")


def _shared(arm: str, trait: str, picked: dict[str, float], p: float = 0.5) -> list[Conclusion]:
    """Shares of words, of which what is right has three quarters in the last."""
    right = dict.fromkeys(picked, 0.25 / (len(picked) - 1)) | {list(picked)[-1]: 0.75}
    return [
        Conclusion(
            arm, trait, word, "", Estimate(share, 0, 1, 0.95), Estimate(right[word], 0, 1, 0.95),
            PairedTest(arm, "right", f"{trait}={word}", Estimate(1, 0, 2, 0.95), p, p, 3),
        )
        for word, share in picked.items()
    ]  # fmt: skip


def test_without_a_word_of_most_the_share_is_told_of_the_one_that_differs_most() -> None:
    items = [
        *_shared("a", "op", {"skip": 0.4, "pool": 0.35, "conv": 0.25}),
        *_shared("b", "op", {"skip": 0.1, "pool": 0.2, "conv": 0.7}),
        *_shared("c", "op", {"skip": 0.1, "pool": 0.3, "conv": 0.6}),
    ]
    scores = replace(scored(searches(3)), conclusions=tuple(items))
    assert conclusion_lines(scores, {})[:-1] == [
        "Judged by a alone, the models to take: op=conv in 25 %.",
        "Judged by b or c alone, the models to take: op=conv in 60 % to 70 %.",
        "Right here, over budgets on all 2 indicators: op=conv in 75 %.",
    ]
    most = [item for item in items if item.arm != "a"]
    assert conclusion_lines(replace(scores, conclusions=tuple(most)), {})[:-1] == [
        "Judged by b or c alone, the models to take: mostly of op conv (60 % to 70 %).",
        "Right here, over budgets on all 2 indicators: mostly of op conv (75 %).",
    ]


def test_a_word_that_half_of_the_models_have_is_not_told_as_that_of_most() -> None:
    item = _shared("a", "op", {"skip": 0.1, "conv": 0.9})[0]
    halves = [
        replace(item, value="skip", other="conv", right=Estimate(half, 0, 1, 0.95))
        for half in (0.498, 0.502)
    ]
    for half in halves:
        scores = replace(scored(searches(3)), conclusions=(half,))
        assert conclusion_lines(scores, {})[:-1] == [
            "Judged by a alone, the models to take: op=skip in 10 %.",
            "Right here, over budgets on all 2 indicators: op=skip in 50 %.",
        ]


def test_shares_of_parts_are_told_as_such() -> None:
    items = _shared("a", "edge*", {"skip": 0.8, "conv": 0.2}, p=0.01)
    # Most edges of what is picked are of another kind, but no model is.
    assert not any(item.opposite for item in items)
    assert all(replace(item, trait="edge").opposite for item in items)
    scores = replace(scored(searches(3)), conclusions=tuple(items))
    assert conclusion_lines(scores, {})[0] == (
        "Judged by a alone, the models to take: skip in 80 % of edge*."
    )


def test_headlines_are_short_and_say_what_names_are_in_full() -> None:
    comparison = searches(5, gap=0.5)
    full = "latency_s@gpu:cudagraph-fp16-b1"
    named = replace(
        comparison,
        indicators=tuple(
            replace(item, name=full) if item.name == "latency_s" else item
            for item in comparison.indicators
        ),
        arms=tuple(
            Arm(full if arm.name == "latency_s" else arm.name,
                tuple(full if name == "latency_s" else name for name in arm.objectives), arm.null)
            for arm in comparison.arms
        ),
        runs=tuple(
            replace(run, arm=full) if run.arm == "latency_s" else run for run in comparison.runs
        ),
    )  # fmt: skip
    *lines, last = headline(named, scored(named))
    assert last == f"In full: latency on gpu fp16 b1 is {full}."
    assert not any(full in line for line in lines)
    assert any("latency on gpu fp16 b1" in line for line in lines)
    assert max(map(len, lines)) <= 200
    assert not any(line.startswith("In full") for line in headline(comparison, scored(comparison)))


@pytest.mark.parametrize(
    ("excess", "maximize", "said"),
    [
        (1.25, False, "takes 2.25 times the latency_s of the best known (2.25 to 2.25)"),
        (1.0, True, "has 50 % of the latency_s of the best known (50 % to 50 %)"),
        (0.0, False, "takes no more of any indicator than the best known (1 to 1 times)"),
        (np.inf, False, "does not reach most of the qualities"),
    ],
)
def test_what_a_single_indicator_misses_is_told_in_its_direction(
    excess: float, maximize: bool, said: str
) -> None:
    comparison = searches(3)
    scores = scored(comparison)
    flipped = tuple(replace(item, maximize=maximize) for item in comparison.indicators)
    sets = tuple(
        replace(item, excess=np.tile([0.0, excess], (3, 1))) if item.arm == "params" else item
        for item in (replace(item, excess=np.zeros((3, 2))) for item in scores.sets)
    )
    lines = headline(replace(comparison, indicators=flipped), replace(scores, sets=sets))
    told = [line for line in lines if line.startswith("Estimate at equal quality: a search")]
    assert any(line.endswith(f" alone {said}.") for line in told)
    assert told[0].split(" alone ")[0].endswith("steered by params") or excess == 0


def test_conclusions_are_of_what_is_taken_under_budgets_on_the_one_indicator() -> None:
    base = searches(6)
    named = replace(base, models=tuple(replace(model, family="") for model in base.models))
    scores = scored(named)
    limits = BudgetUsers(named, 100).limits[:, 0]
    means = []
    for run in named.runs_of("params"):
        held = sorted(run.front, key=lambda i: run.told[i])
        taken = [
            next((i for i in held if named.values[run.models[i], 0] <= limit), None)
            for limit in limits
        ]
        depths = [float(named.models[run.models[i]].label[6:]) for i in taken if i is not None]
        means.append(np.mean(depths))
    found = next(item for item in scores.conclusions if item.arm == "params")
    assert (found.trait, found.value) == ("depth", "")
    assert found.picked.value == pytest.approx(np.median(means))


def test_an_archive_is_everything_that_was_evaluated() -> None:
    scores = scored(searches(3))
    for arm in scores.arms:
        assert scores.of(arm.name, "archive").values["size"].tolist() == [10] * 3
    assert scores.of("quality").values["size"].tolist() == [1] * 3


def test_five_seeds_claim_nothing() -> None:
    comparison = searches(5, gap=0.5)
    scores = scored(comparison)
    assert not any(test.significant for test in (*scores.primary, *scores.own, *scores.secondary))
    lines = headline(comparison, scores)
    assert any("These are estimates: no difference is shown" in line for line in lines)
    assert any("smallest possible p of a test is 0.0625" in line for line in lines)
    assert any("No other arm is shown to differ from `all`." in line for line in lines)
    assert not any("hown to lose" in line for line in lines)


def test_an_order_that_hangs_on_answers_worse_than_none_is_told() -> None:
    comparison = searches(6)
    scores = scored(comparison)
    assert not any("hangs on answers" in line for line in headline(comparison, scores))
    values = scores.of("all").values
    worst = {"regret": values["regret"] * 0, "regret_capped": values["regret"] + 9}
    sets = tuple(
        replace(item, values={**item.values, **worst}) if item.arm == "all" else item
        for item in scores.sets
    )
    told = [
        line
        for line in headline(comparison, replace(scores, sets=sets))
        if "hangs on answers" in line
    ]
    assert len(told) == 1
    assert "which is not tested" in told[0]


def test_a_reversal_is_told_with_what_both_tests_say() -> None:
    # Single arms find better models by their own indicator, and answer little else.
    comparison = searches(12)
    scores = scored(comparison)
    own = {test.arm: test for test in scores.own}
    told = [line for line in headline(comparison, scores) if "where `all` loses" in line]
    for name in ("params", "latency_s"):
        primary = scores.test(name)
        assert primary is not None
        reversed_ = own[name].difference.value < 0 < primary.difference.value
        assert reversed_ == any(f"by {name} loses" in line for line in told)


def test_without_all_only_estimates_are_given() -> None:
    comparison = searches(6, arms=("params", "random"))
    scores = scored(comparison)
    assert scores.reference is None
    assert scores.primary == scores.secondary == scores.own == ()
    assert any("Without `all`, nothing is tested" in line for line in headline(comparison, scores))


def test_traits_are_families_or_what_labels_share() -> None:
    models = [Model("a", "depth=4 pool=cls x=1"), Model("b", "depth=2 pool=mean")]
    assert [(t.name, t.value, t.other) for t in traits(models)] == [
        ("depth", "", ""), ("pool", "cls", "mean"),
    ]  # fmt: skip
    codes = ['op_0="3" op_1="1" n=2', 'op_0="1" op_1="1" n=2', 'op_0="2" op_1="3" n=2']
    assert [(t.name, t.value, t.column.tolist()) for t in traits(
        [Model(str(place), label) for place, label in enumerate(codes)]
    )] == [
        ("op*", "1", [0.5, 1, 0]), ("op*", "2", [0, 0, 0.5]), ("op*", "3", [0.5, 0, 0.5]),
    ]  # fmt: skip
    two = [Model("a", 'block1="3" last=x'), Model("b", 'block1="1" last=y')]
    assert [(t.name, t.value, t.other) for t in traits(two)] == [
        ("block1", "1", "3"), ("last", "x", "y"),
    ]  # fmt: skip
    of_three = [Model(name, "", name) for name in ("x", "y", "z", "x")]
    assert [t.column.tolist() for t in traits(of_three)] == [
        [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0],
    ]  # fmt: skip
    assert traits([Model("a", "vit"), Model("b", "vit")]) == []


@pytest.mark.parametrize("seeds", [1, 6])
def test_scores_are_printed_and_written(capsys: pytest.CaptureFixture[str], seeds: int) -> None:
    comparison = searches(seeds, seconds=1.0)
    scores = scored(comparison)
    print_comparison(comparison, scores)
    shown = capsys.readouterr().out
    assert "at equal training seconds" in shown
    for arm in comparison.arms:
        assert f"\n {arm.name} " in shown
    # Intervals stand in columns of their own, and what columns mean is said once, at the end.
    tables, last = shown.split("\nMedians over ")
    heading = next(line for line in tables.splitlines() if line.startswith(" arm "))
    assert heading.split()[1:6] == ["regret", "interval", "capped", "no", "answer"]
    regret = ArmEstimates.of_scores(scores).of("params").values["regret"]
    first = next(line for line in tables.splitlines() if line.startswith(" params "))
    ends = [percent(end / scores.gain) for end in (regret.value, regret.low, regret.high)]
    assert f"{ends[0]}   {ends[1]} to {ends[2]}" in first.replace("     ", "   ")
    assert last.count("Capped: ") == 1
    data = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert data["budgets"]["drawn"] == 100
    first = data["sets"][0]
    assert len(first["regrets"]) == seeds
    assert first["regret"]["value"] == pytest.approx(np.median(first["regrets"]))
    with pytest.raises(LookupError, match="no score"):
        scores.of("macs")


def test_estimates_are_read_back_as_they_were_written() -> None:
    scores = scored(searches(6, seconds=1.0))
    made = ArmEstimates.of_scores(scores)
    read = ArmEstimates.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False)))
    beyond = replace(made.of("quality").excess["params"], value=np.inf, low=np.inf, high=np.inf)
    assert read == replace(made, arms=dict.fromkeys(made.arms, ""))
    for data in scores.to_json()["sets"]:
        data["excess"]["params"] |= beyond.to_json()
        assert ArmEstimates.from_json(scores.to_json() | {"sets": [data]}).of(
            data["arm"], data["kind"], data["charge"]
        ).excess["params"] == beyond  # fmt: skip
    assert made.arms == {
        "params": "", "latency_s": "", "all": "all indicators",
        "random": "no cost by itself", "quality": "no cost by itself",
    }  # fmt: skip
    medians = {name: np.median(v) for name, v in scores.of("params").values.items()}
    assert {name: e.value for name, e in made.of("params").values.items()} == medians
    assert made.of("params").alone["latency_s"].value == np.median(scores.of("params").alone[:, 1])
    assert made.charges == scores.charges


def test_scores_say_what_they_are_of() -> None:
    base = searches(4, seconds=1.0)
    # Half of the members that budgets are from take less than any model that was found.
    small = np.full_like(base.population, base.values.min() / 4)
    kept = [run for run in base.runs if (run.arm, run.seed) != ("random", 2)]
    comparison = replace(
        base, population=np.vstack([base.population, small]), runs=tuple(kept[::-1]),
        arms=(*base.arms, Arm("weighted-product", (), True)),
    )  # fmt: skip
    scores = score(comparison, budgets=100, seed=3)
    limits = draw_budgets(comparison, 100, 3)
    met = (comparison.costs[None] <= limits[:, None]).all(axis=2).any(axis=1).sum()
    assert (scores.budgets, scores.left_out) == (met, 100 - met)
    assert 0 < met < 100
    assert scores.to_json()["budgets"]["drawn"] == 100
    assert [arm.name for arm in scores.arms] == [arm.name for arm in base.arms]
    assert (scores.seeds, scores.of("random").seeds) == (3, (0, 1, 3))
    assert scores.of("params").seeds == (0, 1, 2, 3)
    assert (scores.trained, scores.enough) == (True, 10)
    looked_up = scored(searches(3))
    assert (looked_up.trained, looked_up.enough) == (False, 20)
    assert replace(scores, first_loss=1.0, least_loss=3.0).gain == 0.0
    assert replace(scores, first_loss=3.0, least_loss=1.0).gain == 2.0


def test_scores_are_of_an_arm_a_kind_and_a_charge() -> None:
    scores = scored(searches(3, seconds=1.0))
    asked = {
        (arm, kind, charge): scores.of(arm, kind, charge)  # type: ignore[arg-type]
        for arm in ("params", "all")
        for kind in ("front", "archive")
        for charge in ("evaluations", "training_seconds")
    }
    for key, found in asked.items():
        assert (found.arm, found.kind, found.charge) == key


def test_hypervolumes_are_of_as_many_as_the_smallest_front_of_costs_has() -> None:
    comparison = searches(4, seconds=1.0)
    subset = scored(comparison).subset
    for charge in ("evaluations", "training_seconds"):
        runs = equal_runs(comparison, charge)  # type: ignore[arg-type]
        steered = [len(r.front) for r in runs if r.arm in ("params", "latency_s", "all")]
        assert subset[charge] == min(steered) > 1
        # A search on the quality alone has one member.
        assert min(len(run.front) for run in runs) == 1
    long = replace(
        comparison, arms=(Arm("all", NAMES),),
        runs=tuple(
            ArmRun("all", seed, places, comparison.scored[places], np.zeros(40), np.arange(40))
            for seed in range(2)
            for places in [np.arange(40) + 40 * seed]
        ),
    )  # fmt: skip
    assert scored(long).subset == {"evaluations": FEW}
    assert FEW < 40


def test_finalists_are_of_fronts_archives_and_cut_runs() -> None:
    """One search of four models; the last does not fit in the training seconds of the other."""
    column = Indicator("params", "", "inference", "", "params")
    values = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    told = np.array([0.5, 0.4, 0.3, 0.2, 0.6])
    runs = (
        ArmRun("quality", 0, np.arange(4), told[:4], np.array([1.0, 1, 1, 9]), np.array([3])),
        ArmRun("random", 0, np.array([4]), told[4:], np.array([3.0]), np.array([0])),
    )
    comparison = Comparison(
        "f", "error", False, (column,), tuple(Model(f"m{i}", f"m{i}") for i in range(5)), values,
        np.full(5, np.nan), (Arm("quality", (), True), Arm("random", (), True)), runs, 4, 1,
        np.full((1, 1), 3.0),
    )  # fmt: skip
    # The best one, the best of what is left of the cut run, that of random search, and what
    # budgets between 3 and 6 take of the archive: 0.4 below 4, and 0.3 from there on.
    assert finalists(comparison, budgets=50).tolist() == [1, 2, 3, 4]
    tight = replace(comparison, population=np.full((1, 1), 0.6))
    # Budgets below 1 are met by nothing, and the others by the first.
    assert finalists(tight, budgets=50).tolist() == [0, 2, 3, 4]
    # With a second indicator, of which the second model takes too much: budgets on both take the
    # first in place of it, those on the first alone still take it.
    both = replace(
        comparison, indicators=(column, Indicator("size", "", "inference", "", "size")),
        values=np.column_stack([values, [1.0, 100, 1, 1, 1]]), population=np.full((1, 2), 3.0),
    )  # fmt: skip
    assert finalists(both, budgets=50).tolist() == [0, 1, 2, 3, 4]
    more = replace(comparison, maximize=True)
    # Of these the first is the one to take, whatever the budget.
    assert finalists(more, budgets=50).tolist() == [0, 3, 4]


def test_a_comparison_without_runs_is_refused() -> None:
    with pytest.raises(ValueError, match="has no run"):
        score(replace(searches(1), runs=()))
