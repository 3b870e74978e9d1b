"""The documents show what the stored results say."""

from pathlib import Path

from benchmarks.search_results import Results
from benchmarks.search_tables import problem_table, tables

ROOT = Path(__file__).parents[2]
STORED = ("search_rivals.json", "search_cost_aware.json")


def test_the_table_of_samplers_is_that_of_the_stored_results() -> None:
    paths = [ROOT / "benchmarks" / "results" / name for name in STORED]
    short = tables(Results.load(*paths)).split("\n\n")[0]
    assert short.count("\n") == 7  # A head, a rule and six problems.
    assert short in (ROOT / "docs" / "design.md").read_text()


def test_the_ablation_is_that_of_the_stored_results() -> None:
    results = Results.load(ROOT / "benchmarks" / "results" / "search_ablation.json")
    shown = (ROOT / "docs" / "design.md").read_text()
    table = problem_table(results, "nb201-3", sorted({name for _, name, _ in results.records}))
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) == 13  # A head, and the sampler with eleven variants.
    for name, half, most, _, after, _, seconds in rows[1:]:
        assert f"|{name}|{half}|{most}|{after}|{seconds}|" in shown
