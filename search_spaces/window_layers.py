"""PyTorch layers of window attention; imported only inside :meth:`Block.build`."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["WindowMixing", "relative_positions", "shift_mask"]


class WindowMixing(nn.Module):
    """Self-attention inside each window of an image of tokens (Liu et al. 2021).

    The image is rolled by ``shift`` to the top left, cut into windows, and rolled back in the end.
    A head adds to each score a learned number for how far apart query and key are; tokens that the
    roll brought together from opposite edges of the image do not see each other.

    Args:
        resolution: Height and width of the image in tokens.
        width: Features of a token.
        heads: Heads; they divide the width.
        window: Height and width of a window in tokens; it divides the resolution.
        shift: Tokens that the windows are moved by; 0 for none.
    """

    index: torch.Tensor
    mask: torch.Tensor | None

    def __init__(self, resolution: int, width: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.resolution, self.heads, self.window, self.shift = resolution, heads, window, shift
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.02)
        self.register_buffer("index", relative_positions(window))
        self.register_buffer("mask", shift_mask(resolution, window, shift) if shift else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[batch, resolution**2, width]`` to the same."""
        qkv = self._split(x)
        return self._join(self._attend(qkv[0], qkv[1], qkv[2]))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """Queries, keys and values: ``[3, batch, windows, heads, window**2, head_width]``."""
        size, window, heads, grid = self._sizes
        batch, _, width = x.shape
        image = x.reshape(batch, size, size, width)
        if self.shift:
            image = torch.roll(image, (-self.shift, -self.shift), (1, 2))
        qkv: torch.Tensor = self.qkv(image)
        split = qkv.reshape(batch, grid, window, grid, window, 3, heads, width // heads)
        split = split.permute(5, 0, 1, 3, 6, 2, 4, 7).contiguous()
        return split.reshape(3, batch, grid**2, heads, window**2, width // heads)

    def _attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        scores = query * (1 / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1)
        scores = scores + self.table[self.index].permute(2, 0, 1)
        if self.mask is not None:
            scores = scores + self.mask
        mixed: torch.Tensor = scores.softmax(-1) @ value
        return mixed

    def _join(self, mixed: torch.Tensor) -> torch.Tensor:
        size, window, heads, grid = self._sizes
        batch, _, _, _, head_width = mixed.shape
        image = mixed.reshape(batch, grid, grid, heads, window, window, head_width)
        image = image.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, size, size, heads * head_width)
        if self.shift:
            image = torch.roll(image, (self.shift, self.shift), (1, 2))
        y: torch.Tensor = self.out(image.reshape(batch, size**2, heads * head_width))
        return y

    @property
    def _sizes(self) -> tuple[int, int, int, int]:
        return self.resolution, self.window, self.heads, self.resolution // self.window


def relative_positions(window: int) -> torch.Tensor:
    """For each query and key of a window, the row of the table: ``[window**2, window**2]``.

    A step down from key to query is ``2 * window - 1`` rows, a step to the right one.
    """
    place = torch.arange(window**2, dtype=torch.int32)
    down, right = place // window, place % window
    rows = down[:, None] - down + window - 1
    columns = right[:, None] - right + window - 1
    return rows * (2 * window - 1) + columns


def shift_mask(resolution: int, window: int, shift: int) -> torch.Tensor:
    """What is added to scores after a roll: ``[windows, 1, window**2, window**2]``.

    It is 0 where both tokens stand on the same side of each edge that the roll moved inside, and
    minus infinity elsewhere.
    """
    grid = resolution // window
    wrapped = (torch.arange(resolution) >= resolution - shift).int()
    side = 2 * wrapped[:, None] + wrapped
    side = side.reshape(grid, window, grid, window).transpose(1, 2).reshape(grid**2, window**2)
    apart = side[:, :, None] != side[:, None, :]
    return torch.zeros(apart.shape).masked_fill(apart, -math.inf).unsqueeze(1)
