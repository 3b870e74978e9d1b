"""What fits a terminal of 100 columns: wrapped sentences, short headings, tables in parts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len

from nas.rendering import print_rows

__all__ = ["WIDTH", "legend", "marks", "print_table", "say"]

WIDTH = 100
LONG = 14
"""Characters of a name beyond which a letter stands for it in tables."""
ROOM = 60
"""Characters of all headings beyond which letters stand for all names."""
GAP = 3
"""Between two columns, and beside the outer ones together."""


def say(text: str, indent: int = 0) -> None:
    """Prints a sentence, wrapped; what follows the first line stands further in.

    Args:
        text: Names in it are not broken.
        indent: Of the first line, in characters.
    """
    for line in textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    ):
        print(line)


def marks(names: Sequence[str]) -> dict[str, str]:
    """What stands for each name in tables: the name, or a letter that is no other's name.

    >>> marks(["macs", "images_per_second", "B"])
    {'macs': 'macs', 'images_per_second': 'C', 'B': 'B'}
    """
    short = {name for name in names if len(name) <= LONG}
    if sum(min(len(name), LONG) for name in names) > ROOM:
        short = {name for name in names if len(name) == 1}
    letters = _letters(len(names), short)
    marked = dict(zip(names, letters, strict=True))
    return marked | {name: name for name in short}


def legend(known: Mapping[str, str]) -> None:
    """Prints which names the letters of tables stand for; nothing where there are none."""
    told = [f"{mark} is {name}" for name, mark in known.items() if mark != name]
    if told:
        say(f"In tables {', '.join(told)}.")


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", *, keep: int = 1
) -> None:
    """Prints a table, in parts below each other where it is too wide.

    Args:
        headings: Of the columns.
        rows: Of cells as text.
        title: Of the first part; the others say that they continue it.
        keep: How many of the first columns stand in every part.
    """
    widths = [max(map(cell_len, column)) + GAP for column in zip(headings, *rows, strict=True)]
    first = list(range(keep))
    parts, used = [first], sum(widths[:keep])
    for place in range(keep, len(headings)):
        if len(parts[-1]) > keep and used + widths[place] > WIDTH:
            parts.append(first)
            used = sum(widths[:keep])
        parts[-1] = [*parts[-1], place]
        used += widths[place]
    for number, part in enumerate(parts):
        say(f"{title} (continued)" if number and title else title)
        print_rows(
            [headings[place] for place in part], [[row[place] for place in part] for row in rows]
        )


def _letters(count: int, taken: set[str]) -> Iterator[str]:
    """A, B, ..., Z, AA, ..., as many as asked for, without those taken."""
    found = position = 0
    while found < count:
        number, mark = position, ""
        while number >= 0:
            mark, number = chr(65 + number % 26) + mark, number // 26 - 1
        position += 1
        if mark not in taken:
            found += 1
            yield mark
