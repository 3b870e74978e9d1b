"""A finished run of a tiny experiment, which most tests of this folder read, and stand-ins."""

import copy
import io
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from rich.console import Console

from hw_profiles import space_digest, timing
from hw_profiles.runtime import initial_weights
from hw_profiles.store import Store
from nas import training
from nas.candidates import Candidate
from nas.errors import QualityError
from nas.experiment import Experiment
from nas.images import ImageDataset, load_digits
from nas.indicators import Pricer, Value
from nas.pricing import count_space
from nas.progress import Reporter
from nas.quality import ERROR
from nas.run_folder import RunFolder
from nas.search import Outcome, run_experiment
from nas.splits import Dataset
from predictors import LatencyPredictor
from search_spaces import Architecture, ConvHead, TrainingSetup, UnionSpace, chain

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
def tiny_pricer(finished: Finished, tiny_space: UnionSpace) -> Pricer:
    """The pricer of the finished run."""
    counts = count_space(tiny_space, Store(finished.home), Quiet())
    (table,) = Store(finished.home).local_tables().values()
    return Pricer(counts, TrainingSetup(64, "adamw"), {"local": LatencyPredictor(table, counts)})


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
    monkeypatch.setattr(
        "hw_profiles.measurement.time_networks",
        lambda jobs, *_, **__: ([[timing.Visit(1.0, 1.1, 1.2, 1e-4, 12)] * 2 for _ in jobs], 0),
    )
    # A few hundred draws are enough to have seen all that is left of a space of this size.
    monkeypatch.setattr("nas.search.GIVE_UP_DRAWS", 500, raising=False)
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
    (table,) = store.local_tables().values()
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
