"""What fits a terminal of 100 columns."""

import pytest

from nas.terminal import WIDTH, legend, marks, print_table, say


def test_a_sentence_is_wrapped_and_no_name_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"img_s__amp-pt291-cu130-{number}" for number in range(12)]
    say(f"By {', '.join(names)}.", 2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].startswith("  By ")
    assert all(line.startswith("    img_s__") for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == f"By {', '.join(names)}."


def test_letters_stand_for_long_names_alone() -> None:
    assert marks(["params", "macs"]) == {"params": "params", "macs": "macs"}
    long = "latency_s@gpu:fp16-b1"
    assert marks(["params", long]) == {"params": "params", long: "B"}
    # Without what other columns are called, the second letter.
    assert marks(["B", long, "A"]) == {"B": "B", long: "D", "A": "A"}


def test_where_there_are_many_names_letters_stand_for_all() -> None:
    names = [f"indicator_{number}" for number in range(30)]
    found = marks(names)
    assert list(found) == names
    assert [found[names[place]] for place in (0, 25, 26, 29)] == ["A", "Z", "AA", "AD"]
    assert len(set(found.values())) == 30


def test_what_letters_stand_for_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    legend(marks(["params", "macs"]))
    assert capsys.readouterr().out == ""
    legend(marks(["params", "latency_s@gpu:fp16-b1"]))
    assert capsys.readouterr().out == "In tables B is latency_s@gpu:fp16-b1.\n"


@pytest.mark.parametrize("columns", [2, 9, 30])
def test_a_wide_table_loses_no_cell(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    headings = ["model", "at", *(f"column {place}" for place in range(columns))]
    rows = [[f"m{row}", str(row), *(f"{row}x{place}" for place in range(columns))]
            for row in range(3)]  # fmt: skip
    print_table(headings, rows, "Title", keep=2)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    for row in range(3):
        held = [line.split() for line in lines if line.split()[:2] == [f"m{row}", str(row)]]
        assert [cell for cells in held for cell in cells[2:]] == rows[row][2:]
    parts = out.count(" model ")
    assert parts == {2: 1, 9: 2, 30: 5}[columns]
    assert lines.count("Title") == 1
    assert lines.count("Title (continued)") == parts - 1


def test_a_column_that_is_too_wide_by_itself_is_shown_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(["a", "b"], [["1", "x" * 150]])
    assert "x" * 150 in capsys.readouterr().out
