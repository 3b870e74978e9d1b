"""What the errors say."""

import pytest

from search_spaces import CorruptFileError, UncountedOperatorError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        ("latency", ("latency_s", "macs"), "Did you mean 'latency_s'? Known: latency_s, macs."),
        ("colour", ("latency_s", "macs"), "Unknown indicator 'colour'. Known: latency_s, macs."),
        ("macs", (), "Unknown indicator 'macs'. Known: none."),
    ],
)
def test_unknown_name_lists_the_known_ones(name: str, known: tuple[str, ...], message: str) -> None:
    error = UnknownNameError("indicator", name, iter(known))
    assert str(error).endswith(message)
    assert (error.kind, error.name, error.known) == ("indicator", name, known)


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (UnknownNameError, LookupError),
        (CorruptFileError, ValueError),
        (UncountedOperatorError, NotImplementedError),
    ],
)
def test_errors_are_caught_as_what_they_are(
    error: type[Exception], family: type[Exception]
) -> None:
    assert issubclass(error, family)
