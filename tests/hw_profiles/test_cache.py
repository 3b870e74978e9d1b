"""Weights of networks, and what they add where a cache does not hold them all."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from hw_profiles import cuda_graph
from hw_profiles.cache import WEIGHT_BYTES, CacheModel, Weights, windows
from hw_profiles.onnxruntime_cpu import OnnxRuntimeCpu
from hw_profiles.openvino_cpu import OpenVinoCpu
from search_spaces import Architecture, Block, CountTable, Node, Shape, chain


@dataclass(frozen=True, slots=True)
class Dense(Block):
    """A linear layer, and a norm that keeps a mean and a variance of each feature."""

    width: int
    norm: bool = False

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width,),)

    def build(self) -> nn.Module:
        linear = nn.Linear(self.width, self.width)
        return nn.Sequential(linear, nn.BatchNorm1d(self.width)) if self.norm else linear


def network(*nodes: Node) -> Architecture:
    return Architecture("dense", {}, nodes)


def test_weights_of_a_block_by_hand(counts: CountTable) -> None:
    # 10,000 elements are large; 99 squared are not, and no bias is.
    assert Weights.of_block(Dense(100), counts) == Weights(100 * 100 + 100, 1)
    assert Weights.of_block(Dense(99), counts) == Weights(99 * 99 + 99, 0)
    # Scale, shift, mean and variance of 100 features.
    assert Weights.of_block(Dense(100, norm=True), counts) == Weights(10_100 + 400, 1)


def test_weights_of_a_network_are_the_sum(counts: CountTable) -> None:
    large, small = Dense(120), Dense(10)
    assert Weights.of(network(*chain([large, small, large])), counts) == Weights(
        2 * (120 * 120 + 120) + 110, 2
    )
    assert Weights.of(None, counts) == Weights(0, 0)


def test_tied_weights_are_stored_once_and_read_each_time(counts: CountTable) -> None:
    block = Dense(120)
    tied = network(Node(block, (-1,)), Node(block, (0,), tie=0), Node(block, (1,), tie=0))
    assert Weights.of(tied, counts) == Weights(120 * 120 + 120, 3)


def test_value_by_hand() -> None:
    model = CacheModel(low_bytes=100, high_bytes=300, per_tensor=2.0)
    # Nothing up to the first end, everything from the second, and a straight line between.
    assert [model.value(size, 3) for size in (0, 100, 150, 200, 300, 1e9)] == [0, 0, 1.5, 3, 6, 6]
    assert model.value(1e9, 0) == 0
    sizes, tensors = np.array([[50, 250], [200, 400]]), np.array([[1, 2], [3, 4]])
    np.testing.assert_allclose(model.value(sizes, tensors), [[0, 3], [3, 8]])


def test_model_may_begin_at_nothing_and_cost_nothing() -> None:
    assert CacheModel(0, 1, 0.0).value(5, 5) == 0
    assert CacheModel(**CacheModel(1.5, 2.5, 3.5).to_json()) == CacheModel(1.5, 2.5, 3.5)


@pytest.mark.parametrize(
    ("low", "high"),
    [(2, 1), (1, 1), (-1, 1), (float("nan"), 1), (0, float("nan")), (0, float("inf"))],
)
def test_ends_that_are_no_window_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="`low_bytes` must be below `high_bytes`"):
        CacheModel(low, high, 1.0)


@pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf")])
def test_price_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="`per_tensor` must be finite and at least 0"):
        CacheModel(1, 2, value)


def test_windows_lie_within_the_networks_and_are_neither_narrow_nor_wide() -> None:
    sizes = np.concatenate([[0.0], np.exp(np.random.default_rng(0).uniform(10, 16, 200))])
    found = windows(sizes)
    assert len(found) == len(set(found)) > 20
    for low, high in found:
        assert sizes[1:].min() < low < high < sizes.max()
        assert 1.2 <= high / low <= 4
    # A window is near each that there could be, away from the ends.
    wanted = [(float(np.exp(start)), 2 * float(np.exp(start))) for start in np.arange(11.5, 14.5)]
    for low, high in wanted:
        assert min(abs(np.log(a / low)) + abs(np.log(b / high)) for a, b in found) < 0.6


@pytest.mark.parametrize("sizes", [[], [0.0, 0.0], [5.0], [7.0, 7.0, 0.0]])
def test_networks_of_one_size_or_none_have_no_windows(sizes: list[float]) -> None:
    assert list(windows(np.array(sizes))) == []


def test_every_number_format_of_the_runtimes_has_a_size() -> None:
    offered = {*OnnxRuntimeCpu.dtypes, *OpenVinoCpu.dtypes, *cuda_graph.DTYPES}
    assert set(WEIGHT_BYTES) == offered


def test_sizes_of_elements_are_those_of_the_number_formats() -> None:
    formats = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    for name, dtype in (formats | {"tf32": torch.float32, "int8": torch.int8}).items():
        assert WEIGHT_BYTES[name] == dtype.itemsize
