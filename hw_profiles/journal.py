"""What a measurement has timed so far, on disk, so that it can be interrupted and gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hw_profiles.timing import Visit

__all__ = ["Journal"]


class Journal:
    """Visits by key, each written when it is made.

    Args:
        path: The file; nothing is kept when absent.
        conditions: What the visits depend on. Those of a file made under other conditions are left
            out, and it is written anew.
    """

    def __init__(
        self, path: Path | None = None, conditions: Mapping[str, Any] | None = None
    ) -> None:
        self.path = path
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._visits: dict[str, Visit] = {}
        if path is not None and not self._read(path, conditions or {}):
            path.parent.mkdir(parents=True, exist_ok=True)
            header = {"conditions": dict(conditions or {}), "started": self.started}
            path.write_text(json.dumps(header) + "\n")

    def _read(self, path: Path, conditions: Mapping[str, Any]) -> bool:
        if not path.exists():
            return False
        try:
            text = path.read_text()
            first, *lines = text.splitlines()
            header = json.loads(first)
            if header["conditions"] != json.loads(json.dumps(conditions)):
                return False
            self.started = header["started"]
        except (ValueError, KeyError, TypeError):
            return False
        for line in lines:
            try:
                key, runs_s, reference_s, quiet_s = json.loads(line)
                counted = None if quiet_s is None else tuple(quiet_s)
                self._visits[key] = Visit(tuple(runs_s), reference_s, counted)
            except (ValueError, TypeError):
                continue  # The last line of a process that was killed.
        if not text.endswith("\n"):
            # A line that was cut off must not take the next one with it.
            with path.open("a") as file:
                file.write("\n")
        return True

    def get(self, key: str) -> Visit | None:
        """The visit of a key, if it was made."""
        return self._visits.get(key)

    def add(self, key: str, visit: Visit) -> None:
        """Keeps a visit."""
        self._visits[key] = visit
        if self.path is not None:
            with self.path.open("a") as file:
                line = [key, visit.runs_s, visit.reference_s, visit.quiet_s]
                file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Removes the file: what was measured stands in a table."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
