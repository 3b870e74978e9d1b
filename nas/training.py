"""Quality by training: weights are fitted to the training split and scored on another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from nas.errors import QualityError
from nas.optimizers import make_optimizer
from nas.quality import Measure, Quality
from nas.splits import Dataset, Split, output_shape
from search_spaces import Architecture, CorruptFileError
from search_spaces.network import Network

if TYPE_CHECKING:
    from nas.experiment import TrainingConfig
    from nas.stopping_rule import Decision, Hurdle

__all__ = ["Evaluation", "Stopped", "load_network", "predict", "score", "train"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What training an architecture gave.

    Attributes:
        quality: What the data set measures, on the validation split.
        weights: State dict of the network as arrays.
        train_loss: Mean loss of the last epoch.
        seconds: How long it took.
        curve: Quality at each rung that it passed; NaN where it was not finite.
        decision: Why it would have ended early, had it not been spared.
    """

    quality: Quality
    weights: dict[str, NDArray[Any]]
    train_loss: float
    seconds: float
    curve: tuple[float, ...] = ()
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """A training that ended early.

    Attributes:
        decision: Why.
        curve: Quality at each rung up to the last one.
        train_loss: Mean loss of the last epoch.
        seconds: How long it took.
    """

    decision: Decision
    curve: tuple[float, ...]
    train_loss: float
    seconds: float


@overload
def train(
    architecture: Architecture,
    dataset: Dataset,
    config: TrainingConfig,
    seed: int,
    hurdle: None = None,
) -> Evaluation: ...


@overload
def train(
    architecture: Architecture,
    dataset: Dataset,
    config: TrainingConfig,
    seed: int,
    hurdle: Hurdle,
) -> Evaluation | Stopped: ...


def train(
    architecture: Architecture,
    dataset: Dataset,
    config: TrainingConfig,
    seed: int,
    hurdle: Hurdle | None = None,
) -> Evaluation | Stopped:
    """Trains a new network and scores it on the validation split; the test split is not touched.

    The optimiser of the configuration on the cross-entropy, its learning rate rising for a tenth of
    the steps and falling on a half cosine after, nearly to nothing (Loshchilov & Hutter 2017). The
    result depends on the arguments alone, and a training that is not stopped gives the same with a
    hurdle as without one.

    Args:
        architecture: The network.
        dataset: What it learns.
        config: How.
        seed: Of the first weights, the order of examples and whatever else is random.
        hurdle: What it has to pass at the rungs, after epochs, or it is stopped.

    Raises:
        QualityError: The loss, a weight or the quality became NaN or infinite.
        ValueError: The network does not read the data set, or puts out something else.
    """
    start = time.perf_counter()
    splits = dataset.fitted(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(architecture)
        finite = {name for name, tensor in network.state_dict().items() if _is_finite(tensor)}
        curve: list[float] = []
        decisions: list[Decision] = []

        def ends(epoch: int) -> bool:
            """Scores the network if an epoch is a rung; whether training ends there."""
            if hurdle is None or epoch not in hurdle.rule.rungs:
                return False
            with torch.random.fork_rng(devices=[]):  # Whatever a network draws in inference.
                value = score(network, splits.validation, dataset.measure)
            network.train()
            curve.append(value if math.isfinite(value) else math.nan)
            decision = None if decisions else hurdle.decide(curve)
            if decision is not None:
                decisions.append(decision)
            return decision is not None and not decision.spared

        loss = _fit(network, splits.train, config, seed, ends)
    decision = decisions[0] if decisions else None
    if decision is not None and not decision.spared:
        return Stopped(decision, tuple(curve), loss, time.perf_counter() - start)
    state = network.state_dict()
    if not all(_is_finite(state[name]) for name in finite):
        raise QualityError("a weight became NaN or infinite in training")
    value = score(network, splits.validation, dataset.measure)
    quality = dataset.measure.quality("validation", value)
    if not math.isfinite(value):
        raise QualityError(f"{quality.name} became {value}")
    weights = {name: tensor.contiguous().numpy() for name, tensor in state.items()}
    seconds = time.perf_counter() - start
    return Evaluation(quality, weights, loss, seconds, tuple(curve), decision)


def _fit(
    network: Network, split: Split, config: TrainingConfig, seed: int, ends: Callable[[int], bool]
) -> float:
    """Trains a network, until ``ends`` says so after an epoch; the mean loss of the last one."""
    inputs, labels = torch.from_numpy(split.inputs), torch.from_numpy(split.labels)
    if inputs.dim() == 4:
        # Convolutions train about twice as fast on CPU in this layout; the numbers are the same.
        torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    optimizer = make_optimizer(config.optimizer, network, config.learning_rate, config.weight_decay)
    steps = config.epochs * -(-len(labels) // config.batch_size)
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / warm,
            0.5 + 0.5 * math.cos(math.pi * max(0, step - warm) / steps),
        ),
    )
    order = torch.Generator().manual_seed(seed)
    network.train()
    mean = 0.0
    for epoch in range(config.epochs):
        total = 0.0
        for rows in torch.randperm(len(labels), generator=order).split(config.batch_size):
            if len(rows) == 1 and len(labels) > 1:
                continue  # Batch normalisation has no variance over one example.

            def backward(rows: torch.Tensor = rows, epoch: int = epoch) -> float:
                loss = F.cross_entropy(
                    network(inputs[rows]).flatten(0, -2),
                    labels[rows].flatten(),
                    label_smoothing=config.label_smoothing,
                )
                value = loss.item()
                if not math.isfinite(value):
                    raise QualityError(f"the training loss became {value} in epoch {epoch + 1}")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                return value

            total += optimizer.step(backward) * len(rows)
            schedule.step()
        mean = total / len(labels)
        if epoch + 1 < config.epochs and ends(epoch + 1):
            break
    return mean


def _is_finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def load_network(architecture: Architecture, weights: Mapping[str, torch.Tensor]) -> Network:
    """The network with given weights, for inference.

    Raises:
        CorruptFileError: The weights are not those of the network.
    """
    network = Network(architecture)
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CorruptFileError(
            f"The weights of the candidate {architecture.id} do not fit its network: the code of "
            f"a block is not what it was when they were trained. {error}"
        ) from error
    return network.eval()


def predict(network: torch.nn.Module, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs ``[n, *shape]`` for inputs, all at once, in inference mode."""
    network.eval()
    with torch.inference_mode():
        outputs: NDArray[np.float32] = network(torch.from_numpy(inputs)).numpy()
    return outputs


def score(network: Network, split: Split, measure: Measure) -> float:
    """A measure of a network on a split."""
    parts = split.parts(output_shape(network.architecture))
    return sum(measure.total(predict(network, x), y) for x, y in parts) / split.size
