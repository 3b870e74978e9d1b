"""Latency tables: what each block of a space adds to a network's run, on one device and setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hw_profiles.certificate import Certificate
from hw_profiles.device import Device
from hw_profiles.files import canonical_json, read_json, sha256_of, write_json
from hw_profiles.runtime import Setting
from search_spaces import Block, CorruptFileError, SearchSpace, block_key

__all__ = ["LatencyTable", "MissingBlockError", "Timing", "space_digest"]

FORMAT = "hwnas latency table 1"


class MissingBlockError(LookupError):
    """A table has no entry for a block; the message names it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one block adds to a run, in seconds.

    Attributes:
        value_s: The table's figure: the 10 % quantile.
        p10_s: 10 % quantile, the least disturbed by other load.
        p50_s: Median.
        p90_s: 90 % quantile.
        low_s: Lower end of the 95 % interval of ``value_s``.
        high_s: Upper end.
        n: Timed runs of networks that hold the block.
    """

    value_s: float
    p10_s: float
    p50_s: float
    p90_s: float
    low_s: float
    high_s: float
    n: int

    def __post_init__(self) -> None:
        for name in ("value_s", "p10_s", "p50_s", "p90_s", "low_s", "high_s"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise ValueError(f"`{name}` must be a finite time of at least 0; got {value!r}.")
        if not isinstance(self.n, int) or self.n < 1:
            raise ValueError(f"`n` must be a number of runs above 0; got {self.n!r}.")


def space_digest(space: SearchSpace) -> str:
    """Twelve hexadecimal digits of a space's name and blocks: which table belongs to it."""
    return sha256_of(canonical_json(space.describe()))[:12]


@dataclass(frozen=True)
class LatencyTable:
    """Block times of one space on one device and setting.

    Attributes:
        device: Where it was measured.
        setting: How networks were run.
        space: Name of the space.
        digest: :func:`space_digest` of the space.
        overhead: What a run costs before any block.
        entries: Timing of each measured block by :func:`~search_spaces.block_key`.
        conditions: How it was measured: date, statistic, reference network and its drift, core,
            number of networks, residual.
        certificate: How wrong its sums are on networks that it was not fitted to.
    """

    device: Device
    setting: Setting
    space: str
    digest: str
    overhead: Timing
    entries: Mapping[str, Timing]
    conditions: Mapping[str, Any]
    certificate: Certificate | None = field(default=None, compare=False)

    def __getitem__(self, block: Block) -> Timing:
        key = block_key(block)
        if key not in self.entries:
            raise MissingBlockError(
                f"The table of {self.name} has no entry for {key}. Measure it with "
                "`hwnas profile measure`, or price it with a predictor, which flags it."
            )
        return self.entries[key]

    def __contains__(self, block: object) -> bool:
        return isinstance(block, Block) and block_key(block) in self.entries

    def missing(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Those of the blocks that it has no entry for."""
        return (block for block in blocks if block not in self)

    @property
    def name(self) -> str:
        """Setting and space, for messages."""
        return f"{self.setting.name} over space {self.space}"

    @cached_property
    def sha256(self) -> str:
        """Checksum of everything but the certificate, which is drawn from it."""
        return sha256_of(canonical_json(self._body()))

    def differences(self, device: Device, setting: Setting) -> dict[str, tuple[Any, Any]]:
        """Fields in which the table's device and setting differ from these: (table's, other)."""
        own = self.device.identity | self.setting.to_json()
        other = device.identity | setting.to_json()
        return {key: (own[key], other[key]) for key in own if own[key] != other[key]}

    def _body(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "device": self.device.to_json(),
            "setting": self.setting.to_json(),
            "space": self.space,
            "digest": self.digest,
            "conditions": dict(self.conditions),
            "overhead": asdict(self.overhead),
            "entries": {key: asdict(timing) for key, timing in self.entries.items()},
        }

    def save(self, path: Path) -> None:
        """Writes the table as JSON with its checksum."""
        certificate = self.certificate.to_json() if self.certificate else None
        data = {"table": self._body(), "certificate": certificate}
        write_json(path, data | {"sha256": sha256_of(canonical_json(data))})

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Reads a table.

        Raises:
            FileNotFoundError: There is no such file.
            CorruptFileError: It is not a table, its checksum is wrong, or an entry is not a time;
                the message names the file and the entry.
        """
        data = read_json(path)
        try:
            given = data.pop("sha256")
            body = data["table"]
            if body["format"] != FORMAT:
                raise CorruptFileError(f"{path} has format {body['format']!r}, not {FORMAT!r}.")
            entries = {}
            for key, value in (body["entries"] | {"overhead": body["overhead"]}).items():
                try:
                    entries[key] = Timing(**value)
                except (ValueError, TypeError) as error:
                    raise CorruptFileError(f"{path}, entry {key}: {error}") from error
            if sha256_of(canonical_json(data)) != given:
                raise CorruptFileError(f"{path} has a wrong checksum: it was changed or cut off.")
            certificate = data["certificate"]
            return cls(
                device=Device(**body["device"]),
                setting=Setting(**body["setting"]),
                space=body["space"],
                digest=body["digest"],
                overhead=entries.pop("overhead"),
                entries=entries,
                conditions=body["conditions"],
                certificate=Certificate.from_json(certificate) if certificate else None,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptFileError(f"{path} is not a latency table: {error!r}.") from error
