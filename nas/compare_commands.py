"""``hwnas compare``: arms of a search against each other, or indicators of a table of models."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import ExperimentError

if TYPE_CHECKING:
    from nas.table_comparison import TableQuestion

__all__ = ["compare"]

OF_TABLE = (
    "quality", "costs", "name", "family", "strata",
    "error", "where", "derive", "unique", "complete",
)  # fmt: skip
OF_EXPERIMENT = ("arms", "seeds", "trials", "out", "resume", "set")


def compare(options: Namespace) -> int:
    """``hwnas compare``."""
    here, there = (OF_TABLE, "a table") if options.table else (OF_EXPERIMENT, "an experiment")
    other = OF_EXPERIMENT if options.table else OF_TABLE
    strangers = [f"--{name}" for name in other if getattr(options, name)]
    if strangers:
        raise ExperimentError(
            f"{', '.join(strangers)} is no option of comparing {there}, which has "
            f"{', '.join(f'--{name}' for name in here)}."
        )
    if not options.table:
        from nas.compare_search import compare_experiment

        return compare_experiment(options)
    from nas.rendering import print_json
    from nas.table_comparison import compare_table
    from nas.table_comparison_rendering import print_table_comparison

    found = compare_table(_question(options))
    if options.json:
        print_json(found.to_json())
    else:
        print_table_comparison(found)
    return 0


def _question(options: Namespace) -> TableQuestion:
    from nas.derived_columns import DerivedColumn
    from nas.matching import MatchRequest
    from nas.table_comparison import TableQuestion
    from nas.table_file import TableFile
    from nas.tolerance import Tolerance

    path = Path(options.table)
    missing = [f"--{name}" for name in ("quality", "costs") if not getattr(options, name)]
    if missing:
        known = ", ".join(TableFile.read(path).columns)
        raise ExperimentError(f"There is no {' and no '.join(missing)}; columns are {known}.")
    where: dict[str, list[str]] = {}
    for text in options.where:
        name, value = _pair(text, "--where", "img_size=224")
        where.setdefault(name, []).append(value)
    errors = {}
    for text in _items(options.error):
        name, given = _pair(text, "--error", "latency_ms=5%")
        errors[name] = Tolerance.parse(given)
    return TableQuestion(
        path,
        options.quality,
        tuple(_items([options.costs])),
        tuple(_items([options.name])),
        options.family,
        tuple(_items([options.strata])),
        errors,
        where,
        tuple(DerivedColumn.parse(text) for text in options.derive),
        tuple(_items([options.unique])),
        options.complete,
        MatchRequest.parse(options.match, options.at, options.slack),
    )


def _items(texts: list[str | None]) -> list[str]:
    """The names, or pairs, between commas."""
    parts = [part.strip() for text in texts if text for part in text.split(",")]
    return [part for part in parts if part]


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not equals or not name.strip() or not value.strip():
        raise ExperimentError(f"{option} takes COLUMN=VALUE, such as {example}; got {text!r}.")
    return name.strip(), value.strip()
