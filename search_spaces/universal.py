"""Transformers whose layers share weights: Universal Transformer (Dehghani et al. 2019), ALBERT.

ALBERT (Lan et al. 2020) ties all layers or runs of them; a Universal Transformer is one layer run
several times. Sharing changes how many parameters there are, and nothing of what is computed. The
Universal Transformer's halting and the embedding that it adds at each step are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from search_spaces.architecture import Choice
from search_spaces.space import Slot
from search_spaces.transformer import FeedForward, SelfAttention
from search_spaces.trunk import HEADS, ImageTrunk, Layer, half
from search_spaces.validation import check_items, check_positive

__all__ = ["PRESETS", "UniversalSpace"]


def group_of(position: int, depth: int, groups: int) -> int:
    """The group of a layer: runs of layers, as long as each other to within one."""
    return position * groups // depth


def first_of(group: int, depth: int, groups: int) -> int:
    """Position of the first layer of a group.

    >>> [first_of(group_of(position, 7, 3), 7, 3) for position in range(7)]
    [0, 0, 0, 3, 3, 5, 5]
    """
    return -(-group * depth // groups)


@dataclass(frozen=True)
class UniversalSpace(ImageTrunk):
    """Vision Transformers with few distinct layers, each of them used by a run of positions.

    Attributes:
        mlp_ratio: Choices, for each group, of MLP width over width.
        groups: Choices of the number of distinct layers; none may exceed a depth. With 1 all
            layers are the same.
    """

    depth: Sequence[int] = (2, 4, 6)
    groups: Sequence[int] = (1, 2)
    name: str = field(default="universal", init=False)

    def __post_init__(self) -> None:
        check_positive(self, "groups")
        check_items(self, int, "groups")
        super().__post_init__()
        if max(self.groups) > min(self.depth):
            raise ValueError(
                "`groups` must not exceed `depth`, as each distinct layer is used; "
                f"got {max(self.groups)} and {min(self.depth)}."
            )

    @property
    def layer_parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        ratios = {f"mlp_ratio_{g}": tuple(self.mlp_ratio) for g in range(max(self.groups))}
        return {"groups": tuple(self.groups)} | ratios

    def layer(self, position: int) -> tuple[Slot, Slot]:
        # Only the ratios of groups that this position can belong to, or choices would multiply.
        possible = sorted(
            {group_of(position, d, g) for d in self.depth for g in self.groups if position < d}
        )

        def attention(layer: Layer, groups: int, *heads: int) -> SelfAttention:
            return layer.attention(*heads)

        def mlp(layer: Layer, groups: int, mlp_rank: int, *ratios: float) -> FeedForward:
            group = group_of(position, layer.depth, groups)
            return layer.mlp(mlp_rank, ratios[possible.index(group)])

        def owner(of_first: int, layer: Layer, groups: int, *_: Choice) -> int | None:
            """The slot whose weights are used, from that of the same half in the first layer."""
            first = first_of(group_of(position, layer.depth, groups), layer.depth, groups)
            return None if first == position else of_first + 2 * first

        ratios = (f"mlp_ratio_{group}" for group in possible)
        return (
            half(position, attention, "groups", *HEADS, tie=partial(owner, 1)),
            half(position, mlp, "groups", "mlp_rank", *ratios, tie=partial(owner, 2)),
        )


PRESETS: dict[str, dict[str, Any]] = {
    # The encoder of the Universal Transformer (base) over the patches of an image: one layer of
    # 1024 features run 6 times, about as many parameters as 6 layers of a Transformer (base).
    "universal_transformer_base": {
        "input_channels": 3,
        "resolution": 224,
        "classes": 1000,
        "patch_size": (16,),
        "depth": (6,),
        "width": (1024,),
        "heads": (16,),
        "mlp_ratio": (4,),
        "pool": ("cls",),
        "groups": (1,),
    },
}
"""Fields of the :class:`UniversalSpace` whose one architecture is like the published network."""
