"""Optimisers: the first two steps of each by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from nas.optimizers import Sam, make_optimizer
from search_spaces import OPTIMIZERS

RATE, DECAY = 0.1, 0.01


class Bowl(nn.Module):
    """The loss ``sum(curvature * w^2) / 2``, whose gradient is ``curvature * w``."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, -4.0], dtype=torch.float64))
        self.register_buffer("curvature", torch.tensor([1.0, 2.0], dtype=torch.float64))

    def forward(self) -> torch.Tensor:
        return (self.curvature * self.w**2).sum() / 2


def gradient(w: list[float]) -> list[float]:
    """Of the bowl, with weight decay as part of it."""
    return [(c + DECAY) * x for c, x in zip((1.0, 2.0), w, strict=True)]


def sgd(w: list[float]) -> list[list[float]]:
    path = [w]
    for _ in range(2):
        path.append([x - RATE * g for x, g in zip(path[-1], gradient(path[-1]), strict=True)])
    return path[1:]


def momentum(w: list[float]) -> list[list[float]]:
    velocity, path = [0.0, 0.0], [w]
    for _ in range(2):
        velocity = [0.9 * v + g for v, g in zip(velocity, gradient(path[-1]), strict=True)]
        path.append([x - RATE * v for x, v in zip(path[-1], velocity, strict=True)])
    return path[1:]


def adam(w: list[float], decoupled: bool = False) -> list[list[float]]:
    first, second, path = [0.0, 0.0], [0.0, 0.0], [w]
    for step in (1, 2):
        g = [c * x for c, x in zip((1.0, 2.0), path[-1], strict=True)]
        start = path[-1]
        if decoupled:
            start = [x * (1 - RATE * DECAY) for x in start]
        else:
            g = gradient(start)
        first = [0.9 * m + 0.1 * x for m, x in zip(first, g, strict=True)]
        second = [0.999 * v + 0.001 * x * x for v, x in zip(second, g, strict=True)]
        m = [x / (1 - 0.9**step) for x in first]
        v = [x / (1 - 0.999**step) for x in second]
        path.append([x - RATE * a / (b**0.5 + 1e-8) for x, a, b in zip(start, m, v, strict=True)])
    return path[1:]


def sam(w: list[float]) -> list[list[float]]:
    velocity, path = [0.0, 0.0], [w]
    for _ in range(2):
        here = path[-1]
        plain = [c * x for c, x in zip((1.0, 2.0), here, strict=True)]
        norm = sum(g * g for g in plain) ** 0.5
        up = [x + 0.05 * g / norm for x, g in zip(here, plain, strict=True)]
        g = [c * x + DECAY * y for c, x, y in zip((1.0, 2.0), up, here, strict=True)]
        velocity = [0.9 * v + x for v, x in zip(velocity, g, strict=True)]
        path.append([x - RATE * v for x, v in zip(here, velocity, strict=True)])
    return path[1:]


BY_HAND: dict[str, Callable[[list[float]], list[list[float]]]] = {
    "sgd": sgd,
    "momentum": momentum,
    "adam": adam,
    "adamw": lambda w: adam(w, decoupled=True),
    "sam": sam,
}


def stepped(network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, int]:
    """The loss of a step and how often it was computed."""
    calls = 0

    def closure() -> float:
        nonlocal calls
        calls += 1
        optimizer.zero_grad(set_to_none=True)
        loss = network()
        loss.backward()
        return loss.item()

    return optimizer.step(closure), calls


def test_each_optimizer_is_worked_by_hand() -> None:
    assert set(BY_HAND) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_two_steps_equal_those_by_hand(name: str) -> None:
    bowl = Bowl()
    optimizer = make_optimizer(name, bowl, RATE, DECAY)
    for number, expected in enumerate(BY_HAND[name](bowl.w.tolist())):
        before = bowl().item()
        loss, calls = stepped(bowl, optimizer)
        assert loss == pytest.approx(before)  # Of the weights before, not of SAM's neighbours.
        assert calls == OPTIMIZERS[name].passes
        assert bowl.w.tolist() == pytest.approx(expected, rel=1e-9), number


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_what_is_kept_for_each_parameter_is_what_is_counted(name: str) -> None:
    bowl = Bowl()
    optimizer = make_optimizer(name, bowl, RATE, DECAY)
    stepped(bowl, optimizer)
    kept = sum(
        tensor.shape == bowl.w.shape
        for tensor in optimizer.state[bowl.w].values()
        if isinstance(tensor, torch.Tensor)
    )
    # SAM keeps the way back to the weights within a step only.
    assert kept + (name == "sam") == OPTIMIZERS[name].state_per_param


def test_sam_moves_batch_statistics_once_a_step() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    x = torch.randn(16, 3)
    mean = network[0](x).mean(0).detach()
    optimizer = Sam(network, RATE, DECAY)

    def closure() -> float:
        optimizer.zero_grad()
        loss = network(x).square().mean()
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    # A tenth of the way from 0 to the mean of the first pass.
    assert network[1].running_mean == pytest.approx(0.1 * mean, abs=1e-6)
    assert network[1].momentum == 0.1


def test_sam_leaves_what_has_no_gradient_alone() -> None:
    bowl = Bowl()
    bowl.unused = nn.Parameter(torch.ones(2))
    stepped(bowl, make_optimizer("sam", bowl, RATE, DECAY))
    assert bowl.unused.tolist() == [1.0, 1.0]


def test_the_closure_stops_a_step() -> None:
    bowl = Bowl()

    def closure() -> float:
        raise ArithmeticError

    for name in OPTIMIZERS:
        with pytest.raises(ArithmeticError):
            make_optimizer(name, bowl, RATE, DECAY).step(closure)
    assert bowl.w.tolist() == [3.0, -4.0]
