"""Inverted bottlenecks (MobileNetV2, Sandler et al. 2018; EfficientNet, Tan & Le 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.compound import CompoundScaling
from search_spaces.space import SearchSpace, Slot
from search_spaces.stages import Staged, side_after, stage_choices
from search_spaces.validation import (
    check_choices,
    check_items,
    check_odd,
    check_one_of,
    check_positive,
    check_type,
    check_whole,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ACTIVATIONS",
    "PRESETS",
    "ConvHead",
    "ConvStem",
    "InvertedBottleneck",
    "MBConvSpace",
]

ACTIVATIONS = ("relu", "relu6", "hardswish", "silu", "gelu")
"""Names of activations, as in ``torch.nn.functional``."""


@dataclass(frozen=True, slots=True)
class ConvStem(Block):
    """A 3x3 convolution from the image to the first width, with normalisation and activation.

    Attributes:
        channels: Channels of the image.
        resolution: Height and width of the image in pixels.
        width: Channels that come out.
        stride: Step of the convolution in pixels.
        activation: One of :data:`ACTIVATIONS`.
    """

    channels: int
    resolution: int
    width: int
    stride: int
    activation: str

    def __post_init__(self) -> None:
        check_whole(self, "channels", "resolution", "width", "stride")
        check_type(self, str, "activation")
        check_one_of(self, "activation", ACTIVATIONS)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.channels, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from search_spaces import layers

        return layers.ConvNorm(
            self.channels, self.width, 3, stride=self.stride, activation=self.activation
        )


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
        activation: One of :data:`ACTIVATIONS`; none follows the projection.
    """

    resolution: int
    width_in: int
    width: int
    kernel_size: int
    stride: int
    expansion: int
    squeeze: bool
    activation: str

    def __post_init__(self) -> None:
        check_whole(self, "resolution", "width_in", "width", "kernel_size", "stride", "expansion")
        check_odd(self, "kernel_size")
        check_type(self, bool, "squeeze")
        check_type(self, str, "activation")
        check_one_of(self, "activation", ACTIVATIONS)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width_in, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        hidden, act = self.width_in * self.expansion, self.activation
        inner = nn.Sequential()
        if self.expansion > 1:
            inner.append(layers.ConvNorm(self.width_in, hidden, 1, activation=act))
        inner.append(
            layers.ConvNorm(
                hidden, hidden, self.kernel_size, stride=self.stride, groups=hidden, activation=act
            )
        )
        if self.squeeze:
            inner.append(layers.SqueezeExcitation(hidden, max(1, self.width_in // 4), act))
        inner.append(layers.ConvNorm(hidden, self.width, 1, activation=None))
        if self.stride == 1 and self.width_in == self.width:
            return layers.Residual(inner)
        return inner


@dataclass(frozen=True, slots=True)
class ConvHead(Block):
    """Average over positions and a linear classifier, after a 1x1 convolution if asked.

    Attributes:
        resolution: Height and width of the input.
        width: Channels of the input.
        classes: Outputs.
        features: Channels that the 1x1 convolution, with normalisation, puts out before the
            average; 0 for no such convolution.
        activation: One of :data:`ACTIVATIONS`, after the normalisation; empty without features.
    """

    resolution: int
    width: int
    classes: int
    features: int
    activation: str

    def __post_init__(self) -> None:
        check_whole(self, "resolution", "width", "classes")
        check_type(self, int, "features")
        check_type(self, str, "activation")
        if self.features:
            check_positive(self, "features")
            check_one_of(self, "activation", ACTIVATIONS)
        elif self.activation:  # One network has one name.
            raise ValueError(
                f"`activation` must be empty where `features` is 0; got {self.activation!r}."
            )

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        head = nn.Sequential(
            layers.Apply(lambda x: x.mean((2, 3))),
            nn.Linear(self.features or self.width, self.classes),
        )
        if self.features:
            head.insert(
                0, layers.ConvNorm(self.width, self.features, 1, activation=self.activation)
            )
        return head


_EVERYWHERE = ("resolution", "compound", "activation")
"""Parameters that every block depends on."""


@dataclass(frozen=True)
class MBConvSpace(SearchSpace):
    """Stages of inverted bottlenecks; the first unit of a stage changes width and stride.

    Width, depth, kernel size, expansion and squeeze are chosen for each stage on its own, from one
    list for all stages or one list for each.

    Attributes:
        input_channels: Channels of the image.
        resolution: Height and width of the image in pixels, or choices of it.
        classes: Outputs.
        compound: Choices of the coefficient of :class:`CompoundScaling`, which applies to stem,
            stages and features alike.
        width_divisor: What scaled widths are multiples of; 1 for any whole number.
        activation: Choices of the activation of the whole network.
        stem_width: Choices of the channels after the stem.
        stem_stride: Step of the stem.
        strides: Step of the first unit of each stage; its length is the number of stages.
        width: Choices of a stage's channels.
        depth: Choices of the number of units of a stage.
        kernel_size: Choices of the depthwise kernel's side.
        expansion: Choices of hidden over input channels.
        squeeze: Choices of whether squeeze-excitation is used.
        features: Choices of the channels of the convolution before the average; 0 for none.
    """

    input_channels: int = 1
    resolution: int | Sequence[int] = 8
    classes: int = 10
    compound: Sequence[float] = (0,)
    width_divisor: int = 8
    activation: Sequence[str] = ("silu",)
    stem_width: Sequence[int] = (8,)
    stem_stride: int = 1
    strides: Sequence[int] = (1, 2)
    width: Staged[int] = ((8, 12, 16), (16, 24, 32))
    depth: Staged[int] = (1, 2, 3)
    kernel_size: Staged[int] = (3, 5)
    expansion: Staged[int] = (2, 4)
    squeeze: Staged[bool] = (False, True)
    features: Sequence[int] = (0,)
    name: str = field(default="mbconv", init=False)

    def __post_init__(self) -> None:
        check_choices(self)
        check_whole(self, "input_channels", "classes", "stem_stride", "width_divisor")
        check_positive(self, "resolution", "stem_width", "strides")
        check_items(self, int, "stem_width", "strides", "features")
        if isinstance(self.resolution, Sequence):
            check_items(self, int, "resolution")
        else:
            check_type(self, int, "resolution")
        check_one_of(self, "activation", ACTIVATIONS)
        for name in ("compound", "features"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` is empty; give at least one choice, 0 for none.")
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        one = self.resolution if isinstance(self.resolution, Sequence) else (self.resolution,)
        parameters: dict[str, tuple[Choice, ...]] = {
            "resolution": tuple(one),
            "compound": tuple(self.compound),
            "activation": tuple(self.activation),
            "stem_width": tuple(self.stem_width),
        }
        for stage in range(len(self.strides)):
            for name, choices in self._stages.items():
                parameters[f"{name}_{stage}"] = choices[stage]
        return parameters | {"features": tuple(self.features)}

    @cached_property
    def _stages(self) -> Mapping[str, tuple[tuple[Choice, ...], ...]]:
        return {
            "width": stage_choices(self, "width", int),
            "depth": stage_choices(self, "depth", int),
            "kernel_size": stage_choices(self, "kernel_size", int),
            "expansion": stage_choices(self, "expansion", int),
            "squeeze": stage_choices(self, "squeeze", bool, minimum=0),
        }

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        slots = [Slot((*_EVERYWHERE, "stem_width"), self._stem)]
        width_in = "stem_width"
        for stage, depths in enumerate(self._stages["depth"]):
            width, depth = f"width_{stage}", f"depth_{stage}"
            own = tuple(f"{name}_{stage}" for name in ("kernel_size", "expansion", "squeeze"))
            first = partial(self._unit, stage, 0)
            slots.append(Slot((*_EVERYWHERE, width_in, width, *own), first))
            units = max(self._scaled(c).depth(int(n)) for c in self.compound for n in depths)
            slots += [
                Slot((*_EVERYWHERE, depth, width, *own), partial(self._later_unit, stage, position))
                for position in range(1, units)
            ]
            width_in = width
        return (*slots, Slot((*_EVERYWHERE, width_in, "features"), self._head))

    def _scaled(self, compound: float) -> CompoundScaling:
        return CompoundScaling(compound, self.width_divisor)

    def _side(self, resolution: int, compound: float, stages: int) -> int:
        """Height and width after so many stages."""
        pixels = self._scaled(compound).resolution(resolution)
        return side_after(pixels, (self.stem_stride, *self.strides[:stages]))

    def _stem(self, resolution: int, compound: float, activation: str, width: int) -> ConvStem:
        scaled = self._scaled(compound)
        pixels, channels = scaled.resolution(resolution), scaled.width(width)
        return ConvStem(self.input_channels, pixels, channels, self.stem_stride, activation)

    def _unit(
        self,
        stage: int,
        position: int,
        resolution: int,
        compound: float,
        activation: str,
        width_in: int,
        width: int,
        kernel_size: int,
        expansion: int,
        squeeze: bool,
    ) -> InvertedBottleneck:
        scaled, first = self._scaled(compound), position == 0
        return InvertedBottleneck(
            resolution=self._side(resolution, compound, stage if first else stage + 1),
            width_in=scaled.width(width_in),
            width=scaled.width(width),
            kernel_size=kernel_size,
            stride=self.strides[stage] if first else 1,
            expansion=expansion,
            squeeze=squeeze,
            activation=activation,
        )

    def _later_unit(
        self,
        stage: int,
        position: int,
        resolution: int,
        compound: float,
        activation: str,
        depth: int,
        width: int,
        *own: Any,
    ) -> InvertedBottleneck | None:
        if position >= self._scaled(compound).depth(depth):
            return None
        return self._unit(stage, position, resolution, compound, activation, width, width, *own)

    def _head(
        self, resolution: int, compound: float, activation: str, width: int, features: int
    ) -> ConvHead:
        scaled, side = self._scaled(compound), self._side(resolution, compound, len(self.strides))
        features = scaled.width(features) if features else 0
        activation = activation if features else ""
        return ConvHead(side, scaled.width(width), self.classes, features, activation)


def _one_for_each(*values: Any) -> tuple[tuple[Any], ...]:
    """A single choice for each stage."""
    return tuple((value,) for value in values)


PRESETS: dict[str, dict[str, Any]] = {
    "mobilenet_v2": {
        "input_channels": 3,
        "resolution": 224,
        "classes": 1000,
        "activation": ("relu6",),
        "stem_width": (32,),
        "stem_stride": 2,
        "strides": (1, 2, 2, 2, 1, 2, 1),
        "width": _one_for_each(16, 24, 32, 64, 96, 160, 320),
        "depth": _one_for_each(1, 2, 3, 4, 3, 3, 1),
        "kernel_size": (3,),
        "expansion": _one_for_each(1, 6, 6, 6, 6, 6, 6),
        "squeeze": (False,),
        "features": (1280,),
    },
    "efficientnet_b0": {
        "input_channels": 3,
        "resolution": 224,
        "classes": 1000,
        "activation": ("silu",),
        "stem_width": (32,),
        "stem_stride": 2,
        "strides": (1, 2, 2, 2, 1, 2, 1),
        "width": _one_for_each(16, 24, 40, 80, 112, 192, 320),
        "depth": _one_for_each(1, 2, 2, 3, 3, 4, 1),
        "kernel_size": _one_for_each(3, 3, 5, 3, 5, 5, 3),
        "expansion": _one_for_each(1, 6, 6, 6, 6, 6, 6),
        "squeeze": (True,),
        "features": (1280,),
    },
}
"""Fields of the spaces that hold one published network each (Sandler et al., table 2; Tan & Le,
table 1)."""
