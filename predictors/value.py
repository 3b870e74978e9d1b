"""Values that say where they come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """A number and where it comes from.

    Attributes:
        value: The number, in the indicator's unit.
        low: Lower end of its 95 % interval; the value itself where it is exact, ``None`` where no
            interval is known, and the lowest of the repetitions where it was measured.
        high: Upper end, likewise.
        provenance: ``"exact"``, ``"table"``, ``"predicted"`` or ``"measured"``.
        at: What it holds for, where the indicator's name does not say so (``"batch 64"``).
    """

    value: float
    low: float | None
    high: float | None
    provenance: str
    at: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Every field, ``at`` where there is something to say."""
        return {key: v for key, v in asdict(self).items() if key != "at" or v is not None}
