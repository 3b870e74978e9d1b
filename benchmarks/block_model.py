"""How well blocks that were not timed are predicted, on the blocks of a table.

    python -m benchmarks.block_model TABLE.json [--folds K] [--field NAME ...] [--json]

Blocks are left out of the table at random, a fold at a time, and then all those of one width (or
another field), one value at a time. What is left predicts them:

- ``block model``: what hwnas does (:class:`predictors.block_model.BlockModel`);
- ``roofline``: its first half alone;
- ``counts process``: one Gaussian process for all types, on six counts;
- ``ridge``, ``extra trees``, ``boosting``: for each type, on counts and fields, of the logarithm of
  value over roofline; ridge with squares and products.

Columns: median and 95 % quantile of the absolute relative error, mean relative error, share inside
of the 95 % interval, and the median half-width of that. An entry counts as inside where it is so
within its own interval; one that is smaller than that is left out of every figure.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles import BlockTable
from hw_profiles.quantity import quantity
from predictors.block_model import BlockModel
from search_spaces import Block, CountTable, block_from_key
from search_spaces.block import fields_of

Array = NDArray[np.float64]
Method = Callable[["Blocks", "Blocks"], tuple[Array, Array | None]]
"""From blocks that are known and others: values of the others, and half-widths of logarithms."""

FEWEST_KNOWN, FEWEST_OF_TYPE = 8, 4
"""Blocks that have to be left, where all of one value are taken out; and of a type to fit it."""


@dataclass(frozen=True)
class Blocks:
    """Blocks of a table with their values, and how a run was made."""

    blocks: Sequence[Block]
    values: Array
    halves: Array
    counts: CountTable
    batch: int
    training: bool

    def part(self, chosen: NDArray[Any]) -> Blocks:
        """Those at some positions."""
        own = [self.blocks[i] for i in chosen.tolist()]
        return replace(self, blocks=own, values=self.values[chosen], halves=self.halves[chosen])

    def model(self) -> BlockModel:
        """A model fitted to them."""
        return BlockModel.fit(
            self.blocks,
            self.values.tolist(),
            self.counts,
            half_widths=self.halves.tolist(),
            batch=self.batch,
            training=self.training,
        )

    def count_inputs(self) -> Array:
        """Logarithms of counts: ``[blocks, 6]``."""
        rows = []
        for block in self.blocks:
            c = self.counts[block]
            sums = (c.macs, c.flops, c.activations, c.access)
            rows.append([c.operators, *(s.at(self.batch) for s in sums), c.peak.at(self.batch)])
        inputs: Array = np.log1p(np.array(rows, dtype=float))
        return inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument(
        "--field", nargs="+", default=["width", "tokens", "resolution"], help="left out by value"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    table = BlockTable.load(options.table)
    entries = [(k, e) for k, e in table.entries.items() if e.n and e.value > (e.high - e.low) / 2]
    known = Blocks(
        blocks=[block_from_key(key) for key, _ in entries],
        values=np.array([entry.value for _, entry in entries]),
        halves=np.array([(entry.high - entry.low) / 2 for _, entry in entries]),
        counts=CountTable(),
        batch=table.setting.batch,
        training=quantity(table.quantity).training,
    )
    left_out = {f"{options.folds} folds": list(_folds(len(entries), options.folds))}
    left_out |= {f"each {name}": list(_each_value(known.blocks, name)) for name in options.field}
    results: dict[str, dict[str, dict[str, Any]]] = {}
    if not options.json:
        print(f"{table.quantity} of {table.name}: {len(entries)} of {len(table.entries)} blocks")
        print(f"{'left out':14} {'method':14} {'n':>4} {'median':>7} {'95 %':>7} {'bias':>7}"
              f" {'inside':>7} {'width':>7} {'s':>6}")  # fmt: skip
    for name, parts in left_out.items():
        for method, run in METHODS.items() if parts else ():
            f = results.setdefault(name, {})[method] = _figures(run, known, parts)
            inside, width = (
                ("-" if f[key] is None else f"{f[key]:.1%}") for key in ("inside", "width")
            )
            if not options.json:
                print(f"{name:14} {method:14} {f['n']:4} {f['median']:7.1%} {f['quantile_95']:7.1%}"
                      f" {f['bias']:+7.1%} {inside:>7} {width:>7} {f['seconds']:6.2f}",
                      flush=True)  # fmt: skip
    if options.json:
        print(json.dumps(results))


def _folds(n: int, folds: int) -> Iterator[NDArray[Any]]:
    """Positions that are left out together, at random."""
    yield from np.array_split(np.random.default_rng(0).permutation(n), folds)


def _each_value(blocks: Sequence[Block], name: str) -> Iterator[NDArray[Any]]:
    """Positions that are left out together: those with one value of a field."""
    values = np.array([fields_of(block).get(name, -1) for block in blocks])
    for value in sorted(set(values.tolist()) - {-1}):
        pairs = list(zip(blocks, values.tolist(), strict=True))
        types = {type(block) for block, own in pairs if own != value}
        out = np.flatnonzero([own == value and type(block) in types for block, own in pairs])
        if len(out) and len(blocks) - len(out) >= FEWEST_KNOWN:
            yield out


def _figures(run: Method, known: Blocks, parts: Sequence[NDArray[Any]]) -> dict[str, Any]:
    errors, inside, widths, start = [], [], [], time.perf_counter()
    for out in parts:
        others = known.part(np.setdiff1d(np.arange(len(known.blocks)), out))
        asked = known.part(out)
        values, half = run(others, asked)
        errors.append(values / asked.values - 1)
        if half is not None:
            own = asked.halves / asked.values
            inside.append(np.abs(np.log(values / asked.values)) <= np.hypot(half, own))
            widths.append(half)
    error = np.concatenate(errors)
    return {
        "n": len(error),
        "median": float(np.median(np.abs(error))),
        "quantile_95": float(np.quantile(np.abs(error), 0.95)),
        "bias": float(error.mean()),
        "inside": float(np.concatenate(inside).mean()) if inside else None,
        "width": float(np.median(np.concatenate(widths))) if widths else None,
        "seconds": (time.perf_counter() - start) / len(parts),
    }


def _block_model(known: Blocks, asked: Blocks) -> tuple[Array, Array]:
    predicted = known.model().predict(asked.blocks, asked.counts)
    return predicted.values, predicted.log_half_widths


def _roofline(known: Blocks, asked: Blocks) -> tuple[Array, None]:
    alone = replace(known.model(), types={})
    return alone.predict(asked.blocks, asked.counts).values, None


def _counts_process(known: Blocks, asked: Blocks) -> tuple[Array, Array]:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    wide = (1e-9, 1e9)
    kernel = (
        DotProduct(sigma_0_bounds=wide)
        + ConstantKernel(constant_value_bounds=wide) * RBF(2.0, (1e-3, 1e6))
        + WhiteKernel(0.01, noise_level_bounds=wide)
    )
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), process)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(known.count_inputs(), np.log(known.values))
    mean, spread = pipeline.predict(asked.count_inputs(), return_std=True)
    return np.exp(mean), 1.96 * spread


def _for_each_type(make: Callable[[], Any]) -> Method:
    """A regression of scikit-learn for each type, of the departure from the roofline."""

    def run(known: Blocks, asked: Blocks) -> tuple[Array, None]:
        alone = replace(known.model(), types={})
        base = alone.predict(known.blocks, known.counts).values
        values = alone.predict(asked.blocks, asked.counts).values
        for cls in {type(block) for block in asked.blocks}:
            rows, others = (
                np.flatnonzero([type(block) is cls for block in part.blocks])
                for part in (known, asked)
            )
            if len(rows) < FEWEST_OF_TYPE:
                continue
            own, wanted = known.part(rows), asked.part(others)
            fields = _field_inputs([*own.blocks, *wanted.blocks])
            inputs = np.concatenate([fields[: len(rows)], own.count_inputs()], axis=1)
            points = np.concatenate([fields[len(rows) :], wanted.count_inputs()], axis=1)
            departures = np.log(own.values / base[rows])
            values[others] *= np.exp(make().fit(inputs, departures).predict(points))
        return values, None

    return run


def _field_inputs(blocks: Sequence[Block]) -> Array:
    """Fields of blocks of one type: logarithms of numbers, and a 0 or 1 for each other value."""
    columns = []
    for name in fields_of(blocks[0]):
        cells = [fields_of(block)[name] for block in blocks]
        if all(type(cell) in (int, float) for cell in cells):
            columns.append(np.log1p(np.array(cells, dtype=float)))
        else:
            columns += [np.array([float(c == v) for c in cells]) for v in sorted(set(cells))]
    return np.column_stack(columns)


def _ridge() -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    return make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge(0.1))


def _extra_trees() -> Any:
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(200, random_state=0)


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(min_samples_leaf=3, random_state=0)


METHODS: dict[str, Method] = {
    "block model": _block_model,
    "roofline": _roofline,
    "counts process": _counts_process,
    "ridge": _for_each_type(_ridge),
    "extra trees": _for_each_type(_extra_trees),
    "boosting": _for_each_type(_boosting),
}


if __name__ == "__main__":
    main()
