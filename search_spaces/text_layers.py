"""PyTorch layers of the text families: embeddings, and attention as T5 has it.

Imported only inside :meth:`Block.build`, like :mod:`search_spaces.layers`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

__all__ = [
    "CrossAttention",
    "GatedMlp",
    "PlainMlp",
    "PositionedEmbedding",
    "PreNorm",
    "RelativeAttention",
    "SpanEmbedding",
    "plain_linear",
    "relative_buckets",
    "rms_norm",
]

BUCKETS = 32
"""Rows of a relative position bias."""

MAX_DISTANCE = 128
"""From this distance on, tokens are in the last bucket."""


def plain_linear(inputs: int, outputs: int, fan: int | None = None) -> nn.Linear:
    """A linear layer without bias, its weights normal with variance ``1 / (fan or inputs)``."""
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=(fan or inputs) ** -0.5)
    return linear


def rms_norm(width: int) -> nn.RMSNorm:
    """Division by the root mean square, times a weight (Zhang & Sennrich 2019)."""
    return nn.RMSNorm(width, eps=1e-6)


class PreNorm(nn.Module):
    """``x + inner(norm(x), *others)``, its weights named as in ``Residual(Sequential(...))``."""

    def __init__(self, norm: nn.Module, inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.ModuleList([norm, inner])

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        norm, inner = self.inner
        y: torch.Tensor = x + inner(norm(x), *others)
        return y


class PositionedEmbedding(nn.Module):
    """Rows of a table for the ids, plus learned positions (Radford et al. 2019).

    Args:
        vocabulary: Rows of the table.
        positions: Positions that there are.
        width: Features of a token.
        last: Whether the ids are those of the last position alone.
    """

    def __init__(self, vocabulary: int, positions: int, width: int, *, last: bool) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocabulary, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(positions, width) * 0.02)
        self.last = last

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(ids, self.table) + (self.positions[-1:] if self.last else self.positions)


class SpanEmbedding(nn.Module):
    """Rows of a table for the ids of a span of the sequence."""

    def __init__(self, vocabulary: int, width: int, start: int, tokens: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocabulary, width))
        self.start, self.stop = start, start + tokens

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(ids[:, self.start : self.stop], self.table)


def relative_buckets(tokens: int, *, buckets: int, max_distance: int, causal: bool) -> torch.Tensor:
    """Bucket ``[tokens, tokens]`` of each query's distance to each key (Raffel et al. 2020).

    Half of the buckets stand for one distance each, the others for ranges that widen with the
    distance up to ``max_distance``, and the last for all beyond too. Where a token sees both
    sides, keys after the query have the upper half of the numbers; where it sees only what came
    before, they have number 0, which is masked.
    """
    position = torch.arange(tokens)
    ahead = position[None, :] - position[:, None]
    offset = torch.zeros_like(ahead)
    if causal:
        distance = (-ahead).clamp(min=0)
    else:
        buckets //= 2
        offset, distance = (ahead > 0) * buckets, ahead.abs()
    exact = buckets // 2
    growth = (distance.clamp(min=1) / exact).log() / math.log(max_distance / exact)
    far = (exact + (growth * (buckets - exact)).long()).clamp(max=buckets - 1)
    return (offset + torch.where(distance < exact, distance, far)).int()


def _split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Heads before tokens: ``[batch, heads, tokens, features of a head]``."""
    batch, tokens, features = x.shape
    return x.reshape(batch, tokens, heads, features // heads).transpose(1, 2)


def _join(x: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`_split`."""
    batch, heads, tokens, features = x.shape
    return x.transpose(1, 2).reshape(batch, tokens, heads * features)


class RelativeAttention(nn.Module):
    """Self-attention whose scores have a trainable bias for each bucket of distances and head.

    Scores are not divided by the root of the head's width; the queries' weights begin smaller
    instead (Raffel et al. 2020). It is written out because fused kernels that take a trainable bias
    differ between devices.
    """

    buckets: torch.Tensor
    later: torch.Tensor | None

    def __init__(
        self, tokens: int, width: int, heads: int, head_width: int, *, causal: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query = plain_linear(width, heads * head_width, fan=width * head_width)
        self.key = plain_linear(width, heads * head_width)
        self.value = plain_linear(width, heads * head_width)
        self.out = plain_linear(heads * head_width, width)
        self.position_bias = nn.Parameter(torch.randn(BUCKETS, heads) * width**-0.5)
        buckets = relative_buckets(
            tokens, buckets=BUCKETS, max_distance=MAX_DISTANCE, causal=causal
        )
        self.register_buffer("buckets", buckets)
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1) if causal else None
        self.register_buffer("later", later)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            _split(project(x), self.heads).contiguous()
            for project in (self.query, self.key, self.value)
        )
        bias = F.embedding(self.buckets, self.position_bias).permute(2, 0, 1)
        if self.later is not None:
            bias = bias.masked_fill(self.later, -math.inf)
        scores = torch.matmul(query, key.transpose(2, 3)) + bias
        y: torch.Tensor = self.out(_join(torch.matmul(scores.softmax(-1), value)))
        return y


class CrossAttention(nn.Module):
    """Attention from tokens to the encoder's tokens, without position bias or scaling."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = plain_linear(width, heads * head_width, fan=width * head_width)
        self.key = plain_linear(width, heads * head_width)
        self.value = plain_linear(width, heads * head_width)
        self.out = plain_linear(heads * head_width, width)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        query = _split(self.query(x), self.heads)
        key, value = (_split(project(memory), self.heads) for project in (self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        y: torch.Tensor = self.out(_join(mixed))
        return y


class PlainMlp(nn.Module):
    """Two linear layers without biases, ReLU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = plain_linear(width, hidden)
        self.down = plain_linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.down(F.relu(self.up(x)))
        return y


class GatedMlp(nn.Module):
    """Two linear layers without biases, the first times a GELU of a third (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = plain_linear(width, hidden)
        self.up = plain_linear(width, hidden)
        self.down = plain_linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = F.gelu(self.gate(x), approximate="tanh")
        y: torch.Tensor = self.down(gate * self.up(x))
        return y
