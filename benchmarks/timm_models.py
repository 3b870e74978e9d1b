"""What single indicators say of published image models: Figure 5 of the paper, with newer models.

python -m benchmarks.timm_models TABLE [--json]

The table has a row for each pretrained model and image size: ImageNet top-1, params, GMACs,
activations, and images a second on GPUs and CPUs. One row is kept for each architecture and image
size, the best; where models are divided by how they were trained, one for each of these.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from nas.derived_columns import DerivedColumn
from nas.disagreement import Disagreement
from nas.rendering import print_json
from nas.table_comparison import TableComparison, TableQuestion, compare_table
from nas.table_comparison_rendering import print_strata, print_table_comparison
from nas.terminal import marks, print_table
from nas.tolerance import Tolerance

GPU, CPU = "img_s__amp-pt291-cu130-5090", "img_s__fp32-pt240-cpu-i9_10940x-dynamo"
COSTS = ("params_m", "gmacs", "macts", f"{GPU}:max", f"{CPU}:max")
FAMILY = DerivedColumn.parse(
    "family=arch~"
    r"(?P<EfficientNet>^(?:tf_|gc_)?efficientnet(?!v2)_)"
    r"|(?P<EfficientNetV2>^(?:tf_|gc_)?efficientnetv2)"
    r"|^(?:tf_|legacy_)?([a-z]+)"
)
EFFICIENTNETS = ("EfficientNet", "EfficientNetV2")
PRETRAINING = DerivedColumn.parse(
    "pretraining=model~"
    r"(?P<text>laion|openai|webli|metaclip|dfn|datacomp|clip_ft)"
    r"|(?P<larger>in12k|in21k|in22k|jft|ig1b|yfcc|m38m|m30m|seer|swag|ssld_stage1)"
    r"|(?P<in1k>in1k)"
)
RESOLUTION = DerivedColumn.parse(
    "resolution=img_size~"
    r"(?P<below_224>^(?:\d\d|1\d\d|20\d|21\d)$)"
    r"|(?P<at_224>^224$)"
    r"|(?P<to_300>^2\d\d$|^300$)"
    r"|(?P<above_300>^\d\d\d$)"
)
NOISE = Tolerance(0.05)
"""Difference between two measured throughputs that is none."""


def question(path: Path) -> TableQuestion:
    """What is asked of all models, one row for each architecture and image size."""
    return TableQuestion(
        path,
        "top1:max",
        COSTS,
        family=FAMILY.name,
        errors={GPU: NOISE, CPU: NOISE},
        derived=(FAMILY, PRETRAINING, RESOLUTION),
        unique=("arch", "img_size"),
        complete=True,
    )


def stratified(path: Path) -> TableQuestion:
    """The same by pretraining and resolution, one row for each of these as well."""
    strata = (PRETRAINING.name, RESOLUTION.name)
    return replace(question(path), strata=strata, unique=("arch", "img_size", *strata))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    whole, divided = (
        compare_table(question(options.table)),
        compare_table(stratified(options.table)),
    )
    if options.json:
        print_json({"overall": whole.to_json(), "stratified": divided.to_json()})
        return
    print_table_comparison(whole)
    print("\nOne row for each architecture, image size and pretraining, divided by the last two\n")
    print_strata(divided)
    _print_efficientnets(whole, divided)
    print(f"{time.perf_counter() - started:.1f} s.")


def _print_efficientnets(whole: TableComparison, divided: TableComparison) -> None:
    """Prints the share of EfficientNets among all models and on each front."""
    rows = [["all", *_shares(whole.overall)]]
    rows += [
        [", ".join(stratum.labels.values()), *_shares(stratum.disagreement)]
        for stratum in divided.strata
    ]
    short = marks(whole.overall.indicators)
    headings = [", ".join(divided.strata[0].labels), "n", "of all", *short.values()]
    print_table(headings, rows, "EfficientNets (V1 + V2) on the front of top-1 against each cost")


def _shares(found: Disagreement) -> list[str]:
    families = found.fronts.families
    names = ("", *found.indicators)
    return [str(found.models)] + [
        " + ".join(f"{families[name].get(family, 0.0):.0%}" for family in EFFICIENTNETS)
        for name in names
    ]


if __name__ == "__main__":
    main()
