"""Mixtures of experts in image transformers (V-MoE, Riquelme et al. 2021): block and space.

Experts have a capacity, as in the Switch Transformer (Fedus et al. 2022), so that every shape is
fixed and counts are exact. Nothing balances the load but the loss of the task: the auxiliary losses
and the noise of the papers' routers belong to their training and cost nothing in inference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.space import Slot
from search_spaces.transformer import FeedForward
from search_spaces.trunk import HEADS, ImageTrunk, Layer, half
from search_spaces.validation import check_choices, check_items, check_positive, check_whole

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PRESETS", "ExpertFeedForward", "MoESpace", "expert_capacity"]


def expert_capacity(tokens: int, experts: int, active: int, capacity_factor: float) -> int:
    """Tokens of one example that an expert takes: its even share times a factor, rounded up.

    It is never more than there are tokens, as no token is sent to an expert twice.

    >>> expert_capacity(tokens=16, experts=4, active=1, capacity_factor=1.25)
    5
    """
    # The factor as it is written: in binary, 1.1 * 40 / 4 is above 11.
    return min(tokens, math.ceil(Fraction(str(capacity_factor)) * active * tokens / experts))


@dataclass(frozen=True, slots=True)
class ExpertFeedForward(Block):
    """``x + mlp(norm(x))`` over ``[tokens, width]``, with other weights of the MLP by the token.

    A linear router without bias and a softmax choose the experts of a token; those that have no
    room for it add nothing to it (:class:`search_spaces.expert_layers.ExpertMlp`).

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        hidden: Features between the two linear layers of an expert.
        experts: MLPs to choose from.
        active: How many of them a token is sent to.
        capacity: Tokens that an expert takes of each example.
    """

    tokens: int
    width: int
    hidden: int
    experts: int
    active: int
    capacity: int

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width", "hidden", "experts", "active", "capacity")
        if self.active > self.experts:
            raise ValueError(
                f"`active` must not exceed `experts`; got {self.active} and {self.experts}."
            )
        if self.capacity > self.tokens:
            raise ValueError(
                "`capacity` must not exceed `tokens`, as an expert takes each token once; "
                f"got {self.capacity} and {self.tokens}."
            )

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    @property
    def inactive_params(self) -> int:
        expert = 2 * self.width * self.hidden + self.hidden + self.width
        return (self.experts - self.active) * expert

    def build(self) -> nn.Module:
        import torch.nn.functional as F
        from torch import nn

        from search_spaces import layers
        from search_spaces.expert_layers import ExpertMlp

        mlp = ExpertMlp(
            self.tokens,
            self.width,
            self.hidden,
            self.experts,
            self.active,
            self.capacity,
            activation=lambda x: F.gelu(x, approximate="tanh"),
            bias=True,
        )
        return layers.Residual(nn.Sequential(nn.LayerNorm(self.width), mlp))


@dataclass(frozen=True)
class MoESpace(ImageTrunk):
    """Vision Transformers in which every so many layers choose among experts.

    Attributes:
        mlp_ratio: Choices of MLP width over width, of every expert and every other MLP.
        mlp_rank: Choices of the inner size of the weights of MLPs that are not experts; 0 for dense
            ones.
        experts: Choices of the number of experts of a layer that has them.
        active: Choices of how many a token is sent to; none may exceed a number of experts.
        capacity_factor: Choices of an expert's room over its even share of the tokens
            (:func:`expert_capacity`).
        expert_every: Choices of which layers have experts: with 2, the second, the fourth and so
            on.
    """

    depth: Sequence[int] = (2, 3, 4)
    mlp_ratio: Sequence[float] = (1, 2)
    experts: Sequence[int] = (2, 4, 8)
    active: Sequence[int] = (1, 2)
    capacity_factor: Sequence[float] = (1, 1.5)
    expert_every: Sequence[int] = (1, 2)
    name: str = field(default="moe", init=False)

    def __post_init__(self) -> None:
        check_choices(self)
        check_positive(self, "experts", "active", "capacity_factor", "expert_every")
        check_items(self, int, "experts", "active", "expert_every")
        super().__post_init__()
        if min(self.expert_every) > max(self.depth):
            raise ValueError(
                "`expert_every` must not exceed every depth, or no layer has experts; "
                f"got {min(self.expert_every)} and {max(self.depth)}."
            )

    @property
    def layer_parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        return {
            "mlp_ratio": tuple(self.mlp_ratio),
            "experts": tuple(self.experts),
            "active": tuple(self.active),
            "capacity_factor": tuple(self.capacity_factor),
            "expert_every": tuple(self.expert_every),
        }

    def layer(self, position: int) -> tuple[Slot, Slot]:
        def mlp(
            layer: Layer,
            mlp_rank: int,
            mlp_ratio: float,
            experts: int,
            active: int,
            capacity_factor: float,
            expert_every: int,
        ) -> ExpertFeedForward | FeedForward:
            if (position + 1) % expert_every:
                return layer.mlp(mlp_rank, mlp_ratio)
            capacity = expert_capacity(layer.tokens, experts, active, capacity_factor)
            hidden = layer.hidden(mlp_ratio)
            return ExpertFeedForward(layer.tokens, layer.width, hidden, experts, active, capacity)

        attention = half(position, Layer.attention, *HEADS)
        if all((position + 1) % every for every in self.expert_every):
            return attention, half(position, Layer.mlp, "mlp_rank", "mlp_ratio")
        return attention, half(position, mlp, "mlp_rank", *self.layer_parameters)


PRESETS: dict[str, dict[str, Any]] = {
    # V-MoE-B/16 as released, trained on ImageNet-21k: 8 experts in every other layer, 2 for each
    # token. The paper gives an expert room in groups of images; here each image is a group.
    "vmoe_b_16": {
        "input_channels": 3,
        "resolution": 224,
        "classes": 21_843,
        "patch_size": (16,),
        "depth": (12,),
        "width": (768,),
        "heads": (12,),
        "mlp_ratio": (4,),
        "pool": ("cls",),
        "experts": (8,),
        "active": (2,),
        "capacity_factor": (1.05,),
        "expert_every": (2,),
    },
}
"""Fields of the :class:`MoESpace` whose one architecture is the published network."""
