"""What searches took, kept in a file that a later run goes on with."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benchmarks.search_problems import Subject
from benchmarks.search_runs import Job, Record
from nas.errors import ExperimentError

__all__ = ["About", "Results"]

PACKAGES = ("hwnas", "numpy", "scipy", "scikit-learn", "moocore", "optuna", "pymoo", "botorch")
SAME = 1e-6
"""Relative difference up to which two volumes are the same."""


@dataclass(frozen=True, slots=True)
class About:
    """What a problem is, so that results of another one are not mixed with its own.

    Attributes:
        title: What tables call it.
        objectives: Quality and costs.
        front: Members of the front within the reference point.
        volume: Of the box that the front's best values and the reference point span, its
            logarithm; it tells fronts apart.
        standard_error: Of a share of 0.9; 0 where shares are exact.
    """

    title: str
    objectives: int
    front: int
    volume: float
    standard_error: float

    @classmethod
    def of(cls, subject: Subject) -> About:
        """The problem, whose front is made for it."""
        front = subject.front
        box = float(np.log(np.maximum(front.reference - front.ideal, 1e-300)).sum())
        error = front.standard_error(0.9)
        return cls(subject.name, len(front.reference), len(front.points), box, error)

    def same(self, other: About) -> bool:
        """Whether scores against the one can stand beside scores against the other."""
        near = abs(self.volume - other.volume) <= SAME * (1 + abs(self.volume))
        return (self.objectives, self.front) == (other.objectives, other.front) and near


@dataclass
class Results:
    """Records of searches, one for each problem, sampler and seed.

    Attributes:
        problems: What was searched, by name.
        records: By problem, sampler and seed.
        versions: Of the packages that it was done with.
    """

    problems: dict[str, About] = field(default_factory=dict)
    records: dict[tuple[str, str, int], Record] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, *paths: Path) -> Results:
        """The results of files; where several hold the same search, the last one's.

        Raises:
            ExperimentError: A file is none of results, or they hold different problems of one name.
        """
        results = cls()
        for path in paths:
            try:
                data = json.loads(path.read_text())
                own = {name: About(**about) for name, about in data["problems"].items()}
                records = [Record(**record) for record in data["records"]]
            except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                raise ExperimentError(
                    f"{path} must be results that this wrote; got {error!r}. Give another file."
                ) from error
            for name, about in own.items():
                results.take_up(name, about)
            for record in records:
                results.add(record)
            results.versions |= data.get("versions", {})
        return results

    def save(self, path: Path) -> None:
        """Writes all of it, whole or not at all, a line for each search."""
        self.versions |= {name: found for name in PACKAGES if (found := _version(name))}
        ordered = sorted(self.records.items())
        lines = ",\n".join(json.dumps(asdict(record)) for _, record in ordered)
        head = {
            "versions": self.versions,
            "problems": {name: asdict(about) for name, about in self.problems.items()},
        }
        text = json.dumps(head, indent=1)[:-2] + f',\n "records": [\n{lines}\n]}}\n'
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".part")
        beside.write_text(text)
        os.replace(beside, path)

    def take_up(self, name: str, about: About) -> None:
        """Notes what a problem is.

        Raises:
            ExperimentError: Something else of that name was searched before.
        """
        known = self.problems.setdefault(name, about)
        if not known.same(about):
            raise ExperimentError(
                f"What is kept of {name} must be of the same problem; its front had {known.front} "
                f"members, now {about.front}. Give another --out, or --again to drop it."
            )

    def drop(self, problem: str, samplers: tuple[str, ...]) -> None:
        """Forgets searches; and the problem, where none of it are left."""
        for key in list(self.records):
            if key[0] == problem and key[1] in samplers:
                del self.records[key]
        if not any(key[0] == problem for key in self.records):
            self.problems.pop(problem, None)

    def add(self, record: Record) -> None:
        """Takes up a search, in place of one before."""
        self.records[record.problem, record.sampler, record.seed] = record

    def of(self, problem: str, sampler: str) -> list[Record]:
        """All searches of a problem by a sampler, by their seeds."""
        found = [r for key, r in self.records.items() if key[:2] == (problem, sampler)]
        return sorted(found, key=lambda record: record.seed)

    def has(self, problem: str, job: Job) -> bool:
        """Whether a search was done, for as long as is wanted."""
        known = self.records.get((problem, job.sampler, job.seed))
        return known is not None and known.answers(job.evaluations, job.stop)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
