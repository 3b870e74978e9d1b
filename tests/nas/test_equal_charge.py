"""Runs made equal in training seconds, by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nas.comparison import Arm, ArmRun, Comparison, Failure, Model
from nas.equal_charge import charges, equal_runs, trained
from nas.indicators import Indicator

ARMS = (Arm("macs", ("macs",)), Arm("random", (), null=True))
COSTS = np.array([[5.0], [4.0], [3.0], [2.0], [1.0]])
"""Each model is cheaper than those before it, and worse, but for the last two."""
TOLD = np.array([0.1, 0.2, 0.3, 0.5, 0.4])


def run(
    seconds: Sequence[float], arm: str = "macs", seed: int = 0, failures: tuple[Failure, ...] = ()
) -> ArmRun:
    n = len(seconds)
    front = np.array([place for place in range(n) if place != 3 or n < 5], dtype=np.int64)
    return ArmRun(arm, seed, np.arange(n), TOLD[:n], np.array(seconds), front, 0.0, failures)


def compared(*runs: ArmRun, maximize: bool = False) -> Comparison:
    column = Indicator("macs", "", "inference", "", "macs")
    models = tuple(Model(f"m{i}", f"m{i}") for i in range(5))
    return Comparison(
        "c", "error", maximize, (column,), models, COSTS, TOLD, ARMS, runs, 5, 2, COSTS
    )


def lengths(*runs: ArmRun) -> list[int]:
    return [len(item.models) for item in equal_runs(compared(*runs), "training_seconds")]


def test_at_equal_evaluations_runs_are_as_they_are() -> None:
    given = run([1, 1, 1, 1, 1]), run([9, 9, 9, 9, 9], "random")
    assert equal_runs(compared(*given), "evaluations") == list(given)


def test_a_run_ends_with_what_fits_in_the_shortest_of_its_seed() -> None:
    assert lengths(run([1, 1, 1, 1, 1]), run([2, 2, 1, 2, 2], "random")) == [5, 3]
    assert lengths(run([2, 2, 2, 2, 2]), run([1, 2, 1, 2, 1], "random")) == [3, 5]


def test_a_limit_that_sums_reach_but_for_rounding_is_kept_to() -> None:
    # Added up from the other end they come to less by one digit in the sixteenth place.
    seconds = [8.4, 6.3, 5.1, 2.7, 3.1]
    assert sum(seconds) < sum(seconds[::-1])
    assert lengths(run(seconds), run(seconds[::-1], "random")) == [5, 5]


def test_each_seed_has_a_limit_of_its_own() -> None:
    ones, twos, fives = [1.0] * 5, [2.0] * 5, [5.0] * 5
    found = lengths(run(ones), run(fives, seed=1), run(twos, "random"), run(twos, "random", 1))
    assert found == [5, 2, 2, 5]


def test_one_evaluation_is_left_at_the_least() -> None:
    assert lengths(run([1, 1, 1, 1, 1]), run([50, 1, 1, 1, 1], "random")) == [5, 1]


def test_what_is_cut_has_the_set_of_what_is_left() -> None:
    _, cut = equal_runs(compared(run([1, 1, 1, 1, 1]), run([1, 1, 1, 1.5, 9])), "training_seconds")
    assert cut.models.tolist() == [0, 1, 2, 3]
    assert cut.told.tolist() == TOLD[:4].tolist()
    assert cut.seconds.tolist() == [1, 1, 1, 1.5]
    # The last one, cheaper and better than the fourth, is gone.
    assert cut.front.tolist() == [0, 1, 2, 3]
    more = compared(run([1, 1, 1, 1, 1]), run([1, 1, 1, 1.5, 9]), maximize=True)
    # Where more is better: the third is beaten by the fourth, as the others are.
    assert equal_runs(more, "training_seconds")[1].front.tolist() == [3]


def test_what_failed_is_charged_where_it_came() -> None:
    short = run([1, 1, 1, 1, 1])
    slow = run([1, 1, 1, 1, 1], "random", failures=(Failure(0, 0.5), Failure(3, 1.0)))
    # After 1.5, 2.5, 3.5, 5.5 and 6.5 s.
    assert slow.charged_until.tolist() == [1.5, 2.5, 3.5, 5.5, 6.5]
    assert slow.charged_seconds == 6.5
    assert lengths(short, slow) == [5, 3]
    _, cut = equal_runs(compared(short, slow), "training_seconds")
    assert cut.failures == (Failure(0, 0.5),)


def test_what_failed_at_the_end_takes_of_what_others_may() -> None:
    few = replace(run([1, 1, 1]), failures=(Failure(3, 1.5),))
    assert few.charged_until.tolist() == [1, 2, 3]
    assert few.charged_seconds == 4.5
    assert lengths(few, run([1, 1, 1, 1, 1], "random")) == [3, 4]


def test_a_run_of_failures_alone_stays_empty() -> None:
    none = run([], failures=(Failure(0, 1.0), Failure(0, 2.0)))
    assert none.charged_seconds == 3.0
    assert lengths(none, run([1, 1, 1, 1, 1], "random")) == [0, 3]


@pytest.mark.parametrize("seconds", [0.0, 0.25])
def test_what_was_looked_up_has_no_training_seconds(seconds: float) -> None:
    found = compared(run([0, 0]), run([0, seconds], "random"))
    assert trained(found) == bool(seconds)
    assert charges(found) == ("evaluations", "training_seconds")[: 1 + bool(seconds)]
    failed = compared(run([0, 0]), run([0, 0], failures=(Failure(1, seconds),)))
    assert trained(failed) == bool(seconds)


def test_json_keeps_what_failed() -> None:
    found = compared(run([1, 1], failures=(Failure(1, 2.5),)))
    assert Comparison.from_json(found.to_json()).runs[0].failures == (Failure(1, 2.5),)
