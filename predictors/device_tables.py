"""Which of a device's tables a family is priced with."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from hw_profiles import BlockTable, Setting
from hw_profiles.profile import HardwareProfile
from predictors.table_predictor import MIN_FIT, TablePredictor
from search_spaces import (
    Architecture,
    Block,
    CountTable,
    SearchSpace,
    UnionSpace,
    UnknownNameError,
    block_from_key,
)

__all__ = ["DeviceTables", "families_of"]


def families_of(networks: SearchSpace | Architecture) -> dict[str, tuple[Block, ...]]:
    """Blocks of each family of a space, or of one architecture."""
    if isinstance(networks, Architecture):
        return {networks.space: networks.blocks}
    if isinstance(networks, UnionSpace):
        return {name: member.blocks for name, member in networks.members.items()}
    return {networks.name: networks.blocks}


class DeviceTables:
    """Tables of a device in a setting, for some families.

    Of each quantity a family has the one that holds the most of its blocks, so that another
    family's has no say where its own was measured. Tables are read when they are asked for.

    Args:
        profile: The device.
        setting: How networks are run on it; a name of its settings, empty for the first.
        counts: Counts of blocks.
        families: Blocks of each family (:func:`families_of`).
        tables: What to choose from; all tables of the profile when absent.

    Attributes:
        name: Name of the setting.

    Raises:
        UnknownNameError: There is no table of that setting.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        setting: str,
        counts: CountTable,
        families: Mapping[str, Sequence[Block]],
        tables: Iterable[BlockTable] | None = None,
    ) -> None:
        self.profile, self.counts, self.families = profile, counts, dict(families)
        self._given = None if tables is None else tuple(tables)
        self._read: dict[tuple[str, str], tuple[BlockTable, ...]] = {}
        self._chosen: dict[tuple[str, str, str], TablePredictor | None] = {}
        held = self._held
        self.name = setting or (profile.setting() if tables is None else held[0][0])
        first = next((quantity for name, quantity in held if name == self.name), None)
        if first is None:
            known = dict.fromkeys(name for name, _ in held)
            raise UnknownNameError(f"setting of profile {profile.name}", setting, known)
        self.first = self._tables(self.name, first)[0]

    @property
    def setting(self) -> Setting:
        """How networks are run."""
        return self.first.setting

    @property
    def used(self) -> tuple[BlockTable, ...]:
        """The tables that were chosen so far, each once."""
        tables = [p.table for p in self._chosen.values() if p is not None]
        return tuple({table.sha256: table for table in tables}.values())

    @property
    def batches(self) -> dict[int, str]:
        """This setting and those that differ from it in the batch alone, by batch."""
        own = _split(self.name)
        same = {self.setting.batch: self.name}
        for name, _ in self._held:
            other = _split(name)
            if own is not None and other is not None and own[0] == other[0]:
                same[other[1]] = name
        return dict(sorted(same.items()))

    def predictor(
        self, quantity: str, family: str, setting: str | None = None
    ) -> TablePredictor | None:
        """What prices a quantity of a family's networks; ``None`` where nothing can.

        Args:
            quantity: Name of the quantity.
            family: Name of the family.
            setting: Another setting of the device.
        """
        key = quantity, family, setting or self.name
        if key not in self._chosen:
            self._chosen[key] = self._choose(*key)
        return self._chosen[key]

    def required(self, quantity: str, family: str) -> TablePredictor:
        """The same.

        Raises:
            LookupError: There is none.
        """
        predictor = self.predictor(quantity, family)
        if predictor is None:
            raise LookupError(
                f"The profile {self.profile.name} has no table of {quantity} in {self.name} that "
                f"prices {family}; measure one with `hwnas profile measure`."
            )
        return predictor

    def holds(self, what: str) -> bool:
        """Whether there is a table, in any setting, of a quantity whose name has this in it."""
        return any(what in quantity for _, quantity in self._held)

    def blocks(self, quantity: str, family: str) -> tuple[Block, ...] | None:
        """Distinct blocks that a quantity runs for a family; ``None`` if it cannot be run."""
        blocks = tuple(dict.fromkeys(self.families[family]))
        if quantity != "decode_step_s":
            return blocks
        steps = [block.decoding() for block in blocks]
        return None if None in steps else tuple(block for block in steps if block is not None)

    def _choose(self, quantity: str, family: str, setting: str) -> TablePredictor | None:
        blocks = self.blocks(quantity, family)
        if blocks is None:
            return None
        best = min(  # The newest of equals.
            reversed(self._tables(setting, quantity)),
            key=lambda table: sum(1 for _ in table.missing(blocks)),
            default=None,
        )
        if best is None or not _can_price(best, blocks):
            return None
        return TablePredictor(best, self.counts)

    @property
    def _held(self) -> list[tuple[str, str]]:
        """Setting and quantity of each table."""
        if self._given is None:
            return [(setting, quantity) for setting, quantity, _ in self.profile.files]
        return [(table.setting.name, table.quantity) for table in self._given]

    def _tables(self, setting: str, quantity: str) -> tuple[BlockTable, ...]:
        key = setting, quantity
        if key not in self._read:
            self._read[key] = (
                self.profile.tables(*key)
                if self._given is None
                else tuple(t for t in self._given if (t.setting.name, t.quantity) == key)
            )
        return self._read[key]


def _can_price(table: BlockTable, blocks: Collection[Block]) -> bool:
    """Whether a table holds some blocks, or can predict those that it does not.

    For that it has a model, or enough blocks that are known: one of a user's own, or of an earlier
    version, may not be.
    """
    if table.model is not None or not any(table.missing(blocks)):
        return True
    try:
        return len([block_from_key(key) for key in table.entries]) >= MIN_FIT
    except (UnknownNameError, ValueError):
        return False


def _split(setting: str) -> tuple[str, int] | None:
    """A setting's name but for the batch, and the batch."""
    found = re.fullmatch(r"(.+)-b(\d+)((?:-t\d+)?)", setting)
    return None if found is None else (found[1] + found[3], int(found[2]))
