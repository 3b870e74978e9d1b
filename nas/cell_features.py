"""Cells: directed acyclic graphs with an operation on each edge, and what their live paths say.

A cell reads its first node and puts out its last; a node adds up what its edges bring. An edge
that carries nothing cuts every path through it, so what stands on edges off the live paths decides
nothing, and the raw operation of each edge says little by itself. Counts along the live paths do:
they are what path encodings (White et al., BANANAS, AAAI 2021) keep, without one column for each
of the paths that there could be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from search_spaces import Choice

__all__ = ["Cell"]


@dataclass(frozen=True)
class Cell:
    """A directed acyclic graph of which some parameters give the operation of each edge.

    Attributes:
        edges: Of each parameter the nodes that its edge leads from and to.
        none: The operations that carry nothing.
        source: The node that the cell reads; the first one when absent.
        sink: The node that it puts out; the last one when absent.

    Raises:
        ExperimentError: There is no edge, an edge does not lead to a later node, or no path leads
            from the source to the sink.
    """

    edges: Mapping[str, tuple[int, int]]
    none: frozenset[Choice] = frozenset()
    source: int | None = None
    sink: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "none", frozenset(self.none))
        for name, (start, end) in self.edges.items():
            if not start < end:
                raise ExperimentError(
                    f"`edges`: {name} leads from node {start} to {end}; number the nodes so that "
                    "each edge leads to a later one."
                )
        if not self.edges or not self._paths:
            raise ExperimentError(
                f"`edges` must lead from the source to the sink; got {dict(self.edges)}."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The parameters of the edges."""
        return tuple(self.edges)

    def canonical(
        self, codes: NDArray[np.int64], parameters: Mapping[str, tuple[Choice, ...]]
    ) -> NDArray[np.int64]:
        """The codes as they are: every edge has an operation."""
        return codes

    def keys(self, values: Mapping[str, NDArray[Any]]) -> list[bytes]:
        """Equal for cells with the same operations along their live paths and on live edges.

        Args:
            values: Of each edge the operations ``[n]``.
        """
        operations, places = self._operations(values)
        live_paths, live_edges = self._live(values)
        result = []
        for row in range(len(places)):
            held = sorted(
                bytes(places[row, path]) for path, live in self._with(live_paths[row]) if live
            )
            counts = np.bincount(places[row, live_edges[row]], minlength=len(operations))
            result.append(b"|".join([*held, counts.astype(np.int64).tobytes()]))
        return result

    def features(self, values: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """What the live paths hold: ``[n, (3 + edges) * operations + 3]``.

        Of each operation that carries something: on how many live edges it is, how often it is
        along all live paths, and how many live paths consist of it alone. Then the number of live
        paths and of live edges, and the edges of the longest live path; and of each edge and each
        such operation, whether it stands there on a live path. Without these, cells with equal
        counts are one and the same to a model.

        Args:
            values: Of each edge the operations ``[n]``.

        >>> chain = Cell({"a": (0, 1), "b": (1, 2), "c": (0, 2)}, none={"no"})
        >>> ops = {"a": ["conv", "conv"], "b": ["conv", "no"], "c": ["pool", "pool"]}
        >>> chain.features({k: np.array(v) for k, v in ops.items()})
        array([[2., 1., 2., 1., 1., 1., 2., 3., 2., 1., 0., 1., 0., 0., 1.],
               [0., 1., 0., 1., 0., 1., 1., 1., 1., 0., 0., 0., 0., 0., 1.]])
        """
        operations, places = self._operations(values)
        live_paths, live_edges = self._live(values)
        on_edges = np.stack(
            [((places == i) & live_edges).sum(axis=1) for i in range(len(operations))], axis=1
        )
        on_paths = np.stack(  # [n, paths, operations]
            [
                np.stack([(places[:, path] == i).sum(axis=1) for i in range(len(operations))], 1)
                for path in self._paths
            ],
            axis=1,
        )
        lengths = np.array([len(path) for path in self._paths])
        alone = (on_paths == lengths[:, None]) & live_paths[:, :, None]
        on_paths *= live_paths[:, :, None]
        columns = [
            on_edges,
            on_paths.sum(axis=1),
            alone.sum(axis=1),
            np.stack([live_paths.sum(1), live_edges.sum(1), (live_paths * lengths).max(1)], axis=1),
        ]
        carrying = [i for i, operation in enumerate(operations) if operation not in self.none]
        standing = np.stack([(places == i) & live_edges for i in carrying], axis=2)
        return np.concatenate(
            [
                *(column[:, carrying] for column in columns[:3]),
                columns[3],
                standing.reshape(len(places), -1),
            ],
            axis=1,
        ).astype(np.float64)

    def connected(self, values: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Which cells have a live path at all: ``[n]``."""
        paths, _ = self._live(values)
        return np.asarray(paths.any(axis=1), dtype=np.bool_)

    @cached_property
    def _paths(self) -> tuple[tuple[int, ...], ...]:
        """Every path from source to sink, as positions of edges."""
        ends = list(self.edges.values())
        nodes = [node for pair in ends for node in pair]
        source = min(nodes) if self.source is None else self.source
        sink = max(nodes) if self.sink is None else self.sink

        def onward(node: int) -> Iterable[tuple[int, ...]]:
            if node == sink:
                yield ()
            for position, (start, end) in enumerate(ends):
                if start == node:
                    yield from ((position, *rest) for rest in onward(end))

        return tuple(onward(source))

    def _with(self, live: NDArray[np.bool_]) -> Iterable[tuple[list[int], bool]]:
        return zip(map(list, self._paths), live.tolist(), strict=True)

    def _operations(
        self, values: Mapping[str, NDArray[Any]]
    ) -> tuple[Sequence[Any], NDArray[np.uint8]]:
        """The operations that there are, and the place of each edge's: ``[n, edges]``."""
        table = np.stack([np.asarray(values[name]) for name in self.edges], axis=1)
        operations, places = np.unique(table, return_inverse=True)
        return operations.tolist(), places.reshape(table.shape).astype(np.uint8)

    def _live(
        self, values: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which paths carry something, ``[n, paths]``, and which edges lie on one of them."""
        table = np.stack([np.asarray(values[name]) for name in self.edges], axis=1)
        carries: NDArray[np.bool_] = np.ones(table.shape, dtype=bool)
        for operation in self.none:
            carries &= table != operation
        paths = np.stack([carries[:, path].all(axis=1) for path in self._paths], axis=1)
        edges = np.zeros(table.shape, dtype=bool)
        for position, path in enumerate(self._paths):
            edges[:, path] |= paths[:, [position]]
        return paths, edges
