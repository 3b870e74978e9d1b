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
from hw_profiles.files import read_json, write_json
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
        write_json(self.folder / "profile.json", data)

    @classmethod
    def load(cls, folder: Path) -> HardwareProfile:
        """Reads a profile; its tables are read when they are asked for.

        Raises:
            FileNotFoundError: The folder has no ``profile.json``.
            CorruptFileError: It is not what :meth:`save` wrote, or a constant is not in its unit.
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
            return cls(
                name=data["name"],
                folder=folder,
                device=None if device is None else Device(**device),
                constants=constants,
                notes=tuple(data["notes"]),
                order=tuple(data["settings"]),
            )
        except CorruptFileError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CorruptFileError(f"{path} is not a profile: {error!r}.") from error


def _date(table: BlockTable) -> str:
    return str(table.conditions.get("date", ""))


def shipped_profiles() -> dict[str, Path]:
    """Folder of each shipped profile by name."""
    return {path.parent.name: path.parent for path in sorted(DATA.glob("*/profile.json"))}
