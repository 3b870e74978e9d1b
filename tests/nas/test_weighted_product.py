"""One number for quality and costs, against hand calculation."""

import numpy as np
import pytest

from nas.errors import ExperimentError
from nas.weighted_product import WeightedProduct

MORE = np.array([False, True])


def test_a_doubled_cost_is_worth_five_percent_of_an_accuracy() -> None:
    """MnasNet: 2 ** -0.07 = 0.9526."""
    product = WeightedProduct(np.array([50.0]), np.array([False]), maximize=True)
    loss = product.loss(np.array([80.0, 80.0]), np.array([[50.0], [100.0]]))
    assert loss == pytest.approx([-80.0, -80.0 * 0.952638])


def test_an_error_grows_with_costs_and_falls_with_yields() -> None:
    product = WeightedProduct(np.array([10.0, 4.0]), MORE, maximize=False)
    values = np.array([[10.0, 4.0], [20.0, 4.0], [10.0, 8.0], [20.0, 8.0]])
    loss = product.loss(np.full(4, 0.2), values)
    assert loss == pytest.approx([0.2, 0.2 * 1.049717, 0.2 / 1.049717, 0.2])


def test_a_quality_of_zero_and_a_cost_of_zero_have_a_product() -> None:
    error = WeightedProduct(np.array([10.0]), np.array([False]), maximize=False)
    assert error.loss(np.zeros(1), np.array([[10.0]])).tolist() == [0.0]
    accuracy = WeightedProduct(np.array([10.0]), np.array([False]), maximize=True)
    free, cheap = accuracy.loss(np.full(2, 80.0), np.array([[0.0], [1.0]]))
    assert -np.inf < free < cheap


def test_targets_are_medians_and_what_is_zero_somewhere_is_left_out() -> None:
    values = np.array([[1.0, 0.0], [3.0, 5.0], [8.0, 7.0]])
    product = WeightedProduct.of_population(values, MORE, maximize=False)
    assert product.targets[0] == 3.0
    assert np.isnan(product.targets[1])
    cheap, yielding = np.array([[3.0, 1.0]]), np.array([[3.0, 100.0]])
    assert product.loss(np.ones(1), cheap) == product.loss(np.ones(1), yielding) == 1.0


def test_a_negative_quality_is_refused() -> None:
    product = WeightedProduct(np.array([1.0]), np.array([False]), maximize=True)
    with pytest.raises(ExperimentError, match=r"at least 0; got -0\.5"):
        product.loss(np.array([0.3, -0.5]), np.ones((2, 1)))
