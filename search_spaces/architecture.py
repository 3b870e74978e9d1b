"""Architectures: blocks, how they are wired, and which share weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from search_spaces.block import Block, Shape, block_from_json, block_to_json
from search_spaces.errors import UnknownNameError

__all__ = ["Architecture", "Choice", "Node", "chain"]

Choice = str | int | float | bool
"""A value that a search parameter can take."""

NETWORK_INPUT = -1
"""The position that stands for the network's own input; -2 is its second input, and so on."""

SPACE_NAMES: set[str] = set()
"""Names of the spaces whose classes are loaded; architectures of others are not read."""

SharedWeight = tuple[str, int, str]
"""A weight's name, and the position and name of the earlier weight that it is the same as."""


@dataclass(frozen=True, slots=True)
class Node:
    """One use of a block.

    Attributes:
        block: What is computed.
        inputs: Positions of the nodes it reads, in order; -1 is the network's input.
        tie: Position of an earlier, equal block whose weights it uses, or ``None``.
        shared: Single weights that are those of earlier nodes.
    """

    block: Block
    inputs: tuple[int, ...]
    tie: int | None = None
    shared: tuple[SharedWeight, ...] = ()


def chain(blocks: Sequence[Block]) -> tuple[Node, ...]:
    """Wires each block to the one before it."""
    return tuple(Node(block, (position - 1,)) for position, block in enumerate(blocks))


@dataclass(frozen=True)
class Architecture:
    """A network as data: nodes in the order they run, the last one its output.

    Two architectures with the same blocks, wiring and ties are the same network and have the same
    :attr:`id`, whatever space or configuration they came from.

    Attributes:
        space: Name of the space that made it.
        config: The choices that made it, without those that had no effect.
        nodes: The wired blocks.

    Raises:
        ValueError: The nodes do not make a network.
    """

    space: str
    config: Mapping[str, Choice]
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ValueError("`nodes` is empty: an architecture has at least one block.")
        read = {position for node in self.nodes for position in node.inputs}
        for position, node in enumerate(self.nodes):
            if not all(source < position for source in node.inputs):
                raise ValueError(
                    f"Node {position} reads {node.inputs}: a node reads earlier nodes, or -1."
                )
        for position, node in enumerate(self.nodes):
            if len(node.inputs) != len(node.block.input_shapes):
                raise ValueError(
                    f"Node {position} reads {len(node.inputs)} tensors, but its block "
                    f"{node.block} takes {len(node.block.input_shapes)}."
                )
            if position not in read and position != len(self.nodes) - 1:
                raise ValueError(f"Node {position} is never read; only the last one may be.")
            if node.tie is not None and not (
                0 <= node.tie < position
                and self.nodes[node.tie].block == node.block
                and self.nodes[node.tie].tie is None
            ):
                raise ValueError(
                    f"Node {position} is tied to {node.tie}, which is not an earlier, untied node "
                    "of the same block."
                )
            for own, source, there in node.shared:
                if (
                    node.tie is not None
                    or not 0 <= source < position
                    or self.weight_of(source, there) != (source, there)
                    or [item[0] for item in node.shared].count(own) > 1
                ):
                    raise ValueError(
                        f"Node {position} takes its weight {own} from node {source}: an untied "
                        "node shares weights, each once, that an earlier node has of its own."
                    )
        tied_to = {node.tie for node in self.nodes}
        sharing = {i for i, node in enumerate(self.nodes) if node.shared}
        sharing |= {source for node in self.nodes for _, source, _ in node.shared}
        if both := sorted(sharing & tied_to):
            raise ValueError(
                f"Nodes {both} share single weights, and other nodes are tied to them; do one of "
                "the two."
            )
        inputs = sorted({source for source in read if source < 0}, reverse=True)
        if inputs != [NETWORK_INPUT - i for i in range(len(inputs))]:
            raise ValueError(f"The network's inputs are numbered -1, -2, ...; got {inputs}.")

    @cached_property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Shape of one example of each of the network's inputs."""
        shapes = {
            source: shape
            for node in reversed(self.nodes)
            for source, shape in zip(node.inputs, node.block.input_shapes, strict=True)
        }
        return tuple(shapes[i] for i in sorted((i for i in shapes if i < 0), reverse=True))

    @property
    def token_ids(self) -> int | None:
        """How many token ids the first input may hold; ``None`` where it is real numbers."""
        return next(n.block.token_ids for n in self.nodes if NETWORK_INPUT in n.inputs)

    @property
    def generates(self) -> bool:
        """Whether it generates text token by token: each block has a form that does."""
        return all(node.block.decoding() is not None for node in self.nodes)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The block of each node, repeats included."""
        return tuple(node.block for node in self.nodes)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that identify the network everywhere."""
        text = json.dumps(self._nodes_to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def last_use(self) -> tuple[int, ...]:
        """For each node, the position of the last node that reads it (its own if none does)."""
        last = list(range(len(self.nodes)))
        for position, node in enumerate(self.nodes):
            for source in node.inputs:
                if source >= 0:
                    last[source] = position
        return tuple(last)

    def weight_of(self, position: int, name: str) -> tuple[int, str]:
        """The node that holds a weight of the node at a position, and the weight's name there."""
        node = self.nodes[position]
        if node.tie is not None:
            return self.weight_of(node.tie, name)
        for own, source, there in node.shared:
            if own == name:
                return source, there
        return position, name

    def _nodes_to_json(self) -> list[dict[str, Any]]:
        return [
            {"block": block_to_json(node.block), "inputs": list(node.inputs)}
            | ({} if node.tie is None else {"tie": node.tie})
            | ({"shared": [list(item) for item in node.shared]} if node.shared else {})
            for node in self.nodes
        ]

    def to_json(self) -> dict[str, Any]:
        """The architecture as plain JSON values."""
        return {"space": self.space, "config": dict(self.config), "nodes": self._nodes_to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Architecture:
        """Reads back what :meth:`to_json` wrote.

        Raises:
            UnknownNameError: A field, the space or a block type is not known.
            ValueError: A field is missing, of another type or does not make a network.
        """
        _check_fields("architecture", data, ("space", "config", "nodes"))
        space, config, items = data["space"], data["config"], data["nodes"]
        if not isinstance(space, str):
            raise ValueError(f"`space` must be a name; got {space!r}.")
        if space not in SPACE_NAMES:
            raise UnknownNameError("space", space, sorted(SPACE_NAMES))
        if not isinstance(config, Mapping) or not all(
            isinstance(value, Choice) for value in config.values()
        ):
            raise ValueError(f"`config` must map names to choices; got {config!r}.")
        if not isinstance(items, list):
            raise ValueError(f"`nodes` must be a list of nodes; got {items!r}.")
        return cls(space, dict(config), tuple(_node_from_json(item) for item in items))

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __hash__(self) -> int:
        return hash(self.id)


def _node_from_json(data: Any) -> Node:
    _check_fields("node", data, ("block", "inputs"), ("tie", "shared"))
    inputs, tie, shared = data["inputs"], data.get("tie"), data.get("shared", [])
    if not isinstance(inputs, list) or any(type(source) is not int for source in inputs):
        raise ValueError(f"`inputs` must be a list of positions; got {inputs!r}.")
    if tie is not None and type(tie) is not int:
        raise ValueError(f"`tie` must be a position or absent; got {tie!r}.")
    if not isinstance(shared, list) or not all(
        isinstance(item, list) and [type(value) for value in item] == [str, int, str]
        for item in shared
    ):
        raise ValueError(f"`shared` must list names, positions and names there; got {shared!r}.")
    return Node(block_from_json(data["block"]), tuple(inputs), tie, tuple(map(tuple, shared)))


def _check_fields(
    what: str, data: Any, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    if not isinstance(data, Mapping):
        raise ValueError(f"Expected the fields of a JSON {what}, got {type(data).__name__}.")
    for key in data:
        if key not in required + optional:
            raise UnknownNameError(f"field of the {what}", str(key), required + optional)
    for key in required:
        if key not in data:
            raise ValueError(f"The {what} has no field {key!r}; it needs {', '.join(required)}.")
