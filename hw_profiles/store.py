"""Where tables and counts are kept between runs.

One folder for each user: ``$HWNAS_HOME``, or the system's place for application data.
"""

from __future__ import annotations

import os
from pathlib import Path

from hw_profiles.code import counting_code, timing_code
from hw_profiles.device import Device
from hw_profiles.files import read_json, write_json
from hw_profiles.profile import HardwareProfile, shipped_profiles
from hw_profiles.runtime import Setting
from hw_profiles.table import BlockTable, space_digest
from search_spaces import CorruptFileError, CountTable, SearchSpace, UnknownNameError

__all__ = ["Store"]


class Store:
    """Tables and counts on disk.

    Args:
        root: The folder; ``$HWNAS_HOME`` or the user's data folder when absent.
        local: Folder of the profile that tables are kept in; this machine's when absent.
    """

    def __init__(self, root: Path | None = None, local: Path | None = None) -> None:
        if root is None:
            home = os.environ.get("HWNAS_HOME")
            if home:
                root = Path(home)
            else:
                import platformdirs

                root = Path(platformdirs.user_data_dir("hwnas", appauthor=False))
        self.root = root
        self.local = root / "profiles" / "local" if local is None else local

    def table_path(self, setting: Setting, quantity: str, space: SearchSpace) -> Path:
        """Where the table of this machine for a setting, a quantity and a space is kept."""
        return self.local / f"{setting.name}.{quantity}.{space_digest(space)}.json"

    def journal_path(self, setting: Setting, quantity: str, space: SearchSpace) -> Path:
        """Where a measurement of that table is kept while it is made."""
        return self.table_path(setting, quantity, space).with_suffix(".journal")

    @property
    def profile_names(self) -> tuple[str, ...]:
        """This machine's profile, and the shipped ones."""
        return ("local", *shipped_profiles())

    def profile(self, name: str) -> HardwareProfile:
        """A profile by name.

        Raises:
            UnknownNameError: There is none.
            CorruptFileError: It cannot be read.
        """
        if name == "local":
            path = self.local / "profile.json"
            return (
                HardwareProfile.load(self.local)
                if path.exists()
                else HardwareProfile("local", self.local)
            )
        shipped = shipped_profiles()
        if name not in shipped:
            raise UnknownNameError("profile", name, self.profile_names)
        return HardwareProfile.load(shipped[name])

    def valid_table(
        self, device: Device, setting: Setting, space: SearchSpace, quantity: str = "latency_s"
    ) -> tuple[BlockTable | None, str]:
        """The kept table for a space if it was made here, and why there is none if not.

        Raises:
            CorruptFileError: The file cannot be read.
        """
        path = self.table_path(setting, quantity, space)
        if not path.exists():
            return None, f"no table of {quantity} in {setting.name} over space {space.name} is kept"
        table = BlockTable.load(path)
        differing = table.differences(device, setting)
        if differing:
            fields = ", ".join(f"{k}: {a} then, {b} now" for k, (a, b) in differing.items())
            return None, f"the kept table was made elsewhere ({fields})"
        code = timing_code(space)
        if table.conditions.get("code", code) != code:
            return None, "the kept table was made by other code"
        return table, ""

    def save_table(self, table: BlockTable, space: SearchSpace) -> Path:
        """Keeps a table and returns its path."""
        path = self.table_path(table.setting, table.quantity, space)
        table.save(path)
        return path

    def counts(self, space: SearchSpace | None = None) -> CountTable:
        """The kept counts that still hold: those made by the code that is installed now.

        Args:
            space: A space whose own code, if it is not built in, the counts depend on too.
        """
        path = self._counts_path(space)
        if not path.exists():
            return CountTable()
        try:
            return CountTable(read_json(path))
        except CorruptFileError:
            path.unlink()  # A cache: what is in it can be counted again.
            return CountTable()

    def save_counts(self, counts: CountTable, space: SearchSpace | None = None) -> None:
        """Keeps counts if any are new."""
        if counts.traced:
            write_json(self._counts_path(space), counts.to_json())
            counts.traced = 0

    def _counts_path(self, space: SearchSpace | None) -> Path:
        return self.root / "counts" / f"{counting_code(space)}.json"
