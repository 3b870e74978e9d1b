"""What each command of ``hwnas`` does; the parser names them."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import ExperimentError, VerificationError
from nas.progress import Reporter
from search_spaces import Architecture, CorruptFileError, TrainingSetup, UnknownNameError

if TYPE_CHECKING:
    from hw_profiles.store import Store
    from nas.indicators import Pricer
    from search_spaces import SearchSpace

__all__ = [
    "cost",
    "doctor",
    "export",
    "pareto",
    "profile_list",
    "profile_measure",
    "profile_show",
    "search",
]


def search(options: Namespace) -> int:
    """``hwnas search``."""
    from nas.experiment import Experiment
    from nas.rendering import print_pareto
    from nas.search import free_folder, run_experiment

    overrides = list(options.set)
    if options.trials is not None:
        overrides.append(f"search.trials={options.trials}")
    experiment = Experiment.load(Path(options.experiment), overrides)
    if options.resume and not options.out:
        raise ExperimentError("`--resume` needs --out, the folder of the run to go on with.")
    folder = Path(options.out) if options.out else free_folder(experiment.name)
    report = Reporter()
    outcome = run_experiment(experiment, folder, resume=options.resume, report=report)
    if options.json:
        _print_json(outcome.pareto.to_json())
    else:
        print_pareto(outcome.pareto)
    report.line(
        f"Trained {outcome.trained} distinct candidates ({outcome.failed} more failed, "
        f"{outcome.over_budget} proposals were over a budget and {outcome.repeats} known already). "
        f"The run is in {outcome.folder}; export with: "
        f"{shlex.join(['hwnas', 'export', str(outcome.folder), '--pick', 'knee'])}"
    )
    return 0


def pareto(options: Namespace) -> int:
    """``hwnas pareto``."""
    from hw_profiles import LatencyTable
    from nas.pricing import report_table
    from nas.rendering import print_pareto
    from nas.run_folder import RunFolder

    run = RunFolder.open(Path(options.run))
    found = run.read_pareto()
    if options.json:
        _print_json(found.to_json())
    else:
        print_pareto(found)
        report_table(LatencyTable.load(run.latency), Reporter())
    return 0


def cost(options: Namespace) -> int:
    """``hwnas cost``."""
    from hw_profiles.store import Store
    from nas.indicators import indicator, paper_gflops
    from nas.rendering import print_indicators

    if options.batch_size is not None and options.batch_size < 1:
        raise ExperimentError(f"`--batch-size` must be at least 1; got {options.batch_size}.")
    given = {"batch_size": options.batch_size, "optimizer": options.optimizer}
    changes = {key: value for key, value in given.items() if value is not None}
    store, report = Store(), Reporter()
    if Path(options.architecture).is_dir():
        architecture, pricer, space = _member(
            Path(options.architecture), options.candidate, store, changes, report
        )
    else:
        from nas.pricing import local_pricer

        architecture, space = _architecture(options.architecture), None
        if options.candidate is not None:
            raise ExperimentError(
                f"{options.architecture} is no run, so it has no member {options.candidate}; "
                "leave that out."
            )
        pricer = local_pricer(architecture, store, TrainingSetup(**changes))
    try:
        values = pricer.price(architecture)
    except (ValueError, KeyError) as error:
        if not Path(options.architecture).is_file():
            raise
        raise CorruptFileError(
            f"{options.architecture} is not a network that can be priced: {error}"
        ) from error
    store.save_counts(pricer.counts, space)
    report.remarks(architecture.blocks)
    if options.json:
        indicators = {
            name: value.to_json()
            | {
                "unit": indicator(name).unit,
                "definition": indicator(name).defined(pricer.training),
            }
            for name, value in values.items()
        }
        _print_json(
            {
                "id": architecture.id,
                "architecture": architecture.to_json(),
                "indicators": indicators,
                "paper_gflops": paper_gflops(values),
            }
        )
        return 0
    print(f"{architecture.id}, space {architecture.space}, {len(architecture)} blocks")
    if architecture.config:
        print("config: " + ", ".join(f"{key}={v}" for key, v in architecture.config.items()))
    print_indicators(values, pricer.training)
    if "latency_s@local" not in values:
        report.line(
            "latency_s@local is not available: no table of this machine holds its blocks. "
            "Measure one with `hwnas profile measure EXPERIMENT.toml`."
        )
    return 0


def _member(
    path: Path, candidate: str | None, store: Store, changes: dict[str, Any], report: Reporter
) -> tuple[Architecture, Pricer, SearchSpace | None]:
    """A member of a run, a pricer with the run's own table and training, and the run's space.

    The space is there only where blocks of the user's own are in it: what is counted of them holds
    for its code alone.
    """
    from hw_profiles import LatencyTable
    from nas.indicators import Pricer
    from nas.resuming import code_changed
    from nas.run_folder import RunFolder
    from predictors import LatencyPredictor

    if candidate is None:
        raise ExperimentError(f"{path} is a run: name one of its members, or knee, after it.")
    run = RunFolder.open(path)
    picked = run.read_pareto().pick(candidate)
    if len(picked) != 1:
        raise ExperimentError("`hwnas cost` prices one architecture; name one member.")
    experiment = run.experiment()
    own = any("class" in fields for fields in experiment.spaces.values())
    space = experiment.space(experiment.load_dataset()) if own else None
    counts = store.counts(space)
    setup = replace(experiment.training_setup, **changes)
    table = LatencyTable.load(run.latency)
    if space is not None and code_changed(table, space):
        report.line(
            "The code of the run's blocks is not what it was when the run's table was measured: "
            "the counts are those of the code as it is now, the latency is not."
        )
    predictor = LatencyPredictor(table, counts)
    return picked[0].architecture, Pricer(counts, setup, {"local": predictor}), space


def _architecture(name: str) -> Architecture:
    """The architecture of a JSON file, or of a preset."""
    from hw_profiles.files import read_json
    from search_spaces.presets import preset

    path = Path(name)
    if not path.is_file():
        if path.suffix == ".json" or len(path.parts) != 1:
            raise FileNotFoundError(
                f"There is no architecture {path}; give a JSON file, a preset, or a run folder "
                "and a member."
            )
        return preset(name)
    data = read_json(path)
    if isinstance(data, dict) and "architecture" in data:
        data = data["architecture"]  # What `hwnas cost --json` printed.
    try:
        return Architecture.from_json(data)
    except UnknownNameError as error:
        own = " It is not built in: price it in its run, with `hwnas cost RUN ID`."
        hint = own if error.kind == "block type" and ":" in error.name else ""
        raise CorruptFileError(f"{path} is not an architecture: {error}{hint}") from error
    except ValueError as error:
        raise CorruptFileError(f"{path} is not an architecture: {error}") from error


def export(options: Namespace) -> int:
    """``hwnas export``."""
    from nas.export import export_members, verify_export
    from nas.run_folder import RunFolder

    run = RunFolder.open(Path(options.run))
    members = run.read_pareto().pick(options.pick)
    folder = Path(options.out) if options.out else run.exports
    report = Reporter()
    results, failures = [], []
    for member in members:
        try:
            if options.verify_only:
                result = verify_export(run, member, folder / f"{member.id}.onnx")
            else:
                result = export_members(run, [member], folder)[0]
        except VerificationError as error:
            failures.append(str(error))
            continue
        results.append(result)
        if not options.json:
            print(
                f"{result.file}: verified; largest difference {result.absolute:.1e} absolute, "
                f"{result.relative:.1e} relative; {result.test_quality_onnx} "
                f"(PyTorch {result.test_quality_torch.value:.4g}); latency "
                f"{1e3 * min(result.measured_s):.4g} to {1e3 * max(result.measured_s):.4g} ms "
                f"measured, {1e3 * result.predicted_s:.4g} ms predicted"
            )
    if options.json:
        _print_json([asdict(result) for result in results])
    report.line(f"{len(results)} of {len(members)} verified.")
    if failures:
        raise VerificationError("\n".join(failures))
    return 0


def profile_measure(options: Namespace) -> int:
    """``hwnas profile measure``."""
    from hw_profiles.store import Store
    from nas.experiment import Experiment
    from nas.fitting import check_fit
    from nas.pricing import count_space, measure
    from nas.rendering import print_certificate

    experiment = Experiment.load(Path(options.experiment), options.set)
    dataset = experiment.load_dataset()
    space = experiment.space(dataset)
    store, report = Store(), Reporter()
    counts = count_space(space, store, report)
    check_fit(space, dataset, counts, experiment.seed)
    print_certificate(measure(space, experiment.measurement, counts, store, report))
    return 0


def profile_list(options: Namespace) -> int:
    """``hwnas profile list``."""
    from hw_profiles.store import Store
    from nas.rendering import print_rows

    tables = Store().local_tables()
    if options.json:
        _print_json([_summary(table) for table in tables.values()])
        return 0
    rows = []
    for table in tables.values():
        score = table.certificate.families["all"] if table.certificate else None
        rows.append(
            [
                "local",
                table.setting.name,
                table.space,
                str(len(table.entries)),
                str(table.conditions["date"]),
                f"{score.within_10:.0%} of {score.n}" if score else "none",
            ]
        )
    headings = ["profile", "setting", "space", "blocks", "measured", "certificate within 10 %"]
    print_rows(headings, rows)
    if not rows:
        Reporter().line("No table yet: `hwnas search` makes one, or `hwnas profile measure`.")
    return 0


def profile_show(options: Namespace) -> int:
    """``hwnas profile show``."""
    from hw_profiles.store import Store
    from nas.indicators import PROFILES
    from nas.pricing import warn_of_table
    from nas.rendering import print_certificate, print_rows

    if options.profile not in PROFILES:
        raise UnknownNameError("profile", options.profile, PROFILES)
    tables = Store().local_tables()
    if not tables:
        raise FileNotFoundError(
            "The profile local has no table yet. Make one with `hwnas profile measure "
            "EXPERIMENT.toml`; `hwnas search` makes one by itself."
        )
    if options.json:
        _print_json([_summary(table, options.entries) for table in tables.values()])
        return 0
    for table in tables.values():
        print_certificate(table)
        warn_of_table(table, Reporter())
        if options.entries:
            rows = [
                [key, f"{1e6 * t.value_s:.2f}", f"{1e6 * t.low_s:.2f}", f"{1e6 * t.high_s:.2f}"]
                for key, t in table.entries.items()
            ]
            print_rows(["block", "us", "low", "high"], rows)
    return 0


def _summary(table: Any, entries: bool = False) -> dict[str, Any]:
    certificate = table.certificate
    families = certificate.families if certificate else {}
    summary = {
        "profile": "local",
        "setting": table.setting.name,
        "device": table.device.to_json(),
        "space": table.space,
        "blocks": len(table.entries),
        "measured": table.conditions["date"],
        "energy": False,
        "conditions": dict(table.conditions),
        "certificate": {name: asdict(score) for name, score in families.items()},
    }
    if entries:
        summary["entries"] = {key: asdict(timing) for key, timing in table.entries.items()}
    return summary


def doctor(options: Namespace) -> int:
    """``hwnas doctor``."""
    from hw_profiles.store import Store
    from nas.doctor import checks

    found = checks(Store())
    if options.json:
        _print_json([asdict(check) for check in found])
    else:
        for check in found:
            print(f"{'ok  ' if check.ok else 'WARN'} {check.name}: {check.detail}")
    return 0


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=1, allow_nan=False))
