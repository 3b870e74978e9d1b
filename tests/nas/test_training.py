"""Training and scoring, on networks that take a tenth of a second."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas import training
from nas.errors import QualityError
from nas.experiment import TrainingConfig
from nas.images import ImageDataset
from nas.learning_curves import Forecast
from nas.quality import ERROR
from nas.run_folder import RunFolder
from nas.splits import Split
from nas.stopping_rule import Hurdle, StoppingRule
from nas.texts import load_text
from search_spaces import (
    OPTIMIZERS,
    SPACES,
    Architecture,
    Block,
    CorruptFileError,
    Shape,
    UnionSpace,
    chain,
)
from search_spaces.network import Network

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
        first.quality == second.quality
        and first.train_loss == second.train_loss
        and first.weights.keys() == second.weights.keys()
        and all(np.array_equal(first.weights[key], second.weights[key]) for key in first.weights)
    )


def test_the_result_follows_from_the_arguments_alone(
    architecture: Architecture, digits: ImageDataset
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


RUNGS = StoppingRule(total=5, ideal=0.0)


def tall_hurdle(spared: bool = False) -> Hurdle:
    """One that nothing passes: something has no error, and curves are expected to stay."""
    forecasts = (Forecast(0.0, (1.0,), 0.1), Forecast(0.0, (0.0, 1.0), 0.1))
    return Hurdle(RUNGS, forecasts, 1.0, "c11", 0.0, spared)


@pytest.mark.parametrize("hurdle", [Hurdle(RUNGS), tall_hurdle(spared=True)])
def test_rungs_leave_the_training_as_it_is(
    architecture: Architecture, digits: ImageDataset, hurdle: Hurdle
) -> None:
    config = TrainingConfig(epochs=5)
    plain = training.train(architecture, digits, config, seed=0)
    scored = training.train(architecture, digits, config, 0, hurdle)
    assert isinstance(scored, training.Evaluation)
    assert same(plain, scored)
    assert plain.curve == ()
    assert len(scored.curve) == 2
    assert all(0 <= value <= 1 for value in scored.curve)
    assert (scored.decision is not None) == hurdle.spared


def test_rungs_draw_nothing_that_training_would_have_drawn(digits: ImageDataset) -> None:
    architecture = Architecture("x", {}, chain([Dropping()]))
    config = TrainingConfig(epochs=5)
    plain = training.train(architecture, digits, config, seed=0)
    scored = training.train(architecture, digits, config, 0, Hurdle(RUNGS))
    assert isinstance(scored, training.Evaluation)
    assert same(plain, scored)


def test_a_rung_scores_what_a_training_has_become_by_then(
    architecture: Architecture, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    real = training.score

    def spy(network: Network, split: Split, measure: Any) -> float:
        seen.append({k: v.clone() for k, v in network.state_dict().items()})
        return real(network, split, measure)

    monkeypatch.setattr("nas.training.score", spy)
    result = training.train(architecture, digits, TrainingConfig(epochs=5), 0, Hurdle(RUNGS))
    assert isinstance(result, training.Evaluation)
    assert len(seen) == 3
    network = Network(architecture)
    for state, value in zip(seen, (*result.curve, result.quality.value), strict=True):
        network.load_state_dict(state)
        assert real(network, digits.validation, ERROR) == value
    assert not all(torch.equal(seen[0][name], seen[1][name]) for name in seen[0])


def test_a_training_that_does_not_pass_ends_at_the_first_rung(
    architecture: Architecture, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    step = torch.optim.AdamW.step

    def counted(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal steps
        steps += 1
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    result = training.train(architecture, digits, TrainingConfig(epochs=5), 0, tall_hurdle())
    assert isinstance(result, training.Stopped)
    assert steps == -(-len(digits.train) // 64)  # Of one epoch in batches of 64.
    assert result.decision.step == 1
    assert result.curve == (result.decision.quality,)
    assert result.decision.dominated_by == "c11"
    state = torch.get_rng_state()
    training.train(architecture, digits, TrainingConfig(epochs=5), 0, tall_hurdle())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_test_split_changes_nothing(architecture: Architecture, digits: ImageDataset) -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(digits.test.inputs.shape).astype(np.float32)
    other = replace(digits, test=Split(noise, rng.permutation(digits.test.labels)))
    first, second = (training.train(architecture, d, ONE, seed=0) for d in (digits, other))
    assert same(first, second)


def test_the_validation_split_changes_the_error_but_no_weight(
    architecture: Architecture, digits: ImageDataset
) -> None:
    validation = digits.validation
    shifted = Split(validation.inputs, (validation.labels + 1) % 10)
    first = training.train(architecture, digits, ONE, seed=0)
    second = training.train(architecture, replace(digits, validation=shifted), ONE, seed=0)
    assert second.quality != first.quality
    assert same(first, replace(second, quality=first.quality))


def test_the_error_is_that_of_the_weights_it_returns(
    architecture: Architecture, digits: ImageDataset, tmp_path: Path
) -> None:
    evaluation = training.train(architecture, digits, ONE, seed=0)
    run = RunFolder(tmp_path)
    run.save_weights("one", evaluation.weights)
    network = training.load_network(architecture, run.load_weights("one"))
    outputs = training.predict(network, digits.validation.inputs)
    assert outputs.shape == (360, 10)
    wrong = sum(
        int(np.argmax(row)) != label
        for row, label in zip(outputs, digits.validation.labels, strict=True)
    )
    assert evaluation.quality == ERROR.quality("validation", wrong / 360)
    assert training.score(network, digits.validation, ERROR) == wrong / 360


def test_training_learns(tiny_space: UnionSpace, digits: ImageDataset) -> None:
    codes = tiny_space.random_codes(50, np.random.default_rng(1))
    vit = next(a for a in map(tiny_space.decode, codes) if a.config.get("width") == 16)
    one, six = (
        training.train(vit, digits, TrainingConfig(epochs=epochs), seed=0) for epochs in (1, 6)
    )
    assert six.train_loss < one.train_loss
    assert six.quality.value < 0.5 < 0.9  # Guessing is wrong nine times in ten.


def test_a_loss_that_is_no_number_is_the_reason(
    architecture: Architecture, digits: ImageDataset
) -> None:
    config = TrainingConfig(epochs=3, learning_rate=1e30)
    with pytest.raises(QualityError, match=r"the training loss became (nan|inf) in epoch [123]"):
        training.train(architecture, digits, config, seed=0)


def test_weights_that_are_no_numbers_after_the_last_step_are_a_reason(
    architecture: Architecture, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
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


def test_a_quality_that_is_no_number_is_a_reason(
    architecture: Architecture, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.training.score", lambda *_: float("nan"))
    with pytest.raises(QualityError, match="validation_error became nan"):
        training.train(architecture, digits, ONE, seed=0)


def test_scoring_gives_the_same_in_parts_and_leaves_no_gradient(
    architecture: Architecture, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = Network(architecture)
    whole = training.score(network, digits.train, ERROR)
    assert not network.training
    with torch.no_grad():
        outputs = network(torch.from_numpy(digits.train.inputs))
    wrong = outputs.argmax(1).numpy() != digits.train.labels
    assert whole == pytest.approx(wrong.mean(), abs=1.01 / 1077)  # Of two that are equal.
    monkeypatch.setattr("nas.splits.PART_ELEMENTS", 70)  # Seven rows of ten outputs.
    parts = [len(labels) for _, labels in digits.train.parts((10,))]
    assert parts == [7] * 153 + [6]
    assert training.score(network, digits.train, ERROR) == pytest.approx(whole, abs=1.01 / 1077)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_learns(tiny_space: UnionSpace, digits: ImageDataset, name: str) -> None:
    rate = 3e-3 if name.startswith("adam") else 3e-2
    config = TrainingConfig(epochs=2, optimizer=name, learning_rate=rate)
    architecture = tiny_space.decode(np.zeros(len(tiny_space.parameters), int))
    result = training.train(architecture, digits, config, seed=0)
    assert result.quality.value < 0.85  # Guessing is wrong nine times in ten.


def test_a_language_model_learns() -> None:
    text = load_text()
    space = SPACES["decoder"](context=[32], depth=[1], width=[32], heads=[2], mlp_ratio=[2])
    model = space.decode(np.zeros(len(space.parameters), int))
    config = TrainingConfig(epochs=4, learning_rate=1e-2)
    result = training.train(model, text, config, seed=0)
    assert result.quality.name == "validation_bits_per_byte"
    # What bytes take that are known by their frequency alone.
    counts = np.bincount(np.frombuffer(text.validation, np.uint8))
    shares = counts[counts > 0] / counts.sum()
    assert result.quality.value < -(shares * np.log2(shares)).sum() < 8


@dataclass(frozen=True, slots=True)
class Dropping(Block):
    """Labels pixels, some of which it leaves out in training."""

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((1, 8, 8),)

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))


def test_dropout_follows_from_the_seed(digits: ImageDataset) -> None:
    architecture = Architecture("x", {}, chain([Dropping()]))
    torch.manual_seed(1)
    first = training.train(architecture, digits, ONE, seed=0)
    torch.manual_seed(2)
    assert same(first, training.train(architecture, digits, ONE, seed=0))


@pytest.mark.parametrize("missing", [True, False])
def test_weights_of_another_network_do_not_load(
    architecture: Architecture, digits: ImageDataset, missing: bool, tiny_space: UnionSpace
) -> None:
    weights = {
        name: torch.from_numpy(array)
        for name, array in training.train(architecture, digits, ONE, seed=0).weights.items()
    }
    if missing:
        weights.popitem()
    else:
        weights["another"] = torch.zeros(1)
    with pytest.raises(CorruptFileError, match=f"candidate {architecture.id} do not fit .* code"):
        training.load_network(architecture, weights)


def test_label_smoothing_raises_the_least_loss(
    tiny_space: UnionSpace, digits: ImageDataset, tiny: Callable[..., Any]
) -> None:
    vit = tiny_space.decode(np.zeros(len(tiny_space.parameters), int))
    plain, smooth = (
        training.train(vit, digits, TrainingConfig(epochs=1, label_smoothing=s), seed=0)
        for s in (0.0, 0.2)
    )
    assert plain.train_loss != smooth.train_loss
