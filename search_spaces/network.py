"""The module of an architecture: the wiring of its blocks' modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.block import Block

__all__ = ["Network"]


class Network(nn.Module):
    """An architecture as a PyTorch module, batch first.

    A tied node calls the module of the node it is tied to, and a shared weight is the parameter of
    the node it comes from, so each weight exists, and stands in the state dict, once.

    Args:
        architecture: What to build. Weights are initialised from PyTorch's global generator.
        build: Gives the module of a block; a new one when absent. A module that it gives twice
            must not be of a node that shares single weights, which are set in it.
    """

    def __init__(
        self, architecture: Architecture, build: Callable[[Block], nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self._owners = [
            position if node.tie is None else node.tie for position, node in enumerate(architecture)
        ]
        self.blocks = nn.ModuleDict(
            {
                str(position): node.block.build() if build is None else build(node.block)
                for position, node in enumerate(architecture)
                if node.tie is None
            }
        )
        self._aliases: dict[str, str] = {}
        for position, node in enumerate(architecture):
            for own, _, _ in node.shared:
                self._share(position, own)
        self._last_use = architecture.last_use()
        nn.Module.register_state_dict_post_hook(self, _leave_out_aliases)
        nn.Module.register_load_state_dict_pre_hook(self, _fill_in_aliases)

    def _share(self, position: int, name: str) -> None:
        source, there = self.architecture.weight_of(position, name)
        module = self.get_submodule(f"blocks.{position}")
        weight = self.get_parameter(f"blocks.{source}.{there}")
        if module.get_parameter(name).shape != weight.shape:
            raise ValueError(
                f"Node {position} cannot use weight {there} of node {source} as its {name}: their "
                f"shapes are {tuple(weight.shape)} and {tuple(module.get_parameter(name).shape)}."
            )
        owner, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(owner), leaf, weight)
        self._aliases[f"blocks.{position}.{name}"] = f"blocks.{source}.{there}"

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Runs the nodes in order; each result is dropped after the last node that reads it."""
        results: dict[int, torch.Tensor] = {-1 - i: tensor for i, tensor in enumerate(inputs)}
        for position, node in enumerate(self.architecture):
            read = [results[source] for source in node.inputs]
            results[position] = self.blocks[str(self._owners[position])](*read)
            for source in node.inputs:
                if source >= 0 and self._last_use[source] == position:
                    results.pop(source, None)
        return results[len(self.architecture) - 1]


def _leave_out_aliases(
    module: nn.Module, state: dict[str, Any], prefix: str, metadata: object
) -> None:
    assert isinstance(module, Network)
    for alias in module._aliases:
        state.pop(prefix + alias, None)


def _fill_in_aliases(
    module: nn.Module, state: dict[str, Any], prefix: str, *unused: object
) -> None:
    assert isinstance(module, Network)
    for alias, source in module._aliases.items():
        if prefix + source in state:
            state[prefix + alias] = state[prefix + source]
