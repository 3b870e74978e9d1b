"""The rule by hand, and on curves whose true front is known."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from nas.dominance import nondominated
from nas.stopping_rule import Decision, Finished, Hurdle, StoppingRule

HALF = StoppingRule(total=2, level=0.1)


def finished(finals: Any, costs: Any, curves: Any, spared: Any = None) -> Finished:
    finals = np.asarray(finals, dtype=float)
    n = len(finals)
    costs, curves = (np.asarray(table, dtype=float) for table in (costs, curves))
    return Finished(
        names=[f"c{i}" for i in range(n)],
        finals=finals,
        costs=costs if costs.ndim == 2 else costs[:, None],
        curves=curves if curves.ndim == 2 else curves[:, None],
        spared=np.zeros(n, dtype=bool) if spared is None else np.asarray(spared),
    )


def chain(n: int, gain: float = 1.0) -> Finished:
    """Members of a front, each costlier and better by ``gain``; half way each is 10 worse."""
    finals = gain * np.arange(n, 0.0, -1)
    noise = 0.01 * (-1.0) ** np.arange(n)
    return finished(finals, np.arange(1, n + 1), finals + 10 + noise)


def hurdle(rule: StoppingRule, known: Finished, cost: Any, spared: bool = False) -> Hurdle:
    row = np.atleast_2d(np.asarray(cost, dtype=float))
    (found,) = rule.hurdles(known, row, np.array([spared]))
    return found


def test_what_is_dominated_even_at_its_best_is_stopped() -> None:
    passed = hurdle(HALF, chain(12), 6.5)
    assert passed.to_beat == 7  # Of cost 6; the one of cost 7 is better and costs more.
    assert passed.dominated_by == "c5"
    decision = passed.decide([19.0])
    assert decision is not None
    assert decision.step == 1
    assert decision.quality == 19
    assert 7 < decision.optimistic <= decision.expected < 9.5  # 10 less, or a little more.
    assert passed.decide([12.0]) is None


def test_optimism_is_what_keeps_all_but_the_level_of_the_front() -> None:
    """Each member but the first had 1 less than the one before it to beat: its margin is known."""
    known = chain(12, gain=0.0)
    finals = 20.0 - np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    rng = np.random.default_rng(0)
    known = finished(finals, np.arange(1, 13), finals + 5 + 2 * rng.normal(size=12))
    from nas.learning_curves import CurveModel

    model = CurveModel(known.curves, known.costs, known.finals)
    bars = np.array([math.inf, *finals[:-1]])
    margins = np.sort((model.left_out[:, 0] - bars) / model.spreads[0])
    # 12 members: of level 0.1 the ceil(13 * 0.9) = 12th, of level 0.25 the ceil(9.75) = 10th.
    for level, rank in ((0.1, 12), (0.25, 10)):
        found = hurdle(StoppingRule(total=2, level=level), known, 5)
        assert found.optimism == pytest.approx(max(margins[rank - 1], 0))


def test_nothing_is_stopped_before_enough_are_finished_for_the_level() -> None:
    assert HALF.needed == 9
    assert StoppingRule(total=2, level=0.05).needed == 19
    assert hurdle(HALF, chain(8), 6.5).decide([1e9]) is None
    assert hurdle(HALF, chain(9), 6.5).decide([1e9]) is not None
    empty = finished([], np.empty((0, 1)), np.empty((0, 1)))
    assert hurdle(HALF, empty, 6.5).decide([1e9]) is None


def test_the_front_beneath_helps_out_and_asks_for_more() -> None:
    few, many = chain(5), chain(10)
    both = finished(
        np.concatenate([few.finals, many.finals + 20]),
        np.concatenate([few.costs, many.costs]),
        np.concatenate([few.curves, many.curves + 20]),
    )
    assert hurdle(HALF, both, 4.5).forecasts
    assert hurdle(HALF, both, 4.5).optimism > hurdle(HALF, chain(15), 4.5).optimism


def test_what_is_cheaper_in_one_cost_than_everything_is_never_stopped() -> None:
    known = chain(12)
    two = finished(known.finals, np.hstack([known.costs, known.costs]), known.curves)
    assert hurdle(HALF, two, [0.5, 99]).decide([1e9]) is None
    assert hurdle(HALF, two, [6.5, 6.5]).decide([1e9]) is not None


def test_a_rung_that_was_not_measured_decides_nothing() -> None:
    assert hurdle(HALF, chain(12), 6.5).decide([math.nan]) is None
    known = chain(12)
    known.curves[:4] = math.nan
    assert hurdle(HALF, known, 6.5).decide([1e9]) is None  # Eight curves are too few.
    assert hurdle(HALF, chain(12), 6.5).to_beat == 7


def test_a_spared_one_is_decided_on_and_counts_for_those_that_are_not_finished() -> None:
    decision = hurdle(HALF, chain(12), 6.5, spared=True).decide([1e9])
    assert decision is not None
    assert decision.spared
    # One that stands for ten is more than a fifth of all, so the bound is its.
    known, worst = chain(12), np.arange(12) == 6
    known.curves[6] += 40
    plain = finished(known.finals, known.costs, known.curves)
    counted = finished(known.finals, known.costs, known.curves, worst)
    rule = StoppingRule(total=2, level=0.2)
    assert hurdle(rule, counted, 6.5).optimism > hurdle(rule, plain, 6.5).optimism
    assert hurdle(rule, counted, 6.5).optimism == hurdle(HALF, plain, 6.5).optimism


def test_qualities_with_an_ideal_are_compared_by_their_logarithms() -> None:
    rule = StoppingRule(total=2, level=0.1, ideal=0.0, resolution=0.01)
    known = chain(12)
    decision = hurdle(rule, known, 6.5).decide([30.0])
    assert decision is not None
    logs = finished(np.log(known.finals + 0.01), known.costs, np.log(known.curves + 0.01))
    other = hurdle(HALF, logs, 6.5).decide([math.log(30.01)])
    assert other is not None
    assert decision.expected == pytest.approx(math.exp(other.expected) - 0.01)
    assert decision.optimistic == pytest.approx(math.exp(other.optimistic) - 0.01)
    assert decision.to_beat == 7
    assert rule.outside(float(rule.inside(np.array([0.3]))[0])) == pytest.approx(0.3)
    with pytest.raises(ValueError, match=r"`ideal` = 0.0 is surpassed by a quality of -1.0"):
        rule.inside(np.array([-1.0]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"level": 0.0}, "`level` must be above 0 and below 1; got 0.0"),
        ({"spare": 1.0}, "`spare` must be above 0 and below 1; got 1.0"),
        ({"total": 0}, "`total` must be an integer of at least 1; got 0"),
        ({"reduction_factor": 1}, "`reduction_factor` must be an integer of at least 2; got 1"),
        ({"resolution": math.nan}, "`resolution` must be above 0 and finite; got nan"),
        ({"total": 5, "first": 3}, "`total` = 5 leaves no rung from `first` = 3 on"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StoppingRule(**({"total": 10} | change))


def test_hurdles_can_be_sent_to_a_process_and_decisions_written() -> None:
    found = hurdle(HALF, chain(12), 6.5)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    decision = again.decide([30.0])
    assert decision is not None
    assert Decision(**decision.to_json()) == decision


TOTAL = 16


def family(kind: str, n: int, costs: int, noise: float, rng: Any) -> tuple[Any, Any]:
    """Costs and noisy learning curves; larger candidates tend to end better."""
    prices = np.exp(rng.normal(size=(n, costs)))
    finals = 0.05 + 0.1 * np.exp(-0.5 * np.log(prices).mean(axis=1) + 0.6 * rng.normal(size=n))
    steps = np.arange(1, TOTAL + 1)
    if kind == "power laws":
        clean = finals[:, None] * (TOTAL / steps) ** rng.uniform(0.5, 2, size=(n, 1))
    else:  # Curves that cross: the slow ones end better.
        rate = rng.uniform(0.1, 0.6, size=(n, 1))
        finals = finals * (0.3 + 2 * rate[:, 0])
        clean = finals[:, None] + (0.9 - finals[:, None]) * np.exp(-rate * steps)
    return prices, clean * np.exp(noise * rng.normal(size=clean.shape))


def searched(kind: str, costs: int, noise: float, level: float, seed: int) -> Any:
    """Members of the true front, how many of them were stopped, and the share of steps saved."""
    rng = np.random.default_rng(seed)
    n, batch = 100, 4
    prices, curves = family(kind, n, costs, noise, rng)
    rule = StoppingRule(TOTAL, level=level, ideal=0.0)
    at = [step - 1 for step in rule.rungs]
    done, lots, stopped = list[int](), list[bool](), dict[int, int]()
    for start in range(0, n, batch):
        rows = np.arange(start, start + batch)
        known = finished(curves[done, -1], prices[done], curves[np.ix_(done, at)], lots or None)
        for row, passed in zip(
            rows, rule.hurdles(known, prices[rows], rng.random(batch) < rule.spare), strict=True
        ):
            seen = [curves[row, at[: i + 1]].tolist() for i in range(len(at))]
            decision = next(filter(None, map(passed.decide, seen)), None)
            if decision is None or decision.spared:
                done.append(int(row))
                lots.append(decision is not None)
            else:
                stopped[int(row)] = decision.step
    front = nondominated(np.column_stack([curves[:, -1], prices]))
    saved = sum(TOTAL - step for step in stopped.values()) / (TOTAL * n)
    return front.sum(), front[list(stopped)].sum(), saved


@pytest.mark.parametrize("level", [0.05, 0.2])
@pytest.mark.parametrize("costs", [1, 3])
@pytest.mark.parametrize("kind", ["power laws", "crossing"])
def test_no_more_members_of_the_true_front_are_stopped_than_the_level_says(
    kind: str, costs: int, level: float
) -> None:
    runs = np.array([searched(kind, costs, 0.1, level, seed) for seed in range(12)])
    members, lost = int(runs[:, 0].sum()), int(runs[:, 1].sum())
    # As many as a binomial of that level exceeds once in a hundred.
    assert lost <= binom.ppf(0.99, members, level)
    # And it is worth it.
    assert runs[:, 2].mean() > (0.1 if level == 0.05 else 0.25)
