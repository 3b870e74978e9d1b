"""Small spaces, their counts, and tables made of given times."""

from collections.abc import Callable

import pytest
import torch

from hw_profiles import Device, LatencyTable, Setting, Timing, space_digest
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
def make_table() -> Callable[..., LatencyTable]:
    """Makes a table of a space whose blocks cost what a function says."""

    def make(
        space: SearchSpace,
        seconds: Callable[[Block], float] = lambda block: 1e-3,
        overhead_s: float = 5e-4,
    ) -> LatencyTable:
        def timing(value: float) -> Timing:
            return Timing(value, value, 1.1 * value, 1.5 * value, 0.9 * value, 1.1 * value, 24)

        return LatencyTable(
            device=DEVICE,
            setting=Setting("fake", "1.0"),
            space=space.name,
            digest=space_digest(space),
            overhead=timing(overhead_s),
            entries={key_of(block): timing(seconds(block)) for block in space.blocks},
            conditions={"date": "2026-01-02T03:04:05+00:00", "reference_s": 2e-3, "fitted": []},
        )

    return make
