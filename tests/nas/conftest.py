"""A finished run of a tiny experiment, which most tests of this folder read, and stand-ins."""

import copy
import io
import itertools
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sqlalchemy
from rich.console import Console

from hw_profiles import (
    BlockTable,
    Certificate,
    Device,
    Entry,
    Measured,
    Setting,
    space_digest,
    timing,
)
from hw_profiles.profile import Constant, HardwareProfile
from hw_profiles.runtime import initial_weights
from hw_profiles.store import Store
from nas import training
from nas.candidates import Candidate
from nas.errors import QualityError
from nas.experiment import Experiment
from nas.images import ImageDataset, load_digits
from nas.places import devices_of_run
from nas.pricer import Pricer
from nas.pricing import count_space
from nas.progress import Reporter
from nas.quality import ERROR
from nas.run_folder import RunFolder
from nas.search import Outcome, run_experiment
from nas.splits import Dataset
from predictors import Value
from predictors.device_tables import families_of
from search_spaces import (
    Architecture,
    ConvHead,
    MBConvSpace,
    SearchSpace,
    TrainingSetup,
    UnionSpace,
    block_key,
    chain,
)

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "spaces": {
        "vit": {
            "patch_size": [4],
            "depth": [1, 2],
            "width": [8, 16],
            "heads": [1, 2],
            "mlp_ratio": [1, 2],
            "pool": ["cls", "mean"],
        },
        "mbconv": {
            "stem_width": [4],
            "strides": [2],
            "width": [4, 8],
            "depth": [1, 2],
            "kernel_size": [3],
            "expansion": [1, 2],
            "squeeze": [False, True],
        },
    },
    "training": {"epochs": 1},
    "search": {
        "trials": 10,
        "objectives": ["macs", "latency_s@local", "params"],
        "batch": 4,
        "workers": 1,
    },
    "measurement": {"certificate": 20},
}
"""48 transformers and 16 CNNs: (2 + 4) ratios x 2 widths x 2 heads x 2 pools, and 2^4."""


def merged(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The data with changes; sections are merged, other values replaced."""
    result = copy.deepcopy(data)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and key != "spaces" else value
    return result


@dataclass
class Quiet(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.buffer = io.StringIO()
        super().__init__(Console(file=self.buffer, soft_wrap=True, highlight=False))

    @property
    def text(self) -> str:
        return self.buffer.getvalue()


def kept_tables(home: Path) -> dict[Path, BlockTable]:
    """The tables of this machine that a store keeps, by path."""
    return {path: BlockTable.load(path) for _, _, path in Store(home).profile("local").files}


@dataclass
class TrainingStub:
    """Trains nothing: the error follows from the id, the weights are initial ones.

    Attributes:
        trained: Ids in the order in which they came.
        fails: Which of them fail.
        interrupt_at: Raises KeyboardInterrupt in place of the training of this number.
        error: The error of an architecture.
    """

    trained: list[str] = field(default_factory=list)
    fails: Callable[[Architecture], bool] = lambda architecture: False
    interrupt_at: int | None = None
    error: Callable[[Architecture], float] = lambda a: int(a.id, 16) % 360 / 360

    def __call__(self, architecture: Architecture, *_: Any) -> training.Evaluation:
        if len(self.trained) == self.interrupt_at:
            raise KeyboardInterrupt
        self.trained.append(architecture.id)
        if self.fails(architecture):
            raise QualityError("the training loss became nan in epoch 1")
        quality = ERROR.quality("validation", self.error(architecture))
        return training.Evaluation(quality, initial_weights(architecture), 1.0, 0)


@dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        home: Root of the store with its table and counts.
        folder: The run.
        outcome: What the search gave.
        text: What was reported.
    """

    home: Path
    folder: Path
    outcome: Outcome
    text: str


@pytest.fixture(scope="session", autouse=True)
def _interrupts_arrive() -> None:
    """Ctrl-C is ignored in what a shell puts in the background; here it is what is tested."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes what is kept for the user."""
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_disks() -> Iterator[None]:
    """Studies of tests need not survive a power cut."""

    def relax(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    return load_digits()


@pytest.fixture
def tiny_data() -> dict[str, Any]:
    return copy.deepcopy(TINY)


@pytest.fixture
def tiny() -> Callable[..., Experiment]:
    """The tiny experiment with some sections changed."""
    return lambda **changes: Experiment.from_data(merged(TINY, changes))


@pytest.fixture
def tiny_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny experiment, with some sections changed, and returns its path."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "tiny.toml"
        path.write_text(Experiment.from_data(merged(TINY, changes)).to_toml())
        return path

    return write


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny experiment, measured, trained and tested for real."""
    root, report = tmp_path_factory.mktemp("finished"), Quiet()
    outcome = run_experiment(
        Experiment.from_data(TINY), root / "run", store=Store(root / "home"), report=report
    )
    return Finished(root / "home", root / "run", outcome, report.text)


@pytest.fixture(scope="session")
def tiny_space(digits: Dataset) -> UnionSpace:
    return Experiment.from_data(TINY).space(digits)


@pytest.fixture(scope="session")
def tiny_codes(tiny_space: UnionSpace) -> np.ndarray:
    """All codes ``[n, parameters]`` of it: many stand for the same network."""
    return np.array(
        list(itertools.product(*(range(len(c)) for c in tiny_space.parameters.values())))
    )


@pytest.fixture(scope="session")
def tiny_pricer(finished: Finished, tiny_space: UnionSpace) -> Pricer:
    """The pricer of the finished run."""
    counts = count_space(tiny_space, Store(finished.home), Quiet())
    run = RunFolder.open(finished.folder)
    devices = devices_of_run(run.experiment(), run.profiles(), tiny_space, counts)
    return Pricer(counts, TrainingSetup(64, "adamw"), devices)


@pytest.fixture(scope="session")
def vast_space() -> UnionSpace:
    """Ten stages, each of three widths, two kernels and two expansions: 12^10 networks."""
    member = MBConvSpace(
        stem_width=(4,),
        strides=(1,) * 10,
        width=(4, 8, 12),
        depth=(1,),
        kernel_size=(3, 5),
        expansion=(1, 2),
        squeeze=(False,),
    )
    return UnionSpace([member])


@pytest.fixture(scope="session")
def tables_in() -> Callable[[Path], dict[Path, BlockTable]]:
    """The tables of this machine that a store keeps, by path."""
    return kept_tables


@pytest.fixture(scope="session")
def table(finished: Finished) -> BlockTable:
    """The latency table of the finished run."""
    (found,) = kept_tables(finished.home).values()
    return found


GPU = Device("Fake GPU", "sm_0", cores=8, memory_bytes=8 * 2**30, features="abc", kind="gpu")
MOON = {
    ("cudagraph", "fp16", 1, "latency_s"): 1e-3,
    ("cudagraph", "fp16", 8, "latency_s"): 2e-3,
    ("cudagraph", "fp16", 1, "energy_j"): 0.5,
    ("cudagraph", "bf16", 64, "latency_s"): 8e-3,
    ("cudagraph", "bf16", 64, "train_step_s"): 3e-2,
    ("cudagraph", "bf16", 64, "train_energy_j"): 20.0,
}
"""Of each table of the made-up profile what every block costs; a run by itself costs nothing."""


@pytest.fixture
def write_profile(tiny_space: UnionSpace, tmp_path: Path) -> Callable[..., HardwareProfile]:
    """Writes a profile of tables in which every block of a space costs the same.

    Their certificates have errors of -10, 0, 10 and 20 %, and tails of 1.1, 1.3 and 2 times what
    was predicted, in each of the space's families.
    """

    def entry(value: float) -> Entry:
        return Entry(value, value, value, value, value, value, 24)

    def write(
        folder: Path,
        name: str = "moon",
        space: SearchSpace = tiny_space,
        costs: dict[Any, float] = MOON,
        device: Device = GPU,
        version: str = "9.9",
        constants: tuple[str, ...] = ("carbon_intensity", "pue", "chip_price"),
    ) -> HardwareProfile:
        known = {
            "carbon_intensity": Constant(360.0, "g/kWh", "made up"),
            "pue": Constant(1.25, "1", "made up"),
            "chip_price": Constant(3.6, "USD/h", "made up"),
        }
        measured = tuple(
            Measured(f"{family}{error}", family, 1.0, (1 / (1 + error),) * 2, (1.1, 1.3, 2.0), 24)
            for family in families_of(space)
            for error in (-0.1, 0.0, 0.1, 0.2)
        )
        order = dict.fromkeys(
            Setting(runtime, version, dtype, batch, threads=int(runtime == "onnxruntime")).name
            for runtime, dtype, batch, _ in costs
        )
        for (runtime, dtype, batch, quantity), each in costs.items():
            threads = int(runtime == "onnxruntime")
            table = BlockTable(
                quantity=quantity,
                device=device,
                setting=Setting(runtime, version, dtype, batch, threads),
                space=space.name,
                digest=space_digest(space),
                overhead=entry(0.0),
                entries={block_key(block): entry(each) for block in space.blocks},
                conditions={
                    "date": "2026-01-02T03:04:05+00:00",
                    "reference_s": 1e-3,
                    "blocks_unmeasured": 0,
                },
                certificate=Certificate("2026-01-03", "seed", measured),
            )
            table.save(folder / f"{table.setting.name}.{quantity}.{table.digest}.json")
        chosen = {key: known[key] for key in constants}
        profile = HardwareProfile(name, folder, device, chosen, order=tuple(order))
        profile.save()
        return profile

    return write


@pytest.fixture
def moon(
    write_profile: Callable[..., HardwareProfile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> HardwareProfile:
    """A made-up GPU, shipped as ``moon``, with the tables of :data:`MOON`."""
    monkeypatch.setattr("hw_profiles.profile.DATA", tmp_path / "data")
    return write_profile(tmp_path / "data" / "moon")


@pytest.fixture
def quiet() -> Quiet:
    return Quiet()


@pytest.fixture
def run_copy(finished: Finished, tmp_path: Path) -> Path:
    """The finished run, to be damaged."""
    return Path(shutil.copytree(finished.folder, tmp_path / "run"))


@pytest.fixture
def home_copy(finished: Finished, tmp_path: Path) -> Path:
    """The finished run's store, in use by the command line too."""
    return Path(shutil.copytree(finished.home, tmp_path / "home"))


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> TrainingStub:
    """In place of training, and of timing networks."""
    stand_in = TrainingStub()
    monkeypatch.setattr("nas.training.train", stand_in)
    visit = timing.Visit(tuple(1e-4 + 1e-6 * i for i in range(12)), 1e-4)

    def visits(jobs: Any, *_: Any, **__: Any) -> Any:
        return [[visit] * 2 for _ in jobs], 0

    def gauged(jobs: Any, *_: Any, **__: Any) -> Any:
        gauge = SimpleNamespace(statistic="p10", quantile=0.1, conditions={})
        return *visits(jobs), gauge

    monkeypatch.setattr("hw_profiles.measurement.time_networks", visits)
    monkeypatch.setattr("hw_profiles.measurement._visit_networks", gauged)
    return stand_in


@pytest.fixture(scope="session")
def four() -> dict[str, Any]:
    """The space of an experiment with four networks, all of them in the tiny one's too."""
    vit = TINY["spaces"]["vit"]
    return {"vit": vit | {"depth": [1], "width": [8], "heads": [1]}}


@pytest.fixture(scope="session")
def kept(
    finished: Finished,
    four: dict[str, Any],
    digits: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Store:
    """A store with the finished run's table, and the same for the space of four networks."""
    store = Store(Path(shutil.copytree(finished.home, tmp_path_factory.mktemp("kept") / "home")))
    (table,) = kept_tables(finished.home).values()
    space = Experiment.from_data(TINY | {"spaces": four}).space(digits)
    store.save_table(replace(table, space=space.name, digest=space_digest(space)), space)
    return store


@pytest.fixture
def stub_search(
    kept: Store, tiny: Callable[..., Experiment], tmp_path: Path, stub: TrainingStub
) -> Callable[..., Outcome]:
    """Runs the tiny experiment with some sections changed, untrained, on the kept table."""

    def run(
        report: Reporter | None = None,
        resume: bool = False,
        store: Store | None = None,
        folder: Path | None = None,
        dataset: Dataset | None = None,
        **changes: Any,
    ) -> Outcome:
        return run_experiment(
            tiny(**changes),
            folder or tmp_path / "run",
            resume=resume,
            store=store or kept,
            report=report or Quiet(),
            dataset=dataset,
        )

    return run


@pytest.fixture(scope="session")
def make_candidate() -> Callable[..., Candidate]:
    """A candidate of a one-block network, told apart by its width, with given numbers."""

    def make(width: int, quality: float, feasible: bool = True, **values: float) -> Candidate:
        architecture = Architecture("vit", {}, chain([ConvHead(1, width, 2, 0, "")]))
        indicators = {name: Value(v, v, v, "exact") for name, v in values.items()}
        return Candidate(architecture, ERROR.quality("validation", quality), indicators, feasible)

    return make


@pytest.fixture
def opened(finished: Finished) -> RunFolder:
    return RunFolder.open(finished.folder)
