"""Counts against PyTorch's own counter, ATen operators, autograd and sums worked by hand."""

import dataclasses
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
    OPTIMIZERS,
    Architecture,
    Block,
    Choice,
    ConvHead,
    ConvStem,
    CorruptFileError,
    Counts,
    CountTable,
    FeedForward,
    InvertedBottleneck,
    MBConvSpace,
    Node,
    PatchEmbedding,
    PerBatch,
    SearchSpace,
    SelfAttention,
    Slot,
    TrainingSetup,
    UnionSpace,
    UnknownNameError,
    ViTHead,
    ViTSpace,
    chain,
    count,
    count_codes,
)
from search_spaces.decoder import TokenEmbedding
from search_spaces.network import Network

VIT = ViTSpace(depth=(1, 2, 3), width=(16, 24), mlp_ratio=(1, 2.5))
MBCONV = MBConvSpace(stem_width=(8,), width=((8, 12), (16, 20)), depth=(1, 2), expansion=(1, 3))
SPACES: dict[str, SearchSpace] = {
    "vit": VIT,
    "mbconv": MBCONV,
    "union": UnionSpace([VIT, MBCONV]),
}

each_space = pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def vit(layers: int, width: int = 16) -> Architecture:
    blocks = [
        PatchEmbedding(1, 8, 2, width, class_token=True),
        *[
            SelfAttention(17, width, 2, width // 2, 2, causal=False),
            FeedForward(17, width, 2 * width, 0),
        ]
        * layers,
        ViTHead(17, width, 10, "cls"),
    ]
    return Architecture("vit", {}, chain(blocks))


def wired(*nodes: tuple[Block, tuple[int, ...]]) -> Architecture:
    return Architecture("vit", {}, tuple(Node(block, inputs) for block, inputs in nodes))


@each_space
def test_counts_of_codes_equal_counts_of_each(space: SearchSpace, table: CountTable) -> None:
    codes = space.random_codes(25, np.random.default_rng(0))
    training = TrainingSetup(batch_size=7, optimizer="momentum")
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


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_optimiser_adds_its_state_and_passes(name: str, table: CountTable) -> None:
    setup, plain = TrainingSetup(4, name), TrainingSetup(4, "sgd")
    counts, base = count(vit(2), table, setup), count(vit(2), table, plain)
    numbers = {"sgd": 0, "momentum": 1, "adam": 2, "adamw": 2, "sam": 2}[name]
    passes = 2 if name == "sam" else 1
    assert counts.train_memory_bytes - base.train_memory_bytes == 4 * numbers * base.params
    assert counts.train_macs == passes * base.train_macs


def test_an_unknown_optimiser_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'lion'.*sgd, momentum, adam, adamw, sam"):
        TrainingSetup(4, "lion")


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
    first, *later = (b.peak.at(1) for b in blocks)
    # The network's input, 8 pixels a side, is alive throughout.
    alive = max(first, *(peak + 64 for peak in later))
    assert counts.peak_memory_bytes == 4 * (sum(b.weights for b in blocks) + alive)
    assert counts.sequential_depth == 8


def test_each_layer_adds_the_same(table: CountTable) -> None:
    one, two, three = (dataclasses.asdict(count(vit(n), table)) for n in (1, 2, 3))
    for name in (*ADDITIVE, "sequential_depth", "train_macs"):
        assert three[name] - two[name] == two[name] - one[name] != 0, name


GENERATION = ("kv_cache_bytes", "decode_macs", "decode_memory_access_bytes")
"""What only language models have."""


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
    if name not in ("peak_memory_bytes", *GENERATION):
        changed = (space.block_indices(deeper) != space.block_indices(codes)).any(axis=1)
        assert (deeper_count > shallow_count)[changed].all()


def test_tied_weights_are_counted_once_and_all_else_each_time(table: CountTable) -> None:
    free = vit(3)
    nodes = list(free.nodes)
    for position in (3, 4, 5, 6):  # The second and third layer, half by half.
        tie = 2 - position % 2
        nodes[position] = Node(nodes[position].block, nodes[position].inputs, tie=tie)
    tied = Architecture("vit", {}, tuple(nodes))
    shared = 2 * sum(table[block].params for block in free.blocks[1:3])  # No buffers.
    once, each = count(tied, table), count(free, table)
    assert once == dataclasses.replace(
        each,
        params=each.params - shared,
        active_params=each.params - shared,
        model_bytes=each.model_bytes - 4 * shared,
        peak_memory_bytes=each.peak_memory_bytes - 4 * shared,
        train_memory_bytes=once.train_memory_bytes,
    )
    # Weights and two moments are gone; the most is alive before the gradients of these are made.
    assert each.train_memory_bytes - once.train_memory_bytes == 4 * 3 * shared
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
    # At the widest: 20 in, 6 out, 6 that wait, and the network's 4.
    assert counts.peak_memory_bytes == 4 * (weights + 20 + 6 + 6 + 4)
    assert counts.memory_access_bytes == 4 * (weights + 10 + 8 + 22 + 26 + 18)
    assert counts.flops == 2 * weights + 6
    assert counts.activations == 6 + 2 + 20 + 6
    assert counts.sequential_depth == 5
    assert counts.train_macs == 5 * (3 * weights - 24)
    # The most is alive when the last product has made the gradient of its input: what the others
    # keep, the gradients of its output (also the skip's), its input and its weight, and the
    # network's output. Weights and the two moments of AdamW are there throughout.
    alive = 120 + 5 * ((4 + 6 + 2 + 20) + (6 + 6 + 20) + 6)
    assert counts.train_memory_bytes == 4 * (3 * weights + alive)


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
    counts = count(architecture, table, TrainingSetup(3, "sgd"))
    # At the end, in the first block: weights, the gradients of all of them, the network's input and
    # output, and the gradient that came in. Neither block's output was kept for that long.
    assert counts.train_memory_bytes == 4 * (48 + 48 + 3 * (4 + 4 + 4))


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
    counts = count(architecture, table, TrainingSetup(batch, "sgd"))
    assert counts.train_macs == references.training_macs(network, [image])


def test_blocks_of_many_inputs_are_refused(table: CountTable, references: ModuleType) -> None:
    with pytest.raises(ValueError, match="at most 3 inputs; got 4"):
        _ = table[references.Multiply(4, 4)]


def test_a_tensor_that_a_node_reads_twice_is_alive_once_and_kept_once(
    table: CountTable, references: ModuleType
) -> None:
    dense, both = references.Dense(4, 9), references.AddProjected(9)
    architecture = wired((dense, (-1,)), (both, (0, 0)))
    weights = 4 * 9 + 9 * 9
    # The tensor, its projection and the sum, and the network's input.
    assert count(architecture, table).peak_memory_bytes == 4 * (weights + 9 + 9 + 9 + 4)


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


def test_slots_must_say_what_blocks_of_several_inputs_read(
    table: CountTable, references: ModuleType
) -> None:
    class Space(SearchSpace):
        name = "skips"
        parameters: Mapping[str, tuple[Choice, ...]] = {"width": (4, 8)}
        slots = (Slot(("width",), references.Join),)

    with pytest.raises(ValueError, match=r"as many inputs; got .*Join\(width=4\), which has 2"):
        count_codes(Space(), np.zeros((1, 1), dtype=np.int64), table)


def test_readers_of_the_network_input_agree(table: CountTable, references: ModuleType) -> None:
    dense, join = references.Dense(4, 6), references.Join(6)
    with pytest.raises(ValueError, match=r"Node 1 takes \(6,\), but the network's input is \(4,\)"):
        count(wired((dense, (-1,)), (join, (0, -1))), table)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            [PatchEmbedding(1, 8, 2, 16, True), FeedForward(16, 16, 16, 0)],
            r"Node 1 takes \(16, 16\), but node 0 puts out \(17, 16\)",
        ),
        (
            [
                ConvStem(1, 8, 4, 2, "silu"),
                InvertedBottleneck(4, 4, 8, 3, 2, 2, False, "silu"),
                ConvHead(4, 8, 3, 0, ""),
            ],
            r"Node 2 takes \(8, 4, 4\), but node 1 puts out \(8, 2, 2\)",
        ),
    ],
)
def test_shapes_that_do_not_meet_are_refused(
    blocks: list[Block], message: str, table: CountTable
) -> None:
    with pytest.raises(ValueError, match=message):
        count(Architecture("vit", {}, chain(blocks)), table)


def test_a_loaded_table_prices_without_tracing() -> None:
    first = CountTable()
    expected = count(vit(2), first)
    assert (first.traced, len(first)) == (4, 4)
    loaded = CountTable(json.loads(json.dumps(first.to_json())))
    assert count(vit(2), loaded) == expected
    assert loaded.traced == 0
    assert loaded.to_json() == first.to_json()


def test_a_table_knows_what_it_lacks() -> None:
    table, (embedding, layer, *_, head) = CountTable(), vit(1).blocks
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


@pytest.mark.parametrize("batch", [0, -3, 2.5, True])
def test_training_batches_that_are_none_are_refused(batch: Any) -> None:
    with pytest.raises(ValueError, match="`batch_size` must be"):
        TrainingSetup(batch)


def test_the_fused_bound_reads_a_table_once_at_most() -> None:
    """256 rows serve 1,024 positions: ids in, rows of the table, positions, and what comes out."""
    fused = CountTable()[TokenEmbedding(256, 1024, 64)].fused_access
    assert fused.at(1) == 1024 + 256 * 64 + 1024 * 64 + 1024 * 64
    # Of a large table, the rows of one example: others may ask for the same.
    large = CountTable()[TokenEmbedding(50_000, 16, 8)].fused_access
    assert large.at(3) == 3 * (16 + 16 * 8) + 16 * 8 + 16 * 8
