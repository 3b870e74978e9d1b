"""What holds for every runtime of the processor; what they compute is tested with the graphs."""

import os
from collections import Counter
from importlib.metadata import version

import numpy as np
import pytest
import torch

from hw_profiles import RUNTIMES, Setting, local_device, make_runtime
from hw_profiles.cpu_runtime import model_and_input
from hw_profiles.errors import UnavailableError
from hw_profiles.onnx_graph import input_names
from hw_profiles.runtime import initial_weights, random_inputs
from search_spaces import Architecture, UnknownNameError, ViTSpace
from search_spaces.network import Network

CPU_RUNTIMES = ("onnxruntime", "openvino")

each_cpu_runtime = pytest.mark.parametrize("name", CPU_RUNTIMES)


def smallest(vit: ViTSpace) -> Architecture:
    """A network of the space."""
    return vit.decode([0] * len(vit.parameters))


@each_cpu_runtime
def test_setting_says_what_timings_are_bound_to(name: str) -> None:
    runtime = make_runtime(name, threads=2, batch=4, dtype=None)
    assert runtime.setting == Setting(name, version(name), "fp32", 4, 2)
    assert runtime.setting.name == f"{name}-fp32-b4-t2"
    assert runtime.device == local_device()


@each_cpu_runtime
@pytest.mark.parametrize("batch", [1, 3])
def test_prepared_networks_run(vit: ViTSpace, name: str, batch: int) -> None:
    runtime = make_runtime(name, batch=batch)
    for network in (None, smallest(vit)):
        once = runtime.prepare(network)
        assert [once(), once()] == [None, None]


@pytest.mark.parametrize("batch", [1, 3])
def test_prepared_networks_run_in_int8_on_as_many_threads_as_there_are(
    vit: ViTSpace, batch: int
) -> None:
    for threads in {1, local_device().cores}:
        runtime = make_runtime("onnxruntime", dtype="int8", batch=batch, threads=threads)
        for network in (None, smallest(vit)):
            once = runtime.prepare(network)
            assert [once(), once()] == [None, None]


@each_cpu_runtime
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dtype": "fp64"}, "`dtype` of .* must be one of fp32, .*; got 'fp64'"),
        ({"batch": 0}, "`batch`.*0"),
        ({"batch": 1.5}, "`batch`.*1.5"),
        ({"threads": 0}, "`threads`.*0"),
        ({"threads": True}, "`threads`.*True"),
        ({"training": True}, "`training` is not offered by .*; take cudagraph"),
    ],
)
def test_settings_that_are_not_offered_raise(
    name: str, given: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_runtime(name, **given)


@each_cpu_runtime
def test_more_threads_than_cores_are_refused_when_a_network_is_prepared(name: str) -> None:
    cores = local_device().cores
    runtime = make_runtime(name, threads=cores + 1)
    with pytest.raises(
        UnavailableError, match=rf"must not exceed the {cores} cores.*got {cores + 1}"
    ):
        runtime.prepare(None)


def test_unknown_runtime_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        make_runtime("tensorrt")
    assert all(name in str(caught.value) for name in RUNTIMES)


@pytest.mark.parametrize(("threads", "cores"), [(1, 1), (2, len(os.sched_getaffinity(0)))])
@each_cpu_runtime
def test_one_thread_is_held_to_one_core(name: str, threads: int, cores: int) -> None:
    runtime = make_runtime(name, threads=threads)
    with runtime.pinned() as core:
        allowed = os.sched_getaffinity(0)
        assert len(allowed) == cores
        assert core == (min(allowed) if threads == 1 else None)


@each_cpu_runtime
def test_seconds_are_by_round_and_run(name: str) -> None:
    runtime = make_runtime(name)
    calls: list[str] = []
    runs = [lambda: calls.append("a"), lambda: calls.append("b")]
    seconds = runtime.time(runs, 3)
    runtime.finish()
    assert seconds.shape == (3, 2)
    assert (seconds >= 0).all()
    assert calls == ["a", "b"] * 3


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_model_and_input_are_those_of_the_setting(vit: ViTSpace, dtype: str) -> None:
    network = smallest(vit)
    model, feed = model_and_input(network, Setting("any", "1", dtype, batch=3))
    marks = Counter(node.op_type for node in model.graph.node)["QuantizeLinear"]
    assert (marks > 0) == (dtype == "int8")
    expected = dict(zip(input_names(network), random_inputs(network, 3), strict=True))
    assert feed.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(feed[name], array)


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
