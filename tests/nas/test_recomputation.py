"""The set of a finished run under other budgets."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.cli import main
from nas.recomputation import evaluated_candidates
from nas.run_folder import RunFolder
from search_spaces import UnionSpace


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, finished: Any) -> Path:
    monkeypatch.setenv("HWNAS_HOME", str(finished.home))
    return Path(finished.home)


@pytest.fixture
def candidates(finished: Any, tiny_space: UnionSpace, digits: Any, tiny_pricer: Any) -> list[Any]:
    run = RunFolder.open(finished.folder)
    return evaluated_candidates(run, tiny_space, digits, tiny_pricer, {})


def test_what_was_trained_is_read_back(finished: Any, candidates: list[Any]) -> None:
    assert len(candidates) == finished.outcome.trained
    by_id = {candidate.id: candidate for candidate in candidates}
    for member in finished.outcome.pareto.members:
        assert by_id[member.id].quality == member.quality
        assert by_id[member.id].indicators == member.indicators


def test_a_budget_without_training(
    home: Path, run_copy: Path, candidates: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in run_copy.rglob("*") if p.is_file()}
    limit = sorted(c.indicators["macs"].value for c in candidates)[len(candidates) // 2]
    assert main(["pareto", str(run_copy), "--budget", f"macs<={limit}", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    within = [c for c in candidates if c.indicators["macs"].value <= limit]
    assert (data["evaluated"], data["feasible"]) == (len(candidates), len(within))
    known = {m.id: m for m in RunFolder.open(run_copy).read_pareto().members}
    # A tighter budget takes members away and adds none: whatever beats one is cheaper too.
    kept = {key for key, m in known.items() if m.indicators["macs"].value <= limit}
    assert {item["id"] for item in data["candidates"]} == kept
    assert data["redundant"]
    for item in data["candidates"]:
        assert item["test_quality"] == known[item["id"]].test_quality.to_json()
        assert item["measured"]
        assert item["feasibility"] == {"macs": 1.0}
    assert {p: p.read_bytes() for p in run_copy.rglob("*") if p.is_file()} == before


def test_a_budget_that_leaves_all_changes_nothing(
    home: Path, finished: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pareto", str(finished.folder), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main(["pareto", str(finished.folder), "--budget", "latency_h=1", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for key in ("hypervolume", "reference_point", "representative", "redundant", "probabilities"):
        assert again[key] == plain[key]
    assert [m["id"] for m in again["candidates"]] == [m["id"] for m in plain["candidates"]]


def test_a_budget_that_none_meets_names_the_nearest(
    home: Path, finished: Any, candidates: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    least = min(candidates, key=lambda c: (c.indicators["macs"].value, c.id))
    limit = least.indicators["macs"].value / 2
    assert main(["pareto", str(finished.folder), "--budget", f"macs<={limit}"]) == 4
    error = capsys.readouterr().err
    assert error.index(least.id) > error.index("Nearest:")
    assert "missed by +100.0%" in error


@pytest.mark.parametrize(
    ("budget", "status", "said"),
    [
        ("latency_kg=2", 2, "does not fit"),
        ("foo<=2", 3, "Known: params"),
        ("latency_s@nvidia-h200<=2", 3, "indicator of the run"),
        ("macs>=2", 2, "write macs<="),
        ("macs", 2, "NAME<=NUMBER"),
    ],
)
def test_budgets_that_cannot_be(
    home: Path, finished: Any, budget: str, status: int, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["pareto", str(finished.folder), "--budget", budget]) == status
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_picks_of_a_run(home: Path, finished: Any, capsys: pytest.CaptureFixture[str]) -> None:
    members = finished.outcome.pareto.members
    best = min(members, key=lambda m: m.indicators["latency_s@local"].value)
    words = ["pareto", str(finished.folder), "--pick", "least:latency_s@local"]
    assert main([*words, "--json"]) == 0
    assert [m["id"] for m in json.loads(capsys.readouterr().out)] == [best.id]
    assert main([*words, "--budget", "latency_h=1"]) == 0
    text = capsys.readouterr().out
    assert best.id in text
    assert "least:latency_s@local" in text
    assert main(["pareto", str(finished.folder), "--pick", "macs<=1"]) == 4
    assert main(["pareto", str(finished.folder), "--pick", "nobody"]) == 3
