"""What ``hwnas cost`` and ``hwnas footprint`` do; the parser names them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import ExperimentError
from nas.progress import Reporter
from search_spaces import Architecture, CorruptFileError, TrainingSetup

if TYPE_CHECKING:
    from hw_profiles.store import Store
    from nas.run_folder import RunFolder
    from predictors import ProfilePricer, Value
    from search_spaces import CountTable, SearchSpace

__all__ = ["cost", "footprint"]


@dataclass(frozen=True)
class _Subject:
    """What is priced.

    Attributes:
        architecture: The network.
        counts: Counts of its blocks.
        training: Batch and optimiser of its training.
        run: The run that it is a member of.
        space: The run's space, where blocks of the user's own are in it: what is counted of them
            holds for its code alone.
    """

    architecture: Architecture
    counts: CountTable
    training: TrainingSetup
    run: RunFolder | None = None
    space: SearchSpace | None = None


def cost(options: Namespace) -> int:
    """``hwnas cost``."""
    from hw_profiles.store import Store
    from nas.indicators import indicator
    from nas.pricer import Pricer, paper_gflops
    from nas.rendering import print_indicators, print_json

    if options.batch_size is not None and options.batch_size < 1:
        raise ExperimentError(f"`--batch-size` must be at least 1; got {options.batch_size}.")
    given = {"batch_size": options.batch_size, "optimizer": options.optimizer}
    changes = {key: value for key, value in given.items() if value is not None}
    store, report = Store(), Reporter()
    subject = _subject(options, store, changes, report)
    architecture = subject.architecture
    devices, why_none = _devices(options.profile, subject, store)
    try:
        values = Pricer(subject.counts, subject.training, devices).price(architecture)
    except CorruptFileError:  # Of a table, which it names.
        raise
    except (ValueError, KeyError) as error:
        if not Path(options.architecture).is_file():
            raise
        raise CorruptFileError(
            f"{options.architecture} is not a network that can be priced: {error}"
        ) from error
    bubbles = _bubbles(options, architecture, devices)
    store.save_counts(subject.counts, subject.space)
    report.remarks(architecture.blocks)
    if options.json:
        indicators = {
            name: value.to_json()
            | {
                "unit": indicator(name).unit,
                "definition": indicator(name).defined(subject.training),
            }
            for name, value in values.items()
        }
        print_json(
            {
                "id": architecture.id,
                "architecture": architecture.to_json(),
                "indicators": indicators | _bubbles_json(bubbles),
                "unavailable": _unavailable(devices),
                "paper_gflops": paper_gflops(values),
            }
        )
        return 0
    print(f"{architecture.id}, space {architecture.space}, {len(architecture)} blocks")
    if architecture.config:
        print("config: " + ", ".join(f"{key}={v}" for key, v in architecture.config.items()))
    print_indicators(values, subject.training)
    for name, value in bubbles.items():
        print(f"{name}: {value.value:.4g} ({value.at})")
    reasons: dict[str, list[str]] = {}
    for name, reason in _unavailable(devices).items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        print(f"Not available: {', '.join(names)}, as {reason}.")
    if not devices:
        report.line(
            f"latency_s@local is not available: {why_none}. "
            "Measure one with `hwnas profile measure EXPERIMENT.toml`, or name a --profile."
        )
    return 0


def _devices(
    places: list[str], subject: _Subject, store: Store
) -> tuple[dict[str, ProfilePricer], str]:
    """What prices by hardware: places as given, or those of the run, or this machine.

    Also why there is none, where nothing was given and this machine has no table.
    """
    from nas.places import devices_of_run, local_device_of, place_device

    architecture, counts = subject.architecture, subject.counts
    own: dict[str, ProfilePricer] = {}
    if subject.run is not None:
        experiment, profiles = subject.run.experiment(), subject.run.profiles()
        own = devices_of_run(experiment, profiles, architecture, counts)
    if places:
        return {
            place: own[place] if place in own else place_device(place, architecture, counts, store)
            for place in dict.fromkeys(places)
        }, ""
    if own:
        return own, ""
    device, why = local_device_of(architecture, counts, store)
    return ({}, why) if device is None else ({"local": device}, "")


def _unavailable(devices: Mapping[str, ProfilePricer]) -> dict[str, str]:
    """Indicators that a profile does not give, and why."""
    from predictors.profile_pricer import DEVICE_INDICATORS

    return {
        f"{name}@{place}": reason
        for place, device in devices.items()
        for name in DEVICE_INDICATORS
        if (reason := device.reason(name))
    }


def _bubbles(
    options: Namespace, architecture: Architecture, devices: Mapping[str, ProfilePricer]
) -> dict[str, Value]:
    """The bubble of the pipeline that the options describe, on each device."""
    from nas.pipelines import Pipeline, pipeline_bubble

    if options.stages is None:
        if options.micro_batches is not None or options.chunks is not None:
            raise ExperimentError("`--micro-batches` and `--chunks` are for --stages; give that.")
        return {}
    if options.micro_batches is None:
        raise ExperimentError("`--stages` needs --micro-batches, how many a step is cut into.")
    if not devices:
        raise ExperimentError("`--stages` needs the seconds of blocks; name a --profile.")
    chunks = options.chunks or (2 if options.schedule == "interleaved" else 1)
    pipeline = Pipeline(options.stages, options.micro_batches, options.schedule, chunks)
    return {
        f"pipeline_bubble@{place}": pipeline_bubble(architecture, device, pipeline)
        for place, device in devices.items()
    }


def _bubbles_json(bubbles: Mapping[str, Value]) -> dict[str, Any]:
    from nas.pipelines import PIPELINE_BUBBLE

    known = {"unit": PIPELINE_BUBBLE.unit, "definition": PIPELINE_BUBBLE.definition}
    return {name: value.to_json() | known for name, value in bubbles.items()}


def _subject(
    options: Namespace, store: Store, changes: dict[str, Any], report: Reporter
) -> _Subject:
    from nas.architectures import named_architecture

    path = Path(options.architecture)
    if path.is_dir():
        return _member(path, options.candidate, store, changes, report)
    architecture = named_architecture(options.architecture)
    if options.candidate is not None:
        raise ExperimentError(
            f"{options.architecture} is no run, so it has no member {options.candidate}; "
            "leave that out."
        )
    return _Subject(architecture, store.counts(), TrainingSetup(**changes))


def _member(
    path: Path, candidate: str | None, store: Store, changes: dict[str, Any], report: Reporter
) -> _Subject:
    """A member of a run, with the run's own training and tables."""
    from nas.resuming import code_changed
    from nas.run_folder import RunFolder

    if candidate is None:
        raise ExperimentError(f"{path} is a run: name one of its members, or knee, after it.")
    run = RunFolder.open(path)
    picked = run.read_pareto().pick(candidate)
    if len(picked) != 1:
        raise ExperimentError("`hwnas cost` prices one architecture; name one member.")
    experiment = run.experiment()
    own = any("class" in fields for fields in experiment.spaces.values())
    space = experiment.space(experiment.load_dataset()) if own else None
    if space is not None and code_changed(run.latency_table(), space):
        report.line(
            "The code of the run's blocks is not what it was when the run's table was measured: "
            "the counts are those of the code as it is now, the latency is not."
        )
    setup = replace(experiment.training_setup, **changes)
    return _Subject(picked[0].architecture, store.counts(space), setup, run, space)


def footprint(options: Namespace) -> int:
    """``hwnas footprint``."""
    from hw_profiles.store import Store
    from nas.architectures import named_architecture
    from nas.indicators import check_place, split_place
    from nas.lifetimes import Lifetime, break_evens, make_tariff
    from nas.rendering import print_json, print_lifetimes

    store = Store()
    check_place(options.profile)
    profile = store.profile(split_place(options.profile)[0])
    tariff = make_tariff(profile, options.pue, options.carbon_intensity, options.price)
    counts = store.counts()
    lifetimes = [
        Lifetime.of(
            name,
            named_architecture(name),
            options.profile,
            counts,
            store,
            tariff,
            queries=options.queries,
            train_steps=options.train_steps,
            train_place=options.train_profile,
            chips=options.chips,
        )
        for name in dict.fromkeys(filter(None, (options.architecture, options.other)))
    ]
    store.save_counts(counts)
    found = break_evens(lifetimes) if len(lifetimes) == 2 else {}
    if options.json:
        data = {
            "queries": options.queries,
            "train_steps": options.train_steps,
            "chips": options.chips,
            "assumptions": asdict(tariff),
            "models": [lifetime.to_json() for lifetime in lifetimes],
            "break_even": {name: asdict(item) for name, item in found.items()},
        }
        print_json(data)
        return 0
    print_lifetimes(lifetimes, tariff, found)
    return 0
