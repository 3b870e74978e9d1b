"""Small spaces, their counts, and tables made of given times."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from hw_profiles import BlockTable, Device, Entry, Setting, space_digest
from search_spaces import Block, CountTable, MBConvSpace, SearchSpace, UnionSpace, ViTSpace
from search_spaces import block_key as key_of

DEVICE = Device("Fake 1", "x86_64", cores=4, memory_bytes=8 << 30, features="abc")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def vit() -> ViTSpace:
    """ViTs of 16 blocks."""
    return ViTSpace(patch_size=(4,), depth=(2, 3), width=(32, 48), heads=(2,), mlp_ratio=(1, 2))


@pytest.fixture(scope="session")
def union(vit: ViTSpace) -> UnionSpace:
    """The ViTs and MBConv networks."""
    mbconv = MBConvSpace(width=((8, 12), (16,)), depth=(1, 2), expansion=(2,))
    return UnionSpace([vit, mbconv])


@pytest.fixture(scope="session")
def counts() -> CountTable:
    """Counts that all tests share."""
    return CountTable()


@pytest.fixture
def device() -> Device:
    """Where the tables of these tests are from."""
    return DEVICE


@pytest.fixture
def make_table() -> Callable[..., BlockTable]:
    """Makes a table of a space whose blocks cost what a function says, with fields replaced."""

    def make(
        space: SearchSpace,
        value: Callable[[Block], float] = lambda block: 1e-3,
        overhead: float = 5e-4,
        **fields: Any,
    ) -> BlockTable:
        def entry(value: float) -> Entry:
            return Entry(value, value, 1.1 * value, 1.5 * value, 0.9 * value, 1.1 * value, 24)

        table = BlockTable(
            quantity="latency_s",
            device=DEVICE,
            setting=Setting("fake", "1.0"),
            space=space.name,
            digest=space_digest(space),
            overhead=entry(overhead),
            entries={key_of(block): entry(value(block)) for block in space.blocks},
            conditions={"date": "2026-01-02T03:04:05+00:00", "reference_s": 2e-3, "fitted": []},
        )
        return replace(table, **fields)

    return make
