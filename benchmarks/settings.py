"""How right tables of this machine are, for every family and every CPU setting.

python -m benchmarks.settings [RESULT.json] [--family vit mbconv ...] [--certificate 40]

Each family's default space is measured in ONNX Runtime in fp32 on one thread, and ViTs with
inverted bottlenecks in int8, on two threads and in OpenVINO where it is installed. Tables are made
and certified as ``hwnas profile measure`` does, and kept nowhere; each certificate's figures are
written as they are found.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hw_profiles import Runtime, local_device, make_runtime
from hw_profiles.errors import UnavailableError
from hw_profiles.files import read_json, write_json
from hw_profiles.measurement import certify, measure_table
from hw_profiles.plan import plan_measurement
from predictors import TablePredictor
from predictors.table_predictor import with_model
from search_spaces import CountTable, SearchSpace, UnionSpace
from search_spaces.families import SPACES

BOTH = ("vit", "mbconv")
HEADINGS = ("setting", "family", "blocks", "n", "bias", "MAPE", "±5 %", "A/A", "±10 %", "at least")
HEADINGS += ("A/A", "tau", "A/A", "disturbed", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("result", type=Path, nargs="?")
    parser.add_argument("--family", nargs="*", default=[f for f in SPACES if f not in BOTH])
    parser.add_argument("--certificate", type=int, default=40, help="networks of each family")
    options = parser.parse_args()
    found: dict[str, Any] = {"device": local_device().to_json(), "settings": []}
    if options.result is not None and options.result.exists():
        found = read_json(options.result)
    print(f"| {' | '.join(HEADINGS)} |")
    print("|---|---|" + (len(HEADINGS) - 2) * "---:|")
    for space, runtime in _cases(options.family):
        name = f"{runtime.setting.name} {space.name}"
        item = next((item for item in found["settings"] if item["name"] == name), None)
        if item is None:
            item = {"name": name} | _measure(space, runtime, options.certificate)
            found["settings"].append(item)
            if options.result is not None:
                write_json(options.result, found)
        _print(item)


def _cases(families: list[str]) -> Iterator[tuple[SearchSpace, Runtime]]:
    both = UnionSpace([SPACES[name]() for name in BOTH])
    for name in families:
        yield SPACES[name](), make_runtime("onnxruntime")
    for runtime, fields in (
        ("onnxruntime", {}),
        ("onnxruntime", {"dtype": "int8"}),
        ("onnxruntime", {"threads": 2}),
        ("openvino", {}),
    ):
        try:
            yield both, make_runtime(runtime, **fields)
        except UnavailableError as error:
            print(f"{runtime} {fields}: {error}")


def _measure(space: SearchSpace, runtime: Runtime, networks: int) -> dict[str, Any]:
    start, counts = time.monotonic(), CountTable()
    table = measure_table(space, runtime, counts, plan=plan_measurement(space, counts))
    table = with_model(table, counts)
    predictor = TablePredictor(table, counts)
    certificate = certify(
        table, space, runtime, lambda a: predictor.price(a).value, networks=networks
    )
    scores = certificate.families if certificate else {}
    return {
        "setting": runtime.setting.to_json(),
        "blocks": len(table.entries),
        "disturbed": table.conditions["disturbed"],
        "seconds": time.monotonic() - start,
        "families": {name: asdict(s) for name, s in scores.items() if name != "all"},
    }


def _print(item: dict[str, Any]) -> None:
    setting = item["name"].split()[0]
    for family, s in item["families"].items():
        shares = (s[k] for k in ("within_5", "aa_within_5", "within_10", "within_10_low"))
        cells = [
            *(setting, family, str(item["blocks"]), str(s["n"])),
            *(f"{s['bias']:+.1%}", f"{s['mape']:.1%}"),
            *(f"{share:.0%}" for share in (*shares, s["aa_within_10"])),
            *(f"{s['tau']:.3f}", f"{s['aa_tau']:.3f}"),
            *(f"{item['disturbed']:.0%}", f"{item['seconds']:.0f}"),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
