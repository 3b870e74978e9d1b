"""Runs of slots: what a look-up gives is what stands in the slots."""

import numpy as np
import pytest

from search_spaces import SPACES, MBConvSpace, UnionSpace, ViTSpace
from search_spaces.slot_runs import LIMIT, slot_runs


@pytest.mark.parametrize("name", SPACES)
def test_a_combination_holds_what_stands_in_its_slots(name: str) -> None:
    space = SPACES[name]()
    codes = space.random_codes(50, np.random.default_rng(0))
    placed = space.placement_indices(codes)
    runs = slot_runs(space)
    assert [slot for run in runs for slot in run.slots] == list(range(len(space.slots)))
    for run in runs:
        listed = space.placement_indices(run.codes)[:, run.slots]
        assert np.array_equal(listed[run.rows(codes)], placed[:, run.slots])


def test_runs_are_few_and_their_combinations_too() -> None:
    # Twelve layers of their own ratios: far more slots than look-ups.
    space = ViTSpace(depth=(4, 8, 12), heads=(2, 4), mlp_ratio=(1, 2, 3, 4))
    runs = slot_runs(space)
    assert len(runs) < len(space.slots) / 3
    assert max(len(run.codes) for run in runs) <= LIMIT


def test_members_of_a_union_share_no_run_that_is_too_large() -> None:
    union = UnionSpace([ViTSpace(), MBConvSpace()])
    codes = union.random_codes(30, np.random.default_rng(1))
    placed = union.placement_indices(codes)
    for run in slot_runs(union):
        listed = union.placement_indices(run.codes)[:, run.slots]
        assert np.array_equal(listed[run.rows(codes)], placed[:, run.slots])
