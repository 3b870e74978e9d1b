"""Latency ranks on a new device from ten measured networks and another device's latencies.

    python -m benchmarks.transfer DATA [--seeds N] [--measured N] [--json]

DATA is a folder with ``nb201_cifar10.npz`` (NAS-Bench-201 on four devices), ``hwgpt_s.npz``
(HW-GPT-Bench on fourteen) and ``hat_latency.npz`` (HAT on three). Every device is taken as the new
one with every other as the known one, and, for ``others``, with all others as known. In HAT no
network was measured on two devices, so the known device's latencies are those that an imported
profile of it predicts, and its two tasks are taken for two devices.

- ``known``: the known device's latencies, in proportion;
- ``ridge``: a ridge regression of the logarithm on the features, from as many random networks;
- ``transfer``: what hwnas does (:mod:`predictors.transfer`);
- ``others``: the same with all other devices known.

Spearman's rank correlation on all networks that were not measured, mean absolute relative error,
and the share inside of the 95 % interval.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.published_latency import tasks
from predictors.published_table import PublishedTable
from predictors.transfer import Transfer, choose_networks

Array = NDArray[np.float64]

RIDGE_SEED = 1000


@dataclass(frozen=True)
class Networks:
    """Networks with features, and what their latency is on devices.

    Attributes:
        features: ``[n, features]``.
        known: Latency on devices, as far as it is known before measuring: ``[n]`` each.
        measured: Name and latency of the new devices among them: ``[n]`` each.
    """

    features: Array
    known: Mapping[str, Array]
    measured: Mapping[str, Array]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--measured", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    results: dict[str, dict[str, Any]] = {}
    for name, sets in (
        ("nb201", [_nb201(options.data)]),
        ("hwgpt", [_hwgpt(options.data)]),
        ("hat", list(_hat(options.data))),
    ):
        rows: dict[str, list[tuple[str, float, float, float]]] = {}
        for networks in sets:
            for method, row in _runs(networks, options.measured, options.seeds):
                rows.setdefault(method, []).append(row)
        results[name] = {method: _figures(found) for method, found in rows.items()}
    if options.json:
        print(json.dumps(results))
        return
    print(f"{'data':6} {'method':9} {'runs':>5}  Spearman: {'median':>6} {'10 %':>6} {'worst':>6}"
          f" {'MAPE':>6} {'inside':>7}  worst pair")  # fmt: skip
    for name, by_method in results.items():
        for method, f in by_method.items():
            inside = "-" if f["inside"] is None else f"{f['inside']:.1%}"
            print(f"{name:6} {method:9} {f['runs']:5} {'':10} {f['median']:6.3f}"
                  f" {f['quantile_10']:6.3f} {f['worst']:6.3f} {f['mape']:6.1%} {inside:>7}"
                  f"  {f['worst_pair']}")  # fmt: skip


def _runs(
    networks: Networks, n: int, seeds: int
) -> Iterator[tuple[str, tuple[str, float, float, float]]]:
    """Method, pair, rank correlation, relative error and share inside of each run."""
    for new, latency in networks.measured.items():
        others = [name for name in networks.known if name != new]
        runs = [("transfer", [name]) for name in others]
        if len(others) > 1:
            runs.append(("others", others))
        for (method, names), seed in itertools.product(runs, range(seeds)):
            sources = np.column_stack([networks.known[name] for name in names])
            chosen = choose_networks(sources, networks.features, n, seed=seed)
            transfer = Transfer.fit(
                sources, networks.features, chosen.tolist(), latency[chosen].tolist()
            )
            value, low, high = transfer.predict(sources, networks.features)
            inside = (low <= latency) & (latency <= high)
            pair = f"{' '.join(names) if len(names) == 1 else 'others'} > {new}"
            yield method, (pair, *_compared(value, latency, chosen), _rest(inside, chosen))
            if method == "transfer":
                source = sources[:, 0] * np.median(latency[chosen] / sources[chosen, 0])
                yield "known", (pair, *_compared(source, latency, chosen), np.nan)
        for seed in range(seeds):
            drawn = np.random.default_rng(RIDGE_SEED + seed).choice(len(latency), n, replace=False)
            value = _ridge(networks.features, latency, drawn)
            yield "ridge", (new, *_compared(value, latency, drawn), np.nan)


def _compared(value: Array, latency: Array, chosen: NDArray[Any]) -> tuple[float, float]:
    from scipy.stats import spearmanr

    rest = np.setdiff1d(np.arange(len(latency)), chosen)
    error = np.abs(value[rest] / latency[rest] - 1)
    return float(spearmanr(value[rest], latency[rest]).statistic), float(error.mean())


def _rest(inside: NDArray[np.bool_], chosen: NDArray[Any]) -> float:
    return float(np.delete(inside, chosen).mean())


def _ridge(features: Array, latency: Array, drawn: NDArray[Any]) -> Array:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features)
    model = make_pipeline(Ridge(1.0)).fit(scaled[drawn], np.log(latency[drawn]))
    value: Array = np.exp(model.predict(scaled))
    return value


def _figures(found: list[tuple[str, float, float, float]]) -> dict[str, Any]:
    ranks = np.array([row[1] for row in found])
    inside = np.array([row[3] for row in found])
    return {
        "runs": len(found),
        "median": float(np.median(ranks)),
        "quantile_10": float(np.quantile(ranks, 0.1)),
        "worst": float(ranks.min()),
        "worst_pair": found[int(np.argmin(ranks))][0],
        "mape": float(np.median([row[2] for row in found])),
        "inside": None if np.isnan(inside).any() else float(inside.mean()),
    }


def _latencies(table: PublishedTable) -> dict[str, Array]:
    """Seconds on each device of a table."""
    names = [name for name in table.columns if name.startswith("lat_ms_")]
    return {name.removeprefix("lat_ms_"): table.seconds(name, "ms") for name in names}


def _nb201(data: Path) -> Networks:
    """Operators of each kind, all and those that an output depends on, with MACs and params.

    A runtime that drops what no output reads runs the second.
    """
    table = PublishedTable.read(data / "nb201_cifar10.npz").where("connected", "True")
    edges = np.array([table.column(f"edge{edge}") for edge in range(6)]).T
    ends = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    read = np.zeros((len(edges), 4), dtype=bool)  # Whether the output depends on a node.
    read[:, 3] = True
    needed = np.zeros_like(edges, dtype=bool)
    for edge in sorted(range(6), key=lambda edge: -ends[edge][1]):
        start, end = ends[edge]
        needed[:, edge] = (edges[:, edge] != 0) & read[:, end]
        read[:, start] |= needed[:, edge]
    kinds = range(1, 5)
    counts = [(edges == kind).sum(axis=1) for kind in kinds]
    counts += [((edges == kind) & needed).sum(axis=1) for kind in kinds]
    columns = [table.column("macs_c10"), table.column("params_c10"), *counts]
    latencies = _latencies(table)
    return Networks(np.column_stack(columns).astype(float), latencies, latencies)


def _hwgpt(data: Path) -> Networks:
    """Layers, heads, widths of tokens and MLPs summed over layers, biases, MACs and params."""
    table = PublishedTable.read(data / "hwgpt_s.npz")
    sums = {
        name: np.array([sum(map(float, cell.split(","))) for cell in table.column(name)])
        for name in ("n_head", "mlp_ratio")
    }
    width, depth = (np.array(table.column(name)) for name in ("n_embd", "n_layer"))
    columns = [
        depth,
        sums["n_head"],
        width * depth,
        width * sums["mlp_ratio"],
        np.array(table.column("bias")) * depth,
        np.array(table.column("macs")),
        np.array(table.column("params")),
    ]
    latencies = _latencies(table)
    return Networks(np.column_stack(columns).astype(float), latencies, latencies)


def _hat(data: Path) -> Iterator[Networks]:
    """Layers, heads and weights of encoder and decoder."""
    found = [task for task in tasks(data) if task.name.startswith("hat ")]
    profiles = {task.name.removeprefix("hat "): task.run() for task in found}
    for task in found:
        table = PublishedTable.read(task.path)
        for name, value in task.where.items():
            table = table.where(name, value)
        column = {name: np.array(table.column(name), dtype=float) for name in task.features}
        wide, deep = column["encoder_embed_dim"], column["encoder_layer_num"]
        own, layers = column["decoder_embed_dim"], column["decoder_layer_num"]
        encoder = 4 * wide**2 + 2 * wide * column["encoder_ffn_embed_dim_avg"]
        across = 2 * own**2 + 2 * own * wide * column["decoder_arbitrary_ende_attn_avg"]
        decoder = 4 * own**2 + across + 2 * own * column["decoder_ffn_embed_dim_avg"]
        heads = (
            column["decoder_self_attention_heads_avg"] + column["decoder_ende_attention_heads_avg"]
        )
        features = np.column_stack(
            [
                deep,
                layers,
                deep * encoder,
                layers * decoder,
                deep * column["encoder_self_attention_heads_avg"],
                layers * heads,
            ]
        )
        inputs = np.column_stack([column[name] for name in task.features])
        known = {name: profile.regression.predict(inputs) for name, profile in profiles.items()}
        new = task.name.removeprefix("hat ")
        yield Networks(features, known, {new: table.seconds("latency_total", "ms")})


if __name__ == "__main__":
    main()
