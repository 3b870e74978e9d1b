"""Measures, by hand."""

import json
import math

import numpy as np
import pytest

from nas.quality import BITS_PER_BYTE, ERROR, Quality


def test_the_error_counts_what_is_labelled_wrong() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    assert ERROR.total(outputs, np.array([1, 0, 1, 1])) == 1.0


def test_bits_are_the_logarithm_of_the_probability_of_each_label() -> None:
    # Softmax of logarithms is the distribution itself: 2 bits, 1 bit, 3 bits; one is ignored.
    shares = np.array([[0.25, 0.5, 0.25], [0.25, 0.5, 0.25], [0.125, 0.5, 0.375], [0.1, 0.1, 0.8]])
    outputs = np.log(shares).reshape(2, 2, 3).astype(np.float32)
    labels = np.array([[0, 1], [0, -100]])
    assert BITS_PER_BYTE.total(outputs, labels) == pytest.approx(2 + 1 + 3)
    assert BITS_PER_BYTE.total(outputs + 1000, labels) == pytest.approx(6, abs=1e-3)


def test_bits_of_a_certain_mistake_are_finite() -> None:
    outputs = np.array([[1e4, 0.0]])
    assert BITS_PER_BYTE.total(outputs, np.array([1])) == pytest.approx(1e4 / math.log(2))


def test_a_quality_says_what_it_is_and_round_trips() -> None:
    quality = ERROR.quality("validation", 0.25)
    data = {"name": "validation_error", "value": 0.25, "direction": "minimize"}
    assert quality.to_json() == data
    assert Quality.from_json(json.loads(json.dumps(data))) == quality
    assert str(BITS_PER_BYTE.quality("test", 2.34567)) == "test bits per byte 2.346"
    assert [Quality("accuracy", 0.5, "maximize").maximize, quality.maximize] == [True, False]
    with pytest.raises(ValueError, match="`direction` must be 'minimize' or 'maximize'; got 'up'"):
        Quality("accuracy", 0.5, "up")
