"""Counts against PyTorch's own counter, ATen operators, autograd and sums worked by hand."""

import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces import (
    Architecture,
    Block,
    Choice,
    ConvHead,
    ConvStem,
    CorruptFileError,
    Counts,
    CountTable,
    InvertedBottleneck,
    MBConvSpace,
    Node,
    PatchEmbedding,
    PerBatch,
    SearchSpace,
    Slot,
    TrainingSetup,
    TransformerLayer,
    UnionSpace,
    ViTHead,
    ViTSpace,
    block_key,
    chain,
    count,
    count_codes,
)
from search_spaces.network import Network

BLOCKS: list[Block] = [
    PatchEmbedding(3, 8, 2, 32, class_token=True),
    PatchEmbedding(1, 9, 4, 16, class_token=False),
    TransformerLayer(17, 32, 4, 64),
    TransformerLayer(16, 32, 2, 24),
    TransformerLayer(5, 16, 1, 48),
    ViTHead(17, 32, 10, "cls"),
    ViTHead(16, 32, 10, "mean"),
    ConvStem(3, 9, 8, 2),
    ConvStem(1, 8, 4, 1),
    *(
        InvertedBottleneck(7, 8, width, kernel, stride, expansion, squeeze)
        for stride, expansion, squeeze, (width, kernel) in itertools.product(
            (1, 2), (1, 3), (False, True), ((8, 3), (12, 5))
        )
    ),
    ConvHead(4, 8, 10),
]
BATCHES = (1, 3)

VIT = ViTSpace(depth=(1, 2, 3), width=(16, 24), mlp_ratio=(1, 2.5))
MBCONV = MBConvSpace(stem_width=(8,), width=((8, 12), (16, 20)), depth=(1, 2), expansion=(1, 3))
SPACES: dict[str, SearchSpace] = {
    "vit": VIT,
    "mbconv": MBCONV,
    "union": UnionSpace([VIT, MBCONV]),
}

each_block = pytest.mark.parametrize("block", BLOCKS, ids=block_key)
each_batch = pytest.mark.parametrize("batch", BATCHES)
each_space = pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def vit(layers: int, width: int = 16) -> Architecture:
    blocks = [
        PatchEmbedding(1, 8, 2, width, class_token=True),
        *[TransformerLayer(17, width, 2, 2 * width)] * layers,
        ViTHead(17, width, 10, "cls"),
    ]
    return Architecture("test", {}, chain(blocks))


def wired(*nodes: tuple[Block, tuple[int, ...]]) -> Architecture:
    return Architecture("test", {}, tuple(Node(block, inputs) for block, inputs in nodes))


def unseen_by_dispatch(block: Block) -> tuple[int, int]:
    """Per example, what a fused attention operator hides: traffic, and outputs of products.

    The scores of each head are written by the first product, read and written by the softmax and
    read by the second product, which puts out one value for each feature of each token.
    """
    if not isinstance(block, TransformerLayer):
        return 0, 0
    scores = block.heads * block.tokens**2
    return 4 * scores, scores + block.tokens * block.width


@each_block
def test_weights_are_those_of_the_module(block: Block, table: CountTable) -> None:
    module = block.build()
    buffers = sum(b.numel() for b in module.buffers() if b.is_floating_point())
    assert table[block].params == sum(p.numel() for p in module.parameters())
    assert table[block].weights == table[block].params + buffers


@each_block
@each_batch
def test_output_shape_is_that_of_the_module(
    block: Block, batch: int, table: CountTable, references: ModuleType
) -> None:
    output = block.build()(*references.batch_of(block, batch, "cpu"))
    assert (batch, *table[block].output_shape) == output.shape


@each_block
@each_batch
def test_macs_are_those_of_the_flop_counter(
    block: Block, batch: int, table: CountTable, references: ModuleType
) -> None:
    inputs = references.batch_of(block, batch, "meta")
    assert table[block].macs.at(batch) == references.forward_macs(references.on_meta(block), inputs)


@each_block
@each_batch
@pytest.mark.parametrize("input_grad", [True, False])
def test_training_macs_are_those_of_the_flop_counter(
    block: Block, batch: int, input_grad: bool, table: CountTable, references: ModuleType
) -> None:
    counts = table[block].train["1" if input_grad else "0"]
    inputs = references.batch_of(block, batch, "meta", input_grad)
    by_counter = references.training_macs(references.on_meta(block), inputs)
    if isinstance(block, InvertedBottleneck):
        # For the weight gradient of a convolution in g groups the counter multiplies all pairs of
        # channels, not only those of one group: g times what is computed, here with g = hidden.
        hidden, resolution = block.width_in * block.expansion, -(-block.resolution // block.stride)
        by_counter -= (hidden - 1) * batch * hidden * (block.kernel_size * resolution) ** 2
    assert counts.macs.at(batch) == by_counter


@each_block
@each_batch
def test_operators_traffic_and_activations_are_those_of_aten(
    block: Block, batch: int, table: CountTable, references: ModuleType
) -> None:
    tally = references.operators(block.build(), references.batch_of(block, batch, "cpu"))
    traffic, outputs = unseen_by_dispatch(block)
    assert table[block].access.at(batch) == tally.moved + batch * traffic
    assert table[block].activations.at(batch) == tally.product_outputs + batch * outputs
    assert table[block].operators == len(tally.names)


@each_block
@each_batch
def test_peak_is_what_is_alive_between_aten_operators(
    block: Block, batch: int, table: CountTable, references: ModuleType
) -> None:
    tally = references.operators(block.build(), references.batch_of(block, batch, "cpu"))
    assert table[block].peak.at(batch) == tally.peak


@each_block
@each_batch
@pytest.mark.parametrize("input_grad", [True, False])
def test_saved_elements_are_those_that_autograd_packs(
    block: Block, batch: int, input_grad: bool, table: CountTable, references: ModuleType
) -> None:
    counts = table[block].train["1" if input_grad else "0"]
    inputs = references.batch_of(block, batch, "cpu", input_grad)
    inner, saves_input, saves_output = references.saved_elements(block.build(), inputs)
    assert counts.saved.at(batch) == inner
    assert (counts.saves_input, counts.saves_output) == (saves_input, saves_output)


@each_space
def test_counts_of_codes_equal_counts_of_each(space: SearchSpace, table: CountTable) -> None:
    codes = space.random_codes(25, np.random.default_rng(0))
    training = TrainingSetup(batch_size=7, optimizer="momentum", state_per_param=1)
    arrays = count_codes(space, codes, table, training)
    assert set(arrays) == {field.name for field in dataclasses.fields(Counts)}
    for row, code in enumerate(codes):
        expected = dataclasses.asdict(count(space.decode(code), table, training))
        assert {name: int(array[row]) for name, array in arrays.items()} == expected


@each_space
def test_whole_networks_agree_with_pytorch(
    space: SearchSpace, table: CountTable, references: ModuleType
) -> None:
    for code in space.random_codes(4, np.random.default_rng(1)):
        architecture = space.decode(code)
        with torch.device("meta"):
            network = Network(architecture)
        image = torch.empty((1, *space.input_shape), device="meta")
        counts = count(architecture, table)
        assert counts.params == sum(p.numel() for p in network.parameters())
        assert counts.macs == references.forward_macs(network, [image])


@pytest.mark.parametrize("state_per_param", [0, 2])
@pytest.mark.parametrize(
    "space", [ViTSpace(depth=(2, 3), heads=(1,)), MBCONV], ids=lambda space: space.name
)
def test_training_memory_is_weights_gradients_state_and_saved_tensors(
    space: SearchSpace, state_per_param: int, table: CountTable, references: ModuleType
) -> None:
    for code in space.random_codes(4, np.random.default_rng(2)):
        architecture = space.decode(code)
        network, image = Network(architecture), torch.randn(5, *space.input_shape)
        inner, (saves_input,), _ = references.saved_elements(network, [image])
        params = sum(p.numel() for p in network.parameters())
        buffers = sum(b.numel() for b in network.buffers() if b.is_floating_point())
        elements = buffers + params * (2 + state_per_param) + inner + saves_input * image.numel()
        setup = TrainingSetup(5, "test", state_per_param)
        assert count(architecture, table, setup).train_memory_bytes == 4 * elements


@pytest.mark.parametrize("batch", [1, 8])
def test_training_macs_of_a_network_are_those_of_the_flop_counter(
    batch: int, table: CountTable, references: ModuleType
) -> None:
    with torch.device("meta"):
        network = Network(vit(3))
    by_counter = references.training_macs(network, [torch.empty(batch, 1, 8, 8, device="meta")])
    assert count(vit(3), table, TrainingSetup(batch)).train_macs == by_counter


ADDITIVE = ("params", "macs", "flops", "activations", "memory_access_bytes", "model_bytes")


def test_counts_of_a_chain_are_sums_over_its_blocks(table: CountTable) -> None:
    architecture = vit(3)
    counts, blocks = count(architecture, table), [table[b] for b in architecture.blocks]
    assert counts.params == sum(b.params for b in blocks)
    assert counts.macs == sum(b.macs.at(1) for b in blocks)
    assert counts.flops == sum(b.flops.at(1) for b in blocks)
    assert counts.activations == sum(b.activations.at(1) for b in blocks)
    assert counts.memory_access_bytes == 4 * sum(b.access.at(1) for b in blocks)
    assert counts.peak_memory_bytes == 4 * (
        sum(b.weights for b in blocks) + max(b.peak.at(1) for b in blocks)
    )
    assert counts.sequential_depth == 5


def test_each_layer_adds_the_same(table: CountTable) -> None:
    one, two, three = (dataclasses.asdict(count(vit(n), table)) for n in (1, 2, 3))
    for name in (*ADDITIVE, "sequential_depth", "train_macs", "train_memory_bytes"):
        assert three[name] - two[name] == two[name] - one[name] != 0, name


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Counts)])
@each_space
def test_a_deeper_network_is_never_cheaper(
    space: SearchSpace, name: str, table: CountTable
) -> None:
    codes = space.random_codes(200, np.random.default_rng(3))
    deeper = codes.copy()
    for column, parameter in enumerate(space.parameters):
        if "depth" in parameter:
            deeper[:, column] = len(space.parameters[parameter]) - 1
    shallow_count = count_codes(space, codes, table)[name]
    deeper_count = count_codes(space, deeper, table)[name]
    assert (deeper_count >= shallow_count).all()
    if name != "peak_memory_bytes":
        changed = (space.block_indices(deeper) != space.block_indices(codes)).any(axis=1)
        assert (deeper_count > shallow_count)[changed].all()


def test_tied_weights_are_counted_once_and_all_else_each_time(table: CountTable) -> None:
    free = vit(3)
    nodes = list(free.nodes)
    for position in (2, 3):
        nodes[position] = Node(nodes[position].block, nodes[position].inputs, tie=1)
    tied = Architecture("test", {}, tuple(nodes))
    shared = 2 * table[free.blocks[1]].params  # The layer has no buffers.
    once, each = count(tied, table), count(free, table)
    assert once == dataclasses.replace(
        each,
        params=each.params - shared,
        model_bytes=each.model_bytes - 4 * shared,
        peak_memory_bytes=each.peak_memory_bytes - 4 * shared,
        train_memory_bytes=each.train_memory_bytes - 4 * 4 * shared,
    )
    assert once.params == sum(p.numel() for p in Network(tied).parameters())


def test_a_long_skip_waits_in_memory(table: CountTable, references: ModuleType) -> None:
    dense, join = references.Dense, references.Join
    architecture = wired(
        (dense(4, 6), (-1,)),  # Alive: 4 in, 6 out.
        (dense(6, 2), (0,)),  # 6 in, 2 out.
        (dense(2, 20), (1,)),  # 2 in, 20 out; 6 wait.
        (dense(20, 6), (2,)),  # 20 in, 6 out; 6 wait.
        (join(6), (3, 0)),  # 12 in, 6 out.
    )
    weights = 24 + 12 + 40 + 120
    counts = count(architecture, table, TrainingSetup(batch_size=5))
    assert counts.params == weights
    assert counts.peak_memory_bytes == 4 * (weights + 20 + 6 + 6)
    assert counts.memory_access_bytes == 4 * (weights + 10 + 8 + 22 + 26 + 18)
    assert counts.flops == 2 * weights + 6
    assert counts.activations == 6 + 2 + 20 + 6
    assert counts.sequential_depth == 5
    assert counts.train_macs == 5 * (3 * weights - 24)
    assert counts.train_memory_bytes == 4 * (weights * 4 + 5 * (4 + 6 + 2 + 20))


def test_depth_is_the_longest_path_and_not_the_number_of_blocks(
    table: CountTable, references: ModuleType
) -> None:
    dense = references.Dense(4, 4)
    architecture = wired((dense, (-1,)), (dense, (-1,)), (references.Join(4), (0, 1)))
    assert count(architecture, table).sequential_depth == 2


def test_a_skip_from_the_network_input_waits_in_memory(
    table: CountTable, references: ModuleType
) -> None:
    dense, join = references.Dense, references.Join
    architecture = wired(
        (dense(8, 9), (-1,)),  # Alive: 8 in, 9 out.
        (dense(9, 9), (0,)),  # 9 in, 9 out; the network's 8 wait.
        (dense(9, 8), (1,)),  # 9 in, 8 out; the network's 8 wait.
        (join(8), (2, -1)),  # 16 in, 8 out.
    )
    weights = 72 + 81 + 72
    assert count(architecture, table).peak_memory_bytes == 4 * (weights + 9 + 9 + 8)


def test_only_the_inputs_that_autograd_keeps_are_kept(
    table: CountTable, references: ModuleType
) -> None:
    dense = references.Dense(4, 4)
    architecture = wired((dense, (-1,)), (dense, (-1,)), (references.AddProjected(4), (0, 1)))
    network = Network(architecture)
    inner, (saves_input,), _ = references.saved_elements(network, [torch.randn(3, 4)])
    assert (inner, saves_input) == (3 * 4, True)
    counts = count(architecture, table, TrainingSetup(3, "sgd", 0))
    assert counts.train_memory_bytes == 4 * (2 * 48 + 3 * (4 + 4))


def test_training_macs_follow_where_gradients_are_needed(
    table: CountTable, references: ModuleType
) -> None:
    dense, join = references.Dense(4, 4), references.Join(4)
    counted, by_counter = [], []
    for architecture in (
        wired((dense, (-1,)), (references.AddProjected(4), (0, -1))),
        wired((join, (-1, -1)), (dense, (0,))),
    ):
        with torch.device("meta"):
            network = Network(architecture)
        counted.append(count(architecture, table, TrainingSetup(3)).train_macs)
        by_counter.append(references.training_macs(network, [torch.empty(3, 4, device="meta")]))
    assert counted == by_counter


def mixtures(references: ModuleType) -> list[Architecture]:
    """Networks in which only some of the inputs of a block need a gradient."""
    dense, join, both = references.Dense(4, 4), references.Join(4), references.AddProjected(4)
    square, multiply, three = (references.Multiply(4, inputs) for inputs in (1, 2, 3))
    return [
        wired((dense, (-1,)), (multiply, (0, -1))),
        wired((dense, (-1,)), (multiply, (-1, 0)), (both, (-1, 1))),
        wired((square, (-1,)), (dense, (0,)), (both, (1, 0)), (multiply, (2, 0))),
        wired((square, (-1,)), (square, (0,)), (dense, (1,)), (square, (2,)), (dense, (3,))),
        wired((dense, (-1,)), (join, (0, -1)), (three, (-1, 1, 0)), (dense, (2,))),
        wired((dense, (-1,)), (both, (0, 0)), (multiply, (1, 1)), (dense, (2,))),
    ]


@pytest.mark.parametrize("index", range(6))
def test_training_with_some_gradients_is_that_of_pytorch(
    index: int, table: CountTable, references: ModuleType
) -> None:
    architecture, batch = mixtures(references)[index], 3
    network, image = Network(architecture), torch.randn(batch, 4)
    counts = count(architecture, table, TrainingSetup(batch, "sgd", 0))
    assert counts.train_macs == references.training_macs(network, [image])
    inner, (saves_input,), _ = references.saved_elements(network, [image])
    saved = inner + saves_input * image.numel()
    assert counts.train_memory_bytes == 4 * (2 * counts.params + saved)


def test_blocks_of_many_inputs_are_refused(table: CountTable, references: ModuleType) -> None:
    with pytest.raises(ValueError, match="at most 3 inputs; got 4"):
        _ = table[references.Multiply(4, 4)]


def test_a_tensor_that_a_node_reads_twice_is_alive_once_and_kept_once(
    table: CountTable, references: ModuleType
) -> None:
    dense, both = references.Dense(4, 9), references.AddProjected(9)
    architecture = wired((dense, (-1,)), (both, (0, 0)))
    weights = 4 * 9 + 9 * 9
    counts = count(architecture, table, TrainingSetup(5, "sgd", 0))
    # The tensor, its projection and the sum; for the weights' gradients both layers' inputs.
    assert counts.peak_memory_bytes == 4 * (weights + 9 + 9 + 9)
    assert counts.train_memory_bytes == 4 * (2 * weights + 5 * (4 + 9))


def test_codes_of_chains_that_begin_without_weights(
    table: CountTable, references: ModuleType
) -> None:
    class Space(SearchSpace):
        name = "weightless_first"
        parameters: Mapping[str, tuple[Choice, ...]] = {"depth": (0, 1, 2)}
        slots = (
            Slot(("depth",), lambda depth: references.Multiply(4, 1) if depth > 0 else None),
            Slot(("depth",), lambda depth: references.Multiply(4, 1) if depth > 1 else None),
            Slot((), lambda: references.Dense(4, 4)),
            Slot((), lambda: references.Multiply(4, 1)),
            Slot((), lambda: references.Dense(4, 4)),
        )

    space, codes = Space(), np.arange(3)[:, None]
    arrays = count_codes(space, codes, table)
    for row, code in enumerate(codes):
        expected = dataclasses.asdict(count(space.decode(code), table))
        assert {name: int(array[row]) for name, array in arrays.items()} == expected


def test_codes_of_networks_that_are_no_chains_are_refused(
    table: CountTable, references: ModuleType
) -> None:
    class Space(SearchSpace):
        name = "skips"
        parameters: Mapping[str, tuple[Choice, ...]] = {"width": (4, 8)}
        slots = (Slot(("width",), references.Join),)

    with pytest.raises(ValueError, match=r"`space` must make chains, but .*Join.* reads 2 tensors"):
        count_codes(Space(), np.zeros((1, 1), dtype=np.int64), table)


def test_readers_of_the_network_input_agree(table: CountTable, references: ModuleType) -> None:
    dense, join = references.Dense(4, 6), references.Join(6)
    with pytest.raises(ValueError, match=r"Node 1 takes \(6,\), but node 0 takes \(4,\)"):
        count(wired((dense, (-1,)), (join, (0, -1))), table)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            [PatchEmbedding(1, 8, 2, 16, True), TransformerLayer(16, 16, 2, 16)],
            r"Node 1 takes \(16, 16\), but node 0 puts out \(17, 16\)",
        ),
        (
            [ConvStem(1, 8, 4, 2), InvertedBottleneck(4, 4, 8, 3, 2, 2, False), ConvHead(4, 8, 3)],
            r"Node 2 takes \(8, 4, 4\), but node 1 puts out \(8, 2, 2\)",
        ),
    ],
)
def test_shapes_that_do_not_meet_are_refused(
    blocks: list[Block], message: str, table: CountTable
) -> None:
    with pytest.raises(ValueError, match=message):
        count(Architecture("test", {}, chain(blocks)), table)


def test_a_loaded_table_prices_without_tracing() -> None:
    first = CountTable()
    expected = count(vit(2), first)
    assert (first.traced, len(first)) == (3, 3)
    loaded = CountTable(json.loads(json.dumps(first.to_json())))
    assert count(vit(2), loaded) == expected
    assert loaded.traced == 0
    assert loaded.to_json() == first.to_json()


def test_a_table_knows_what_it_lacks() -> None:
    table, (embedding, layer, head) = CountTable(), vit(1).blocks
    _ = table[layer]
    assert layer in table
    assert head not in table
    assert list(table.missing([embedding, layer, head])) == [embedding, head]


def corruptions() -> Iterator[tuple[str, Any]]:
    block = ViTHead(5, 8, 3, "cls")
    entry = CountTable()[block].to_json()
    yield "not a mapping", 3
    yield "a list", [1, 2]
    yield "text", "counts"
    yield "nothing in it", {}
    yield "missing field", {k: v for k, v in entry.items() if k != "access"}
    yield "foreign field", entry | {"latency": 1}
    yield "scalar for a line", entry | {"macs": 3}
    yield "line with a foreign field", entry | {"macs": {"fixed": 0, "slope": 1}}
    yield "training not by pattern", entry | {"train": entry["train"]["1"]}
    yield "a pattern missing", entry | {"train": {"1": entry["train"]["1"]}}
    yield "no pattern", entry | {"train": {}}
    yield "training without macs", entry | {"train": {"0": {}, "1": {"saves_input": [True]}}}
    for name, value in (("saves_output", 1), ("saves_input", [1]), ("saves_input", [])):
        changed = entry["train"]["1"] | {name: value}
        yield f"{value} for {name}", entry | {"train": entry["train"] | {"1": changed}}
    yield "a flag for a number", entry | {"operators": True}
    yield "a fraction in a shape", entry | {"output_shape": [3.0]}
    yield "no shape", entry | {"output_shape": None}
    yield "text for a number", entry | {"params": "many"}
    yield "text in a line", entry | {"macs": {"fixed": "0", "per_example": 1}}


@pytest.mark.parametrize("entry", [pytest.param(value, id=name) for name, value in corruptions()])
def test_garbage_in_a_table_is_refused(entry: Any) -> None:
    with pytest.raises(CorruptFileError):
        CountTable({"ViTHead(tokens=5, width=8, classes=3, pool='cls')": entry})


def test_a_count_is_a_line_in_the_batch() -> None:
    assert [PerBatch(5, 3).at(batch) for batch in (0, 1, 4)] == [5, 8, 17]


PRICE = """
import json, sys
import search_spaces
from search_spaces import Architecture, CountTable, count
data = json.load(sys.stdin)
table = CountTable(data["table"])
counts = count(Architecture.from_json(data["architecture"]), table)
space = search_spaces.SPACES["mbconv"]()
space.decode([0] * len(space.parameters))
assert table.traced == 0
assert "torch" not in sys.modules
print(counts.macs)
"""


def test_pricing_from_a_table_does_not_load_torch(table: CountTable) -> None:
    architecture = vit(2)
    macs = count(architecture, table).macs
    result = subprocess.run(
        [sys.executable, "-c", PRICE],
        input=json.dumps({"table": table.to_json(), "architecture": architecture.to_json()}),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) == macs
