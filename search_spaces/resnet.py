"""Residual bottlenecks: ResNet (He et al. 2016), ResNeXt (Xie et al. 2017) and RegNet.

RegNets (Radosavovic et al. 2020) are the same network with a middle as wide as the unit, groups of
one width throughout and, as RegNetY, squeeze-excitation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.mbconv import ConvHead, ConvStem
from search_spaces.space import SearchSpace, Slot
from search_spaces.stages import Staged, side_after, stage_choices
from search_spaces.validation import (
    check_choices,
    check_items,
    check_multiple,
    check_one_of,
    check_positive,
    check_type,
    check_whole,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PRESETS", "STEMS", "Bottleneck", "ResNetSpace", "ResNetStem"]

STEMS = {"conv3x3": 1, "conv3x3_stride2": 2, "conv7x7_pool": 4}
"""How many times smaller the image leaves each stem: those of ResNet for small images, of RegNet
and of ResNet."""


@dataclass(frozen=True, slots=True)
class ResNetStem(Block):
    """A 7x7 convolution of stride 2, normalisation, ReLU, and a 3x3 max pooling of stride 2.

    Attributes:
        channels: Channels of the image.
        resolution: Height and width of the image in pixels.
        width: Channels that come out.
    """

    channels: int
    resolution: int
    width: int

    def __post_init__(self) -> None:
        check_whole(self, "channels", "resolution", "width")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.channels, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        return nn.Sequential(
            layers.ConvNorm(self.channels, self.width, 7, stride=2, activation="relu"),
            nn.MaxPool2d(3, stride=2, padding=1),
        )


@dataclass(frozen=True, slots=True)
class Bottleneck(Block):
    """A 1x1, a grouped 3x3 and a 1x1 convolution, each normalised, and the input added.

    ReLU follows all three, the last after the addition. Where the shape changes, the input goes
    through a normalised 1x1 convolution. The step is made by the 3x3 convolution, as in torchvision
    ("V1.5"); the ResNet paper makes it before.

    Attributes:
        resolution: Height and width of the input.
        width_in: Channels of the input.
        width: Channels of the output.
        bottleneck_width: Channels of the 3x3 convolution.
        group_width: Channels of a group of it; ``bottleneck_width`` for a dense convolution.
        stride: Its step.
        squeeze: Whether squeeze-excitation follows it, reduced to a quarter of the input's channels
            as in RegNetY.
    """

    resolution: int
    width_in: int
    width: int
    bottleneck_width: int
    group_width: int
    stride: int
    squeeze: bool

    def __post_init__(self) -> None:
        check_whole(self, "resolution", "width_in", "width", "bottleneck_width", "group_width")
        check_whole(self, "stride")
        check_multiple(self, "bottleneck_width", "group_width")
        check_type(self, bool, "squeeze")

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width_in, self.resolution, self.resolution),)

    def build(self) -> nn.Module:
        from torch import nn

        from search_spaces import layers

        middle = self.bottleneck_width
        groups = middle // self.group_width
        inner = nn.Sequential(
            layers.ConvNorm(self.width_in, middle, 1, activation="relu"),
            layers.ConvNorm(
                middle, middle, 3, stride=self.stride, groups=groups, activation="relu"
            ),
        )
        if self.squeeze:
            inner.append(layers.SqueezeExcitation(middle, max(1, self.width_in // 4), "relu"))
        inner.append(layers.ConvNorm(middle, self.width, 1, activation=None))
        shortcut = None
        if self.stride > 1 or self.width_in != self.width:
            shortcut = layers.ConvNorm(
                self.width_in, self.width, 1, stride=self.stride, activation=None
            )
        return nn.Sequential(layers.Residual(inner, shortcut), layers.Activation("relu"))


@dataclass(frozen=True)
class ResNetSpace(SearchSpace):
    """Stages of bottlenecks; the first unit of a stage changes width and stride.

    Width, depth, bottleneck ratio, group width and squeeze are chosen for each stage on its own,
    from one list for all stages or one list for each.

    Attributes:
        input_channels: Channels of the image.
        resolution: Height and width of the image in pixels.
        classes: Outputs.
        stem: Choices of the first layers, of :data:`STEMS`.
        stem_width: Choices of the channels after the stem.
        strides: Step of the first unit of each stage; its length is the number of stages.
        width: Choices of a stage's channels.
        depth: Choices of the number of units of a stage.
        bottleneck_ratio: Choices of the channels of the 3x3 convolution over the stage's, rounded
            to a whole number of channels.
        group_width: Choices of the channels of a group of it, which must divide its channels; 0 for
            one group.
        squeeze: Choices of whether squeeze-excitation is used.
    """

    input_channels: int = 1
    resolution: int = 8
    classes: int = 10
    stem: Sequence[str] = ("conv3x3",)
    stem_width: Sequence[int] = (8,)
    strides: Sequence[int] = (1, 2)
    width: Staged[int] = ((16, 24), (32, 48))
    depth: Staged[int] = (1, 2, 3)
    bottleneck_ratio: Staged[float] = (0.5, 1)
    group_width: Staged[int] = (0, 4)
    squeeze: Staged[bool] = (False, True)
    name: str = field(default="resnet", init=False)

    def __post_init__(self) -> None:
        check_choices(self)
        check_whole(self, "input_channels", "resolution", "classes")
        check_one_of(self, "stem", STEMS)
        check_positive(self, "stem_width", "strides")
        check_items(self, int, "stem_width", "strides")
        check_items(self, str, "stem")
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        parameters: dict[str, tuple[Choice, ...]] = {
            "stem": tuple(self.stem),
            "stem_width": tuple(self.stem_width),
        }
        for stage in range(len(self.strides)):
            for name, choices in self._stages.items():
                parameters[f"{name}_{stage}"] = choices[stage]
        return parameters

    @cached_property
    def _stages(self) -> Mapping[str, tuple[tuple[Choice, ...], ...]]:
        return {
            "width": stage_choices(self, "width", int),
            "depth": stage_choices(self, "depth", int),
            "bottleneck_ratio": stage_choices(self, "bottleneck_ratio", int, float, minimum=0),
            "group_width": stage_choices(self, "group_width", int, minimum=0),
            "squeeze": stage_choices(self, "squeeze", bool, minimum=0),
        }

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        slots = [Slot(("stem", "stem_width"), self._stem)]
        width_in = "stem_width"
        for stage, depths in enumerate(self._stages["depth"]):
            width, depth = f"width_{stage}", f"depth_{stage}"
            own = tuple(f"{n}_{stage}" for n in ("bottleneck_ratio", "group_width", "squeeze"))
            slots.append(Slot(("stem", width_in, width, *own), partial(self._unit, stage, 0)))
            slots += [
                Slot(("stem", depth, width, *own), partial(self._later_unit, stage, position))
                for position in range(1, max(int(depth) for depth in depths))
            ]
            width_in = width
        return (*slots, Slot(("stem", width_in), self._head))

    def _side(self, stem: str, stages: int) -> int:
        """Height and width after so many stages."""
        return side_after(self.resolution, (STEMS[stem], *self.strides[:stages]))

    def _stem(self, stem: str, width: int) -> Block:
        if stem == "conv7x7_pool":
            return ResNetStem(self.input_channels, self.resolution, width)
        return ConvStem(self.input_channels, self.resolution, width, STEMS[stem], "relu")

    def _unit(
        self,
        stage: int,
        position: int,
        stem: str,
        width_in: int,
        width: int,
        bottleneck_ratio: float,
        group_width: int,
        squeeze: bool,
    ) -> Bottleneck:
        first = position == 0
        bottleneck_width = round(width * bottleneck_ratio)
        return Bottleneck(
            resolution=self._side(stem, stage if first else stage + 1),
            width_in=width_in,
            width=width,
            bottleneck_width=bottleneck_width,
            group_width=group_width or bottleneck_width,
            stride=self.strides[stage] if first else 1,
            squeeze=squeeze,
        )

    def _later_unit(
        self, stage: int, position: int, stem: str, depth: int, width: int, *own: Any
    ) -> Bottleneck | None:
        if position >= depth:
            return None
        return self._unit(stage, position, stem, width, width, *own)

    def _head(self, stem: str, width: int) -> ConvHead:
        side = self._side(stem, len(self.strides))
        return ConvHead(side, width, self.classes, features=0, activation="")


_RESNET50 = {
    "input_channels": 3,
    "resolution": 224,
    "classes": 1000,
    "stem": ("conv7x7_pool",),
    "stem_width": (64,),
    "strides": (1, 2, 2, 2),
    "width": ((256,), (512,), (1024,), (2048,)),
    "depth": ((3,), (4,), (6,), (3,)),
    "bottleneck_ratio": (0.25,),
    "group_width": (0,),
    "squeeze": (False,),
}

PRESETS: dict[str, dict[str, Any]] = {
    "resnet50": _RESNET50,
    "resnext50_32x4d": _RESNET50
    | {"bottleneck_ratio": (0.5,), "group_width": ((4,), (8,), (16,), (32,))},
    "regnety_4gf": {
        "input_channels": 3,
        "resolution": 224,
        "classes": 1000,
        "stem": ("conv3x3_stride2",),
        "stem_width": (32,),
        "strides": (2, 2, 2, 2),
        "width": ((128,), (192,), (512,), (1088,)),
        "depth": ((2,), (6,), (12,), (2,)),
        "bottleneck_ratio": (1,),
        "group_width": (64,),
        "squeeze": (True,),
    },
}
"""Fields of the spaces that hold one published network each (He et al., table 1; Xie et al., table
1; Radosavovic et al., RegNetY-4.0GF)."""
