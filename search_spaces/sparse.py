"""Unstructured sparsity: any block with a share of its linear and convolution weights zero.

Zeros are drawn at random when the block is built and stay zero in training (Liu et al., ICLR 2022).
The theoretical cost falls with the level; a dense kernel multiplies by the zeros all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from search_spaces.architecture import Choice, SharedWeight
from search_spaces.block import Block, Shape, block_from_key, block_key
from search_spaces.space import Placement, SearchSpace, Slot
from search_spaces.union import UnionSpace

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["SparseBlock", "SparseSpace"]


@dataclass(frozen=True, slots=True)
class SparseBlock(Block):
    """A block whose weights in matrix products and convolutions are partly zero.

    Attributes:
        block: Key of the dense block (:func:`search_spaces.block.block_key`).
        sparsity: Share of each such weight that is zero, above 0 and below 1, rounded down to
            whole elements.
    """

    block: str
    sparsity: float

    def __post_init__(self) -> None:
        _check_level(self.sparsity)
        if isinstance(self.dense, SparseBlock):
            raise ValueError(f"`block` must be dense; got {self.block}.")

    @property
    def dense(self) -> Block:
        """The block without the zeros."""
        return block_from_key(self.block)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return self.dense.input_shapes

    @property
    def token_ids(self) -> int | None:
        return self.dense.token_ids

    @property
    def inactive_params(self) -> int:
        return self.dense.inactive_params

    @property
    def sparsity_level(self) -> float:
        return self.sparsity

    @property
    def cache_elements(self) -> int:
        return self.dense.cache_elements

    @property
    def remark(self) -> str | None:
        return self.dense.remark

    def decoding(self) -> Block | None:
        step = self.dense.decoding()
        return None if step is None else SparseBlock(block_key(step), self.sparsity)

    def build(self) -> nn.Module:
        from search_spaces.tally import product_weights
        from search_spaces.tracing import traces

        dense = self.dense
        names = product_weights(traces(dense)[0])
        module = dense.build()
        _prune(module, {name: module.get_parameter(name) for name in names}, self.sparsity)
        return module


def _check_level(sparsity: float) -> None:
    if not isinstance(sparsity, float) or not 0 < sparsity < 1:
        raise ValueError(f"`sparsity` must be a float above 0 and below 1; got {sparsity!r}.")


def _prune(module: nn.Module, weights: Mapping[str, nn.Parameter], sparsity: float) -> None:
    """Sets a random share of each weight to zero, and its gradient there after each backward pass.

    Weights that are loaded bring zeros of their own. A deep copy of the module is as sparse as it,
    but trains all its weights.
    """
    import torch

    from search_spaces.tally import nonzero

    masks: dict[str, torch.Tensor] = {}

    def draw(name: str, weight: nn.Parameter) -> None:
        kept = torch.ones(weight.numel(), dtype=torch.bool)
        kept[torch.randperm(weight.numel())[nonzero(weight.numel(), sparsity) :]] = False
        masks[name] = kept.view_as(weight)
        with torch.no_grad():
            weight.mul_(masks[name])

    def mask_gradient(name: str, weight: torch.Tensor) -> None:
        assert weight.grad is not None
        weight.grad.mul_(masks[name].to(weight.device))

    def read_masks(*unused: object) -> None:
        masks.update({name: weight.detach() != 0 for name, weight in weights.items()})

    for name, weight in weights.items():
        if weight.device.type != "meta":
            draw(name, weight)
            weight.register_post_accumulate_grad_hook(partial(mask_gradient, name))
    module.register_load_state_dict_post_hook(read_masks)


class SparseSpace(SearchSpace):
    """A space with one more choice: the sparsity of all its blocks.

    Two blocks that share a weight of a product stay dense both, and so does a classifier that
    shares an embedding's table.

    Args:
        space: The dense space, whose name it keeps.
        sparsity: Choices of the level; 0 is dense.

    Raises:
        ValueError: A level is not below 1, or the space is a union or has the parameter already.
    """

    def __init__(self, space: SearchSpace, sparsity: Sequence[float]) -> None:
        if isinstance(space, UnionSpace) or "sparsity" in space.parameters:
            raise ValueError(f"`space` must be one dense family; got {space.name!r}.")
        if not isinstance(sparsity, Sequence) or not sparsity:
            raise ValueError(f"`sparsity` must list levels from 0 to below 1; got {sparsity!r}.")
        for level in sparsity:
            if isinstance(level, bool) or level != 0:
                _check_level(level)
        self.dense = space
        self.levels = tuple(float(level) for level in sparsity)

    @property
    def name(self) -> str:
        return self.dense.name

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        return {**self.dense.parameters, "sparsity": self.levels}

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        owners, sharers = self._sharing
        return tuple(
            _sparse(slot, sharers, position in owners)
            for position, slot in enumerate(self.dense.slots)
        )

    @cached_property
    def _sharing(self) -> tuple[set[int], set[Placement]]:
        """Slots whose product weights others use, and the placements that use them."""
        owners: set[int] = set()
        sharers: set[Placement] = set()
        for placed in self.dense.placements:
            if not placed.shared:
                continue
            from search_spaces.tally import product_weights
            from search_spaces.tracing import traces

            products = product_weights(traces(placed.block)[0])
            of_products = {source for own, source, _ in placed.shared if own in products}
            owners |= of_products
            if of_products:
                sharers.add(placed)
        return owners, sharers


def _sparse(slot: Slot, sharers: set[Placement], owned: bool) -> Slot:
    def block(*values: Choice) -> Block | None:
        *chosen, level = values
        dense = slot.block(*chosen)
        if dense is None or not level or owned:
            return dense
        if any(p.block == dense and p.shared == shared(*values) for p in sharers):
            return dense
        return SparseBlock(block_key(dense), float(level))

    def tie(*values: Choice) -> int | None:
        return slot.tie(*values[:-1]) if slot.tie is not None else None

    def shared(*values: Choice) -> tuple[SharedWeight, ...]:
        return slot.shared(*values[:-1]) if slot.shared is not None else ()

    return Slot(
        (*slot.reads, "sparsity"),
        block,
        slot.inputs,
        slot.tie and tie,
        slot.shared and shared,
    )
