"""The folder of a comparison: searches that are over, trainings, and what all came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from hw_profiles.files import read_json, write_json
from nas.arm_search import Found
from nas.comparison import Comparison
from nas.run_folder import RunFolder
from search_spaces import CorruptFileError

__all__ = ["ComparisonFolder", "Trained"]


@dataclass(frozen=True, slots=True)
class Trained:
    """What training an architecture with a seed gave.

    Attributes:
        quality: On the validation split; ``None`` where it failed.
        seconds: How long it took.
        test: On the test split; only of finalists, with seeds that no search saw.
        reason: Why it failed.
    """

    quality: float | None
    seconds: float
    test: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonFolder(RunFolder):
    """A comparison on disk.

    As of a run ``config.toml``, ``profiles/`` or ``table/``, and ``manifest.json``; beside them
    ``trainings/SEED/ID.json`` (each architecture once with each seed), ``searches/SEED-ARM.json``
    (each search that is over), and at the end ``comparison.json``.
    """

    format: ClassVar[str] = "hwnas comparison 1"
    command: ClassVar[str] = "compare"

    @property
    def comparison(self) -> Path:
        """What the comparison came to."""
        return self.path / "comparison.json"

    def results(self) -> list[Path]:
        """Files that have a checksum once the comparison has ended, where they are there."""
        kept = (self.path / "trainings").glob("*/*.json")
        return [self.comparison, *sorted(kept), *self.searches()]

    def searches(self) -> list[Path]:
        """Files of the searches that are over."""
        return sorted((self.path / "searches").glob("*.json"))

    def trained(self) -> int:
        """How many trainings are kept."""
        return sum(1 for _ in (self.path / "trainings").glob("*/*.json"))

    def read_search(self, seed: int, arm: str, position: int) -> Found | None:
        """A search, if it is over.

        Args:
            seed: Its seed.
            arm: Name of its arm.
            position: Of its arm among all arms.

        Raises:
            CorruptFileError: Its file is something else.
        """
        path = self._search(seed, position)
        if not path.is_file():
            return None
        try:
            found = Found.from_json(read_json(path))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise CorruptFileError(f"{path} is not a search: {error!r}.") from error
        if (found.seed, found.arm) != (seed, arm):
            raise CorruptFileError(
                f"{path} is of arm {found.arm} and seed {found.seed}; it should be of {arm} and "
                f"{seed}."
            )
        return found

    def write_search(self, found: Found, position: int) -> None:
        """Keeps a search that is over."""
        write_json(self._search(found.seed, position), found.to_json())

    def _search(self, seed: int, position: int) -> Path:
        return self.path / "searches" / f"{seed}-{position}.json"

    def read_training(self, seed: int, architecture: str) -> Trained | None:
        """What training an architecture, by its id, with a seed gave, if it was trained.

        Raises:
            CorruptFileError: Its file is something else.
        """
        path = self._training(seed, architecture)
        if not path.is_file():
            return None
        try:
            return Trained(**read_json(path))
        except TypeError as error:
            raise CorruptFileError(f"{path} is not a training: {error}.") from error

    def write_training(self, seed: int, architecture: str, trained: Trained) -> None:
        """Keeps a training."""
        write_json(self._training(seed, architecture), asdict(trained))

    def _training(self, seed: int, architecture: str) -> Path:
        return self.path / "trainings" / str(seed) / f"{architecture}.json"

    def write_comparison(self, comparison: Comparison, experiment: Mapping[str, Any]) -> None:
        """Keeps what all came to, with the experiment's values."""
        write_json(self.comparison, comparison.to_json() | {"experiment": dict(experiment)})

    def read_comparison(self) -> Comparison:
        """What all came to.

        Raises:
            FileNotFoundError: The comparison is not over.
            CorruptFileError: The file is something else.
        """
        if not self.comparison.exists():
            raise FileNotFoundError(
                f"The comparison in {self.path} is not over. Go on with it:\n{self.resume_line()}"
            )
        return Comparison.from_json(read_json(self.comparison), str(self.comparison))
