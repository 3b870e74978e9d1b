"""Tables of arms on a page: what terminals show too, with every interval."""

import numpy as np
import pytest

from nas import report_arm_tables
from nas.arm_estimates import ArmEstimates
from nas.arm_tables import miss_tables, regret_table, sentences, set_tables, tables_of_tests
from nas.comparison import Arm, ArmRun, Comparison, Model
from nas.comparison_scores import ComparisonScores, score
from nas.indicators import Indicator
from nas.report_document import Table


@pytest.fixture(scope="module")
def scores() -> ComparisonScores:
    """Two arms that look at the same four models, trained for longer by one of them."""
    arms = (Arm("macs", ("macs",)), Arm("all", ("macs", "rate")))
    loss, places = np.array([0.4, 0.3, 0.2, 0.1]), {"macs": [0, 2], "all": [1, 3]}
    runs = tuple(
        ArmRun(
            name, seed, np.array(places[name]), loss[places[name]], np.full(2, seconds),
            np.arange(2),
        )
        for name, seconds in (("macs", 1.0), ("all", 2.0))
        for seed in range(6)
    )  # fmt: skip
    names = ("macs", "rate")
    values = np.array([[1.0, 10.0], [2.0, 40.0], [4.0, 20.0], [8.0, 30.0]])
    return score(
        Comparison(
            "c", "error", False, tuple(Indicator(n, "", "inference", "", n) for n in names),
            tuple(Model(f"m{i}", f"m{i}") for i in range(4)), values, loss, arms, runs, 2, 1,
            values,
        ),
        budgets=50,
    )  # fmt: skip


def test_pages_show_what_is_said_of_arms(scores: ComparisonScores) -> None:
    found = ArmEstimates.of_scores(scores)
    pairs = [
        (
            report_arm_tables.regret_tables(scores),
            [regret_table(found, charge) for charge in ("evaluations", "training_seconds")],
        ),
        (report_arm_tables.miss_tables(scores), miss_tables(found)),
        (report_arm_tables.front_tables(scores), set_tables(found)),
        (report_arm_tables.test_table(scores), tables_of_tests(found)),
    ]
    for shown, said in pairs:
        assert [table.key for table in shown] == [table.key for table in said]
        for page, table in zip(shown, said, strict=True):
            assert isinstance(page, Table)
            assert page.rows == table.rows
            assert [cell.text for cell in page.headings] == [c.title for c in table.columns]
            assert [cell.title for cell in page.headings] == [c.meaning for c in table.columns]
            assert page.caption.startswith(f"{table.title}.")


def test_what_columns_mean_stands_once_in_the_captions(scores: ComparisonScores) -> None:
    first, second = report_arm_tables.regret_tables(scores)
    said = sentences(regret_table(ArmEstimates.of_scores(scores)))
    assert len(said) == 8
    assert all(sentence in first.caption for sentence in said)
    assert not any(sentence in second.caption for sentence in said)
