"""Replayed searches, with what they save and lose counted by hand."""

import numpy as np
import pytest

from benchmarks.early_stopping import Replayed, Trained, measure, replay
from nas.stopping_rule import StoppingRule

RULE = StoppingRule(total=4, level=0.2, ideal=0.0)


def trained(n: int, seed: int = 0) -> Trained:
    rng = np.random.default_rng(seed)
    finals = rng.uniform(0.1, 0.9, n)
    costs = np.column_stack([np.exp(rng.normal(size=n)), rng.random(n)])
    macs = 100 * costs[:, 0]
    return Trained(
        curves=finals[:, None] * [2.0, 1.5],
        finals=finals,
        seconds=np.ones(n),
        costs=costs,
        objectives=(0,),
        macs=macs,
        scoring_macs=macs / 50,
        resolution=1e-3,
    )


def test_what_is_saved_and_lost() -> None:
    known = Trained(
        curves=np.full((4, 2), 0.9),
        finals=np.array([0.1, 0.2, 0.3, 0.4]),
        seconds=np.array([2.1, 1.05, 1.05, 1.05]),
        costs=np.array([[4.0, 1.0], [2.0, 1.0], [1.0, 1.0], [3.0, 0.0]]),
        objectives=(0,),
        macs=np.array([400.0, 200.0, 200.0, 200.0]),
        scoring_macs=np.array([10.0, 5.0, 5.0, 5.0]),
        resolution=1e-3,
    )
    # The second of the order, which is the first, ends at step 1; the last at step 2.
    run = Replayed(RULE, np.array([1, 0, 2, 3]), np.array([4, 1, 4, 2]), 1)
    found = measure(known, run)
    assert found["stopped"] == 0.5
    # 200 + 100 + 200 + 100, and 2 + 1 + 2 + 2 scorings of 5, 10, 5 and 5, of 1,000.
    assert found["macs_saved"] == pytest.approx(1 - (600 + 10 + 10 + 10 + 10) / 1000)
    # Without rungs each would take 1 / 1.05 of its time.
    assert found["seconds_saved"] == pytest.approx(1 - (1.05 + 2.1 / 4 + 1.05 + 1.05 / 2) / 5)
    assert found["front_lost"] == pytest.approx(1 / 3)
    assert found["set_lost"] == pytest.approx(2 / 4)
    # Quality and cost in thirds: the front (0, 1), (1/3, 1/3), (2/3, 0) without the first.
    kept = 1 / 3 * (1.1 - 1 / 3) + (1.1 - 2 / 3) * 1.1
    assert found["hypervolume_lost"] == pytest.approx(1 - kept / (kept + 1 / 3 * 0.1))
    assert found["checked"] == 1


def test_a_replayed_search_stops_the_dominated_and_keeps_the_front() -> None:
    known = trained(80)
    runs = [replay(known, RULE, "objectives", 80, 8, seed) for seed in range(4)]
    for run in runs:
        found = measure(known, run)
        assert found["front_lost"] == 0  # Curves tell all here.
        assert found["hypervolume_lost"] == pytest.approx(0)
        assert found["macs_saved"] > 0.3
        assert set(run.steps) <= {1, 2, 4}
        assert (run.steps[:8] == 4).all()
        assert sorted(run.order) == list(range(80))
    assert any((run.order != runs[0].order).any() for run in runs)
    again = replay(known, RULE, "objectives", 80, 8, 0)
    assert (again.steps == runs[0].steps).all()


def test_domination_in_every_cost_stops_less() -> None:
    known = trained(80)
    few, many = (replay(known, RULE, kind, 80, 8, 0) for kind in ("all", "objectives"))
    assert 0 < (few.steps < 4).sum() < (many.steps < 4).sum()
