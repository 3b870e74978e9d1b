"""Tables for people."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nas.candidates import Candidate
from nas.indicators import INDICATORS
from nas.pareto import pareto_set
from nas.quality import BITS_PER_BYTE, ERROR
from nas.redundancy import RedundantGroup
from nas.rendering import (
    print_certificate,
    print_indicators,
    print_members,
    print_pareto,
    print_rows,
)
from predictors import Value
from search_spaces import TrainingSetup


def test_rows_are_whole_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    print_rows(["name", "value"], [["a", long], ["b", "[red]2"]], "Title [a]")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Title [a]"
    (row,) = (line for line in lines if long in line)
    assert row.split() == ["a", long]
    assert any("b" in line and "2" in line for line in lines)


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("printed", ["pareto", "indicators"])
def test_a_narrow_terminal_cuts_nothing(
    make_candidate: Callable[..., Candidate],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
    printed: str,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    known = [name for name, item in INDICATORS.items() if not item.needs_profile]
    values = {name: 1.5e6 + 1e5 * i for i, name in enumerate(known)}
    if printed == "pareto":
        print_pareto(pareto_set([make_candidate(1, 0.1, **values)]))
    else:
        shown = {name: Value(v, 0.9 * v, 1.1 * v, "predicted") for name, v in values.items()}
        print_indicators(shown, TrainingSetup())
    text = capsys.readouterr().out
    assert "\x1b[" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) > columns
    for name in values:
        assert (INDICATORS[name].symbol if printed == "pareto" else name) in text


def test_a_title_longer_than_its_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    title = "How often " + "very " * 30 + "long titles wrap"
    print_rows(["a"], [["1"]], title)
    print_rows(["a"], [["1"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == title
    assert [line.strip() for line in lines[1:5]] == ["a", "─", "1", ""]
    assert lines[5:] == lines[1:5]


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["name", "value"], [])
    assert "name" in capsys.readouterr().out


def test_values_are_shown_in_the_units_of_their_headings(
    make_candidate: Callable[..., Candidate], capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"params": 12_500.0, "macs": 3_210_000.0, "sequential_depth": 7.0}
    candidate = make_candidate(1, 0.0523, **values)
    latency = Value(0.25e-3, 0.2e-3, 0.3e-3, "predicted")
    candidate = replace(
        candidate,
        indicators={**candidate.indicators, "latency_s@local": latency},
        test_quality=ERROR.quality("test", 0.0625),
        measured={"latency_s@local": Value(0.5e-3, 0.4e-3, 0.6e-3, "measured")},
    )
    print_pareto(pareto_set([candidate]))
    text = capsys.readouterr().out
    (row,) = (line for line in text.splitlines() if candidate.id in line)
    # Thousands of parameters, millions of MACs, blocks, milliseconds; percent of the splits.
    assert row.split() == [
        candidate.id, "vit", "5.2", "93.8", "12.5", "3.21", "7", "0.25*", "0.5",
    ]  # fmt: skip
    assert "params k" in text
    assert "MACs M" in text
    assert "1 of 1 feasible candidates (100%)" in text
    assert "* A block of it was not timed but predicted." in text


def test_columns_that_say_nothing_are_named_below(
    make_candidate: Callable[..., Candidate], capsys: pytest.CaptureFixture[str]
) -> None:
    alike = {"params": 1e4, "active_params": 1e4, "kv_cache_bytes": 0.0}
    members = [make_candidate(1, 0.1, macs=2e6, **alike), make_candidate(2, 0.2, macs=1e6, **alike)]
    print_pareto(pareto_set(members))
    text = capsys.readouterr().out
    assert "active k" not in text
    assert "Not shown: active_params (as params), kv_cache_bytes (0)." in text
    assert "MACs M" in text


def test_bits_per_byte_are_shown_as_they_are(
    make_candidate: Callable[..., Candidate], capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = replace(
        make_candidate(1, 0.1, params=7.0),
        quality=BITS_PER_BYTE.quality("validation", 2.3456),
        test_quality=BITS_PER_BYTE.quality("test", 2.4),
    )
    print_pareto(pareto_set([candidate]))
    text = capsys.readouterr().out
    (row,) = (line for line in text.splitlines() if candidate.id in line)
    assert row.split() == [candidate.id, "vit", "2.346", "2.4", "0.007"]
    assert "val bits/byte" in text
    assert "test bits/byte" in text


def test_places_and_directions_stand_in_the_headings(
    make_candidate: Callable[..., Candidate], capsys: pytest.CaptureFixture[str]
) -> None:
    far = "nvidia-h200:cudagraph-fp16-b1"
    plain = make_candidate(1, 0.1, params=7e3)
    values = {
        "latency_s@local": Value(2e-3, 1e-3, 3e-3, "table"),
        "latency_p99_s@local": Value(4e-3, 3e-3, 5e-3, "table"),
        f"latency_s@{far}": Value(5e-4, 4e-4, 6e-4, "predicted"),
        f"throughput_per_s@{far}": Value(8000.0, 7000.0, 9000.0, "table", "batch 64"),
        f"max_batch@{far}": Value(512, None, None, "predicted", "fp16"),
    }
    candidate = replace(plain, indicators={**plain.indicators, **values})
    print_pareto(pareto_set([candidate]))
    text = capsys.readouterr().out
    for heading in (
        "latency ms table",
        f"latency ms {far}",
        f"examples/s (more is better) {far}",
        f"max batch (more is better) {far}",
    ):
        assert heading in text
    (row,) = (line for line in text.splitlines() if candidate.id in line)
    # What is counted is no guess at a block.
    assert row.split() == [candidate.id, "vit", "10.0", "7", "2", "0.5*", "8000", "512"]
    assert "latency_p99_s@local (follows latency_s@local)" in text


def test_members_that_may_miss_a_budget_and_the_fronts_certificate_are_said(
    make_candidate: Callable[..., Candidate], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("latency_s@local", "energy_j@local", "macs")
    likely = {"latency_s@local": 0.87, "energy_j@local": None, "macs": 1.0}
    sure = {"latency_s@local": 0.95, "energy_j@local": 0.99, "macs": 1.0}
    first, second = (
        replace(
            make_candidate(width, 0.1 * width, params=9e3 / width, macs=1e6),
            feasibility=dict(zip(names, found.values(), strict=True)),
        )
        for width, found in ((1, likely), (2, sure))
    )
    score = {"n": 2.0, "within_10": 1.0, "within_5": 0.5, "aa_within_5": 1.0, "bias": -0.034}
    print_pareto(replace(pareto_set([first, second]), front_certificate=score))
    text = capsys.readouterr().out
    said = [line for line in text.splitlines() if "with probability" in line]
    assert said == [
        f"{first.id} keeps to the budget of latency_s@local with probability 87% once it is "
        "measured."
    ]
    assert "The 2 members measured whole: latency 100% within ±10 %" in text
    assert "50% within ±5 % (repeated: 100%), bias -3.4%." in text


def test_representatives_redundancy_and_doubt_are_said(
    make_candidate: Callable[..., Candidate], capsys: pytest.CaptureFixture[str]
) -> None:
    points = [(0.1, 103.0), (0.15, 100.0), (0.2, 50.0)]
    members = [make_candidate(w, q, params=p) for w, (q, p) in enumerate(points, start=1)]
    group = RedundantGroup(("params", "macs"), 0.97)
    found = pareto_set(members, redundant=[group])
    likely = dict(zip([m.id for m in members], (0.62, 1.0, 1.0), strict=True))
    print_pareto(replace(found, hypervolume_error=0.001, probabilities=likely))
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    (first,), (second,), (third,) = ([r for r in lines if m.id in r] for m in members)
    assert (first[-2:], second[-1], third[-2:]) == (["yes", "62%"], "100%", ["yes", "100%"])
    assert second[-2] != "yes"
    assert "2 of them stand for all (`--pick representative`)" in text
    assert "by at most quality 0.0075, params 5%" in text
    assert "Order the space alike: params, macs (tau at least 0.970)." in text
    assert "in the set: probability of belonging to the set" in text
    assert f"Hypervolume {found.hypervolume:.4g} ± 0.001 of the box" in text


def test_picked_members_are_a_table_alone(
    make_candidate: Callable[..., Candidate], capsys: pytest.CaptureFixture[str]
) -> None:
    member = make_candidate(1, 0.1, params=5e3)
    print_members([member], "Picked")
    text = capsys.readouterr().out
    assert member.id in text
    assert "Hypervolume" not in text
    print_members([], "Picked")
    assert capsys.readouterr().out == "No member.\n"


def test_an_empty_set_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_pareto(pareto_set([]))
    assert "empty" in capsys.readouterr().out


def test_an_interval_stands_where_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    print_indicators(
        {
            "params": Value(1_234_567, 1_234_567, 1_234_567, "exact"),
            "flops": Value(35e9, 35e9, 35e9, "exact"),
            "train_macs": Value(5, 5, 5, "exact"),
            "latency_s@local": Value(1e-3, 9e-4, 1.1e-3, "table"),
        },
        TrainingSetup(32, "sam"),
    )
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert "one training step, forward and backward, at batch 32 with sam." in text
    # Half of the operations: what the paper calls GFLOPs.
    assert "GFLOPs as the tables of The Efficiency Misnomer print them: 17.5" in text
    (params,) = (line for line in lines if line.split()[:1] == ["params"])
    (latency,) = (line for line in lines if line.split()[:1] == ["latency_s@local"])
    assert params.split() == ["params", "1,234,567", "elements", "exact", "inference"]
    assert latency.split() == [
        "latency_s@local", "0.001", "seconds", "0.0009", "to", "0.0011", "table", "inference",
    ]  # fmt: skip


def test_a_certificate_has_a_row_for_each_family(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    print_certificate(table)
    lines = capsys.readouterr().out.splitlines()
    for family, score in table.certificate.families.items():
        (row,) = (line for line in lines if line.split()[:1] == [family])
        assert row.split()[1] == str(score.n)
    print_certificate(replace(table, certificate=None))
    assert "No certificate" in capsys.readouterr().out


def test_a_family_that_no_network_certifies_has_a_row_and_one_network_no_rank(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (first, *_) = (m for m in table.certificate.measured if m.family == "vit")
    certificate = replace(table.certificate, measured=(first,))
    print_certificate(replace(table, certificate=certificate))
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert rows["mbconv"] == ["mbconv", "0", "none"]
    assert len(rows["vit"]) == len(rows["all"]) == 9  # Without the two rank correlations.
