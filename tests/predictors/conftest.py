"""Small spaces, their counts, and tables made of given times."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from hw_profiles import BlockTable, Certificate, Device, Entry, Measured, Setting, space_digest
from search_spaces import (
    Block,
    CountTable,
    MBConvSpace,
    SearchSpace,
    UnionSpace,
    ViTSpace,
    block_key,
)


@pytest.fixture(scope="session")
def union() -> UnionSpace:
    """ViTs of 16 blocks and MBConv networks of 26."""
    vit = ViTSpace(patch_size=(4,), depth=(2, 3), width=(32, 48), heads=(2,), mlp_ratio=(1, 2))
    mbconv = MBConvSpace(width=((8, 12), (16,)), depth=(1, 2), expansion=(2,))
    return UnionSpace([vit, mbconv])


@pytest.fixture(scope="session")
def counts() -> CountTable:
    """Counts that all tests share."""
    return CountTable()


@pytest.fixture(scope="session")
def seconds(counts: CountTable) -> Callable[[Block], float]:
    """The true time of a block, an exact function of its counts."""

    def exact(block: Block) -> float:
        c = counts[block]
        return 3e-6 * c.operators + 1e-10 * c.macs.at(1) + 4e-10 * c.access.at(1)

    return exact


@pytest.fixture(scope="session")
def make_table(seconds: Callable[[Block], float]) -> Callable[..., BlockTable]:
    """Makes a table of the true times, without some blocks, whose sums err by a share."""

    def make(
        space: SearchSpace,
        gone: Collection[Block] = (),
        error: float | None = 0.0,
        **fields: Any,
    ) -> BlockTable:
        def entry(value: float) -> Entry:
            return Entry(value, value, value, value, value, value, 24)

        held = {block_key(b): entry(seconds(b)) for b in space.blocks if b not in gone}
        measured = (Measured("ab", "vit", 1 + (error or 0), (1.0, 1.0), (1.0, 1.1, 1.2), n=24),)
        table = BlockTable(
            quantity="latency_s",
            device=Device("Fake 1", "x86_64", cores=4, memory_bytes=8 << 30, features="abc"),
            setting=Setting("fake", "1.0"),
            space=space.name,
            digest=space_digest(space),
            overhead=entry(5e-4),
            entries=held,
            conditions={},
            certificate=None if error is None else Certificate("2026-01-03", "seed", measured),
        )
        return replace(table, **fields)

    return make
