"""ONNX Runtime as a runtime; what it computes is tested with the graphs."""

from importlib.metadata import version

import numpy as np
import torch

from hw_profiles import RUNTIMES, OnnxRuntimeCpu, Setting
from hw_profiles.runtime import initial_weights
from search_spaces import Architecture, ViTSpace
from search_spaces.network import Network


def smallest(vit: ViTSpace) -> Architecture:
    """A network of the space."""
    return vit.decode([0] * len(vit.parameters))


def test_setting_says_what_timings_are_bound_to() -> None:
    runtime = RUNTIMES["onnxruntime"](threads=2, batch=4)
    assert runtime.setting == Setting("onnxruntime", version("onnxruntime"), "fp32", 4, 2)


def test_prepared_networks_run(vit: ViTSpace) -> None:
    runtime = OnnxRuntimeCpu(batch=3)
    for network in (None, smallest(vit)):
        once = runtime.prepare(network)
        assert [once(), once()] == [None, None]


def test_weights_are_those_of_the_seed_and_leave_the_generator_alone(vit: ViTSpace) -> None:
    network = smallest(vit)
    before = torch.get_rng_state()
    first, again, other = (initial_weights(network, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    expected = Network(network).state_dict()
    assert first.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(first[name], tensor.numpy())
        np.testing.assert_array_equal(first[name], again[name])
    assert any((first[name] != other[name]).any() for name in first)
