"""Tables of arms, from estimates that are made up."""

from dataclasses import replace

import pytest

from nas import arm_tables
from nas.arm_estimates import ArmEstimates, SetEstimates
from nas.arm_tables import ArmTable, Column, sentences
from nas.paired_tests import Estimate, PairedTest
from nas.report_document import Cell


def at(value: float, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate(value, value if low is None else low, value if high is None else high, 0.97)


def of_set(regret: float) -> SetEstimates:
    values = {
        "regret": at(regret, regret / 2, 2 * regret), "regret_capped": at(regret / 4),
        "none": at(0.25), "broken": at(0.125), "size": at(3), "hypervolume": at(0.5, 0.25, 0.75),
        "igd_plus": at(2, 1, 4), "dominated": at(0.01),
    }  # fmt: skip
    alone = {"macs": at(regret), "rate": at(0.0)}
    return SetEstimates(values, alone, {"macs": at(float("inf")), "rate": at(0.5, 0.25, 1)})


def made_test(arm: str, value: float, p: float) -> PairedTest:
    return PairedTest(arm, "all", "regret", at(value, -1, 2), p / 2, p, 10)


ESTIMATES = ArmEstimates(
    names=("macs", "rate"),
    arms={"macs": "macs", "all": "all indicators"},
    reference="all",
    seeds=6,
    budgets=1200,
    left_out=0,
    first_loss=4.0,
    least_loss=2.0,
    gain=2.0,
    known_front=9,
    subset={"evaluations": 2},
    sets={
        ("macs", "front", "evaluations"): of_set(1.0),
        ("macs", "archive", "evaluations"): of_set(0.5),
        ("all", "front", "evaluations"): of_set(0.2),
        ("all", "archive", "evaluations"): of_set(0.1),
        ("macs", "front", "training_seconds"): of_set(4.0),
        ("macs", "archive", "training_seconds"): of_set(3.0),
        ("all", "front", "training_seconds"): of_set(0.8),
        ("all", "archive", "training_seconds"): of_set(0.6),
    },
    tests={
        "primary": (made_test("macs", 0.5, 0.02),),
        "own": (),
        "secondary": (made_test("macs", -0.5, 0.5),),
    },
)


def texts(table: ArmTable) -> dict[str, dict[str, str]]:
    titles = [column.title for column in table.columns]
    return {
        row[0].text: dict(zip(titles[1:], (cell.text for cell in row[1:]), strict=True))
        for row in table.rows
    }


def test_regrets_are_shares_of_the_gain_with_the_test_beside_them() -> None:
    table = arm_tables.regret_table(ESTIMATES)
    assert texts(table) == {
        "macs": {
            "regret": "50 %", "capped": "12 %", "no answer": "25 %", "breaks": "12 %",
            "of all evaluated": "25 %", "less `all`": "+25 %", "p": "0.02",
        },
        "all": {
            "regret": "10 %", "capped": "2.5 %", "no answer": "25 %", "breaks": "12 %",
            "of all evaluated": "5.0 %", "less `all`": "", "p": "",
        },
    }  # fmt: skip
    assert table.rows[0][0].note == "macs"
    assert (table.rows[0][1].note, table.rows[0][1].value) == ("25 % to 100 %", 0.5)
    assert table.rows[0][6].note == "-50 % to 100 %"
    assert [c.title for c in table.columns if c.interval] == ["regret", "less `all`"]
    assert "Regret over 1,200 budgets on all 2 indicators, as a share" in table.title
    said = sentences(table)
    assert said[0].startswith("Medians over 6 seeds, with intervals that cover 96.9%. A budget is")
    assert "(4) to the best known (2)" in said[0]
    assert "left out" not in said[0]
    told = sentences(arm_tables.regret_table(replace(ESTIMATES, left_out=7)))[0]
    assert "7 that no known model meets are left out." in told
    assert "Capped: the same, where no budget costs more than the whole gain." in said


def test_at_another_charge_nothing_is_tested() -> None:
    table = arm_tables.regret_table(ESTIMATES, "training_seconds")
    assert table.title.endswith("at equal training seconds")
    assert texts(table)["macs"]["regret"] == "200 %"
    assert texts(table)["macs"]["of all evaluated"] == "150 %"
    assert "p" not in texts(table)["macs"]
    alone = replace(ESTIMATES, reference=None, tests=dict.fromkeys(ESTIMATES.tests, ()))
    assert "p" not in texts(arm_tables.regret_table(alone))["macs"]
    assert arm_tables.tables_of_tests(alone) == []


def test_without_a_gain_regrets_are_as_they_are() -> None:
    table = arm_tables.regret_table(replace(ESTIMATES, gain=0.0))
    assert texts(table)["macs"]["regret"] == "1"
    assert texts(table)["macs"]["less `all`"] == "+0.5"
    assert "share" not in table.title


def test_misses_are_by_indicator() -> None:
    alone, missed = arm_tables.miss_tables(ESTIMATES)
    assert texts(alone) == {
        "macs": {"macs": "50 %", "rate": "0.0 %"}, "all": {"macs": "10 %", "rate": "0.0 %"},
    }  # fmt: skip
    assert texts(missed)["all"] == {"macs": "out of reach", "rate": "50 %"}
    beyond, near = missed.rows[0][1:]
    assert (beyond.value, near.value, near.note) == (1e300, 0.5, "25 % to 100 %")
    assert [column.name for column in missed.columns] == [False, True, True]


def test_sets_are_of_fronts_and_of_archives() -> None:
    front, archive = arm_tables.set_tables(ESTIMATES)
    assert texts(front)["macs"] == {
        "members": "3", "hypervolume of 2": "0.5", "IGD+": "2", "dominated": "1.0 %",
    }  # fmt: skip
    assert front.rows[0][2].note == "0.25 to 0.75"
    assert front.title == (
        "The fronts against the known front over quality and all indicators (9 models)"
    )
    assert archive.title.startswith("The archives of everything evaluated")
    larger = ESTIMATES.sets | {
        ("macs", "archive", "evaluations"): replace(
            of_set(1.0), values=of_set(1.0).values | {"size": at(40)}
        )
    }
    _, archive = arm_tables.set_tables(replace(ESTIMATES, sets=larger))
    assert texts(archive)["macs"]["members"] == "40"


def test_tests_are_told_by_family() -> None:
    (table,) = arm_tables.tables_of_tests(ESTIMATES)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["macs", "regret", "primary", "+0.5", "0.01", "0.02", "differs"],
        ["macs", "regret", "secondary", "-0.5", "0.25", "0.5", "not shown"],
    ]
    assert table.title == "Tests of each arm against `all` over 6 seeds"
    alone = arm_tables.tables_of_tests(replace(ESTIMATES, seeds=1))
    assert alone[0].title.endswith("over 1 seed")


def test_rows_are_as_wide_as_the_columns() -> None:
    with pytest.raises(ValueError, match=r"`rows` must have 2 cells; got \{1\}"):
        ArmTable("k", "t", (Column("a"), Column("b")), ((Cell("x"),),))
