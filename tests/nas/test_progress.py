"""Progress on a terminal and off it."""

import io

import pytest
from rich.console import Console

from nas import progress
from nas.progress import Reporter


def test_a_line_is_written_as_it_is(quiet: progress.Reporter) -> None:
    text = "[bold]/tmp/a[1]/b" + 40 * " word"  # Neither markup nor wrapped.
    quiet.line(text)
    assert quiet.text == text + "\n"  # type: ignore[attr-defined]


def test_without_a_console_it_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter().line("said")
    assert capsys.readouterr() == ("", "said\n")


def test_off_a_terminal_a_bar_is_a_line_now_and_then(
    quiet: progress.Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("nas.progress.time.monotonic", lambda: now)
    with quiet.bar("Counting") as bar:
        for done in range(1, 9):
            now = 4.0 * done
            bar(done, 8, "blocks" if done > 3 else "")
    # A line where at least ten seconds have gone by since the last: at 12 and at 24 seconds.
    assert quiet.text == "Counting: 3/8\nCounting: 6/8 blocks\n"  # type: ignore[attr-defined]


def test_on_a_terminal_a_bar_shows_itself_and_leaves_nothing() -> None:
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=True, width=100)
    with Reporter(console).bar("Counting") as bar:
        bar(1, 2, "blocks")
    shown = buffer.getvalue()
    assert "Counting" in shown
    assert "\x1b[2K" in shown  # The line is erased in the end.


def test_an_error_under_a_bar_goes_through(quiet: progress.Reporter) -> None:
    with pytest.raises(KeyboardInterrupt), quiet.bar("Counting"):
        raise KeyboardInterrupt
