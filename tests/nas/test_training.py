"""Training and scoring, on networks that take a tenth of a second."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas import training
from nas.datasets import Dataset, Split
from nas.errors import QualityError
from nas.experiment import TrainingConfig
from nas.run_folder import RunFolder
from search_spaces import Architecture, UnionSpace

ONE = TrainingConfig(epochs=1)


@pytest.fixture(scope="module", params=["vit", "mbconv"])
def architecture(request: pytest.FixtureRequest, tiny_space: UnionSpace) -> Architecture:
    codes = tiny_space.random_codes(50, np.random.default_rng(0))
    drawn = (tiny_space.decode(code) for code in codes)
    return next(a for a in drawn if a.space == request.param)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(first: training.Evaluation, second: training.Evaluation) -> bool:
    return (
        first.error == second.error
        and first.train_loss == second.train_loss
        and first.weights.keys() == second.weights.keys()
        and all(np.array_equal(first.weights[key], second.weights[key]) for key in first.weights)
    )


def test_the_result_follows_from_the_arguments_alone(
    architecture: Architecture, digits: Dataset
) -> None:
    torch.manual_seed(1)
    first = training.train(architecture, digits, ONE, seed=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = training.train(architecture, digits, ONE, seed=5)
    assert same(first, second)
    # Nor is the generator of whoever calls it changed.
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(first, training.train(architecture, digits, ONE, seed=6))


def test_the_test_split_changes_nothing(architecture: Architecture, digits: Dataset) -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(digits.test.images.shape).astype(np.float32)
    other = replace(digits, test=Split(noise, rng.permutation(digits.test.labels)))
    first, second = (training.train(architecture, d, ONE, seed=0) for d in (digits, other))
    assert same(first, second)


def test_the_validation_split_changes_the_error_but_no_weight(
    architecture: Architecture, digits: Dataset
) -> None:
    validation = digits.validation
    shifted = Split(validation.images, (validation.labels + 1) % 10)
    first = training.train(architecture, digits, ONE, seed=0)
    second = training.train(architecture, replace(digits, validation=shifted), ONE, seed=0)
    assert second.error != first.error
    assert same(first, replace(second, error=first.error))


def test_the_error_is_that_of_the_weights_it_returns(
    architecture: Architecture, digits: Dataset, tmp_path: Path
) -> None:
    evaluation = training.train(architecture, digits, ONE, seed=0)
    run = RunFolder(tmp_path)
    run.save_weights("one", evaluation.weights)
    network = training.load_network(architecture, run.load_weights("one"))
    outputs = training.predict(network, digits.validation.images)
    assert outputs.shape == (360, 10)
    wrong = sum(
        int(np.argmax(row)) != label
        for row, label in zip(outputs, digits.validation.labels, strict=True)
    )
    assert evaluation.error == pytest.approx(wrong / 360, abs=1e-12)


def test_training_learns(tiny_space: UnionSpace, digits: Dataset) -> None:
    codes = tiny_space.random_codes(50, np.random.default_rng(1))
    vit = next(a for a in map(tiny_space.decode, codes) if a.config.get("width") == 16)
    one, six = (
        training.train(vit, digits, TrainingConfig(epochs=epochs), seed=0) for epochs in (1, 6)
    )
    assert six.train_loss < one.train_loss
    assert six.error < 0.5 < 0.9  # Guessing is wrong nine times in ten.


def test_a_loss_that_is_no_number_is_the_reason(
    architecture: Architecture, digits: Dataset
) -> None:
    config = TrainingConfig(epochs=3, learning_rate=1e30)
    with pytest.raises(QualityError, match=r"the training loss became (nan|inf) in epoch [123]"):
        training.train(architecture, digits, config, seed=0)


def test_weights_that_are_no_numbers_after_the_last_step_are_a_reason(
    architecture: Architecture, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = torch.optim.AdamW.step
    left = -(-len(digits.train) // ONE.batch_size)

    def spoil(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        result = step(self, *arguments, **named)
        if left == 0:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(float("nan"))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    with pytest.raises(QualityError, match="a weight became NaN or infinite"):
        training.train(architecture, digits, ONE, seed=0)


def test_predict_gives_the_same_in_parts_and_leaves_no_gradient(
    architecture: Architecture, digits: Dataset
) -> None:
    from search_spaces.network import Network

    torch.manual_seed(0)
    network = Network(architecture)
    whole = training.predict(network, digits.train.images)
    assert len(whole) == 1077  # More than the parts of 256 that it runs.
    assert not network.training
    with torch.no_grad():
        expected = network(torch.from_numpy(digits.train.images[1000:1010])).numpy()
    assert whole[1000:1010] == pytest.approx(expected, abs=1e-5)


def test_accuracy_by_hand() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    split = Split(np.zeros((4, 1, 1, 1), np.float32), np.array([1, 0, 1, 1]))
    assert training.accuracy(outputs, split) == 0.75


@pytest.mark.parametrize("missing", [True, False])
def test_weights_of_another_network_do_not_load(
    architecture: Architecture, digits: Dataset, missing: bool, tiny_space: UnionSpace
) -> None:
    weights = {
        name: torch.from_numpy(array)
        for name, array in training.train(architecture, digits, ONE, seed=0).weights.items()
    }
    if missing:
        weights.popitem()
    else:
        weights["another"] = torch.zeros(1)
    with pytest.raises(RuntimeError):
        training.load_network(architecture, weights)


def test_label_smoothing_raises_the_least_loss(
    tiny_space: UnionSpace, digits: Dataset, tiny: Callable[..., Any]
) -> None:
    vit = tiny_space.decode(np.zeros(len(tiny_space.parameters), int))
    plain, smooth = (
        training.train(vit, digits, TrainingConfig(epochs=1, label_smoothing=s), seed=0)
        for s in (0.0, 0.2)
    )
    assert plain.train_loss != smooth.train_loss
