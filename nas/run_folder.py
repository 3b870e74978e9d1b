"""The folder of a run: what is in it, and that it is what was written."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from numpy.typing import NDArray

from hw_profiles import BlockTable, Device
from hw_profiles.files import canonical_json, read_json, sha256_of, write_atomically, write_json
from hw_profiles.profile import HardwareProfile, shipped_profiles
from nas.config import read_config
from nas.errors import ExperimentError
from nas.experiment import Experiment
from nas.indicators import LOCAL
from nas.pareto import ParetoSet
from nas.table_candidate import TableCandidate
from nas.table_experiment import TableExperiment
from search_spaces import CorruptFileError

if TYPE_CHECKING:
    import torch

__all__ = ["RunFolder"]

TABLE = "table"
"""Folder of the file of configurations."""
PACKAGES = ("hwnas", "torch", "onnx", "onnxruntime", "optuna", "numpy", "scikit-learn", "moocore")
OPTIONAL_PACKAGES = ("tokenizers",)
"""Named in the manifest; a machine without them is not at fault."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run on disk.

    ``config.toml`` (the experiment with every default), ``profiles/`` (what it was priced with: of
    each profile the constants, and the tables that were used) or ``table/`` (the file of
    configurations, where that was searched), ``study.db`` (the Optuna study; this
    process is its only writer), ``checkpoints/``, ``events.jsonl``, ``pareto.json``, ``exports/``
    and ``manifest.json`` with the checksum of each, but for the exports, which are verified against
    the checkpoints.

    Attributes:
        path: The folder.
    """

    format: ClassVar[str] = "hwnas run 2"
    command: ClassVar[str] = "search"
    path: Path

    @property
    def config(self) -> Path:
        """The resolved experiment."""
        return self.path / "config.toml"

    @property
    def manifest(self) -> Path:
        """Versions, device, state and checksums."""
        return self.path / "manifest.json"

    @property
    def study(self) -> Path:
        """The Optuna study."""
        return self.path / "study.db"

    @property
    def profile_folders(self) -> dict[str, Path]:
        """Folder of each profile that candidates were priced with, by name."""
        found = sorted((self.path / "profiles").glob("*/profile.json"))
        return {path.parent.name: path.parent for path in found}

    def profiles(self) -> dict[str, HardwareProfile]:
        """The profiles that candidates were priced with, by name.

        Raises:
            CorruptFileError: One cannot be read.
        """
        return {k: HardwareProfile.load(folder) for k, folder in self.profile_folders.items()}

    def latency_table(self) -> BlockTable:
        """This machine's latency table that candidates were priced with.

        Raises:
            CorruptFileError: It is missing or cannot be read.
        """
        setting = self.experiment().measurement.setting_name
        profile = self.profiles().get(LOCAL)
        tables = profile.tables(setting, "latency_s") if profile is not None else ()
        if not tables:
            raise CorruptFileError(f"{self.path / 'profiles'} has no latency table of the run.")
        return tables[-1]

    @property
    def pareto(self) -> Path:
        """The Pareto set."""
        return self.path / "pareto.json"

    @property
    def events(self) -> Path:
        """What happened, a line each."""
        return self.path / "events.jsonl"

    @property
    def exports(self) -> Path:
        """Exported models."""
        return self.path / "exports"

    def checkpoint(self, candidate: str) -> Path:
        """Weights of a candidate."""
        return self.path / "checkpoints" / f"{candidate}.safetensors"

    @staticmethod
    def check_free(path: Path) -> None:
        """Raises ExperimentError unless a new run can start in the folder."""
        if "?" in str(path):
            raise ExperimentError(f"`--out` must not hold a question mark; got {path}.")
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise ExperimentError(
                f"`--out` {path} is taken. Pass --resume to go on with the run in it, or another "
                "--out."
            )

    @classmethod
    def create(
        cls,
        path: Path,
        experiment: Experiment | TableExperiment,
        priced: Iterable[tuple[HardwareProfile, Sequence[BlockTable]]],
        device: Device,
    ) -> Self:
        """Starts a run in a new folder.

        Args:
            path: The folder.
            experiment: What will be done.
            priced: What candidates are priced with: profiles, and tables of them.
            device: This machine.

        Raises:
            ExperimentError: The folder is already there.
        """
        run = cls(path)
        run.check_free(path)
        if isinstance(experiment, TableExperiment):
            source = Path(experiment.table.file)
            write_atomically(path / TABLE / source.name, source.read_bytes())
        else:
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        run._write_config(experiment)
        for profile, tables in priced:
            _copy(profile, tables, path / "profiles" / profile.name)
        versions = {}
        for name in (*PACKAGES, *OPTIONAL_PACKAGES):
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = "not installed"
        manifest = {
            "format": cls.format,
            "created": _now(),
            "versions": versions,
            "device": device.to_json(),
            "seed": experiment.seed,
        }
        run._write_manifest(manifest, "running")
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a run and checks every file against its checksum.

        Raises:
            FileNotFoundError: There is no run there.
            CorruptFileError: A file is missing, changed or unreadable; the message names it.
        """
        run = cls(path)
        if not run.manifest.is_file():
            raise FileNotFoundError(f"There is no run in {path}: it has no {run.manifest.name}.")
        manifest = read_json(run.manifest)
        if not isinstance(manifest, dict) or manifest.get("format") != cls.format:
            found = manifest.get("format") if isinstance(manifest, dict) else None
            raise CorruptFileError(
                f"{run.manifest} is not the manifest of a run ({cls.format}); its format is "
                f"{found!r}."
            )
        given = manifest.pop("sha256", None)
        if sha256_of(canonical_json(manifest)) != given:
            raise CorruptFileError(
                f"{run.manifest} is not what the run wrote: its checksum differs."
            )
        for name, checksum in manifest.get("files", {}).items():
            file = path / name
            if not file.is_file():
                raise CorruptFileError(f"{file} is missing from the run.")
            if sha256_of(file.read_bytes()) != checksum:
                raise CorruptFileError(f"{file} is not what the run wrote: its checksum differs.")
        if not run.study.exists() and any((path / "checkpoints").glob("*.safetensors")):
            raise CorruptFileError(f"{run.study} is missing from the run.")
        if run.study.exists():
            try:
                with sqlite3.connect(
                    f"{run.study.resolve().as_uri()}?mode=ro", uri=True
                ) as connection:
                    answer = connection.execute("PRAGMA quick_check").fetchone()[0]
                connection.close()
            except sqlite3.DatabaseError as error:
                raise CorruptFileError(f"{run.study} is not an SQLite file: {error}.") from error
            if answer != "ok":
                raise CorruptFileError(f"{run.study} is damaged: {answer}.")
        return run

    @property
    def of_table(self) -> bool:
        """Whether a table of configurations was searched, rather than networks trained."""
        return "table" in read_config(self.config)

    def experiment(self) -> Experiment:
        """The experiment of the run.

        Raises:
            ExperimentError: It is of a table of configurations.
        """
        if self.of_table:
            raise ExperimentError(
                f"The run in {self.path} is of a table of configurations: it has no networks to "
                "export, price or train. Look at it with `hwnas pareto`."
            )
        return Experiment.load(self.config, profiles=shipped_profiles() | self.profile_folders)

    def table_experiment(self) -> TableExperiment:
        """The experiment of a run that searched a table."""
        return TableExperiment.load(self.config)

    def resume_line(self) -> str:
        """The command that goes on with the run."""
        return shlex.join(
            ["hwnas", self.command, str(self.config), "--out", str(self.path), "--resume"]
        )

    def openings(self) -> int:
        """How often the run was gone on with."""
        return int(read_json(self.manifest).get("openings", 0))

    def state(self) -> str:
        """``"running"`` (or killed), ``"interrupted"`` or ``"complete"``."""
        return str(read_json(self.manifest)["state"])

    def device(self) -> Device:
        """Where the run was made."""
        return Device(**read_json(self.manifest)["device"])

    def start(self, experiment: Experiment | TableExperiment) -> None:
        """Marks the run as gone on with: files that will change lose their checksum.

        Args:
            experiment: What it is gone on with, which may ask for more trials than before.
        """
        manifest = read_json(self.manifest) | {"openings": self.openings() + 1}
        # A kill between the three writes must leave a run that can be opened.
        write_json(self.manifest, _sealed(manifest | {"state": "running", "files": {}}))
        self._write_config(experiment)
        self._write_manifest(manifest, "running")

    def finish(self, state: str) -> None:
        """Marks the run as ended and records the checksum of every file."""
        self._write_manifest(read_json(self.manifest), state)

    def add_to_manifest(self, name: str, entry: Mapping[str, Any]) -> None:
        """Adds an entry to a list of the manifest, which changes nothing else of the run."""
        manifest = read_json(self.manifest)
        write_json(self.manifest, _sealed(manifest | {name: [*manifest.get(name, []), entry]}))

    def read_pareto(self) -> ParetoSet:
        """The Pareto set that was written last.

        Raises:
            FileNotFoundError: None was written yet.
            CorruptFileError: The file is something else.
            ExperimentError: A space of the user's own is gone, so that its blocks are not known, or
                the run is of a table.
        """
        data = self._read_pareto()
        self.experiment().space_classes()
        return ParetoSet.from_json(data, str(self.pareto))

    def read_table_pareto(self) -> ParetoSet[TableCandidate]:
        """The same of a run that searched a table.

        Raises:
            FileNotFoundError: None was written yet.
            CorruptFileError: The file is something else.
        """
        read = partial(TableCandidate.from_json, columns=self.table_experiment().costs)
        return ParetoSet.from_json(self._read_pareto(), str(self.pareto), read)

    def _read_pareto(self) -> Any:
        if not self.pareto.exists():
            raise FileNotFoundError(
                f"The run in {self.path} has no {self.pareto.name} yet. Go on with it:\n"
                f"{self.resume_line()}"
            )
        return read_json(self.pareto)

    def write_pareto(self, pareto: ParetoSet[Any]) -> None:
        """Writes the Pareto set."""
        write_json(self.pareto, pareto.to_json())

    def save_weights(self, candidate: str, weights: Mapping[str, NDArray[Any]]) -> None:
        """Writes a candidate's weights."""
        from safetensors.numpy import save

        write_atomically(self.checkpoint(candidate), save(dict(weights)))

    def load_weights(self, candidate: str) -> dict[str, torch.Tensor]:
        """A candidate's weights.

        Raises:
            CorruptFileError: The file is missing or not readable; the message names it.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self.checkpoint(candidate)
        if not path.is_file():
            raise CorruptFileError(f"{path} is missing from the run.")
        try:
            return load(path.read_bytes())
        except SafetensorError as error:
            raise CorruptFileError(f"{path} is not a safetensors file: {error}.") from error

    def log(self, event: str, **fields: Any) -> None:
        """Appends a line to ``events.jsonl``."""
        import json

        line = json.dumps({"time": _now(), "event": event} | fields)
        with self.events.open("a") as file:
            file.write(line + "\n")

    def results(self) -> list[Path]:
        """Files that have a checksum once the run has ended, where they are there."""
        weights = sorted((self.path / "checkpoints").glob("*.safetensors"))
        return [self.study, self.pareto, self.events, *weights]

    def _write_config(self, experiment: Experiment | TableExperiment) -> None:
        """Writes the experiment; that of a table names the run's own copy of the file."""
        if isinstance(experiment, TableExperiment):
            own = f"{TABLE}/{Path(experiment.table.file).name}"
            table = experiment.table.model_copy(update={"file": own})
            experiment = experiment.model_copy(update={"table": table})
        write_atomically(self.config, experiment.to_toml().encode())

    def _write_manifest(self, manifest: dict[str, Any], state: str) -> None:
        # While a run is running only what never changes has a checksum, so that one that was
        # killed can be gone on with.
        files = [self.config] if state == "running" else [self.config, *self.results()]
        files += sorted((self.path / "profiles").glob("*/*.json"))
        files += sorted((self.path / TABLE).glob("*"))
        checksums = {
            file.relative_to(self.path).as_posix(): sha256_of(file.read_bytes())
            for file in files
            if file.exists()
        }
        changed = {"state": state, "updated": _now(), "files": checksums}
        write_json(self.manifest, _sealed(manifest | changed))


def _copy(profile: HardwareProfile, tables: Sequence[BlockTable], folder: Path) -> None:
    """Adds some tables of a profile to a folder, with what else is known of the device."""
    for table in tables:
        table.save(folder / f"{table.setting.name}.{table.quantity}.{table.digest}.json")
    device = profile.device or next((table.device for table in tables), None)
    copy = replace(profile, folder=folder, device=device)
    held = {setting for setting, _, _ in copy.files}
    replace(copy, order=tuple(name for name in profile.settings if name in held)).save()


def _sealed(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with its own checksum."""
    body = {key: value for key, value in manifest.items() if key != "sha256"}
    return body | {"sha256": sha256_of(canonical_json(body))}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
