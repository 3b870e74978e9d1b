"""The module of an architecture: the wiring of its blocks' modules."""

from __future__ import annotations

import torch
from torch import nn

from search_spaces.architecture import NETWORK_INPUT, Architecture

__all__ = ["Network"]


class Network(nn.Module):
    """An architecture as a PyTorch module; one input, one output, batch first.

    A tied node calls the module of the node it is tied to, so its weights exist once.

    Args:
        architecture: What to build. Weights are initialised from PyTorch's global generator.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self._owners = [
            position if node.tie is None else node.tie for position, node in enumerate(architecture)
        ]
        self.blocks = nn.ModuleDict(
            {
                str(position): node.block.build()
                for position, node in enumerate(architecture)
                if node.tie is None
            }
        )
        self._last_use = architecture.last_use()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Runs the nodes in order; each result is dropped after the last node that reads it."""
        results: dict[int, torch.Tensor] = {}
        for position, node in enumerate(self.architecture):
            inputs = [x if source == NETWORK_INPUT else results[source] for source in node.inputs]
            results[position] = self.blocks[str(self._owners[position])](*inputs)
            for source in node.inputs:
                if source != NETWORK_INPUT and self._last_use[source] == position:
                    results.pop(source, None)
        return results[len(self.architecture) - 1]
