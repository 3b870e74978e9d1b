"""Prices of architectures: sums of a table, and predictions where it is silent."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_profiles import BlockTable, Entry, Setting
from hw_profiles.cache import CacheModel
from predictors import Estimate, TablePredictor
from predictors.table_predictor import with_model
from search_spaces import (
    Architecture,
    Block,
    CorruptFileError,
    CountTable,
    FeedForward,
    InvertedBottleneck,
    MBConvSpace,
    Node,
    SelfAttention,
    UnionSpace,
    ViTSpace,
    block_key,
    chain,
)
from search_spaces.block import kind
from search_spaces.decoder import DecoderSpace
from search_spaces.decoding import decoding_step
from search_spaces.universal import UniversalSpace

MakeTable = Callable[..., BlockTable]
Seconds = Callable[[Block], float]
OVERHEAD_S = 5e-4

pytestmark = pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")


def networks(space: UnionSpace, n: int) -> list[Architecture]:
    """Random networks."""
    return [space.decode(row) for row in space.random_codes(n, np.random.default_rng(5))]


@pytest.fixture(scope="module")
def wide() -> UnionSpace:
    """ViTs some of whose weights are large, and MBConv networks none of whose are."""
    vit = ViTSpace(
        patch_size=(4,), depth=(1, 2, 3), width=(32, 64, 100), heads=(2,), mlp_ratio=(1, 2)
    )
    return UnionSpace([vit, MBConvSpace(width=((8, 12), (16,)), depth=(1, 2), expansion=(2,))])


def alone(*blocks: Block) -> Architecture:
    """A network of the blocks, whatever they make of each other."""
    return Architecture("vit", {}, chain(blocks))


def layers(space: UnionSpace) -> list[Block]:
    """The space's blocks that are neither stem nor head."""
    return [
        b for b in space.blocks if isinstance(b, SelfAttention | FeedForward | InvertedBottleneck)
    ]


def test_price_is_overhead_and_the_sum_of_the_blocks(
    union: UnionSpace, make_table: MakeTable, seconds: Seconds
) -> None:
    predictor = TablePredictor(make_table(union, error=-0.1), CountTable())
    for network in networks(union, 10):
        total = OVERHEAD_S + sum(map(seconds, network.blocks))
        estimate = predictor.price(network)
        assert estimate.value == pytest.approx(total)
        assert estimate.low == pytest.approx(0.9 * total)
        assert estimate.high == pytest.approx(1.1 * total)
        assert estimate.missing == ()
        assert estimate.provenance == "table"


def test_without_a_certificate_there_is_no_interval(
    union: UnionSpace, make_table: MakeTable
) -> None:
    table = make_table(union, error=None)
    estimate = TablePredictor(table, CountTable()).price(networks(union, 1)[0])
    assert (estimate.low, estimate.high) == (None, None)


def test_interval_stays_above_zero(union: UnionSpace, make_table: MakeTable) -> None:
    table = make_table(union, error=1.5)
    assert TablePredictor(table, CountTable()).price(networks(union, 1)[0]).low == 0


def test_prediction_is_flagged_named_and_wider(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    gone = layers(union)[::4]
    whole = TablePredictor(make_table(union, error=0.1), counts)
    cut = TablePredictor(make_table(union, gone, error=0.1), counts)
    drawn = networks(union, 20)
    assert any(set(network.blocks) & set(gone) for network in drawn)
    for network in drawn:
        known, guessed = whole.price(network), cut.price(network)
        missing = {block_key(block) for block in network.blocks if block in gone}
        assert set(guessed.missing) == missing
        assert guessed.provenance == ("predicted" if missing else "table")
        if missing:
            assert _width(guessed) / guessed.value > _width(known) / known.value
        else:
            assert guessed == known


def test_error_of_a_repeated_block_repeats(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    block = layers(union)[3]
    predictor = TablePredictor(make_table(union, [block]), counts)
    once, thrice = predictor.price(alone(block)), predictor.price(alone(block, block, block))
    assert thrice.value - OVERHEAD_S == pytest.approx(3 * (once.value - OVERHEAD_S))
    assert _width(thrice) == pytest.approx(3 * _width(once))


@pytest.mark.parametrize("start", range(5))
def test_blocks_left_out_are_predicted(
    union: UnionSpace, make_table: MakeTable, counts: CountTable, seconds: Seconds, start: int
) -> None:
    gone = layers(union)[start::5]
    predictor = TablePredictor(make_table(union, gone), counts)
    predicted = [predictor.price(alone(block)).value - OVERHEAD_S for block in gone]
    assert predicted == pytest.approx(list(map(seconds, gone)), rel=0.15)


def test_prices_of_codes_are_those_of_their_architectures(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    codes = union.random_codes(50, np.random.default_rng(6))
    for gone in ([], layers(union)[::4]):
        predictor = TablePredictor(make_table(union, gone), counts)
        expected = [predictor.price(union.decode(row)).value for row in codes]
        np.testing.assert_allclose(predictor.price_codes(union, codes), expected)


CACHE = CacheModel(low_bytes=40_000, high_bytes=540_000, per_tensor=3e-5)
"""Ends among the weights of the networks, some of which have tensors of 10,000 elements."""


def weights_of(network: Architecture, counts: CountTable) -> tuple[int, int]:
    """Elements stored, and large tensors read."""
    stored = sum(counts[node.block].weights for node in network if node.tie is None)
    sizes = [size for block in network.blocks for size in counts[block].parameters.values()]
    return stored, sum(size >= 10_000 for size in sizes)


@pytest.mark.parametrize(("dtype", "each"), [("fp32", 4), ("fp16", 2)])
def test_weights_beyond_the_cache_are_added(
    wide: UnionSpace,
    make_table: MakeTable,
    counts: CountTable,
    seconds: Seconds,
    dtype: str,
    each: int,
) -> None:
    table = make_table(wide, cache=CACHE, setting=Setting("fake", "1.0", dtype))
    predictor = TablePredictor(table, counts)
    added = []
    for network in networks(wide, 60):
        elements, tensors = weights_of(network, counts)
        share = min(max((each * elements - 40_000) / 500_000, 0.0), 1.0)
        added.append(3e-5 * tensors * share)
        total = OVERHEAD_S + sum(map(seconds, network.blocks)) + added[-1]
        assert predictor.price(network).value == pytest.approx(total, rel=1e-12)
    # Some fit, some do not, and some are in between.
    assert min(added) == 0
    assert len(set(added)) > 5


def test_tied_weights_are_stored_once(counts: CountTable, make_table: MakeTable) -> None:
    space = ViTSpace(patch_size=(4,), depth=(1,), width=(100,), heads=(2,), mlp_ratio=(1,))
    mlp = next(block for block in space.blocks if isinstance(block, FeedForward))
    tied = Architecture("vit", {}, (Node(mlp, (-1,)), Node(mlp, (0,), tie=0)))
    # The weights of one fill the cache; of two, all are read from memory: two matrices each.
    own = 4 * counts[mlp].weights
    predictor = TablePredictor(make_table(space, cache=CacheModel(own, 2 * own, 1e-3)), counts)
    difference = predictor.price(alone(mlp, mlp)).value - predictor.price(tied).value
    assert difference == pytest.approx(4 * 1e-3)


@pytest.mark.parametrize("cache", [None, CACHE])
@pytest.mark.parametrize("cut", [False, True])
def test_price_of_every_code_is_exactly_that_of_its_architecture(
    wide: UnionSpace, make_table: MakeTable, counts: CountTable, cache: CacheModel, cut: bool
) -> None:
    gone = layers(wide)[::5] if cut else []
    predictor = TablePredictor(make_table(wide, gone, cache=cache), counts)
    codes = wide.random_codes(300, np.random.default_rng(7))
    expected = [predictor.price(wide.decode(row)).value for row in codes]
    assert predictor.price_codes(wide, codes).tolist() == expected


@pytest.mark.parametrize("cache", [None, CacheModel(40_000, 2_000_000, 3e-5)])
def test_tied_layers_are_priced_by_code_as_by_architecture(
    make_table: MakeTable, counts: CountTable, seconds: Seconds, cache: CacheModel | None
) -> None:
    space = UniversalSpace(
        patch_size=(4,), depth=(2, 4), groups=(1, 2), width=(64, 100), heads=(2,)
    )
    predictor = TablePredictor(make_table(space, cache=cache), counts)
    codes = space.random_codes(100, np.random.default_rng(8))
    drawn = [space.decode(row) for row in codes]
    assert any(node.tie is not None for network in drawn for node in network)
    expected = [predictor.price(network).value for network in drawn]
    assert predictor.price_codes(space, codes).tolist() == expected
    for network, value in zip(drawn, expected, strict=True):
        total = OVERHEAD_S + sum(map(seconds, network.blocks))
        if cache is not None:
            elements, tensors = weights_of(network, counts)
            share = (4 * elements - 40_000) / 1_960_000
            assert 0 < share < 1
            total += 3e-5 * tensors * share
        assert value == pytest.approx(total, rel=1e-12)


@pytest.fixture(scope="module")
def decoder() -> DecoderSpace:
    return DecoderSpace(
        vocabulary=(256,), context=(8, 16), depth=(1, 2, 3), width=(32, 64), heads=(2,)
    )


def decoding_entries(space: DecoderSpace, seconds: Seconds) -> dict[str, Entry]:
    """Of each block the entry of its form for the last token."""
    forms = [block.decoding() for block in space.blocks]
    times = {block_key(form): seconds(form) for form in forms if form is not None}
    return {key: Entry(s, s, s, s, s, s, 24) for key, s in times.items()}


@pytest.mark.parametrize("cache", [None, CacheModel(40_000, 200_000, 3e-5)])
def test_decoding_step_is_priced_on_the_network_of_the_last_token(
    decoder: DecoderSpace,
    make_table: MakeTable,
    counts: CountTable,
    seconds: Seconds,
    cache: CacheModel | None,
) -> None:
    entries = decoding_entries(decoder, seconds)
    table = make_table(decoder, quantity="decode_step_s", entries=entries, cache=cache)
    predictor = TablePredictor(table, counts)
    codes = decoder.random_codes(200, np.random.default_rng(9))
    estimates = [predictor.price(decoder.decode(row)) for row in codes]
    assert predictor.price_codes(decoder, codes).tolist() == [e.value for e in estimates]
    assert {e.provenance for e in estimates} == {"table"}
    for row, estimate in zip(codes, estimates, strict=True):
        step = decoding_step(decoder.decode(row))
        total = OVERHEAD_S + sum(map(seconds, step.blocks))
        if cache is not None:
            elements, tensors = weights_of(step, counts)
            total += 3e-5 * tensors * min(max((4 * elements - 40_000) / 160_000, 0.0), 1.0)
        assert estimate.value == pytest.approx(total, rel=1e-12)


def test_what_does_not_decode_has_no_price_of_a_step(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    predictor = TablePredictor(make_table(union, quantity="decode_step_s"), counts)
    with pytest.raises(ValueError, match="one token at a time"):
        predictor.price(networks(union, 1)[0])
    with pytest.raises(ValueError, match="no form for the last token"):
        predictor.price_codes(union, union.random_codes(1, np.random.default_rng(0)))


def rests_on_no_run(value: float) -> Entry:
    return Entry(value, value, value, value, 0.5 * value, 2 * value, n=0)


def test_entry_that_rests_on_no_run_is_a_prediction(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    table, block = make_table(union, error=0.1), layers(union)[3]
    told = {**table.entries, block_key(block): rests_on_no_run(2e-3)}
    estimate = TablePredictor(replace(table, entries=told), counts).price(alone(block, block))
    assert estimate.value == pytest.approx(OVERHEAD_S + 4e-3)
    assert (estimate.provenance, estimate.missing) == ("predicted", (block_key(block),))
    # Its error is part of the certificate's, whose networks have such blocks as well.
    assert _width(estimate) == pytest.approx(0.2 * estimate.value)


def test_predictions_do_not_rest_on_predictions(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    gone = layers(union)[::4]
    table = make_table(union, gone)
    told = {block_key(block): rests_on_no_run(1.0) for block in gone[1:]}
    expected = TablePredictor(table, counts).block_value(gone[0])
    beside = TablePredictor(replace(table, entries={**table.entries, **told}), counts)
    assert beside.block_value(gone[0]) == expected
    assert beside.block_value(gone[1]) == 1.0
    held = dict(list(table.entries.items())[:7])
    few = TablePredictor(replace(table, entries=held | told), counts)
    with pytest.raises(ValueError, match=r"at least 8 .* it holds 7"):
        few.block_value(gone[0])


def test_value_of_a_block_is_that_of_what_is_run(
    union: UnionSpace,
    decoder: DecoderSpace,
    make_table: MakeTable,
    counts: CountTable,
    seconds: Seconds,
) -> None:
    predictor = TablePredictor(make_table(union), counts)
    assert all(predictor.block_value(block) == seconds(block) for block in union.blocks)
    entries = decoding_entries(decoder, seconds)
    steps = TablePredictor(make_table(decoder, quantity="decode_step_s", entries=entries), counts)
    for block in decoder.blocks:
        form = block.decoding()
        assert form is not None
        assert steps.block_value(block) == seconds(form)


def test_model_in_the_table_predicts_as_one_that_is_fitted(
    union: UnionSpace,
    make_table: MakeTable,
    counts: CountTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = layers(union)[::4]
    table = make_table(union, gone, error=0.1)
    with_model(table, counts).save(tmp_path / "table.json")
    read = BlockTable.load(tmp_path / "table.json")
    assert read.model is not None
    expected = [TablePredictor(table, counts).price(alone(block)) for block in gone]
    monkeypatch.setattr("predictors.table_predictor.fit_model", _refuse)
    predictor = TablePredictor(read, counts)
    for block, fitted in zip(gone, expected, strict=True):
        kept = predictor.price(alone(block))
        assert kept.missing == fitted.missing
        assert kept.value == pytest.approx(fitted.value, rel=1e-4)
        assert _width(kept) == pytest.approx(_width(fitted), rel=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: model.update(format="hwnas block model 0"), "hwnas block model 0"),
        (lambda model: model.pop("types"), "types"),
        # It reads, but is not of the blocks that it is asked for.
        (lambda model: _first(model)["code"]["numbers"].__setitem__(0, "gone"), "gone"),
        (lambda model: _first(model)["code"]["center"].extend([0.0, 0.0]), ""),
    ],
)
def test_model_that_cannot_be_used_is_named_by_its_file(
    union: UnionSpace,
    make_table: MakeTable,
    counts: CountTable,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    said: str,
) -> None:
    (gone, *_) = layers(union)
    table = with_model(make_table(union, [gone]), counts)
    assert table.model is not None
    model = json.loads(json.dumps(table.model))
    model["types"] = {kind(type(gone)): model["types"][kind(type(gone))]}
    change(model)
    path = tmp_path / "table.json"
    replace(table, model=model).save(path)
    for broken, name in ((BlockTable.load(path), path), (replace(table, model=model), table.name)):
        with pytest.raises(CorruptFileError, match=rf"{re.escape(str(name))}, model: .*{said}"):
            TablePredictor(broken, counts).price(alone(gone))
        # What the table holds needs no model.
        assert TablePredictor(broken, counts).price(alone(layers(union)[1])).missing == ()


def _first(model: dict[str, Any]) -> dict[str, Any]:
    (item,) = model["types"].values()
    assert isinstance(item, dict)
    return item


def _refuse(*_: object) -> None:
    raise AssertionError("A model that is there is not fitted again.")


def test_table_of_too_few_blocks_gets_no_model(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    table = make_table(union, union.blocks[7:])
    assert with_model(table, counts) is table


def test_too_few_entries_to_predict_from(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    missing = union.blocks[8]
    seven = TablePredictor(make_table(union, union.blocks[7:]), counts)
    assert seven.price(alone(union.blocks[0])).provenance == "table"
    with pytest.raises(ValueError, match=r"at least 8 .* it holds 7"):
        seven.price(alone(missing))
    eight = TablePredictor(make_table(union, union.blocks[8:]), counts)
    assert eight.price(alone(missing)).provenance == "predicted"


PRICE = """
import json, sys
from hw_profiles import BlockTable
from pathlib import Path
from predictors import TablePredictor
from search_spaces import Architecture, CountTable

table, counts, network = map(Path, sys.argv[1:])
predictor = TablePredictor(
    BlockTable.load(table), CountTable(json.loads(counts.read_text()))
)
estimate = predictor.price(Architecture.from_json(json.loads(network.read_text())))
loaded = sorted({"torch", "sklearn", "onnx", "onnxruntime"} & set(sys.modules))
print(json.dumps([estimate.provenance, loaded]))
"""


@pytest.mark.parametrize(
    ("cut", "expected"), [(False, ["table", []]), (True, ["predicted", ["sklearn"]])]
)
def test_only_a_prediction_loads_a_heavy_package(
    union: UnionSpace,
    make_table: MakeTable,
    counts: CountTable,
    tmp_path: Path,
    cut: bool,
    expected: list[object],
) -> None:
    network = networks(union, 1)[0]
    files = [tmp_path / f"{name}.json" for name in ("table", "counts", "network")]
    make_table(union, [network.blocks[1]] if cut else []).save(files[0])
    files[1].write_text(json.dumps(counts.to_json()))
    files[2].write_text(json.dumps(network.to_json()))
    command = [sys.executable, "-W", "ignore", "-c", PRICE, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


def _width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low
