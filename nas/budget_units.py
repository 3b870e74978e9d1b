"""Units of budgets: whoever writes one may use another than the unit in an indicator's name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from nas.errors import ExperimentError
from nas.indicators import INDICATORS, LOCAL, Indicator, indicator, indicator_names, split_place
from search_spaces import UnknownNameError

__all__ = [
    "canonical_budget",
    "canonical_budgets",
    "check_limit",
    "column_budget",
    "column_budgets",
    "parse_budgets",
    "parse_column_budgets",
    "split_limit",
]

UNITS: dict[str, dict[str, float]] = {
    "s": {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0},
    "j": {"uj": 1e-6, "mj": 1e-3, "j": 1.0, "kj": 1e3, "wh": 3600.0, "kwh": 3.6e6},
    "g": {"ug": 1e-6, "mg": 1e-3, "g": 1.0, "kg": 1e3},
    "bytes": {
        "bytes": 1.0,
        "kb": 1e3,
        "mb": 1e6,
        "gb": 1e9,
        "kib": 2.0**10,
        "mib": 2.0**20,
        "gib": 2.0**30,
    },
    "usd": {"usd": 1.0},
}
"""Of each unit that ends an indicator's name, what may stand in its place, and its size."""

_LIMIT = re.compile(r"\s*([^<>=\s][^<>=]*?)\s*(<=|>=|=)\s*(\S+)\s*")


def canonical_budget(name: str, limit: float) -> tuple[str, float]:
    """The indicator that a budget names, and the limit in the indicator's own unit.

    A name may end in another unit of the same kind, and what hardware decides is this machine's
    where no place is given.

    Raises:
        ExperimentError: The unit is one of something else.
        UnknownNameError: There is no such indicator.

    >>> canonical_budget("latency_ms", 2.0)
    ('latency_s@local', 0.002)
    >>> canonical_budget("throughput_per_ms@local", 2.0)
    ('throughput_per_s@local', 2000.0)
    """
    base, at, place = name.partition("@")
    if base not in INDICATORS:
        stem, _, unit = base.rpartition("_")
        own = next((si for si in UNITS if f"{stem}_{si}" in INDICATORS), None)
        if own is None or not any(unit in units for units in UNITS.values()):
            profile = split_place(place)[0] or LOCAL
            raise UnknownNameError("indicator", name, indicator_names(profile))
        base = f"{stem}_{own}"
        if unit not in UNITS[own]:
            raise ExperimentError(
                f"`{name}`: {unit} does not fit, as `{base}` is in {INDICATORS[base].unit}; write "
                f"it in one of {', '.join(UNITS[own])}."
            )
        size = UNITS[own][unit]
        limit = limit / size if stem.endswith("_per") else limit * size
    if INDICATORS[base].needs_profile and not at:
        at, place = "@", LOCAL
    canonical = f"{base}{at}{place}"
    indicator(canonical)
    return canonical, limit


def column_budget(name: str, limit: float, columns: Mapping[str, Indicator]) -> tuple[str, float]:
    """The column of a table that a budget names, and the limit in the column's own unit.

    A name may have another unit of the same kind where the column's name has its own. Of what is
    maximised, seconds are only known to be seconds after ``per``: ``img_s`` is no time.

    Raises:
        ExperimentError: The unit is one of something else.
        UnknownNameError: There is no such column.

    >>> latency = Indicator("latency_ms_pixel3", "", "inference", "", "")
    >>> column_budget("latency_s_pixel3", 0.02, {"latency_ms_pixel3": latency})
    ('latency_ms_pixel3', 20.0)
    """
    if name in columns:
        return name, limit
    misfit = None
    for column, about in columns.items():
        given, own = _differing_word(name, column)
        kind, kind_of_column = _KINDS.get(given), _KINDS.get(own)
        # A rate, as in `images_per_s`, is the less the smaller its unit of time is.
        rate = f"per_{own}" in column.lower()
        if kind is None or kind_of_column is None or (about.maximize and not rate):
            continue
        if kind == kind_of_column:
            size = UNITS[kind][given] / UNITS[kind][own]
            return column, limit / size if rate else limit * size
        misfit = misfit or ExperimentError(
            f"`{name}`: {given} does not fit, as `{column}` is in {own}; write it in one of "
            f"{', '.join(UNITS[kind_of_column])}."
        )
    raise misfit or UnknownNameError("cost", name, tuple(columns))


_KINDS = {unit: kind for kind, units in UNITS.items() for unit in units}


def _differing_word(name: str, column: str) -> tuple[str, str]:
    """The only words, parted by underscores, in which two names differ; else empty ones."""
    given, own = name.lower().split("_"), column.lower().split("_")
    if len(given) != len(own):
        return "", ""
    pairs = [pair for pair in zip(given, own, strict=True) if pair[0] != pair[1]]
    return pairs[0] if len(pairs) == 1 else ("", "")


def canonical_budgets(budgets: Mapping[str, float]) -> dict[str, float]:
    """The same of several.

    Raises:
        ExperimentError: Two of them are of the same indicator; also as above.
        UnknownNameError: As above.
    """
    return _distinct(canonical_budget(name, limit) for name, limit in budgets.items())


def split_limit(text: str) -> tuple[str, str, float]:
    """Name, ``"<="``, ``">="`` or ``"="``, and number of a limit such as ``"macs<=2e5"``.

    Raises:
        ExperimentError: It is something else.
    """
    found = _LIMIT.fullmatch(text)
    try:
        name, sign, number = found.groups() if found else ("", "", "")
        limit = float(number)
    except ValueError as error:
        raise ExperimentError(
            f"A limit is written NAME<=NUMBER (or >=, or =), such as 'macs<=2e5'; got {text!r}."
        ) from error
    return name, sign, limit


def check_limit(text: str, name: str, sign: str, limit: float, maximize: bool) -> None:
    """Refuses a limit on the wrong side, and a number that cannot be one.

    Raises:
        ExperimentError: See above.
    """
    wanted = ">=" if maximize else "<="
    if sign not in ("=", wanted):
        most = "least" if maximize else "most"
        raise ExperimentError(
            f"{text!r}: a limit of `{name}` is the {most} that it may be; write {name}{wanted}..."
        )
    if not 0 < limit < math.inf:
        raise ExperimentError(f"{text!r}: the limit must be above 0 and finite.")


def parse_budgets(texts: Iterable[str]) -> dict[str, float]:
    """Budgets as the command line has them, in the indicators' own units.

    Raises:
        ExperimentError: One of them is no limit, is on the wrong side, or its unit does not fit.
        UnknownNameError: There is no such indicator.

    >>> parse_budgets(["macs<=2e5", "latency_ms@local=2"])
    {'macs': 200000.0, 'latency_s@local': 0.002}
    """
    pairs = []
    for text in texts:
        name, sign, given = split_limit(text)
        canonical, limit = canonical_budget(name, given)
        check_limit(text, name, sign, limit, indicator(canonical).maximize)
        pairs.append((canonical, limit))
    return _distinct(pairs)


def parse_column_budgets(
    texts: Iterable[str], columns: Mapping[str, Indicator]
) -> dict[str, float]:
    """The same of the columns of a table, in their own units.

    Args:
        texts: Limits.
        columns: What each column is.

    Raises:
        ExperimentError: As above.
        UnknownNameError: There is no such column.
    """
    pairs = []
    for text in texts:
        name, sign, given = split_limit(text)
        column, limit = column_budget(name, given, columns)
        check_limit(text, name, sign, limit, columns[column].maximize)
        pairs.append((column, limit))
    return _distinct(pairs)


def column_budgets(
    budgets: Mapping[str, float], columns: Mapping[str, Indicator]
) -> dict[str, float]:
    """The same of several, as a file has them; errors as of :func:`column_budget`."""
    return _distinct(column_budget(name, limit, columns) for name, limit in budgets.items())


def _distinct(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    result: dict[str, float] = {}
    for name, limit in pairs:
        if name in result:
            raise ExperimentError(f"There are two budgets of `{name}`; leave one out.")
        result[name] = limit
    return result
