"""Plans: which networks show what each block of a space costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hw_profiles.quantity import Quantity, quantity
from search_spaces import Architecture, Block, CountTable, Node, SearchSpace, chain

__all__ = [
    "COPIES",
    "Plan",
    "features",
    "plan_cover",
    "plan_measurement",
    "shortened",
    "with_copies",
]

COPIES = 3
HOST_TRIES = 48
MAX_BLOCKS = 400


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be timed.

    Attributes:
        blocks: The blocks that the table will hold.
        unmeasured: Blocks of the space that are left to a predictor.
        networks: Whole networks to time. Those drawn at random may hold unmeasured blocks, which
            are fitted too but too rarely seen to be entered.
        quantity: Name of a quantity that runs these networks.
    """

    blocks: tuple[Block, ...]
    unmeasured: tuple[Block, ...]
    networks: tuple[Architecture, ...]
    quantity: str = "latency_s"

    def of(self, wanted: Quantity) -> Plan:
        """The same plan over the networks that a quantity runs; itself where it has those.

        Raises:
            ValueError: The networks are not run for it, and others do not follow from them.
        """
        if wanted.network is quantity(self.quantity).network:
            return self
        if self.quantity != "latency_s":
            raise ValueError(
                f"A plan of {self.quantity} does not have the networks of {wanted.name}; make it "
                "of the plan of the whole networks."
            )
        networks = {a.id: a for a in map(wanted.network, self.networks)}
        run = dict.fromkeys(block for network in networks.values() for block in network.blocks)
        chosen = {block.decoding() for block in self.blocks}
        return Plan(
            blocks=tuple(block for block in run if block in chosen),
            unmeasured=tuple(block for block in run if block not in chosen),
            networks=tuple(networks.values()),
            quantity=wanted.name,
        )


def plan_measurement(
    space: SearchSpace,
    counts: CountTable,
    *,
    max_blocks: int = MAX_BLOCKS,
    whole: int = 40,
    also: Sequence[Architecture] = (),
    seed: int = 0,
) -> Plan:
    """Chooses the networks that show what each block of a space costs.

    Args:
        space: Whose blocks to measure.
        counts: Counts of its blocks.
        max_blocks: Above this many blocks a sample is measured, spread over type and size.
        whole: Random networks of the space that are timed too.
        also: Further chains whose blocks the table is to hold, timed in networks of one of each.
        seed: Of every random choice.
    """
    rng = np.random.default_rng(seed)
    chosen = _spread_sample(space.blocks, counts, max_blocks)
    networks: dict[str, Architecture] = {}
    macs = np.array([counts[block].macs.at(1) for block in space.blocks] + [0])
    for index in chosen:
        host = _cheapest_host(space, int(index), macs, rng)
        networks.setdefault(host.id, host)
        repeated = with_copies(host, space.blocks[index], counts, COPIES)
        if repeated is not None:
            networks.setdefault(repeated.id, repeated)
    wanted = dict.fromkeys(space.blocks[i] for i in chosen)
    for host in map(shortened, also):
        networks.setdefault(host.id, host)
        for block in host.blocks:
            wanted.setdefault(block)
            repeated = with_copies(host, block, counts, COPIES)
            if repeated is not None:
                networks.setdefault(repeated.id, repeated)
    drawn = {a.id: a for a in map(space.decode, space.random_codes(2 * whole, rng))}
    others = [architecture for key, architecture in drawn.items() if key not in networks]
    # In a small space half of what is left is left for the certificate.
    networks |= {a.id: a for a in others[: min(whole, len(others) // 2)]}
    return Plan(
        blocks=tuple(wanted),
        unmeasured=tuple(block for block in space.blocks if block not in wanted),
        networks=tuple(networks.values()),
    )


def _spread_sample(blocks: Sequence[Block], counts: CountTable, limit: int) -> NDArray[np.int64]:
    """Indices of all blocks, or of ``limit`` that lie farthest apart in type and log size."""
    if len(blocks) <= limit:
        return np.arange(len(blocks))
    sizes = np.log1p(features(blocks, counts))
    sizes = (sizes - sizes.mean(0)) / np.maximum(sizes.std(0), 1e-9)
    types = [type(block).__qualname__ for block in blocks]
    apart = 10.0 * np.array([[a == b for b in sorted(set(types))] for a in types], dtype=float)
    points = np.concatenate([sizes, apart], axis=1)
    chosen = [int(np.argmin(np.linalg.norm(points - points.mean(0), axis=1)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    distance[chosen] = -1  # Equal counts are at distance 0, and still another block.
    while len(chosen) < limit:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        distance[chosen] = -1
    return np.array(sorted(chosen))


def _cheapest_host(
    space: SearchSpace, block: int, macs: NDArray[np.int64], rng: np.random.Generator
) -> Architecture:
    """A network of the space that holds the block and little else."""
    rows = space.random_codes(HOST_TRIES, rng)
    slot, choices = space.place(block)
    rows[:, slot] = choices
    indices = space.block_indices(rows)
    holds = (indices == block).any(axis=1)
    cost = macs[indices].sum(axis=1)
    return space.decode(rows[np.argmin(np.where(holds, cost, np.iinfo(np.int64).max))])


def plan_cover(
    space: SearchSpace, *, networks: int = 100, tries: int = 4000, seed: int = 0
) -> Plan:
    """Random networks that hold as many blocks of a space as they can, for what takes long.

    Args:
        space: Whose blocks to measure.
        networks: How many at most.
        tries: Random networks to choose from; blocks that none of them holds stay unmeasured.
        seed: Of every random choice.
    """
    rng = np.random.default_rng(seed)
    codes = space.random_codes(tries, rng)
    indices = space.block_indices(codes)
    holds = np.zeros((tries, len(space.blocks) + 1), dtype=bool)
    holds[np.arange(tries)[:, None], indices] = True
    holds[:, -1] = False  # Where a slot is empty.
    left = holds.any(axis=0)
    chosen: list[int] = []
    while left.any() and len(chosen) < networks:
        chosen.append(int(np.argmax((holds & left).sum(axis=1))))
        left &= ~holds[chosen[-1]]
    drawn = {a.id: a for a in (space.decode(codes[row]) for row in chosen)}
    held = {block for network in drawn.values() for block in network.blocks}
    return Plan(
        blocks=tuple(block for block in space.blocks if block in held),
        unmeasured=tuple(block for block in space.blocks if block not in held),
        networks=tuple(drawn.values()),
    )


def shortened(architecture: Architecture) -> Architecture:
    """The chain of an architecture's distinct blocks, each once.

    A block keeps the single weights that are those of an earlier one (a head's that are the
    embedding's), where its first use has them.

    Raises:
        ValueError: It is no chain, or its blocks do not follow each other without the repeats.
    """
    for position, node in enumerate(architecture):
        if node.inputs != (position - 1,):
            raise ValueError(
                f"`also` must hold chains; {architecture.id} is none: its node {position} reads "
                f"{node.inputs} rather than {position - 1} alone."
            )
    blocks = list(dict.fromkeys(architecture.blocks))
    puts_out = {block: after.input_shapes for block, after in pairwise(architecture.blocks)}
    for block, after in pairwise(blocks):
        if puts_out[block] != after.input_shapes:
            raise ValueError(
                f"`also` must hold chains whose distinct blocks follow each other; in "
                f"{architecture.id} {after} reads {after.input_shapes}, and {block} puts out "
                f"{puts_out[block]}."
            )
    nodes: list[Node] = []
    for node in chain(blocks):
        shared = []
        for own, source, there in architecture.nodes[architecture.blocks.index(node.block)].shared:
            at = blocks.index(architecture.blocks[source])
            # The first use of the source's block may itself have the weight of another.
            held = (item[1:] for item in nodes[at].shared if item[0] == there)
            shared.append((own, *next(held, (at, there))))
        nodes.append(replace(node, shared=tuple(shared)))
    return Architecture(architecture.space, {}, tuple(nodes))


def with_copies(
    host: Architecture, block: Block, counts: CountTable, copies: int
) -> Architecture | None:
    """The network with further copies of the block after it, where its output fits its input."""
    if block.input_shapes != (counts[block].output_shape,):
        return None
    at = host.blocks.index(block)
    shift = [copies if i > at else 0 for i in range(len(host))]
    moved = [
        Node(
            node.block,
            tuple(s + copies if s >= at else s for s in node.inputs) if i > at else node.inputs,
            None if node.tie is None else node.tie + shift[node.tie],
            tuple((own, source + shift[source], there) for own, source, there in node.shared),
        )
        for i, node in enumerate(host)
    ]
    extra = [Node(block, (at + i,)) for i in range(copies)]
    nodes = (*moved[: at + 1], *extra, *moved[at + 1 :])
    return Architecture(host.space, dict(host.config), nodes)


def features(blocks: Sequence[Block], counts: CountTable, batch: int = 1) -> NDArray[np.float64]:
    """Operators, MACs and memory traffic of each block at a batch: ``[blocks, 3]``."""
    rows = [
        (counts[b].operators, counts[b].macs.at(batch), counts[b].access.at(batch)) for b in blocks
    ]
    return np.array(rows, dtype=float).reshape(len(rows), 3)
