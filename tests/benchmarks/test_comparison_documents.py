"""The documents show what the stored comparisons say."""

import json
from pathlib import Path

from benchmarks.comparison_tables import case_tables

ROOT = Path(__file__).parents[2]


def test_tables_of_arms_are_those_of_the_stored_results() -> None:
    stored = ROOT / "benchmarks" / "results" / "comparison.json"
    cases = json.loads(stored.read_text(encoding="utf-8"))
    assert list(cases) == ["nb201", "hwgpt-s"]
    text = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    for case in cases.values():
        assert case["scores"]["seeds"] == 20
        assert case["trials"] == 100
        for table in case_tables(case).split("\n\n"):
            assert table in text


def test_shares_are_of_the_gain_and_what_nothing_reaches_is_said() -> None:
    def at(value: float | None, low: float = 0.0, high: float | None = 1.0) -> dict[str, object]:
        return {"value": value, "low": low, "high": high, "coverage": 0.96}

    front = {
        "arm": "macs", "kind": "front", "charge": "evaluations", "regret": at(1.0, 0.5, 3.0),
        "regret_capped": at(0.02), "none": at(0.25), "broken": at(0.5),
        "alone": {"macs": at(0.1)}, "excess": {"macs": at(None)},
    }  # fmt: skip
    test = {
        "arm": "macs", "against": "all", "score": "regret", "difference": at(0.5, -0.02, 4.0),
        "p": 1e-6, "adjusted_p": 1e-6, "seeds": 10,
    }  # fmt: skip
    archive = front | {"kind": "archive", "regret": at(0.3)}
    cut = front | {"charge": "training_seconds", "regret": at(9.0)}
    scores = {
        "gain": 2.0, "sets": [cut, front, archive], "primary": [test], "own": [], "secondary": [],
        "indicators": ["macs"], "reference": "all", "seeds": 10, "known_front": 3,
        "budgets": {"drawn": 100, "left_out": 0}, "first_loss": 3.0, "least_loss": 1.0,
        "hypervolume_members": {"evaluations": 2},
    }  # fmt: skip
    regrets, missed = (
        part.split("\n")[2] for part in case_tables({"scores": scores}).split("\n\n")
    )
    assert regrets == (
        "| `macs` | 50 % (25 % to 150 %) | 1.0 % | 25 % | 50 % | 15 % "
        "| +25 % (-1.0 % to 200 %) | < 0.0001 |"
    )
    assert missed == "| `macs` | out of reach |"
