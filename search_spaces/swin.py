"""Windows of attention in stages (Swin Transformer, Liu et al., ICCV 2021): blocks and space.

A stage attends inside windows, which every other layer moves by half a window; between stages four
neighbours become one token of twice the width. GELU is the tanh approximation here, as in the other
transformers, where the paper has the exact one: parameters and MACs are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.space import SearchSpace, Slot
from search_spaces.transformer import FeedForward
from search_spaces.trunk import ViTHead, unread_pixels
from search_spaces.validation import (
    check_at_most,
    check_choices,
    check_items,
    check_multiple,
    check_positive,
    check_whole,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PatchMerging", "PatchStem", "SwinSpace", "WindowAttention"]


@dataclass(frozen=True, slots=True)
class PatchStem(Block):
    """Cuts an image into patches and normalises them; it adds no positions.

    A patch that does not divide the resolution drops the remainder, as the convolution does.

    Attributes:
        channels: Channels of the image.
        resolution: Height and width of the image in pixels.
        patch_size: Height and width of a patch in pixels.
        width: Features of a token.
    """

    channels: int
    resolution: int
    patch_size: int
    width: int

    def __post_init__(self) -> None:
        check_whole(self, "channels", "resolution", "patch_size", "width")
        check_at_most(self, "patch_size", "resolution")

    @property
    def remark(self) -> str | None:
        return unread_pixels(self.resolution, self.patch_size)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.channels, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        return nn.Sequential(
            nn.Conv2d(self.channels, self.width, self.patch_size, self.patch_size),
            layers.Apply(lambda x: x.flatten(2).transpose(1, 2)),
            nn.LayerNorm(self.width),
        )


@dataclass(frozen=True, slots=True)
class WindowAttention(Block):
    """``x + attention(norm(x))`` over ``[resolution**2, width]``, each window on its own.

    Scores have a learned bias for the relative position of query and key. With a shift, windows go
    round the edges of the image, and what meets there from opposite edges is masked.

    Attributes:
        resolution: Height and width of the image in tokens.
        width: Features of a token.
        heads: Heads; they divide the width.
        window: Height and width of a window in tokens; it divides the resolution.
        shift: Tokens that the windows are moved by, down and to the right; 0 for none.
    """

    resolution: int
    width: int
    heads: int
    window: int
    shift: int

    def __post_init__(self) -> None:
        check_whole(self, "resolution", "width", "heads", "window")
        check_multiple(self, "width", "heads")
        check_multiple(self, "resolution", "window")
        if type(self.shift) is not int or not 0 <= self.shift < self.window:
            raise ValueError(
                "`shift` must be a whole number from 0 to below `window`; "
                f"got {self.shift!r} with {self.window}."
            )
        if self.shift and self.window == self.resolution:
            raise ValueError(
                f"`shift` must be 0 where one window covers the image; got {self.shift} with "
                f"`window` and `resolution` {self.window}."
            )

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.resolution**2, self.width),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers, window_layers

        mixing = window_layers.WindowMixing(
            self.resolution, self.width, self.heads, self.window, self.shift
        )
        return layers.Residual(nn.Sequential(nn.LayerNorm(self.width), mixing))


@dataclass(frozen=True, slots=True)
class PatchMerging(Block):
    """Joins 2x2 neighbours to one token, normalises, and halves the features to twice the width.

    Attributes:
        resolution: Height and width of the image in tokens; even.
        width: Features of a token that comes in.
    """

    resolution: int
    width: int

    def __post_init__(self) -> None:
        check_whole(self, "resolution", "width")
        if self.resolution % 2:
            raise ValueError(f"`resolution` must be even to be halved; got {self.resolution}.")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.resolution**2, self.width),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        half, width = self.resolution // 2, self.width

        def join(x: Any) -> Any:
            """Features of one neighbour after another, down first and then to the right."""
            split = x.reshape(x.shape[0], half, 2, half, 2, width).permute(0, 1, 3, 4, 2, 5)
            return split.reshape(x.shape[0], half**2, 4 * width)

        return nn.Sequential(
            layers.Apply(join), nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)
        )


@dataclass(frozen=True)
class SwinSpace(SearchSpace):
    """Swin Transformers: stages that halve the resolution and double the width.

    Attributes:
        input_channels: Channels of the image.
        resolution: Height and width of the image in pixels, or choices of it.
        classes: Outputs.
        stages: Number of stages.
        patch_size: Choices of the patch's side in pixels.
        width: Choices of the features of a token in the first stage.
        depth: Choices of the number of layers of a stage: one list for all, or one for each.
        head_width: Choices of the features of a head, the same in every stage; each must divide
            each width.
        window: Choices of the window's side in tokens; where the image of a stage is smaller, one
            window covers it. Each must divide the larger images.
        mlp_ratio: Choices, for each stage, of MLP width over width; the MLP width is rounded.
    """

    input_channels: int = 1
    resolution: int | Sequence[int] = 8
    classes: int = 10
    stages: int = 2
    patch_size: Sequence[int] = (1, 2)
    width: Sequence[int] = (16, 24, 32)
    depth: Sequence[int] | Sequence[Sequence[int]] = (1, 2)
    head_width: Sequence[int] = (8,)
    window: Sequence[int] = (2, 4)
    mlp_ratio: Sequence[float] = (1, 2, 4)
    name: str = field(default="swin", init=False)

    def __post_init__(self) -> None:
        check_choices(self)
        check_whole(self, "input_channels", "classes", "stages")
        check_positive(
            self, "resolution", "patch_size", "width", "head_width", "window", "mlp_ratio"
        )
        check_items(self, int, "patch_size", "width", "head_width", "window")
        for depths in self.stage_depths:
            if not depths or any(type(depth) is not int or depth < 1 for depth in depths):
                raise ValueError(
                    "`depth` must list whole numbers above 0, at least one for each stage; "
                    f"got {self.depth}."
                )
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @property
    def stage_depths(self) -> tuple[tuple[int, ...], ...]:
        """Choices of the number of layers of each stage."""
        lists = tuple(tuple(item) for item in self.depth if isinstance(item, Sequence))
        flat = tuple(item for item in self.depth if not isinstance(item, Sequence))
        if lists and flat:
            raise ValueError(f"`depth` mixes numbers and lists: {self.depth}; give one kind.")
        if lists and len(lists) != self.stages:
            raise ValueError(
                f"`depth` lists {len(lists)} stages, but `stages` is {self.stages}; "
                "give one list of depths for all stages or one for each."
            )
        return lists or (flat,) * self.stages

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        sizes = self.resolution
        parameters: dict[str, tuple[Choice, ...]] = {
            "resolution": (sizes,) if isinstance(sizes, int) else tuple(sizes),
            "patch_size": tuple(self.patch_size),
            "width": tuple(self.width),
            "head_width": tuple(self.head_width),
            "window": tuple(self.window),
        }
        for stage, depths in enumerate(self.stage_depths):
            parameters |= {
                f"depth_{stage}": depths,
                f"mlp_ratio_{stage}": tuple(self.mlp_ratio),
            }
        return parameters

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        ends = ("resolution", "patch_size", "width")

        def stem(resolution: int, patch_size: int, width: int) -> PatchStem:
            return PatchStem(self.input_channels, resolution, patch_size, width)

        def head(resolution: int, patch_size: int, width: int) -> ViTHead:
            last = self.stages - 1
            side = resolution // patch_size >> last
            return ViTHead(side**2, width << last, self.classes, "mean")

        slots = [Slot(ends, stem)]
        for stage, depths in enumerate(self.stage_depths):
            if stage:
                slots.append(Slot(ends, _merging(stage)))
            present = (*ends, f"depth_{stage}")
            for position in range(max(depths)):
                reads = (*present, "head_width", "window")
                slots.append(Slot(reads, _attention(stage, position)))
                slots.append(Slot((*present, f"mlp_ratio_{stage}"), _mlp(stage, position)))
        return (*slots, Slot(ends, head))


def _merging(stage: int) -> Callable[..., Block]:
    def merging(resolution: int, patch_size: int, width: int) -> PatchMerging:
        before = stage - 1
        return PatchMerging(resolution // patch_size >> before, width << before)

    return merging


def _attention(stage: int, position: int) -> Callable[..., Block | None]:
    def attention(
        resolution: int, patch_size: int, width: int, depth: int, head_width: int, window: int
    ) -> WindowAttention | None:
        if position >= depth:
            return None
        if width % head_width:
            raise ValueError(
                f"`width` must be divisible by `head_width`; got {width} and {head_width}."
            )
        side = resolution // patch_size >> stage
        within = min(window, side)
        shift = within // 2 if position % 2 and within < side else 0
        wide = width << stage
        return WindowAttention(side, wide, wide // head_width, within, shift)

    return attention


def _mlp(stage: int, position: int) -> Callable[..., Block | None]:
    def mlp(
        resolution: int, patch_size: int, width: int, depth: int, mlp_ratio: float
    ) -> FeedForward | None:
        if position >= depth:
            return None
        side, wide = resolution // patch_size >> stage, width << stage
        return FeedForward(side**2, wide, round(mlp_ratio * wide), 0)

    return mlp


def _published(width: int, depth: int) -> dict[str, Any]:
    return {
        "input_channels": 3,
        "resolution": 224,
        "classes": 1000,
        "stages": 4,
        "patch_size": (4,),
        "width": (width,),
        "depth": ((2,), (2,), (depth,), (2,)),
        "head_width": (32,),
        "window": (7,),
        "mlp_ratio": (4,),
    }


PRESETS: dict[str, dict[str, Any]] = {
    "swin_t": _published(96, 6),
    "swin_s": _published(96, 18),
    "swin_b": _published(128, 18),
}
"""Fields of the space whose only network is the published one, at 224 pixels."""
