import json
from dataclasses import replace

import numpy as np
import pytest

from nas.budget_regret import BudgetUsers
from nas.comparison import Arm, ArmRun, Comparison, Model, own_front, seen_by
from nas.comparison_rendering import print_comparison
from nas.comparison_scores import ComparisonScores, finalists, score
from nas.conclusion_text import conclusion_lines
from nas.conclusions import Conclusion, traits
from nas.equal_charge import equal_runs
from nas.headline import headline
from nas.indicators import Indicator
from nas.paired_tests import Estimate, PairedTest

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


def test_families_that_a_single_indicator_prefers_are_told_first() -> None:
    comparison = searches(12)
    scores = scored(comparison)
    by_arm = {item.arm: item for item in scores.conclusions}
    assert {item.trait for item in scores.conclusions} == {"family"}
    assert by_arm["params"].picked.value > 0.9
    assert by_arm["latency_s"].picked.value < 0.1
    first, second = headline(comparison, scores)[:2]
    alone = dict(part.split(" alone the models to take are ") if " alone " in part
                 else part.split(", ") for part in first.rstrip(".").split("; "))  # fmt: skip
    assert alone["by params"].startswith("mostly of family deep (")
    assert alone["Judged by latency_s"].startswith("mostly of family wide (")
    assert second.startswith("Right here, over budgets on all 2 indicators: models mostly of fam")
    assert "The difference in family is shown for params, latency_s: p is " in second


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
    (0.3, "These are estimates: no difference is shown, p is 0.3 at the least after Holm's "
          "correction."),
    (0.01, "The difference in width is shown for a, c, b, d, e: p is 0.01 at the least after "
           "Holm's correction."),
])  # fmt: skip
def test_indicators_of_one_conclusion_are_told_of_together(p: float, tested: str) -> None:
    # From a, b is 2 and 5 % away; c is 50 % deeper than a; d and e are nearest to what is right.
    items = [
        *_concluded("a", {"width": 100, "depth": 2}, p),
        *_concluded("c", {"width": 100, "depth": 4}, p),
        *_concluded("b", {"width": 98, "depth": 1.9}, p),
        *_concluded("d", {"width": 50, "depth": 2}, p),
        *_concluded("e", {"width": 61, "depth": 2}, p),
    ]
    firm = [item for item in items if p > 0.05 or item.trait == "width"]
    scores = replace(scored(searches(3)), conclusions=tuple(firm))
    first, second = conclusion_lines(scores)
    deep = p > 0.05
    if deep:
        assert first == (
            "Judged by c alone the models to take are of mean width 100 and depth 4; "
            "by a or b, of mean width 98 to 100 and depth 1.9 to 2; "
            "by d or e, of mean width 50 to 61 and depth 2."
        )
    else:
        assert first == (
            "Judged by a or c or b alone the models to take are of mean width 98 to 100; "
            "by d or e, of mean width 50 to 61."
        )
    right = "of mean width 60 and depth 2" if deep else "of mean width 60"
    assert second == f"Right here, over budgets on all 2 indicators: models {right}. {tested}"


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
    told = next(line for line in lines if line.startswith("Estimates at equal quality"))
    assert told.split(" alone ")[0].endswith("a search on params") or excess == 0
    assert f"{said};" in told


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
    assert "These are estimates: no difference is shown" in lines[1]
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
    told = [line for line in headline(comparison, scores) if "on that indicator alone" in line]
    for name in ("params", "latency_s"):
        primary = scores.test(name)
        assert primary is not None
        reversed_ = own[name].difference.value < 0 < primary.difference.value
        assert reversed_ == any(f"{name} loses" in line for line in told)


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
    data = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert data["budgets"]["drawn"] == 100
    first = data["sets"][0]
    assert len(first["regrets"]) == seeds
    assert first["regret"]["value"] == pytest.approx(np.median(first["regrets"]))
    with pytest.raises(LookupError, match="no score"):
        scores.of("macs")


def test_a_comparison_without_runs_is_refused() -> None:
    with pytest.raises(ValueError, match="has no run"):
        score(replace(searches(1), runs=()))
