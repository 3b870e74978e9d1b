"""Quality by training: weights are fitted to the training split and scored on another."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from nas.datasets import Dataset, Split
from nas.errors import QualityError
from search_spaces import Architecture
from search_spaces.network import Network

if TYPE_CHECKING:
    from nas.experiment import TrainingConfig

__all__ = ["Evaluation", "accuracy", "load_network", "predict", "train"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What training an architecture gave.

    Attributes:
        error: Share of the validation split that is misclassified; minimised.
        weights: State dict of the network as arrays.
        train_loss: Mean loss of the last epoch.
        seconds: How long it took.
    """

    error: float
    weights: dict[str, NDArray[Any]]
    train_loss: float
    seconds: float


def train(
    architecture: Architecture, dataset: Dataset, config: TrainingConfig, seed: int
) -> Evaluation:
    """Trains a new network and scores it on the validation split; the test split is not touched.

    AdamW on the cross-entropy, its learning rate rising for a tenth of the steps and falling on a
    half cosine after, nearly to nothing (Loshchilov & Hutter 2019). The result depends on the
    arguments alone.

    Raises:
        QualityError: The loss became NaN or infinite.
    """
    start = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(architecture)
    # Convolutions train about twice as fast on CPU in this layout; the numbers are the same.
    torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
    images = torch.from_numpy(dataset.train.images).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(dataset.train.labels)
    order = torch.Generator().manual_seed(seed)
    steps = config.epochs * -(-len(labels) // config.batch_size)
    warm = max(1, steps // 10)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / warm,
            0.5 + 0.5 * math.cos(math.pi * max(0, step - warm) / steps),
        ),
    )
    network.train()
    loss_sum = 0.0
    for epoch in range(config.epochs):
        loss_sum = 0.0
        for rows in torch.randperm(len(labels), generator=order).split(config.batch_size):
            if len(rows) == 1 and len(labels) > 1:
                continue  # Batch normalisation has no variance over one example.
            loss = F.cross_entropy(
                network(images[rows]), labels[rows], label_smoothing=config.label_smoothing
            )
            value = loss.item()
            if not math.isfinite(value):
                raise QualityError(f"the training loss became {value} in epoch {epoch + 1}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += value * len(rows)
    weights = {name: tensor.contiguous().numpy() for name, tensor in network.state_dict().items()}
    error = 1 - accuracy(predict(network, dataset.validation.images), dataset.validation)
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise QualityError("a weight became NaN or infinite in training")
    return Evaluation(error, weights, loss_sum / len(labels), time.perf_counter() - start)


def load_network(architecture: Architecture, weights: Mapping[str, torch.Tensor]) -> Network:
    """The network with given weights, for inference."""
    network = Network(architecture)
    network.load_state_dict(dict(weights))
    return network.eval()


def predict(network: torch.nn.Module, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs ``[n, classes]`` for images, in inference mode."""
    network.eval()
    with torch.inference_mode():
        outputs = [network(part).numpy() for part in torch.from_numpy(images).split(256)]
    return np.concatenate(outputs)


def accuracy(outputs: NDArray[Any], split: Split) -> float:
    """Share of a split whose largest output is its label."""
    return float((outputs.argmax(axis=1) == split.labels).mean())
