"""The paper's case on a device: Tables 1 and 2, predicted from a profile alone and then measured.

On the device (PyTorch with CUDA is enough):
python -m benchmarks.misnomer_devices --measure RESULT.json [--dtype fp16] [--batch 1 64 256]

Anywhere, the measurements beside what a profile says:
python -m benchmarks.misnomer_devices RESULT.json [--profile nvidia-h200]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.misnomer import PRINTED
from hw_profiles import make_runtime
from hw_profiles.files import read_json, write_json
from hw_profiles.measurement import time_networks
from hw_profiles.profile import HardwareProfile, shipped_profiles
from predictors import TablePredictor
from search_spaces import CountTable, preset

CONTROLS = ("vit_ti_16", "vit_s_16", "vit_l_16", "mobilenet_v2", "efficientnet_b0")
"""Networks beside the paper's, of other sizes and another family."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--dtype", default="fp16")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--profile", default="nvidia-h200")
    options = parser.parse_args()
    if options.measure:
        _measure(options.result, options.dtype, options.batch)
    _print(read_json(options.result), options.profile)


def _measure(path: Path, dtype: str, batches: list[int]) -> None:
    result: dict[str, Any] = {}
    names = [*PRINTED, *CONTROLS]
    for batch in batches:
        runtime = make_runtime("cudagraph", dtype=dtype, batch=batch)
        visits, _ = time_networks([preset(name) for name in names], runtime, visits=2)
        result[runtime.setting.name] = {
            "device": runtime.device.to_json(),
            "setting": runtime.setting.to_json(),
            # The quantile of each visit, and the reference's own beside it, in seconds.
            "networks": {
                name: [[float(np.quantile(v.runs_s, 0.1)), v.reference_s] for v in pair]
                for name, pair in zip(names, visits, strict=True)
            },
        }
        write_json(path, result)


def _print(result: dict[str, Any], name: str) -> None:
    profile = HardwareProfile.load(shipped_profiles()[name])
    counts = CountTable()
    for setting, found in result.items():
        print(f"\n{found['device']['name']}, {setting}\n")
        tables = profile.tables(setting, "latency_s")
        # Beyond the largest batch that a table is of, a run is taken to be that many times as long.
        batch, times = found["setting"]["batch"], 1.0
        if not tables:
            settings = {t.setting.batch: t for t in profile.tables(quantity="latency_s")}
            largest = max(b for b in settings if b <= batch)
            tables, times = (settings[largest],), batch / largest
        predictor = TablePredictor(tables[0], counts)
        # Clocks fall under long loads, for the reference beside a network as for the network.
        pairs = [pair for visits in found["networks"].values() for pair in visits]
        reference_s = float(np.median([beside for _, beside in pairs]))
        print("| row | printed params M | printed GFLOPs | predicted ms | interval | measured ms |")
        print("|---|---:|---:|---:|---:|---:|")
        for row, pair in found["networks"].items():
            estimate = predictor.price(preset(row))
            measured = reference_s * np.mean([own / beside for own, beside in pair])
            low, high = estimate.low or 0.0, estimate.high or 0.0
            printed = PRINTED.get(row, ("", ""))
            print(
                f"| {row} | {printed[0]} | {printed[1]} | {1e3 * times * estimate.value:.3f} | "
                f"{1e3 * times * low:.3f} to {1e3 * times * high:.3f} | "
                f"{1e3 * measured:.3f} |"
            )


if __name__ == "__main__":
    main()
