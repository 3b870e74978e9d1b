"""What each command of ``hwnas`` does; the parser names them."""

from __future__ import annotations

import re
import shlex
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import ExperimentError, VerificationError
from nas.progress import Reporter

if TYPE_CHECKING:
    from nas.pareto import ParetoSet
    from nas.run_folder import RunFolder
    from nas.table_candidate import TableCandidate

__all__ = ["doctor", "export", "pareto", "search"]


def search(options: Namespace) -> int:
    """``hwnas search``."""
    from hw_profiles.profile import shipped_profiles
    from nas.config import read_config
    from nas.experiment import Experiment
    from nas.rendering import print_json, print_pareto
    from nas.run_folder import RunFolder
    from nas.search import free_folder, run_experiment

    overrides = list(options.set)
    if options.trials is not None:
        overrides.append(f"search.trials={options.trials}")
    given = _table_of(options)
    if given or "table" in read_config(Path(options.experiment), overrides):
        return _search_table(options, overrides, given)
    known = shipped_profiles()
    if options.resume and options.out:
        known |= RunFolder(Path(options.out)).profile_folders
    experiment = Experiment.load(Path(options.experiment), overrides, known)
    _check_resume(options)
    folder = Path(options.out) if options.out else free_folder(experiment.name)
    report = Reporter()
    outcome = run_experiment(
        experiment, folder, resume=options.resume, report=report, again=options.line
    )
    if options.json:
        print_json(outcome.pareto.to_json())
    else:
        print_pareto(outcome.pareto)
    report.line(
        f"Trained {outcome.trained} distinct candidates ({outcome.failed} more failed). "
        f"The run is in {outcome.folder}; export with: "
        f"{shlex.join(['hwnas', 'export', str(outcome.folder), '--pick', 'knee'])}"
    )
    return 0


def _table_of(options: Namespace) -> dict[str, Any]:
    """The experiment on a table that the options name by themselves, if they do."""
    named = {key: getattr(options, key) for key in ("table", "quality", "costs", "config")}
    missing = [f"--{key}" for key, value in named.items() if value is None]
    if len(missing) == len(named):
        return {}
    if missing:
        raise ExperimentError(
            "In place of an experiment file stand --table, --quality, --costs and --config "
            f"together; there is no {', '.join(missing)}."
        )
    lists = {key: [name.strip() for name in named[key].split(",")] for key in ("costs", "config")}
    path = Path(options.table)
    name = re.sub(r"[^A-Za-z0-9_.-]+|^[^A-Za-z0-9]+", "-", path.name.split(".")[0]).strip("-")
    table = {"file": str(path.resolve()), "quality": options.quality, **lists}
    return {"name": name or "table", "table": table}


def _search_table(options: Namespace, overrides: Sequence[str], given: Mapping[str, Any]) -> int:
    from nas.rendering import print_json, print_pareto
    from nas.search import free_folder
    from nas.table_experiment import TableExperiment
    from nas.table_search import run_table

    if given:
        experiment = TableExperiment.from_data(given, "the command line", overrides)
    else:
        experiment = TableExperiment.load(Path(options.experiment), overrides)
    _check_resume(options)
    folder = Path(options.out) if options.out else free_folder(experiment.name)
    report = Reporter()
    outcome = run_table(experiment, folder, resume=options.resume, report=report)
    if options.json:
        print_json(outcome.pareto.to_json())
    else:
        print_pareto(outcome.pareto, "evaluated")
    report.line(
        f"Evaluated {outcome.evaluated} configurations; the knee of the set is "
        f"{outcome.pareto.pick('knee')[0].id}. The run is in {outcome.folder}; pick from it with: "
        f"{shlex.join(['hwnas', 'pareto', str(outcome.folder), '--pick', 'knee'])}"
    )
    return 0


def _check_resume(options: Namespace) -> None:
    if options.resume and not options.out:
        raise ExperimentError("`--resume` needs --out, the folder of the run to go on with.")


def pareto(options: Namespace) -> int:
    """``hwnas pareto``."""
    from nas.indicators import LOCAL
    from nas.pricing import report_others, report_table
    from nas.rendering import print_json, print_members, print_pareto
    from nas.run_folder import RunFolder

    run = RunFolder.open(Path(options.run))
    found = _set_of_table(run, options.budget) if run.of_table else _set(run, options.budget)
    if options.pick is not None:
        picked = found.pick(options.pick)
        if options.json:
            print_json([member.to_json() for member in picked])
        else:
            print_members(picked, f"Members of the Pareto set: {options.pick}")
    elif options.json:
        print_json(found.to_json())
    else:
        print_pareto(found, "evaluated" if run.of_table else "trained")
        if run.of_table:
            return 0
        report_table(run.latency_table(), Reporter())
        for name, profile in run.profiles().items():
            if name != LOCAL:
                report_others(name, profile.tables(), Reporter())
    return 0


def _set(run: RunFolder, budgets: Sequence[str]) -> ParetoSet:
    from hw_profiles.store import Store
    from nas.budget_units import parse_budgets
    from nas.recomputation import pareto_under

    limits = parse_budgets(budgets)
    return pareto_under(run, limits, Store(), Reporter()) if limits else run.read_pareto()


def _set_of_table(run: RunFolder, budgets: Sequence[str]) -> ParetoSet[TableCandidate]:
    from nas.budget_units import parse_column_budgets
    from nas.table_search import table_pareto_under

    limits = parse_column_budgets(budgets, run.table_experiment().costs)
    return table_pareto_under(run, limits) if limits else run.read_table_pareto()


def export(options: Namespace) -> int:
    """``hwnas export``."""
    from nas.export import export_members, verify_export
    from nas.rendering import print_json
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
                f"{_measured(result.measured_s)}, {1e3 * result.predicted_s:.4g} ms predicted"
            )
    if options.json:
        print_json([asdict(result) for result in results])
    report.line(f"{len(results)} of {len(members)} verified.")
    if failures:
        raise VerificationError("\n".join(failures))
    return 0


def _measured(seconds: tuple[float, float] | None) -> str:
    if seconds is None:
        return "not measured, as the search went by another runtime"
    return f"{1e3 * min(seconds):.4g} to {1e3 * max(seconds):.4g} ms measured"


def doctor(options: Namespace) -> int:
    """``hwnas doctor``."""
    from hw_profiles.store import Store
    from nas.doctor import checks
    from nas.rendering import print_json

    found = checks(Store())
    if options.json:
        print_json([asdict(check) for check in found])
    else:
        for check in found:
            print(f"{'ok  ' if check.ok else 'WARN'} {check.name}: {check.detail}")
    return 0
