"""What the layers that are there say of a stack."""

import numpy as np
import pytest

from nas.errors import ExperimentError
from nas.layer_features import LayerStack

STACK = LayerStack("depth", {"ratio": ("r0", "r1", "r2"), "kind": ("k0", "k1", "k2")})
PARAMETERS = {
    "r0": (1, 2), "depth": (1, 2, 3), "r1": (1, 2), "r2": (1, 2),
    "k0": ("a", "b"), "k1": ("a", "b"), "k2": ("a", "b"),
}  # fmt: skip


def values(codes: np.ndarray) -> dict[str, np.ndarray]:
    return {
        name: np.array(choices)[codes[:, column]]
        for column, (name, choices) in enumerate(PARAMETERS.items())
    }


def test_layers_that_are_not_there_say_nothing() -> None:
    rng = np.random.default_rng(0)
    sizes = [len(choices) for choices in PARAMETERS.values()]
    codes = rng.integers(0, sizes, size=(4_000, len(sizes)))
    canonical = STACK.canonical(codes, PARAMETERS)
    assert STACK.keys(values(codes)) == STACK.keys(values(canonical))
    assert np.array_equal(STACK.features(values(codes)), STACK.features(values(canonical)))
    # Depth 1, 2, 3 with 2 ratios and 2 kinds in each layer: 4 + 16 + 64 stacks.
    assert len(set(STACK.keys(values(codes)))) == len(np.unique(canonical, axis=0)) == 84


def test_features_by_hand() -> None:
    # Depth 2: ratios 1 and 2, kinds b and b; the third layer is not there.
    codes = np.array([[0, 1, 1, 1, 1, 1, 0]])
    depth, log_depth, *rest = STACK.features(values(codes))[0]
    assert (depth, log_depth) == (2, pytest.approx(np.log(2)))
    # Sum, mean, deviation, first half, second half; layers of a and of b.
    assert rest == pytest.approx([3, 1.5, 0.5, 1, 2, 0, 2])


@pytest.mark.parametrize("layers", [{}, {"ratio": ()}])
def test_no_layers_are_refused(layers: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ExperimentError, match="layers"):
        LayerStack("depth", layers)
