"""Ctrl-C waits for what must not be cut in two."""

import os
import signal

import pytest

from nas.interrupts import ignoring_interrupts, uninterrupted


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []

    def block() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("first")
            done.append("second")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["first", "second"]
    assert signal.getsignal(signal.SIGINT) is before


def test_no_interrupt_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_the_block_is_what_comes_out() -> None:
    def block() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        block()


def test_an_ignored_interrupt_never_comes() -> None:
    with ignoring_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
