"""Columns of a table as a person names them, with their direction."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Column"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is minimised, or maximised.

    Attributes:
        name: Its name in the table.
        maximize: Whether more of it is better.
    """

    name: str
    maximize: bool = False

    @classmethod
    def parse(cls, text: str) -> Column:
        """The column that ``"NAME"``, ``"NAME:min"`` or ``"NAME:max"`` stands for.

        >>> Column.parse("accuracy:max")
        Column(name='accuracy', maximize=True)
        """
        name, colon, direction = text.strip().rpartition(":")
        if colon and direction in ("min", "max"):
            return cls(name.strip(), direction == "max")
        return cls(text.strip())
