"""What a measurement has done so far, on disk."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hw_profiles.journal import Journal
from hw_profiles.timing import Visit

CONDITIONS = {"setting": {"dtype": "fp32", "batch": 1}, "blocks": ("a", "b")}
FIRST, SECOND = Visit((1 / 3, 2.5e-17, 4.0), 0.1, (2.5e-17,)), Visit((7.0,), 1e300)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "table.journal"


@pytest.fixture
def written(path: Path) -> Journal:
    """A journal of two visits."""
    journal = Journal(path, CONDITIONS)
    journal.add("table 0 ab", FIRST)
    journal.add("table 1 ab", SECOND)
    return journal


def test_visits_are_there_at_once_and_in_the_next_process(written: Journal, path: Path) -> None:
    for journal in (written, Journal(path, CONDITIONS)):
        assert journal.get("table 0 ab") == FIRST
        assert journal.get("table 1 ab") == SECOND
        assert journal.get("table 0 cd") is None


def test_start_is_that_of_the_first_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now_is = datetime.fromisoformat("2026-01-02T03:04:05+00:00")

        @classmethod
        def now(cls, zone: object) -> datetime:
            return cls.now_is

    monkeypatch.setattr("hw_profiles.journal.datetime", Clock)
    Journal(path, CONDITIONS)
    Clock.now_is += timedelta(hours=2)
    assert Journal(path, CONDITIONS).started == "2026-01-02T03:04:05+00:00"
    assert Journal(path, {"setting": "another"}).started == "2026-01-02T05:04:05+00:00"


@pytest.mark.parametrize("cut", range(1, 32))
def test_line_that_was_cut_off_is_left_out_and_takes_no_other_with_it(
    written: Journal, path: Path, cut: int
) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    after = Journal(path, CONDITIONS)
    assert after.get("table 0 ab") == FIRST
    kept = after.get("table 1 ab")
    assert kept in (None, SECOND)
    assert (kept is None) == (cut > 1)  # Without its end of line it is whole.
    after.add("table 0 cd", SECOND)
    again = Journal(path, CONDITIONS)
    assert again.get("table 0 ab") == FIRST
    assert again.get("table 1 ab") == kept
    assert again.get("table 0 cd") == SECOND


@pytest.mark.parametrize(
    "conditions", [{}, {**CONDITIONS, "blocks": ["a"]}, {**CONDITIONS, "more": None}]
)
def test_other_conditions_start_anew(
    written: Journal, path: Path, conditions: dict[str, object]
) -> None:
    other = Journal(path, conditions)
    assert other.get("table 0 ab") is None
    # The file is theirs now.
    assert Journal(path, CONDITIONS).get("table 0 ab") is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]\n", b"3\n", b'{"conditions": {}}\n', b"\xff\xfe\n", b"\n\n"]
)
def test_file_that_is_no_journal_is_written_anew(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    Journal(path, CONDITIONS).add("table 0 ab", FIRST)
    assert Journal(path, CONDITIONS).get("table 0 ab") == FIRST


@pytest.mark.parametrize("line", ["3", '["key"]', '["key", 3, 1.0]', '["key", [1.0], 1.0, 2]'])
def test_line_that_is_no_visit_is_left_out(written: Journal, path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")
    after = Journal(path, CONDITIONS)
    assert after.get("key") is None
    assert after.get("table 0 ab") == FIRST


def test_later_visit_of_a_key_counts(written: Journal, path: Path) -> None:
    written.add("table 0 ab", SECOND)
    assert Journal(path, CONDITIONS).get("table 0 ab") == SECOND


def test_closed_journal_leaves_no_file(written: Journal, path: Path) -> None:
    written.close()
    assert list(path.parent.iterdir()) == []
    written.close()


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal()
    journal.add("table 0 ab", FIRST)
    journal.close()
    assert journal.get("table 0 ab") == FIRST
    assert list(tmp_path.iterdir()) == []


def test_every_line_is_json(written: Journal, path: Path) -> None:
    header, *visits = map(json.loads, path.read_text().splitlines())
    assert set(header) == {"conditions", "started"}
    assert [key for key, *_ in visits] == ["table 0 ab", "table 1 ab"]
