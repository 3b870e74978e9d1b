"""How far candidates may be from what they will be."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nas.candidates import Candidate
from nas.images import ImageDataset
from nas.quality import BITS_PER_BYTE
from nas.uncertainty import resolutions, sampling_errors, standard_errors
from predictors import Value
from search_spaces import Architecture, UnionSpace

Make = Callable[..., Candidate]
LATENCY = "latency_s@local"


def with_latency(candidate: Candidate, value: Value) -> Candidate:
    return replace(candidate, indicators={**candidate.indicators, LATENCY: value})


def test_the_error_of_a_share_is_binomial(
    digits: ImageDataset, finished_architecture: Architecture, make_candidate: Make
) -> None:
    n = len(digits.fitted(finished_architecture).validation)
    candidates = [
        replace(make_candidate(width, error), architecture=finished_architecture)
        for width, error in ((1, 0.2),)
    ]
    share = (0.2 * n + 1) / (n + 2)
    expected = math.sqrt(share * (1 - share) / n)
    assert sampling_errors(candidates, digits) == {
        finished_architecture.id: pytest.approx(expected)
    }
    # A perfect validation is not certain, and neither is a hopeless one.
    for error in (0.0, 1.0):
        extreme = replace(candidates[0], quality=replace(candidates[0].quality, value=error))
        assert sampling_errors([extreme], digits)[finished_architecture.id] > 0


def test_of_another_quality_it_is_not_known(
    digits: ImageDataset, finished_architecture: Architecture, make_candidate: Make
) -> None:
    candidate = replace(
        make_candidate(1, 0.2),
        architecture=finished_architecture,
        quality=BITS_PER_BYTE.quality("validation", 2.0),
    )
    assert sampling_errors([candidate], digits) == {}


def test_errors_by_interval(make_candidate: Make) -> None:
    plain = make_candidate(1, 0.1, macs=5.0)
    # A 95 % interval from 1/1.2 to 1.2 of the value: log(1.2) is 1.96 standard errors.
    wide = with_latency(plain, Value(2.0, 2.0 / 1.2, 2.0 * 1.2, "table"))
    names = ("quality", "macs", LATENCY)
    (row,) = standard_errors([wide], names, {plain.id: 0.03}).tolist()
    assert row == [0.03, 0.0, pytest.approx(math.log(1.2) / 1.96, rel=1e-4)]
    unknown = with_latency(plain, Value(2.0, None, None, "table"))
    assert standard_errors([unknown], names, {}).tolist() == [[0.0, 0.0, 0.0]]


def test_what_counts_follows_the_error(make_candidate: Make) -> None:
    plain = make_candidate(1, 0.1, macs=5.0)
    wide = with_latency(plain, Value(2.0, 2.0 / 1.2, 2.0 * 1.2, "table"))
    names = ("quality", "macs", LATENCY)
    assert resolutions([wide], names, {plain.id: 0.01}) == pytest.approx(
        {"quality": 0.0196, "macs": 0.05, LATENCY: 0.2}, rel=1e-4
    )
    # No interval: what tables are held to. No error of quality: 5 % of the median.
    unknown = with_latency(plain, Value(2.0, None, None, "table"))
    assert resolutions([unknown], names, {}) == pytest.approx(
        {"quality": 0.005, "macs": 0.05, LATENCY: 0.1}
    )
    # No finer than what is exact.
    fine = with_latency(plain, Value(2.0, 1.99, 2.01, "table"))
    assert resolutions([fine], [LATENCY], {})[LATENCY] == 0.05


def test_what_is_counted_of_a_device_is_exact(make_candidate: Make) -> None:
    name = "max_batch@local"
    plain = make_candidate(1, 0.1)
    counted = replace(plain, indicators={name: Value(512, None, None, "predicted")})
    assert standard_errors([counted], [name], {}).tolist() == [[0.0]]
    assert resolutions([counted], [name], {}) == {name: 0.05}


@pytest.fixture
def finished_architecture(tiny_space: UnionSpace) -> Architecture:
    codes = tiny_space.random_codes(1, np.random.default_rng(0))
    return tiny_space.decode(codes[0])
