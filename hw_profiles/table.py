"""Tables: what each block of a space adds to a network's run, on one device and setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hw_profiles.cache import CacheModel
from hw_profiles.certificate import Certificate
from hw_profiles.device import Device
from hw_profiles.errors import ForeignTableError
from hw_profiles.files import canonical_json, read_json, sha256_of, write_atomically
from hw_profiles.quantity import quantity
from hw_profiles.runtime import Setting
from search_spaces import Block, CorruptFileError, SearchSpace, block_key

__all__ = ["BlockTable", "Entry", "MissingBlockError", "space_digest"]

FORMAT = "hwnas block table 2"
COLUMNS = ("value", "p10", "p50", "p90", "low", "high", "n")


class MissingBlockError(LookupError):
    """A table has no entry for a block; the message names it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one block adds to a run, in the unit of the table's quantity.

    Attributes:
        value: The table's figure: the statistic that its conditions name.
        p10: 10 % quantile, the least disturbed by other load.
        p50: Median.
        p90: 90 % quantile.
        low: Lower end of the 95 % interval of ``value``.
        high: Upper end.
        n: Measured runs of networks that hold the block. With none, the value is a prediction from
            other quantities, calibrated on networks of other blocks.
    """

    value: float
    p10: float
    p50: float
    p90: float
    low: float
    high: float
    n: int

    def __post_init__(self) -> None:
        for name in COLUMNS[:-1]:
            value = getattr(self, name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise ValueError(f"`{name}` must be finite and at least 0; got {value!r}.")
        if not isinstance(self.n, int) or self.n < 0:
            raise ValueError(f"`n` must be a number of runs; got {self.n!r}.")


def space_digest(space: SearchSpace) -> str:
    """Twelve hexadecimal digits of a space's name and blocks: which table belongs to it."""
    return sha256_of(canonical_json(space.describe()))[:12]


@dataclass(frozen=True)
class BlockTable:
    """One quantity of the blocks of a space, on one device and setting.

    Attributes:
        quantity: Name of a :mod:`~hw_profiles.quantity`; its unit is that of every entry.
        device: Where it was measured.
        setting: How networks were run.
        space: Name of the space.
        digest: :func:`space_digest` of the space.
        overhead: What a run costs before any block.
        entries: Entry of each measured block by :func:`~search_spaces.block_key`.
        conditions: How it was measured: date, statistic, reference network and its drift, core,
            number of networks, residual.
        cache: What the sum leaves out: weights that do not fit in a cache together.
        spaces: The spaces that it was measured over, as :mod:`search_spaces.space_fields` has them.
        certificate: How wrong its sums are on networks that it was not fitted to.
        model: What predicts the blocks that it does not hold, as JSON.
        path: The file that it was read from; ``None`` where it was made here.
    """

    quantity: str
    device: Device
    setting: Setting
    space: str
    digest: str
    overhead: Entry
    entries: Mapping[str, Entry]
    conditions: Mapping[str, Any]
    cache: CacheModel | None = None
    spaces: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)
    certificate: Certificate | None = field(default=None, compare=False)
    model: Mapping[str, Any] | None = field(default=None, compare=False)
    path: Path | None = field(default=None, compare=False)

    def __getitem__(self, block: Block) -> Entry:
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
        """Quantity, setting and space, for messages."""
        return f"{self.quantity} in {self.setting.name} over space {self.space}"

    @cached_property
    def sha256(self) -> str:
        """Checksum of what was measured and how; the certificate is drawn from it."""
        return sha256_of(canonical_json(self._body()))

    def differences(self, device: Device, setting: Setting) -> dict[str, tuple[Any, Any]]:
        """Fields in which the table's device and setting differ from these: (table's, other)."""
        own = self.device.identity | self.setting.to_json()
        other = device.identity | setting.to_json()
        return {key: (own[key], other[key]) for key in own if own[key] != other[key]}

    def check_made_on(self, device: Device, setting: Setting, advice: str = "") -> None:
        """Refuses a table that is of another device, version or setting.

        Raises:
            ForeignTableError: It was; the message has the differing fields side by side.
        """
        differing = self.differences(device, setting)
        if differing:
            raise ForeignTableError(f"The table of {self.name}", differing, advice)

    def _body(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "quantity": self.quantity,
            "unit": quantity(self.quantity).unit,
            "device": self.device.to_json(),
            "setting": self.setting.to_json(),
            "space": self.space,
            "digest": self.digest,
            "conditions": dict(self.conditions),
            "cache": None if self.cache is None else self.cache.to_json(),
            "columns": list(COLUMNS),
            "overhead": list(astuple(self.overhead)),
            "entries": {key: list(astuple(entry)) for key, entry in self.entries.items()},
        }

    def save(self, path: Path) -> None:
        """Writes the table as JSON with its checksum."""
        certificate = self.certificate.to_json() if self.certificate else None
        data = {
            "table": self._body(),
            "spaces": list(self.spaces),
            "certificate": certificate,
            "model": self.model,
        }
        whole = data | {"sha256": sha256_of(canonical_json(data))}
        write_atomically(path, canonical_json(whole) + b"\n")

    @classmethod
    def load(cls, path: Path) -> BlockTable:
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
            unit = quantity(body["quantity"]).unit
            if body["unit"] != unit or body["columns"] != list(COLUMNS):
                raise CorruptFileError(
                    f"{path}: {body['quantity']} must be in {unit}, with columns "
                    f"{', '.join(COLUMNS)}; it is in {body['unit']!r}, with {body['columns']}."
                )
            entries = {}
            for key, value in (body["entries"] | {"overhead": body["overhead"]}).items():
                try:
                    entries[key] = Entry(*value)
                except (ValueError, TypeError) as error:
                    raise CorruptFileError(f"{path}, entry {key}: {error}") from error
            if sha256_of(canonical_json(data)) != given:
                raise CorruptFileError(f"{path} has a wrong checksum: it was changed or cut off.")
            certificate = data["certificate"]
            return cls(
                quantity=body["quantity"],
                device=Device(**body["device"]),
                setting=Setting(**body["setting"]),
                space=body["space"],
                digest=body["digest"],
                overhead=entries.pop("overhead"),
                entries=entries,
                conditions=body["conditions"],
                spaces=tuple(data["spaces"]),
                cache=None if body["cache"] is None else CacheModel(**body["cache"]),
                certificate=Certificate.from_json(certificate) if certificate else None,
                model=data["model"],
                path=path,
            )
        except CorruptFileError:
            raise
        except ValueError as error:  # An unknown quantity, or a number that cannot be.
            raise CorruptFileError(f"{path}: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptFileError(f"{path} is not a table of blocks: {error!r}.") from error
