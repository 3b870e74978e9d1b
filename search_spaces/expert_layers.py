"""PyTorch layers with experts, of which a router picks a few for each token.

Imported only inside :meth:`Block.build`. No size depends on the data, so that the layers can be
counted and exported, and each example is routed on its own, so that no output depends on the rest
of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["ExpertMlp", "Experts"]

Activation = Callable[[torch.Tensor], torch.Tensor]


class Experts(nn.Module):
    """One MLP for each expert, ``[experts, rows, width]`` in and out: expert ``i`` reads row set i.

    Weights begin as those of :class:`torch.nn.Linear` do.
    """

    def __init__(
        self, experts: int, width: int, hidden: int, *, activation: Activation, bias: bool
    ) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Parameter(torch.empty(experts, width, hidden))
        self.down = nn.Parameter(torch.empty(experts, hidden, width))
        self.up_bias = nn.Parameter(torch.empty(experts, 1, hidden)) if bias else None
        self.down_bias = nn.Parameter(torch.empty(experts, 1, width)) if bias else None
        for weight, fan_in in (
            (self.up, width),
            (self.up_bias, width),
            (self.down, hidden),
            (self.down_bias, hidden),
        ):
            if weight is not None:
                nn.init.uniform_(weight, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        between = torch.matmul(x, self.up)
        if self.up_bias is not None:
            between = between + self.up_bias
        y = torch.matmul(self.activation(between), self.down)
        return y if self.down_bias is None else y + self.down_bias


class ExpertMlp(nn.Module):
    """An MLP whose weights depend on the token, over ``[batch, tokens, width]``.

    A router sends each token to the ``active`` experts that it holds most probable. An expert takes
    ``capacity`` tokens of an example at most: those for which it is the first choice before those
    for which it is the second, and earlier tokens before later ones (GShard, Lepikhin et al. 2021).
    What it does not take adds nothing to the token. A token's outputs are weighed by the router's
    probability where there is one choice (Switch Transformer, Fedus et al. 2022), and by shares of
    the chosen ones' probabilities where there are more (GShard).

    Tokens are gathered for their experts and back, not multiplied with one-hot matrices, so that
    the router and ``experts * capacity`` rows of an MLP are the only products. Between gathering
    and gathering back the batch stands second, where products need no copy of what is gathered.

    Args:
        tokens: Length of the sequence.
        width: Features of a token.
        hidden: Features between the two linear layers of an expert.
        experts: How many there are.
        active: Experts that a token is sent to.
        capacity: Tokens that an expert takes of an example, up to ``tokens``.
        activation: What stands between an expert's two linear layers.
        bias: Whether an expert's linear layers have biases; the router never has.
    """

    numbers: torch.Tensor
    priority: torch.Tensor

    def __init__(
        self,
        tokens: int,
        width: int,
        hidden: int,
        experts: int,
        active: int,
        capacity: int,
        *,
        activation: Activation,
        bias: bool,
    ) -> None:
        super().__init__()
        self.active, self.capacity = active, capacity
        self.router = nn.Linear(width, experts, bias=False)
        self.experts = Experts(experts, width, hidden, activation=activation, bias=bias)
        self.register_buffer("numbers", torch.arange(experts))
        # Of the choices of all tokens, first choices first: what comes earlier counts more.
        order = torch.arange(active * tokens, 0, -1, dtype=torch.float32)
        self.register_buffer("priority", order.reshape(-1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        experts, choices = len(self.numbers), self.active * tokens
        probability, expert = F.softmax(self.router(x), dim=-1).topk(self.active, dim=-1)
        if self.active > 1:
            probability = probability / probability.sum(-1, keepdim=True)
        gate = probability.permute(2, 1, 0).reshape(choices, batch, 1)
        expert = expert.permute(2, 1, 0).reshape(choices, batch, 1)

        # Routing is arithmetic on whole numbers, exact in fp32: [choices, batch, experts].
        chosen = torch.eq(expert, self.numbers).to(torch.float32)
        place = chosen.cumsum(0).gather(2, expert)  # From 1, in its expert's queue.
        queue = self._sum_over_choices(chosen * self.priority)
        token = queue.topk(self.capacity, dim=0).indices  # Any, where fewer than that want it.
        token = token.permute(2, 0, 1).reshape(experts * self.capacity, batch, 1)

        sent = x.transpose(0, 1).gather(0, token.expand(-1, -1, width))
        y = self.experts(sent.reshape(experts, self.capacity * batch, width))
        slot = expert * self.capacity + (place.clamp(max=self.capacity) - 1).to(torch.int64)
        y = y.reshape(experts * self.capacity, batch, width)
        y = y.gather(0, slot.expand(-1, -1, width))
        taken = torch.le(place, self.capacity).to(x.dtype)
        return self._sum_over_choices(y * (gate * taken)).transpose(0, 1)

    def _sum_over_choices(self, x: torch.Tensor) -> torch.Tensor:
        """``[choices, batch, n]`` to ``[tokens, batch, n]``."""
        if self.active == 1:
            return x
        return x.reshape(self.active, len(x) // self.active, *x.shape[1:]).sum(0)
