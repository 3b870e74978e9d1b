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
    assert len(rows) == 15  # A head, and the sampler with thirteen variants.
    for name, half, most, _, after, _, seconds in rows[1:]:
        assert f"|{name}|{half}|{most}|{after}|{seconds}|" in shown


def test_what_two_parts_do_on_other_problems_is_that_of_the_stored_results() -> None:
    results = Results.load(ROOT / "benchmarks" / "results" / "search_ablation.json")
    shown = " ".join((ROOT / "docs" / "design.md").read_text().split())
    for problem, variant, column, noun in (
        ("large-8", "errors-untold", 1, "the large space"),
        ("hwgpt-s", "not-narrowed", 2, "HW-GPT-Bench"),
    ):
        table = problem_table(results, problem, ("cost-aware", variant)).splitlines()
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table]
        cells = {row[0]: row[column] for row in rows if len(row) > 2}
        own, without = (cells[name].split(" ", 1) for name in ("cost-aware", variant))
        gap = " evaluations" if problem == "large-8" else ""
        assert f"{noun} takes {' '.join(without)}{gap} in place of {' '.join(own)} to" in shown
