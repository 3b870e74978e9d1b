"""Where tables and counts are kept between runs.

One folder for each user: ``$HWNAS_HOME``, or the system's place for application data.
"""

from __future__ import annotations

import os
from pathlib import Path

from hw_profiles.code import counting_code, timing_code
from hw_profiles.device import Device
from hw_profiles.files import read_json, write_json
from hw_profiles.runtime import Setting
from hw_profiles.table import LatencyTable, space_digest
from search_spaces import CorruptFileError, CountTable, SearchSpace

__all__ = ["Store"]


class Store:
    """Tables and counts on disk.

    Args:
        root: The folder; ``$HWNAS_HOME`` or the user's data folder when absent.
    """

    def __init__(self, root: Path | None = None) -> None:
        if root is None:
            home = os.environ.get("HWNAS_HOME")
            if home:
                root = Path(home)
            else:
                import platformdirs

                root = Path(platformdirs.user_data_dir("hwnas", appauthor=False))
        self.root = root

    def table_path(self, setting: Setting, space: SearchSpace) -> Path:
        """Where the table of this machine for a setting and a space is kept."""
        return self.root / "profiles" / "local" / f"{setting.name}-{space_digest(space)}.json"

    def local_tables(self) -> dict[Path, LatencyTable]:
        """Every table of this machine, newest last.

        Raises:
            CorruptFileError: One cannot be read.
        """
        paths = sorted((self.root / "profiles" / "local").glob("*.json"))
        tables = {path: LatencyTable.load(path) for path in paths}
        return dict(sorted(tables.items(), key=lambda item: str(item[1].conditions.get("date"))))

    def valid_table(
        self, device: Device, setting: Setting, space: SearchSpace
    ) -> tuple[LatencyTable | None, str]:
        """The kept table for a space if it was made here, and why there is none if not.

        Raises:
            CorruptFileError: The file cannot be read.
        """
        path = self.table_path(setting, space)
        if not path.exists():
            return None, f"no table of {setting.name} over space {space.name} is kept"
        table = LatencyTable.load(path)
        differing = table.differences(device, setting)
        if differing:
            fields = ", ".join(f"{k}: {a} then, {b} now" for k, (a, b) in differing.items())
            return None, f"the kept table was made elsewhere ({fields})"
        code = timing_code(space)
        if table.conditions.get("code", code) != code:
            return None, "the kept table was made by other code"
        return table, ""

    def save_table(self, table: LatencyTable, space: SearchSpace) -> Path:
        """Keeps a table and returns its path."""
        path = self.table_path(table.setting, space)
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
