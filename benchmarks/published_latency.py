"""Profiles from published measurements against a ridge regression, by the same cross-validation.

    python -m benchmarks.published_latency DATA [--only NAME ...] [--json]

DATA is a folder that holds ``hat_latency.npz`` (HAT: encoder-decoders on three devices),
``hwgpt_s.npz`` (HW-GPT-Bench: decoders on fourteen) and ``nb201_cifar10.npz`` (NAS-Bench-201:
cells on four); ``--only`` takes parts of the names that are printed. The ridge is on the raw
inputs, standardised, of the latency itself. ``usual state`` are the rows that were measured, as
those before and after them show, while the device was in its usual state; for both regressions.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from predictors.published import (
    CrossValidation,
    ImportedProfile,
    PublishedScore,
    import_measurements,
)
from predictors.published_table import PublishedTable

HAT_FEATURES = (
    "encoder_embed_dim",
    "encoder_layer_num",
    "encoder_ffn_embed_dim_avg",
    "encoder_self_attention_heads_avg",
    "decoder_embed_dim",
    "decoder_layer_num",
    "decoder_ffn_embed_dim_avg",
    "decoder_self_attention_heads_avg",
    "decoder_ende_attention_heads_avg",
    "decoder_arbitrary_ende_attn_avg",
)
HWGPT_FEATURES = ("n_embd", "n_layer", "n_head", "mlp_ratio", "bias")
NB201_FEATURES = tuple(f"edge{edge}:name" for edge in range(6))


@dataclass(frozen=True)
class Task:
    """Measurements to import: where they are, and whether rows stand in the order of measuring."""

    name: str
    path: Path
    latency: str
    features: Sequence[str]
    where: Mapping[str, str] = field(default_factory=dict)
    in_order: bool = False

    def run(self) -> ImportedProfile:
        """Imports them."""
        return import_measurements(
            self.path, self.latency, self.features, where=self.where, in_order=self.in_order
        )

    def ridge(self, profile: ImportedProfile) -> CrossValidation:
        """What a ridge regression says of the same rows, left out in the same parts."""
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        table = PublishedTable.read(self.path)
        for name, value in self.where.items():
            table = table.where(name, value)
        columns = [(code, table.column(code.name)) for code in profile.features]
        inputs = np.concatenate(
            [[code.encode(c) for c in cells] for code, cells in columns], axis=1
        )
        found = profile.validation
        predicted = np.zeros(len(inputs))
        for part in np.unique(found.part):
            out = found.part == part
            model = make_pipeline(StandardScaler(), Ridge(1.0))
            predicted[out] = model.fit(inputs[~out], found.measured_s[~out]).predict(inputs[out])
        # A line through latencies may fall below 0; its error is then above 100 %.
        return replace(found, predicted_s=np.maximum(predicted, 1e-9 * found.measured_s.min()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of names")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    results = {}
    if not options.json:
        print(f"{'measurements':36} {'regression':10} {HEADER}  usual state: {HEADER}")
    for task in tasks(options.data):
        if not any(part in task.name for part in options.only):
            continue
        start = time.perf_counter()
        profile = task.run()
        seconds = time.perf_counter() - start
        both = {"imported": profile.validation, "ridge": task.ridge(profile)}
        results[task.name] = {"seconds": seconds} | {
            name: {
                "all": asdict(found.certificate),
                "usual": None if found.steady is None else asdict(found.steady),
            }
            for name, found in both.items()
        }
        for name, found in () if options.json else both.items():
            usual = "" if found.steady is None else _line(found.steady)
            line = f"{task.name:36} {name:10} {_line(found.certificate)}"
            print(f"{line}  {'':12} {usual}", flush=True)
    if options.json:
        print(json.dumps(results))


HEADER = "  rows   MAPE   bias   ±5 %  ±10 %    tau inside"


def _line(s: PublishedScore) -> str:
    return (
        f"{s.n:6} {s.mape:6.2%} {s.bias:+6.1%} {s.within_5:6.1%} {s.within_10:6.1%} {s.tau:6.3f} "
        f"{s.inside:6.1%}"
    )


def tasks(data: Path) -> Iterator[Task]:
    """All that there is."""
    hat = data / "hat_latency.npz"
    for task, device in (
        ("iwslt14deen", "gpu_titanxp"),
        ("wmt14ende", "gpu_titanxp"),
        ("wmt14ende", "cpu_xeon"),
        ("wmt14ende", "cpu_raspberrypi"),
    ):
        where = {"task": task, "device": device}
        name = f"hat {task} {device}"
        yield Task(name, hat, "latency_total:ms", HAT_FEATURES, where, in_order=True)
    for name, features, where in (
        ("hwgpt_s", HWGPT_FEATURES, {}),
        ("nb201_cifar10", NB201_FEATURES, {"connected": "True"}),
    ):
        path = data / f"{name}.npz"
        for column in PublishedTable.read(path).columns:
            if column.startswith("lat_ms_"):
                device = column.removeprefix("lat_ms_")
                yield Task(f"{name} {device}", path, f"{column}:ms", features, where)


if __name__ == "__main__":
    main()
