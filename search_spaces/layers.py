"""PyTorch layers that several families' blocks are built from.

Imported only inside :meth:`Block.build`, so that naming, pricing and sampling architectures never
load PyTorch. Every tensor operation here has a cost formula in :mod:`search_spaces.operators`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Activation", "Apply", "Attention", "ConvNorm", "Mlp", "Residual", "SqueezeExcitation"]


class Apply(nn.Module):
    """A function of one tensor as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class Residual(nn.Module):
    """``x + inner(x)``, or ``shortcut(x) + inner(x)`` where the shape changes."""

    def __init__(self, inner: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.shortcut(x) + self.inner(x)
        return y


class Attention(nn.Module):
    """Multi-head self-attention over ``[batch, tokens, width]`` (Vaswani et al. 2017).

    Head ``i`` reads the keys and values of head ``i // (heads // kv_heads)`` (grouped queries,
    Ainslie et al. 2023).
    """

    def __init__(
        self, width: int, heads: int, head_width: int, kv_heads: int, *, causal: bool
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, head_width
        self.causal = causal
        self.query = nn.Linear(width, heads * head_width)
        self.key = nn.Linear(width, kv_heads * head_width)
        self.value = nn.Linear(width, kv_heads * head_width)
        self.out = nn.Linear(heads * head_width, width)

    def forward(self, x: torch.Tensor, *cache: torch.Tensor) -> torch.Tensor:
        """Attends from the tokens to themselves and to a cache of earlier keys and values.

        Args:
            x: Tokens ``[batch, tokens, width]``; the last token alone where there is a cache.
            cache: Nothing, or keys and values ``[batch, kv_heads, earlier, head_width]``.
        """
        batch, tokens, _ = x.shape

        def split(projected: torch.Tensor, heads: int) -> torch.Tensor:
            return projected.reshape(batch, tokens, heads, self.head_width).transpose(1, 2)

        query = split(self.query(x), self.heads)
        key, value = (split(project(x), self.kv_heads) for project in (self.key, self.value))
        if cache:
            key, value = torch.cat((cache[0], key), 2), torch.cat((cache[1], value), 2)
        causal, grouped = self.causal and not cache, self.kv_heads < self.heads
        mixed = F.scaled_dot_product_attention(
            query, key, value, is_causal=causal, enable_gqa=grouped
        )
        mixed = mixed.transpose(1, 2).reshape(batch, tokens, self.heads * self.head_width)
        y: torch.Tensor = self.out(mixed)
        return y


def linear(inputs: int, outputs: int, rank: int = 0) -> nn.Module:
    """A linear layer with a bias; above rank 0, its weight is a product with that inner size."""
    if not rank:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs))


class Mlp(nn.Module):
    """Two linear layers with a tanh-approximated GELU between them (Hendrycks & Gimpel 2016)."""

    def __init__(self, width: int, hidden: int, rank: int = 0) -> None:
        super().__init__()
        self.up = linear(width, hidden, rank)
        self.down = linear(hidden, width, rank)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.down(F.gelu(self.up(x), approximate="tanh"))
        return y


class Activation(nn.Module):
    """A function of ``torch.nn.functional`` by its name, such as ``"relu6"``."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = getattr(F, self.name)(x)
        return y


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, and an activation unless that is ``None``."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: str | None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(channels_out)
        self.activation = nn.Identity() if activation is None else Activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.activation(self.norm(self.conv(x)))
        return y


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from its mean (Hu et al. 2018)."""

    def __init__(self, channels: int, reduced: int, activation: str) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.activation = Activation(activation)
        self.expand = nn.Conv2d(reduced, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.activation(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.expand(gate))
