"""Columns that are made of others: a label for each row, by what a pattern finds in its cell."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nas.errors import ExperimentError
from nas.table_file import TableFile

__all__ = ["OTHER", "DerivedColumn"]

OTHER = "other"
"""Label of rows in which nothing was found."""


@dataclass(frozen=True, slots=True)
class DerivedColumn:
    """A new column of labels.

    Attributes:
        name: Its name.
        source: The column that it is made of.
        pattern: A regular expression, searched for anywhere in a cell. The label is the name of
            the group that matched, or its text where it has no name, or the whole match where
            there is no group.
    """

    name: str
    source: str
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> DerivedColumn:
        """The column that ``"NAME=SOURCE~PATTERN"`` stands for.

        Raises:
            ExperimentError: It is written otherwise, or the pattern is no regular expression.
        """
        name, equals, rest = text.partition("=")
        source, tilde, pattern = rest.partition("~")
        if not (equals and tilde and name.strip() and source.strip() and pattern):
            raise ExperimentError(
                f"A derived column is written NAME=COLUMN~PATTERN, such as "
                f"'family=model~^(?:tf_)?([a-z]+)'; got {text!r}."
            )
        try:
            return cls(name.strip(), source.strip(), re.compile(pattern))
        except re.error as error:
            raise ExperimentError(f"{pattern!r} is no regular expression: {error}.") from error

    def label(self, cell: str) -> str:
        """The label of one cell.

        >>> column = DerivedColumn.parse("family=model~^(?P<EfficientNet>tf_eff|eff)|^([a-z]+)")
        >>> [column.label(cell) for cell in ("tf_efficientnet_b0", "resnet50", "50")]
        ['EfficientNet', 'resnet', 'other']
        """
        found = self.pattern.search(cell)
        if found is None:
            return OTHER
        if not self.pattern.groups:
            return found.group() or OTHER
        names = {group: name for name, group in self.pattern.groupindex.items()}
        matched = {i: text for i, text in enumerate(found.groups(), start=1) if text}
        for group in matched:
            if group in names:
                return names[group]
        return next(iter(matched.values()), OTHER)

    def join(self, table: TableFile) -> TableFile:
        """A table with this column.

        Raises:
            UnknownNameError: The table has no column that it is made of.
            ExperimentError: It has one of this name.
        """
        cells = [self.label(str(cell)) for cell in table.column(self.source)]
        return table.joined(self.name, cells)
