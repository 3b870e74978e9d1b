"""Hardware profiles: a device, what is known of it, and its tables.

A profile is a folder: ``profile.json`` and a file for each table. Shipped profiles are folders of
``hw_profiles/data``; ``local`` is this machine's, in the user's own folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hw_profiles.device import Device
from hw_profiles.files import canonical_json, read_json, sha256_of, write_json
from hw_profiles.table import BlockTable
from search_spaces import Block, CorruptFileError, UnknownNameError

__all__ = ["CONSTANT_UNITS", "DATA", "Constant", "HardwareProfile", "shipped_profiles"]

DATA = Path(__file__).parent / "data"
"""Where the shipped profiles are."""

FORMAT = "hwnas profile 1"

CONSTANT_UNITS: Mapping[str, str] = {
    "memory_bytes": "bytes",
    "carbon_intensity": "g/kWh",
    "pue": "1",
    "chip_price": "USD/h",
    "idle_power": "W",
}
"""Constants that a profile may have, and the unit of each: the memory that networks may fill, the
grams of CO2 equivalent of a kilowatt-hour, the power usage effectiveness of the data centre, the
price of a chip for an hour, and what an idle chip draws."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that a profile states rather than measures.

    Attributes:
        value: The number.
        unit: Its unit.
        source: Where it is from, with a date where it changes.
    """

    value: float
    unit: str
    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, int | float) or not math.isfinite(self.value):
            raise ValueError(f"`value` must be finite; got {self.value!r}.")
        if self.value < 0 or not self.source:
            raise ValueError(f"A constant is at least 0 and has a source; got {self}.")


@dataclass(frozen=True)
class HardwareProfile:
    """A device with its constants and tables.

    Attributes:
        name: What indicators call it (``latency_s@nvidia-h200:cudagraph-fp16-b1``).
        folder: Where its files are.
        device: The device; ``None`` where no table was made yet.
        constants: By a name of :data:`CONSTANT_UNITS`.
        notes: Limits that whoever uses it should know.
        order: Its settings, the one that a name without a setting means first.
    """

    name: str
    folder: Path
    device: Device | None = None
    constants: Mapping[str, Constant] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    @cached_property
    def files(self) -> tuple[tuple[str, str, Path], ...]:
        """Setting, quantity and path of each table."""
        found = []
        for path in sorted(self.folder.glob("*.*.json")):
            setting, quantity, *_ = path.name.split(".")
            found.append((setting, quantity, path))
        return tuple(found)

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of its settings, in order."""
        return tuple(dict.fromkeys((*self.order, *(setting for setting, _, _ in self.files))))

    def setting(self, name: str = "") -> str:
        """A setting by name; the first one for none.

        Raises:
            UnknownNameError: It has no such setting, or none at all.
        """
        if name in self.settings:
            return name
        if name or not self.settings:
            raise UnknownNameError(f"setting of profile {self.name}", name, self.settings)
        return self.settings[0]

    def tables(
        self, setting: str | None = None, quantity: str | None = None
    ) -> tuple[BlockTable, ...]:
        """Its tables, or those of a setting or a quantity; the oldest first.

        Raises:
            CorruptFileError: One cannot be read.
        """
        paths = [
            path
            for its_setting, its_quantity, path in self.files
            if setting in (None, its_setting) and quantity in (None, its_quantity)
        ]
        return tuple(sorted(map(BlockTable.load, paths), key=_date))

    def table(self, setting: str, quantity: str, blocks: Iterable[Block]) -> BlockTable | None:
        """The table that holds the most of some blocks, the newest of equals; ``None`` for none."""
        wanted = set(blocks)
        return min(
            reversed(self.tables(setting, quantity)),
            key=lambda table: len(set(table.missing(wanted))),
            default=None,
        )

    def save(self) -> None:
        """Writes ``profile.json``; tables are saved by themselves."""
        data = {
            "format": FORMAT,
            "name": self.name,
            "device": None if self.device is None else self.device.to_json(),
            "constants": {name: asdict(constant) for name, constant in self.constants.items()},
            "notes": list(self.notes),
            "settings": list(self.order),
        }
        write_json(self.folder / "profile.json", data | {"sha256": _checksums(data)})

    @classmethod
    def load(cls, folder: Path, *, edited: bool = False) -> HardwareProfile:
        """Reads a profile; its tables are read when they are asked for.

        Args:
            folder: Where its files are.
            edited: Takes what was changed by hand since it was saved; :meth:`save` then seals it.

        Raises:
            FileNotFoundError: The folder has no ``profile.json``.
            CorruptFileError: It is not what :meth:`save` wrote, or a constant is not in its unit;
                the message names the file and the constant or field.
        """
        path = folder / "profile.json"
        data: Any = read_json(path)
        try:
            if data["format"] != FORMAT:
                raise CorruptFileError(f"{path} has format {data['format']!r}, not {FORMAT!r}.")
            constants = {}
            for name, given in data["constants"].items():
                try:
                    constants[name] = constant = Constant(**given)
                except (ValueError, TypeError) as error:
                    raise CorruptFileError(f"{path}, constant {name}: {error}") from error
                if constant.unit != CONSTANT_UNITS.get(name):
                    raise CorruptFileError(
                        f"{path}, constant {name}: its unit must be "
                        f"{CONSTANT_UNITS.get(name, 'known')}; got {constant.unit!r}."
                    )
            device = data["device"]
            profile = cls(
                name=data["name"],
                folder=folder,
                device=None if device is None else Device(**device),
                constants=constants,
                notes=tuple(data["notes"]),
                order=tuple(data["settings"]),
            )
            if not edited:
                _check(path, data)
            return profile
        except CorruptFileError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CorruptFileError(f"{path} is not a profile: {error!r}.") from error


def _checksums(data: Mapping[str, Any]) -> dict[str, str]:
    """Checksum of each field of a profile, and of each of its constants: a change has a name."""
    parts = {f"field {key}": value for key, value in data.items() if key != "constants"}
    parts |= {f"constant {name}": value for name, value in data["constants"].items()}
    return {part: sha256_of(canonical_json(value)) for part, value in parts.items()}


def _check(path: Path, data: Mapping[str, Any]) -> None:
    """Refuses a profile of which something is not as it was saved.

    Raises:
        CorruptFileError: The message names what, and how a change that was meant is kept.
    """
    given = data.get("sha256")
    found = _checksums({key: value for key, value in data.items() if key != "sha256"})
    if given is None:
        what = f"{path} has no checksum"
    elif changed := [part for part in (found | given) if found.get(part) != given.get(part)]:
        what = f"{path}, {', '.join(changed)}: wrong checksum, changed since it was saved"
    else:
        return
    raise CorruptFileError(
        f"{what}. Restore the file; or if what it says is meant, seal it in Python with "
        f"`HardwareProfile.load(Path({str(path.parent)!r}), edited=True).save()`."
    )


def _date(table: BlockTable) -> str:
    return str(table.conditions.get("date", ""))


def shipped_profiles() -> dict[str, Path]:
    """Folder of each shipped profile by name."""
    return {path.parent.name: path.parent for path in sorted(DATA.glob("*/profile.json"))}
