"""Makes, or certifies again, the tables of a shipped profile.

Needs no more than PyTorch, NumPy, SciPy and scikit-learn, so that it runs where a GPU is:

python -m benchmarks.profiles FOLDER --runtime cudagraph --dtype fp16 --quantity energy_j
python -m benchmarks.profiles FOLDER --runtime cudagraph --dtype fp16 --batch 1 --certify

FOLDER is the profile's (hw_profiles/data/nvidia-h200). Every visit is written as it is made, so the
same command goes on where it was interrupted. ``--certify`` measures networks for the tables that
are there, drawn with each table's own checksum.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from hw_profiles import BlockTable, Runtime, make_runtime, space_digest
from hw_profiles.files import read_json, write_json
from hw_profiles.gauge import gauge_of
from hw_profiles.journal import Journal
from hw_profiles.measurement import certify, measure_table
from hw_profiles.plan import Plan, plan_cover, plan_measurement
from hw_profiles.profile import HardwareProfile
from hw_profiles.quantity import quantity
from predictors import TablePredictor
from predictors.table_predictor import with_model
from search_spaces import Architecture, Block, CountTable, SearchSpace, UnionSpace, preset
from search_spaces.profiled import profiled_space

SPACES = ("vit_224", "mbconv_224")
ALSO = (
    "vit_b_8",
    "misnomer_d48",
    "misnomer_w768",
    "misnomer_w1024",
    "misnomer_w1536",
    "misnomer_w3072",
    "misnomer_w4096",
    "mobilenet_v2",
    "efficientnet_b0",
)
"""Networks whose blocks the tables of GPUs hold beside those of the spaces."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--space", nargs="+", default=list(SPACES))
    parser.add_argument("--also", nargs="*", default=list(ALSO))
    parser.add_argument("--runtime", default="cudagraph")
    parser.add_argument("--dtype")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--quantity", default="latency_s")
    parser.add_argument("--max-blocks", type=int, default=5000)
    parser.add_argument("--whole", type=int, default=300, help="random networks that are fitted")
    parser.add_argument("--certificate", type=int, default=300, help="networks of each family")
    parser.add_argument("--energy-networks", type=int, default=90)
    parser.add_argument("--certify", action="store_true", help="of the tables that are there")
    parser.add_argument("--counts", type=Path, default=Path(".counts.json"), help="kept counts")
    options = parser.parse_args()
    counts = CountTable(read_json(options.counts)) if options.counts.exists() else CountTable()
    members = [profiled_space(name) for name in options.space]
    space = members[0] if len(members) == 1 else UnionSpace(members)
    of = quantity(options.quantity)
    given = {name: getattr(options, name) for name in ("dtype", "batch", "threads")}
    runtime = make_runtime(options.runtime, training=of.training or None, **given)
    path = options.folder / f"{runtime.setting.name}.{of.name}.{space_digest(space)}.json"
    journal = Journal(path.with_suffix(".journal"), {"table": path.name, "space": options.space})
    if options.certify:
        table = BlockTable.load(path)
        table.check_made_on(runtime.device, runtime.setting, "Make it here without --certify.")
    else:
        also = [preset(name) for name in options.also]
        plan, beside = _plan(space, counts, options, also, path)
        print(f"{len(plan.blocks)} blocks in {len(plan.networks)} networks", flush=True)
        table = measure_table(
            space,
            runtime,
            counts,
            of=of.name,
            plan=plan,
            journal=journal,
            make_gauge=gauge_of(of, runtime),
            beside=beside,
        )
        table = with_model(table, counts)
        table.save(path)
    table = _certified(table, space, runtime, counts, options.certificate, journal)
    table.save(path)
    journal.close()
    write_json(options.counts, counts.to_json())
    if not (options.folder / "profile.json").exists():
        name = options.folder.name
        HardwareProfile(name, options.folder, device=table.device).save()
    _print(table)


def _plan(
    space: SearchSpace,
    counts: CountTable,
    options: argparse.Namespace,
    also: list[Architecture],
    path: Path,
) -> tuple[Plan, Callable[[Block], float] | None]:
    """What to measure; of energy, few networks beside the table of seconds."""
    if quantity(options.quantity).unit != "J":
        plan = plan_measurement(
            space, counts, max_blocks=options.max_blocks, whole=options.whole, also=also
        )
        return plan, None
    seconds = path.name.replace(".energy_j.", ".latency_s.").replace(
        ".train_energy_j.", ".train_step_s."
    )
    predictor = TablePredictor(BlockTable.load(path.with_name(seconds)), counts)
    return plan_cover(space, networks=options.energy_networks), partial(_value, predictor)


def _value(predictor: TablePredictor, block: Block) -> float:
    return predictor.block_value(block)


def _certified(
    table: BlockTable,
    space: SearchSpace,
    runtime: Runtime,
    counts: CountTable,
    networks: int,
    journal: Journal,
) -> BlockTable:
    predictor = TablePredictor(table, counts)
    certificate = certify(
        table,
        space,
        runtime,
        lambda architecture: predictor.price(architecture).value,
        networks=networks,
        journal=journal,
        make_gauge=gauge_of(quantity(table.quantity), runtime),
    )
    return replace(table, certificate=certificate)


def _print(table: BlockTable) -> None:
    print(f"{table.name}: {len(table.entries)} blocks, fit {table.conditions['fit_error']:.2%}")
    print("| family | n | bias | MAPE | ±5 % | A/A | ±10 % | A/A | tau | A/A |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name, s in table.certificate.families.items() if table.certificate else ():
        print(
            f"| {name} | {s.n} | {s.bias:+.1%} | {s.mape:.1%} | {s.within_5:.1%} | "
            f"{s.aa_within_5:.1%} | {s.within_10:.1%} | {s.aa_within_10:.1%} | {s.tau:.3f} | "
            f"{s.aa_tau:.3f} |"
        )


if __name__ == "__main__":
    main()
