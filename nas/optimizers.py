"""Optimisers by the name that ``training.optimizer`` takes; each steps with a closure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["Sam", "make_optimizer"]

MOMENTUM = 0.9
NEIGHBOURHOOD = 0.05
"""Radius of SAM's ascent step (rho), the default of Foret et al. 2021."""


class Sam(torch.optim.SGD):
    """Sharpness-aware minimisation (Foret et al., ICLR 2021) over SGD with momentum.

    A step takes two passes: at the weights ``w``, and at ``w + rho * g / ||g||``, whose gradient
    moves ``w``. Batch normalisation sees the first one alone.

    Args:
        network: Whose parameters it fits.
        learning_rate: Of the momentum SGD.
        weight_decay: Of the momentum SGD.
        neighbourhood: The radius ``rho``.
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: float,
        weight_decay: float,
        neighbourhood: float = NEIGHBOURHOOD,
    ) -> None:
        super().__init__(network.parameters(), learning_rate, MOMENTUM, weight_decay=weight_decay)
        self.network, self.neighbourhood = network, neighbourhood

    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]
        """Moves the weights; the closure, called twice, sets gradients and returns the loss."""
        with torch.enable_grad():
            loss = closure()
        trained = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        before = [p.detach().clone() for p in trained]
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(p.grad) for p in trained])
        )
        with torch.no_grad():
            for parameter in trained:
                parameter.add_(parameter.grad * (self.neighbourhood / (norm + 1e-12)))
        with torch.enable_grad(), _statistics_kept(self.network):
            closure()
        with torch.no_grad():
            for parameter, weights in zip(trained, before, strict=True):
                parameter.copy_(weights)
        super().step()
        return loss


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Leaves the running statistics of batch normalisation as they are."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


_MAKERS: dict[str, Callable[[nn.Module, float, float], torch.optim.Optimizer]] = {
    "adamw": lambda n, rate, decay: torch.optim.AdamW(n.parameters(), rate, weight_decay=decay),
    "adam": lambda n, rate, decay: torch.optim.Adam(n.parameters(), rate, weight_decay=decay),
    "sgd": lambda n, rate, decay: torch.optim.SGD(n.parameters(), rate, weight_decay=decay),
    "momentum": lambda n, rate, decay: torch.optim.SGD(
        n.parameters(), rate, MOMENTUM, weight_decay=decay
    ),
    "sam": Sam,
}


def make_optimizer(
    name: str, network: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The named optimiser of a network's parameters.

    Weight decay is decoupled in AdamW (Loshchilov & Hutter 2019), and part of the gradient in the
    others.
    """
    return _MAKERS[name](network, learning_rate, weight_decay)
