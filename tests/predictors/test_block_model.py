"""Values of blocks that were not measured, on devices whose true values are known."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictors.block_model import BlockModel
from search_spaces import (
    Block,
    CorruptFileError,
    CountTable,
    FeedForward,
    InvertedBottleneck,
    SelfAttention,
    Shape,
    SparseBlock,
    ViTHead,
    block_key,
    block_to_json,
)

if TYPE_CHECKING:
    from torch import nn

Seconds = Callable[[Block], float]

pytestmark = pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")


@dataclass(frozen=True, slots=True)
class Flatten(Block):
    """Runs nothing: its output is a view of its input."""

    side: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.side, self.side),)

    def build(self) -> "nn.Module":
        from torch import nn

        return nn.Flatten()


def feed_forwards(tokens: Sequence[int] = (16, 17, 32, 48)) -> list[Block]:
    """MLPs of three widths and three ratios."""
    return [
        FeedForward(n, width, ratio * width, 0)
        for n in tokens
        for width in (32, 48, 64)
        for ratio in (1, 2, 4)
    ]


def attentions() -> list[Block]:
    """Attentions of three widths and two head counts."""
    return [
        SelfAttention(n, width, heads, 16, heads, causal=False)
        for n in (16, 17, 32)
        for width in (32, 48, 64)
        for heads in (2, 4)
    ]


def bottlenecks() -> list[Block]:
    """Inverted bottlenecks of two widths."""
    return [
        InvertedBottleneck(side, width, width, kernel, 1, expansion, squeeze, "silu")
        for side in (4, 8)
        for width in (8, 16)
        for kernel in (3, 5)
        for expansion in (2, 4)
        for squeeze in (False, True)
    ]


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    """Blocks of three types."""
    return [*feed_forwards(), *attentions(), *bottlenecks()]


@pytest.fixture(scope="module")
def device(counts: CountTable) -> Seconds:
    """A device that runs each type at a speed of its own, and odd lengths slower."""
    speed = {FeedForward: 1.0, SelfAttention: 0.5, InvertedBottleneck: 0.2}

    def value(block: Block) -> float:
        c = counts[block]
        work = 1e-10 * c.macs.at(1) / speed.get(type(block), 1.0) + 4e-10 * c.access.at(1)
        return (2e-6 * c.operators + work) * (1.3 if getattr(block, "tokens", 0) % 2 else 1.0)

    return value


def fold(blocks: Sequence[Block], start: int) -> tuple[list[Block], list[Block]]:
    """Three quarters of the blocks, and the rest, at random."""
    order = np.random.default_rng(start).permutation(len(blocks))
    cut = len(blocks) // 4
    return [blocks[i] for i in order[cut:]], [blocks[i] for i in order[:cut]]


def fitted(blocks: Sequence[Block], value: Seconds, counts: CountTable, **options: Any) -> Any:
    """A model that knows the true values of some blocks."""
    return BlockModel.fit(blocks, [value(block) for block in blocks], counts, **options)


@pytest.mark.parametrize("start", range(3))
def test_blocks_left_out_are_predicted(
    blocks: list[Block], device: Seconds, counts: CountTable, start: int
) -> None:
    known, gone = fold(blocks, start)
    predicted = fitted(known, device, counts).predict(gone, counts)
    true = np.array([device(block) for block in gone])
    error = np.abs(predicted.values / true - 1)
    assert np.median(error) < 0.02
    assert np.quantile(error, 0.9) < 0.1
    assert np.mean((predicted.low <= true) & (true <= predicted.high)) >= 0.85


def test_intervals_hold_under_noise(
    blocks: list[Block], device: Seconds, counts: CountTable
) -> None:
    rng, inside = np.random.default_rng(0), []
    for start in range(4):
        known, gone = fold(blocks, start)
        noise = np.exp(0.05 * rng.standard_normal(len(known)))
        values = noise * [device(block) for block in known]
        model = BlockModel.fit(known, values.tolist(), counts, half_widths=0.1 * values)
        predicted = model.predict(gone, counts)
        true = [device(block) for block in gone]
        inside += ((predicted.low <= true) & (true <= predicted.high)).tolist()
    assert 0.85 < np.mean(inside) <= 1


def test_prices_of_a_roofline_that_all_types_share_carry_over_to_another_type(
    seconds: Seconds, counts: CountTable
) -> None:
    model = fitted([*feed_forwards(), *attentions()], seconds, counts)
    wanted = [ViTHead(16, width, 10, "mean") for width in (32, 64)]
    predicted = model.predict(wanted, counts)
    true = np.array([seconds(block) for block in wanted])
    np.testing.assert_allclose(predicted.values, true, rtol=0.35)
    assert np.all((predicted.low <= true) & (true <= predicted.high))
    known = model.predict(feed_forwards(), counts)
    assert predicted.log_half_widths.min() > 2 * known.log_half_widths.max()


def test_unit_of_the_values_is_that_of_the_predictions(
    blocks: list[Block], device: Seconds, counts: CountTable
) -> None:
    known, gone = fold(blocks, 0)
    here = fitted(known, device, counts).predict(gone, counts)
    there = fitted(known, lambda block: 1e6 * device(block), counts).predict(gone, counts)
    np.testing.assert_allclose(there.values, 1e6 * here.values, rtol=0.01)


def test_number_that_no_block_had_is_less_sure(device: Seconds, counts: CountTable) -> None:
    model = fitted(feed_forwards(), device, counts)
    seen, between, far = (
        model.predict([FeedForward(tokens, 48, 96, 0)], counts).log_half_widths[0]
        for tokens in (32, 40, 512)
    )
    assert seen < between < far


def test_value_that_is_not_sure_says_less(device: Seconds, counts: CountTable) -> None:
    known = feed_forwards()
    wrong = known.index(FeedForward(32, 48, 96, 0))
    values = np.array([device(block) for block in known])
    values[wrong] *= 3
    errors = []
    for half in (0.0, 3.0):
        halves = np.zeros(len(known))
        halves[wrong] = half * values[wrong]
        model = BlockModel.fit(known, values.tolist(), counts, half_widths=halves.tolist())
        predicted = model.predict([known[wrong]], counts).values[0]
        errors.append(abs(predicted / device(known[wrong]) - 1))
    assert errors[1] < 0.02
    assert errors[0] > 3 * errors[1]


def test_values_lost_in_the_noise_are_small_and_not_sure(
    device: Seconds, counts: CountTable
) -> None:
    heads: list[Block] = [ViTHead(16, width, 10, "mean") for width in (32, 40, 48, 64)]
    known = [*feed_forwards(), *heads]
    half = 0.1 * min(device(block) for block in feed_forwards())
    values = [0.0 if isinstance(block, ViTHead) else device(block) for block in known]
    model = BlockModel.fit(known, values, counts, half_widths=[half] * len(known))
    predicted = model.predict([ViTHead(16, 56, 10, "mean")], counts)
    assert 0 < predicted.values[0] < 3 * half
    assert predicted.log_half_widths[0] > 1
    others = model.predict(feed_forwards(), counts)
    np.testing.assert_allclose(others.values, values[: -len(heads)], rtol=0.1)


def test_block_that_runs_nothing_costs_nothing(device: Seconds, counts: CountTable) -> None:
    known: list[Block] = [*feed_forwards(), Flatten(8)]
    model = BlockModel.fit(known, [*map(device, feed_forwards()), 0.0], counts)
    predicted = model.predict([Flatten(4), FeedForward(16, 32, 32, 0)], counts)
    assert (predicted.values[0], predicted.log_half_widths[0]) == (0, 0)
    assert predicted.values[1] > 0


def test_sparse_block_is_predicted_from_dense_ones(device: Seconds, counts: CountTable) -> None:
    model = fitted(feed_forwards(), device, counts)
    dense = FeedForward(32, 48, 96, 0)
    predicted = model.predict([dense, SparseBlock(block_key(dense), 0.5)], counts)
    assert predicted.values[1] == pytest.approx(predicted.values[0], rel=0.1)
    assert predicted.log_half_widths[0] < predicted.log_half_widths[1] < model.half_width


def test_training_steps_are_predicted_from_what_training_costs(counts: CountTable) -> None:
    def step(block: Block) -> float:
        c = counts[block]
        needs = c.train["1"]
        return 4e-6 * c.operators + 1e-10 * needs.macs.at(8) + 1e-9 * c.params

    known, gone = fold([*feed_forwards(), *attentions()], 1)
    model = fitted(known, step, counts, batch=8, training=True)
    true = [step(block) for block in gone]
    np.testing.assert_allclose(model.predict(gone, counts).values, true, rtol=0.05)
    assert BlockModel.from_json(model.to_json()).training


def test_batch_is_that_of_the_runs(counts: CountTable) -> None:
    def at_64(block: Block) -> float:
        c = counts[block]
        return 2e-6 * c.operators + 1e-10 * c.macs.at(64) + 4e-10 * c.access.at(64)

    model = fitted([*feed_forwards(), *attentions()], at_64, counts, batch=64)
    head = ViTHead(17, 48, 10, "cls")
    assert model.predict([head], counts).values[0] == pytest.approx(at_64(head), rel=0.35)


def test_fit_is_the_same_each_time(
    blocks: list[Block], device: Seconds, counts: CountTable
) -> None:
    first, second = (fitted(blocks[::3], device, counts).to_json() for _ in range(2))
    assert first == second


def test_few_blocks_of_a_type_are_enough(device: Seconds, counts: CountTable) -> None:
    head = ViTHead(16, 48, 10, "mean")
    model = fitted([*feed_forwards(), head], device, counts)
    assert model.predict([head], counts).values[0] == pytest.approx(device(head), rel=0.1)
    alone = fitted([head], device, counts)
    assert alone.predict([head], counts).values[0] == pytest.approx(device(head), rel=0.1)
    assert alone.predict([FeedForward(16, 32, 32, 0)], counts).log_half_widths[0] > 1


def test_json_brings_the_same_model_back(
    blocks: list[Block], device: Seconds, counts: CountTable
) -> None:
    known, gone = fold(blocks, 2)
    model = fitted(known, device, counts)
    again = BlockModel.from_json(json.loads(json.dumps(model.to_json())))
    before, after = model.predict(gone, counts), again.predict(gone, counts)
    assert before.values.tolist() == after.values.tolist()
    assert before.log_half_widths.tolist() == after.log_half_widths.tolist()


PREDICT = """
import json, sys
from pathlib import Path
from predictors.block_model import BlockModel
from search_spaces import CountTable, block_from_json

model, counts, block = (json.loads(Path(path).read_text()) for path in sys.argv[1:])
predicted = BlockModel.from_json(model).predict([block_from_json(block)], CountTable(counts))
heavy = sorted({"torch", "sklearn", "scipy", "onnxruntime"} & set(sys.modules))
print(json.dumps([predicted.values.tolist(), heavy]))
"""


def test_prediction_loads_nothing_heavy(
    device: Seconds, counts: CountTable, tmp_path: Path
) -> None:
    model, block = fitted(feed_forwards(), device, counts), FeedForward(20, 48, 60, 0)
    value = model.predict([block], counts).values.tolist()
    paths = [tmp_path / name for name in ("model.json", "counts.json", "block.json")]
    for path, data in zip(
        paths, (model.to_json(), counts.to_json(), block_to_json(block)), strict=True
    ):
        path.write_text(json.dumps(data))
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout) == [value, []]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "hwnas block model 0"}, "hwnas block model 0"),
        ({"prices": [1.0, 2.0]}, "2 prices"),
        ({"training": True}, "params"),
        ({"types": {"FeedForward": {}}}, "code"),
        ({"types": None}, "not a block model"),
    ],
)
def test_what_is_no_model_is_refused(
    device: Seconds, counts: CountTable, change: dict[str, Any], message: str
) -> None:
    data = fitted(feed_forwards((16,)), device, counts).to_json()
    with pytest.raises(CorruptFileError, match=message):
        BlockModel.from_json(data | change)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1e-5, -1e-6], r"`values` must be finite and at least 0; got -1e-06 for FeedForward\("),
        ([1e-5, float("nan")], r"got nan for FeedForward\("),
        ([0.0, 0.0], "must hold one above 0"),
        ([1e-5], "got 2, 1 and 1"),
    ],
)
def test_values_that_cannot_be_are_refused(
    counts: CountTable, values: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        BlockModel.fit(feed_forwards((16,))[:2], values, counts)


def test_block_with_other_fields_than_the_model_knows_is_refused(
    device: Seconds, counts: CountTable
) -> None:
    model = fitted(feed_forwards((16,)), device, counts)
    other = replace(model, types={"ViTHead": model.types["FeedForward"]})
    with pytest.raises(ValueError, match="knows a field 'hidden' that ViTHead"):
        other.predict([ViTHead(16, 32, 10, "mean")], counts)
