"""What of the CUDA runtime needs no GPU: its settings, and whose weights a network runs with."""

from typing import Any

import pytest
import torch
from torch import nn

from hw_profiles import Device, Setting, cuda_graph, make_runtime
from hw_profiles.cuda_graph import CudaGraph
from hw_profiles.errors import UnavailableError
from search_spaces import Architecture, Block, Node, ViTSpace
from search_spaces.decoder import DecoderSpace

GPU = Device("Fake H1", "sm_90", cores=132, memory_bytes=80 << 30, features="abc", kind="gpu")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is not there, and blocks that are built on the host."""
    monkeypatch.setattr(cuda_graph, "gpu_device", lambda: GPU)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 0)
    monkeypatch.setattr(CudaGraph, "_new", lambda self, block: block.build())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dtype": "int8"}, r"`dtype` of cudagraph must be one of .*bf16.*; got 'int8'"),
        ({"dtype": "fp16", "training": True}, r"fp16 needs loss scaling, .* take bf16"),
        ({"training": True}, r"fp16 needs loss scaling, .* take bf16"),
        ({"threads": 2}, r"`threads` is for CPUs; cudagraph takes none, got 2"),
    ],
)
def test_setting_that_is_not_offered_is_refused_before_a_gpu_is_looked_for(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        make_runtime("cudagraph", **given)


def test_without_a_gpu_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnavailableError, match="No CUDA device is here"):
        make_runtime("cudagraph", dtype="fp16", batch=64)


@pytest.mark.usefixtures("gpu")
def test_setting_is_bound_to_torch_and_device() -> None:
    runtime = make_runtime("cudagraph", dtype="tf32", batch=64)
    assert runtime.setting == Setting("cudagraph", torch.__version__, "tf32", 64, threads=0)
    assert runtime.setting.name == "cudagraph-tf32-b64"
    assert runtime.device is GPU
    assert make_runtime("cudagraph").setting.name == "cudagraph-fp16-b1"
    # Timings repeat there, and each network runs by itself.
    assert (runtime.effort.visits, runtime.effort.alternate) == (1, False)
    assert {"cuda", "cudnn"} <= set(runtime.versions)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("batch", [0, -1, 1.5])
def test_batch_is_a_number_of_examples(batch: Any) -> None:
    with pytest.raises(ValueError, match="`batch`"):
        CudaGraph(batch=batch)


def weights(network: nn.Module, position: int) -> list[int]:
    """Identities of the parameters of a node."""
    return [id(p) for p in network.get_submodule(f"blocks.{position}").parameters()]


@pytest.mark.usefixtures("gpu")
def test_copies_have_weights_of_their_own_and_later_networks_have_them_again(
    vit: ViTSpace,
) -> None:
    runtime = CudaGraph()
    stem, attention, mlp, *_, head = vit.decode([0] * len(vit.parameters)).blocks
    short = Architecture("vit", {}, _chain(stem, attention, mlp, head))
    long = Architecture("vit", {}, _chain(stem, attention, attention, mlp, attention, head))
    first, second, again = (runtime.module(a) for a in (long, short, long))
    copies = [weights(first, position) for position in (1, 2, 4)]
    assert len({address for copy in copies for address in copy}) == sum(map(len, copies))
    # What is kept is alive, so no address is used twice.
    assert [weights(again, position) for position in range(6)] == [
        weights(first, position) for position in range(6)
    ]
    assert [weights(second, position) for position in range(4)] == [
        weights(first, position) for position in (0, 1, 3, 5)
    ]


@pytest.mark.usefixtures("gpu")
def test_tied_blocks_have_the_same_weights(vit: ViTSpace) -> None:
    stem, attention, *_, head = vit.decode([0] * len(vit.parameters)).blocks
    nodes = (
        Node(stem, (-1,)),
        Node(attention, (0,)),
        Node(attention, (1,), tie=1),
        Node(attention, (2,)),
        Node(head, (3,)),
    )
    network = CudaGraph().module(Architecture("vit", {}, nodes))
    assert set(dict(network.named_children())["blocks"]) == {"0", "1", "3", "4"}
    assert set(weights(network, 1)).isdisjoint(weights(network, 3))


@pytest.mark.usefixtures("gpu")
def test_head_that_shares_a_table_is_not_used_again() -> None:
    space = DecoderSpace(vocabulary=(64,), context=(8,), depth=(1,), width=(16,), heads=(2,))
    runtime = CudaGraph()
    config = {name: choices[0] for name, choices in space.parameters.items()}
    tied, untied = (
        runtime.module(space.architecture(config | {"tied": tied})) for tied in (True, False)
    )
    table = tied.get_parameter("blocks.0.table")
    assert tied.get_parameter("blocks.3.score.weight") is table
    # The embedding is used again; the head has a weight of its own here.
    assert untied.get_parameter("blocks.0.table") is table
    assert untied.get_parameter("blocks.3.score.weight") is not table
    assert untied.get_parameter("blocks.3.norm.weight") is not tied.get_parameter(
        "blocks.3.norm.weight"
    )


@pytest.mark.usefixtures("gpu")
def test_weights_are_dropped_when_they_fill_the_device(
    vit: ViTSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    runtime = CudaGraph()
    network = vit.decode([0] * len(vit.parameters))
    first = runtime.module(network)
    for allocated, kept in ((0.39, True), (0.41, False), (0.39, True)):
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda a=allocated: a * (80 << 30))
        second = runtime.module(network)
        same = [weights(second, i) == weights(first, i) for i in range(len(network))]
        assert same == [kept] * len(network)
        first = second


@pytest.mark.usefixtures("gpu")
def test_networks_train_only_where_the_setting_says_so(vit: ViTSpace) -> None:
    network = vit.decode([0] * len(vit.parameters))
    for training in (True, False):
        module = CudaGraph("bf16", training=training).module(network)
        assert {part.training for part in module.modules()} == {training}


def _chain(*blocks: Block) -> tuple[Node, ...]:
    return tuple(Node(block, (position - 1,)) for position, block in enumerate(blocks))
