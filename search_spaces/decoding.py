"""Generation one token at a time, as an architecture of its own.

A causal network that has read a text need not read it again for the next token: it keeps the keys
and values of its attention, and runs on the new token alone.
"""

from __future__ import annotations

from search_spaces.architecture import Architecture, Node

__all__ = ["decoding_step"]


def decoding_step(architecture: Architecture) -> Architecture:
    """The network that reads the last token and the cache of those before it.

    Its inputs are the architecture's own, one token long, and after them the cached tensors in the
    order of the blocks that read them. Its weights have the names and values of the architecture's.

    Args:
        architecture: A network whose blocks all have a form for the last token alone.

    Raises:
        ValueError: A block has none.
    """
    nodes: list[Node] = []
    lowest = min(source for node in architecture for source in node.inputs)
    for position, node in enumerate(architecture):
        block = node.block.decoding()
        if block is None:
            raise ValueError(
                "`architecture` must generate one token at a time, but its node "
                f"{position}, {node.block}, has no form for the last token alone; "
                "give a network of causal blocks."
            )
        cached = len(block.input_shapes) - len(node.inputs)
        inputs = (*node.inputs, *(lowest - 1 - i for i in range(cached)))
        lowest -= cached
        nodes.append(Node(block, inputs, node.tie, node.shared))
    return Architecture(f"{architecture.space} decoding", architecture.config, tuple(nodes))
