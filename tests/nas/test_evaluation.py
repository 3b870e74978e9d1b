"""Training in turn and in several processes gives the same."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.evaluation import evaluator
from nas.experiment import Experiment
from nas.images import ImageDataset
from nas.splits import Split
from nas.stopping_rule import Hurdle, StoppingRule
from nas.training import Evaluation
from search_spaces import Architecture, UnionSpace


@pytest.fixture
def architectures(tiny_space: UnionSpace) -> Sequence[Architecture]:
    drawn = [tiny_space.decode(c) for c in tiny_space.random_codes(40, np.random.default_rng(0))]
    vits, cnns = ([a for a in drawn if a.space == name] for name in ("vit", "mbconv"))
    return [vits[0], cnns[0], vits[1]]


def ignored_signals(pid: int) -> set[int]:
    """Signals that a process ignores; where the system does not say, all."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return set(range(1, 65))
    (line,) = (x for x in status.read_text().splitlines() if x.startswith("SigIgn:"))
    mask = int(line.split()[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def results(
    experiment: Experiment, dataset: ImageDataset, architectures: Sequence[Architecture]
) -> Any:
    with evaluator(experiment, dataset) as evaluate:
        return list(evaluate(architectures))


def test_two_workers_give_what_one_gives_in_the_same_order(
    tiny: Callable[..., Experiment], digits: ImageDataset, architectures: Sequence[Architecture]
) -> None:
    one = results(tiny(), digits, architectures)
    with evaluator(tiny(search={"workers": 2}), digits) as evaluate:
        two = list(evaluate(architectures))
        workers = [child.pid for child in multiprocessing.active_children()]
        ignored = [ignored_signals(pid) for pid in workers if pid is not None]
    assert multiprocessing.active_children() == []
    # Ctrl-C reaches every process of a terminal; it is the search that answers it.
    assert len(ignored) == 2
    assert all(signal.SIGINT in numbers for numbers in ignored)
    assert len(one) == len(two) == len(architectures)
    for first, second in zip(one, two, strict=True):
        assert first.quality == second.quality
        assert first.train_loss == second.train_loss
        assert first.weights.keys() == second.weights.keys()
        for name in first.weights:
            assert np.array_equal(first.weights[name], second.weights[name]), name


def test_hurdles_reach_the_workers_and_change_no_result(
    tiny: Callable[..., Experiment], digits: ImageDataset, architectures: Sequence[Architecture]
) -> None:
    changes: dict[str, Any] = {"training": {"epochs": 2}}
    plain = results(tiny(**changes), digits, architectures[:2])
    hurdles = [Hurdle(StoppingRule(total=2))] * 2
    found = []
    for workers in (1, 2):
        with evaluator(tiny(search={"workers": workers}, **changes), digits) as evaluate:
            found.append(list(evaluate(architectures[:2], hurdles)))
    for before, *scored in zip(plain, *found, strict=True):
        for result in scored:
            assert isinstance(result, Evaluation)
            assert result.quality == before.quality
            assert result.train_loss == before.train_loss
            assert result.curve == scored[0].curve
            assert len(result.curve) == 1


def test_one_worker_trains_the_data_set_that_it_is_given(
    tiny: Callable[..., Experiment], digits: ImageDataset, architectures: Sequence[Architecture]
) -> None:
    validation = Split(digits.validation.inputs, (digits.validation.labels + 1) % 10)
    given = replace(digits, validation=validation)
    (plain,), (shifted,) = (results(tiny(), d, architectures[:1]) for d in (digits, given))
    assert plain.quality != shifted.quality


def test_a_data_set_that_is_not_registered_is_trained_here(
    tiny: Callable[..., Experiment], digits: ImageDataset, architectures: Sequence[Architecture]
) -> None:
    given = replace(digits, name="mine")
    (here,) = results(tiny(search={"workers": 2}), given, architectures[:1])
    (plain,) = results(tiny(), digits, architectures[:1])
    assert here.quality == plain.quality


def test_a_failed_training_is_its_reason_and_the_others_go_on(
    tiny: Callable[..., Experiment], stub: Any, digits: ImageDataset, architectures: Any
) -> None:
    stub.fails = lambda a: a.space == "mbconv"
    first, second, third = results(tiny(), digits, architectures)
    assert second == "the training loss became nan in epoch 1"
    assert first.quality != third.quality


def test_results_come_one_by_one(
    tiny: Callable[..., Experiment], stub: Any, digits: ImageDataset, architectures: Any
) -> None:
    with evaluator(tiny(), digits) as evaluate:
        coming = iter(evaluate(architectures))
        next(coming)
        assert stub.trained == [architectures[0].id]


def test_the_number_of_threads_is_put_back(
    tiny: Callable[..., Experiment], stub: Any, digits: ImageDataset, architectures: Any
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = []
        stub.fails = lambda a: bool(seen.append(torch.get_num_threads()))
        results(tiny(), digits, architectures)
        assert seen == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
