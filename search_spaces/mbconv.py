"""Inverted bottlenecks (MobileNetV2, Sandler et al. 2018; EfficientNet, Tan & Le 2019)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.space import SearchSpace, Slot
from search_spaces.validation import (
    check_items,
    check_odd,
    check_one_of,
    check_positive,
    check_type,
    check_whole,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ConvHead", "ConvStem", "InvertedBottleneck", "MBConvSpace"]


@dataclass(frozen=True, slots=True)
class ConvStem(Block):
    """A 3x3 convolution from the image to the first width, with normalisation and SiLU.

    Attributes:
        channels: Channels of the image.
        resolution: Height and width of the image in pixels.
        width: Channels that come out.
        stride: Step of the convolution in pixels.
    """

    channels: int
    resolution: int
    width: int
    stride: int

    def __post_init__(self) -> None:
        check_whole(self, "channels", "resolution", "width", "stride")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.channels, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from search_spaces import layers

        return layers.ConvNorm(self.channels, self.width, 3, stride=self.stride)


@dataclass(frozen=True, slots=True)
class InvertedBottleneck(Block):
    """Expand by a 1x1 convolution, filter each channel, gate if asked, project back.

    The residual is added where input and output shapes agree; an expansion of 1 has no
    expanding convolution.

    Attributes:
        resolution: Height and width of the input.
        width_in: Channels of the input.
        width: Channels of the output.
        kernel_size: Side of the depthwise kernel; odd.
        stride: Step of the depthwise convolution.
        expansion: Hidden channels over input channels.
        squeeze: Whether squeeze-excitation is used, reduced to a quarter of the input's channels.
    """

    resolution: int
    width_in: int
    width: int
    kernel_size: int
    stride: int
    expansion: int
    squeeze: bool

    def __post_init__(self) -> None:
        check_whole(self, "resolution", "width_in", "width", "kernel_size", "stride", "expansion")
        check_odd(self, "kernel_size")
        check_type(self, bool, "squeeze")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width_in, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        hidden = self.width_in * self.expansion
        expand = [layers.ConvNorm(self.width_in, hidden, 1)] if self.expansion > 1 else []
        gate = (
            [layers.SqueezeExcitation(hidden, max(1, self.width_in // 4))] if self.squeeze else []
        )
        inner = nn.Sequential(
            *expand,
            layers.ConvNorm(hidden, hidden, self.kernel_size, stride=self.stride, groups=hidden),
            *gate,
            layers.ConvNorm(hidden, self.width, 1, activation=False),
        )
        if self.stride == 1 and self.width_in == self.width:
            return layers.Residual(inner)
        return inner


@dataclass(frozen=True, slots=True)
class ConvHead(Block):
    """Average over positions and a linear classifier.

    Attributes:
        resolution: Height and width of the input.
        width: Channels of the input.
        classes: Outputs.
    """

    resolution: int
    width: int
    classes: int

    def __post_init__(self) -> None:
        check_whole(self, "resolution", "width", "classes")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        return nn.Sequential(
            layers.Apply(lambda x: x.mean((2, 3))), nn.Linear(self.width, self.classes)
        )


@dataclass(frozen=True)
class MBConvSpace(SearchSpace):
    """Stages of inverted bottlenecks; the first unit of a stage changes width and stride.

    Every choice but the stem's is made for each stage on its own.

    Attributes:
        input_channels: Channels of the image.
        resolution: Height and width of the image in pixels.
        classes: Outputs.
        stem_width: Choices of the channels after the stem.
        stem_stride: Step of the stem.
        strides: Step of the first unit of each stage; its length is the number of stages.
        width: Choices of a stage's channels: one list for all stages, or one list for each.
        depth: Choices of the number of units of a stage.
        kernel_size: Choices of the depthwise kernel's side.
        expansion: Choices of hidden over input channels.
        squeeze: Choices of whether squeeze-excitation is used.
    """

    input_channels: int = 1
    resolution: int = 8
    classes: int = 10
    stem_width: Sequence[int] = (8,)
    stem_stride: int = 1
    strides: Sequence[int] = (1, 2)
    width: Sequence[int] | Sequence[Sequence[int]] = ((8, 12, 16), (16, 24, 32))
    depth: Sequence[int] = (1, 2, 3)
    kernel_size: Sequence[int] = (3, 5)
    expansion: Sequence[int] = (2, 4)
    squeeze: Sequence[bool] = (False, True)
    name: str = field(default="mbconv", init=False)

    def __post_init__(self) -> None:
        check_whole(self, "input_channels", "resolution", "classes", "stem_stride")
        check_positive(self, "stem_width", "strides", "depth", "expansion")
        check_odd(self, "kernel_size")
        check_one_of(self, "squeeze", (False, True))
        check_items(self, int, "stem_width", "strides", "depth", "kernel_size", "expansion")
        check_items(self, bool, "squeeze")
        if not all(self.stage_widths):
            raise ValueError("`width` is empty; give at least one choice for each stage.")
        if len(self.stage_widths) != len(self.strides):
            raise ValueError(
                f"`width` lists {len(self.stage_widths)} stages, but `strides` has "
                f"{len(self.strides)}; give one list of widths for all stages or one for each."
            )
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @property
    def stage_widths(self) -> tuple[tuple[int, ...], ...]:
        """Choices of the channels of each stage."""
        lists = tuple(tuple(item) for item in self.width if isinstance(item, Sequence))
        flat = tuple(item for item in self.width if not isinstance(item, Sequence))
        if lists and flat:
            raise ValueError(f"`width` mixes numbers and lists: {self.width}; give one kind.")
        return lists or (flat,) * len(self.strides)

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        parameters: dict[str, tuple[Choice, ...]] = {"stem_width": tuple(self.stem_width)}
        for stage, widths in enumerate(self.stage_widths):
            parameters |= {
                f"width_{stage}": widths,
                f"depth_{stage}": tuple(self.depth),
                f"kernel_size_{stage}": tuple(self.kernel_size),
                f"expansion_{stage}": tuple(self.expansion),
                f"squeeze_{stage}": tuple(self.squeeze),
            }
        return parameters

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        def stem(width: int) -> ConvStem:
            return ConvStem(self.input_channels, self.resolution, width, self.stem_stride)

        slots = [Slot(("stem_width",), stem)]
        previous = "stem_width"
        resolution = -(-self.resolution // self.stem_stride)
        for stage, stride in enumerate(self.strides):
            choices = tuple(f"{n}_{stage}" for n in ("kernel_size", "expansion", "squeeze"))
            first = (previous, f"width_{stage}", *choices)
            slots.append(Slot(first, _first_unit(resolution, stride)))
            resolution = -(-resolution // stride)
            later = (f"width_{stage}", f"depth_{stage}", *choices)
            slots += [
                Slot(later, _later_unit(resolution, unit)) for unit in range(1, max(self.depth))
            ]
            previous = f"width_{stage}"

        def head(width: int) -> ConvHead:
            return ConvHead(resolution, width, self.classes)

        return (*slots, Slot((previous,), head))


def _first_unit(resolution: int, stride: int) -> Callable[..., Block]:
    def unit(
        width_in: int, width: int, kernel_size: int, expansion: int, squeeze: bool
    ) -> InvertedBottleneck:
        return InvertedBottleneck(
            resolution, width_in, width, kernel_size, stride, expansion, squeeze
        )

    return unit


def _later_unit(resolution: int, position: int) -> Callable[..., Block | None]:
    def unit(
        width: int, depth: int, kernel_size: int, expansion: int, squeeze: bool
    ) -> InvertedBottleneck | None:
        if position >= depth:
            return None
        return InvertedBottleneck(resolution, width, width, kernel_size, 1, expansion, squeeze)

    return unit
