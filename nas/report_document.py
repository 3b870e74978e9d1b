"""Documents: what a report says, before it is a page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nas.report_figures import Figure

__all__ = ["Cell", "Document", "Facts", "Section", "Subject", "Table", "number", "printable"]

Row = tuple["Cell", ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What it says.
        note: What is said below it in small type.
        value: What a column is sorted by; the text when absent.
        title: What is said where a pointer rests on it.
    """

    text: str
    note: str = ""
    value: float | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be sorted by any column.

    Attributes:
        key: Its place in a page: as that of a figure.
        caption: What it holds.
        headings: Of its columns; the note of one says unit or place.
        rows: A cell for each column.
        subjects: Row of each among what the report tells of; empty where it is none.
    """

    key: str
    caption: str
    headings: Row
    rows: tuple[Row, ...]
    subjects: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.rows} - {len(self.headings)}
        if widths:
            raise ValueError(f"`rows` must have {len(self.headings)} cells; got {widths}.")


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with what is known of each.

    Attributes:
        title: What they are about.
        items: What is known by name, one or more lines each.
    """

    title: str
    items: Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report.

    Attributes:
        key: Its place in the page.
        title: Its heading.
        text: Paragraphs.
        items: What follows them.
        folded: Whether its items are shown only when asked for.
    """

    key: str
    title: str
    text: tuple[str, ...] = ()
    items: tuple[Figure | Table | Facts, ...] = ()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What points and rows are about.

    Attributes:
        name: What it is called.
        status: How it stands.
        values: What is known of it, in the order of the document's names.
    """

    name: str
    status: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report.

    Attributes:
        title: Its heading.
        subtitle: What it is of.
        lead: The first lines: what was found.
        sections: In order.
        names: What is known of each subject.
        subjects: What figures and tables are about.
    """

    title: str
    subtitle: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    names: tuple[str, ...] = ()
    subjects: tuple[Subject, ...] = field(default=())

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every figure, in order."""
        return tuple(
            item for section in self.sections for item in section.items if isinstance(item, Figure)
        )


def number(value: float) -> str:
    """A number with four digits at least, as far as they say something.

    >>> number(472388), number(0.0531234), number(1e-9)
    ('472,388', '0.05312', '1e-09')
    """
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else str(value)
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:.4g}"


def printable(text: str) -> str:
    """Text without what neither HTML nor XML may hold: control characters and lone surrogates.

    >>> printable("a\\x00b\\tc")
    'a�b c'
    """
    return "".join(
        (" " if character in "\t\n\r" else "\ufffd")
        if unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff"
        else character
        for character in text
    )
