"""Prices of architectures: sums of a table, and predictions where it is silent."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hw_profiles import LatencyTable
from predictors import Estimate, LatencyPredictor
from search_spaces import (
    Architecture,
    Block,
    CountTable,
    FeedForward,
    InvertedBottleneck,
    SelfAttention,
    UnionSpace,
    block_key,
    chain,
)

MakeTable = Callable[..., LatencyTable]
Seconds = Callable[[Block], float]
OVERHEAD_S = 5e-4

pytestmark = pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")


def networks(space: UnionSpace, n: int) -> list[Architecture]:
    """Random networks."""
    return [space.decode(row) for row in space.random_codes(n, np.random.default_rng(5))]


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
    predictor = LatencyPredictor(make_table(union, error=-0.1), CountTable())
    for network in networks(union, 10):
        total = OVERHEAD_S + sum(map(seconds, network.blocks))
        estimate = predictor.price(network)
        assert estimate.value_s == pytest.approx(total)
        assert estimate.low_s == pytest.approx(0.9 * total)
        assert estimate.high_s == pytest.approx(1.1 * total)
        assert estimate.missing == ()
        assert estimate.provenance == "table"


def test_without_a_certificate_there_is_no_interval(
    union: UnionSpace, make_table: MakeTable
) -> None:
    table = make_table(union, error=None)
    estimate = LatencyPredictor(table, CountTable()).price(networks(union, 1)[0])
    assert (estimate.low_s, estimate.high_s) == (None, None)


def test_interval_stays_above_zero(union: UnionSpace, make_table: MakeTable) -> None:
    table = make_table(union, error=1.5)
    assert LatencyPredictor(table, CountTable()).price(networks(union, 1)[0]).low_s == 0


def test_prediction_is_flagged_named_and_wider(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    gone = layers(union)[::4]
    whole = LatencyPredictor(make_table(union, error=0.1), counts)
    cut = LatencyPredictor(make_table(union, gone, error=0.1), counts)
    drawn = networks(union, 20)
    assert any(set(network.blocks) & set(gone) for network in drawn)
    for network in drawn:
        known, guessed = whole.price(network), cut.price(network)
        missing = {block_key(block) for block in network.blocks if block in gone}
        assert set(guessed.missing) == missing
        assert guessed.provenance == ("predicted" if missing else "table")
        if missing:
            assert _width(guessed) / guessed.value_s > _width(known) / known.value_s
        else:
            assert guessed == known


def test_error_of_a_repeated_block_repeats(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    block = layers(union)[3]
    predictor = LatencyPredictor(make_table(union, [block]), counts)
    once, thrice = predictor.price(alone(block)), predictor.price(alone(block, block, block))
    assert thrice.value_s - OVERHEAD_S == pytest.approx(3 * (once.value_s - OVERHEAD_S))
    assert _width(thrice) == pytest.approx(3 * _width(once))


@pytest.mark.parametrize("start", range(5))
def test_blocks_left_out_are_predicted(
    union: UnionSpace, make_table: MakeTable, counts: CountTable, seconds: Seconds, start: int
) -> None:
    gone = layers(union)[start::5]
    predictor = LatencyPredictor(make_table(union, gone), counts)
    predicted = [predictor.price(alone(block)).value_s - OVERHEAD_S for block in gone]
    assert predicted == pytest.approx(list(map(seconds, gone)), rel=0.15)


def test_prices_of_codes_are_those_of_their_architectures(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    codes = union.random_codes(50, np.random.default_rng(6))
    for gone in ([], layers(union)[::4]):
        predictor = LatencyPredictor(make_table(union, gone), counts)
        expected = [predictor.price(union.decode(row)).value_s for row in codes]
        np.testing.assert_allclose(predictor.price_codes(union, codes), expected)


def test_too_few_entries_to_predict_from(
    union: UnionSpace, make_table: MakeTable, counts: CountTable
) -> None:
    missing = union.blocks[8]
    seven = LatencyPredictor(make_table(union, union.blocks[7:]), counts)
    assert seven.price(alone(union.blocks[0])).provenance == "table"
    with pytest.raises(ValueError, match=r"at least 8 .* it holds 7"):
        seven.price(alone(missing))
    eight = LatencyPredictor(make_table(union, union.blocks[8:]), counts)
    assert eight.price(alone(missing)).provenance == "predicted"


PRICE = """
import json, sys
from hw_profiles import LatencyTable
from pathlib import Path
from predictors import LatencyPredictor
from search_spaces import Architecture, CountTable

table, counts, network = map(Path, sys.argv[1:])
predictor = LatencyPredictor(
    LatencyTable.load(table), CountTable(json.loads(counts.read_text()))
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
    assert estimate.low_s is not None
    assert estimate.high_s is not None
    return estimate.high_s - estimate.low_s
