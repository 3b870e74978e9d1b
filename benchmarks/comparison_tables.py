"""Tables of kept comparisons, as the documents show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["case_tables"]

CHARGE = "evaluations"


def case_tables(case: Mapping[str, Any]) -> str:
    """What every arm loses under budgets, and by how much it misses the best of each indicator.

    Args:
        case: One of the cases that ``python -m benchmarks.comparison --out`` keeps.
    """
    scores = case["scores"]
    fronts = {s["arm"]: s for s in scores["sets"] if (s["kind"], s["charge"]) == ("front", CHARGE)}
    archives = {
        s["arm"]: s for s in scores["sets"] if (s["kind"], s["charge"]) == ("archive", CHARGE)
    }
    tests = {test["arm"]: test for test in scores["primary"]}
    gain = scores["gain"]
    regrets = _table(
        ["arm", "regret", "capped", "no answer", "breaks", "of all evaluated", "less `all`", "p"],
        [
            [
                _name(arm),
                _interval(found["regret"], gain),
                _share(found["regret_capped"]["value"] / gain),
                _share(found["none"]["value"]),
                _share(found["broken"]["value"]),
                _share(archives[arm]["regret"]["value"] / gain),
                *_test(tests.get(arm), gain),
            ]
            for arm, found in fronts.items()
        ],
    )
    names = list(next(iter(fronts.values()))["excess"])
    missed = _table(
        ["arm misses the best, at equal quality, by", *map(_name, names)],
        [
            [_name(arm), *(_share(found["excess"][name]["value"]) for name in names)]
            for arm, found in fronts.items()
        ],
    )
    return f"{regrets}\n\n{missed}"


def _test(test: Mapping[str, Any] | None, gain: float) -> list[str]:
    if test is None:
        return ["", ""]
    p = test["adjusted_p"]
    return [_interval(test["difference"], gain, "+"), f"{p:.2g}" if p >= 1e-4 else "< 0.0001"]


def _interval(estimate: Mapping[str, Any], gain: float, sign: str = "") -> str:
    value, low, high = (_divided(estimate[key], gain) for key in ("value", "low", "high"))
    return f"{_share(value, sign)} ({_share(low)} to {_share(high)})"


def _divided(value: float | None, gain: float) -> float | None:
    return None if value is None else value / gain


def _share(value: float | None, sign: str = "") -> str:
    """A share in per cent; without a value it is beyond what anything reaches."""
    if value is None or not math.isfinite(value):
        return "out of reach"
    digits = 1 if abs(value) < 0.0995 else 0
    return f"{100 * value:{sign}.{digits}f} %"


def _name(arm: str) -> str:
    return f"`{arm}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
