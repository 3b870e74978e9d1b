"""A regression of positive values, on laws that are known."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from predictors.robust_regression import RobustRegression, drift_of

Array = NDArray[np.float64]


def rows(n: int, seed: int = 0) -> Array:
    """Depth, width and whether there is a bias: ``[n, 3]``."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(1, 13, n), rng.integers(4, 17, n) * 16, rng.integers(0, 2, n)]
    return np.column_stack(columns).astype(float)


def law(inputs: Array) -> Array:
    """Seconds: a part for each layer, one for its products, and a step where width is odd."""
    depth, width, bias = inputs.T
    step = np.where(width % 32 > 0, 1.1, 1.0)
    return 1e-3 + 2e-4 * depth + 4e-8 * depth * width**2 * step * (1 + 0.1 * bias)


@pytest.fixture(scope="module")
def fitted() -> RobustRegression:
    """Fitted to the law without noise."""
    return RobustRegression.fit(rows(150), law(rows(150)))


def error(regression: RobustRegression, inputs: Array) -> float:
    return float(np.abs(regression.predict(inputs) / law(inputs) - 1).mean())


def test_law_is_recovered_beyond_what_a_ridge_sees(fitted: RobustRegression) -> None:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    new = rows(300, seed=1)
    ridge = make_pipeline(StandardScaler(), Ridge(1.0)).fit(rows(150), law(rows(150)))
    assert error(fitted, new) < 0.02
    assert error(fitted, new) < np.abs(ridge.predict(new) / law(new) - 1).mean() / 5


def test_sum_of_the_inputs_is_exact() -> None:
    def total(inputs: Array) -> Array:
        seconds: Array = 1e-3 + inputs @ np.array([2e-4, 1e-6, 5e-5])
        return seconds

    regression = RobustRegression.fit(rows(60), total(rows(60)))
    new = rows(100, seed=2)
    np.testing.assert_allclose(regression.predict(new), total(new), rtol=1e-3)


def test_rows_far_off_hardly_count() -> None:
    inputs = rows(150)
    values = law(inputs)
    values[::10] *= 4
    assert error(RobustRegression.fit(inputs, values), rows(300, seed=1)) < 0.05


def test_slow_stretch_is_told_from_the_architectures_by_the_order() -> None:
    inputs, order = rows(200), np.arange(200.0)
    values = law(inputs)
    values[60:110] *= 1.3
    new = rows(300, seed=1)
    ordered = RobustRegression.fit(inputs, values, order)
    assert error(ordered, new) < 0.04
    assert error(RobustRegression.fit(inputs, values), new) > 2 * error(ordered, new)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_unit_of_the_values_is_that_of_the_predictions(
    fitted: RobustRegression, factor: float
) -> None:
    new = rows(50, seed=1)
    other = RobustRegression.fit(rows(150), factor * law(rows(150)))
    np.testing.assert_allclose(other.predict(new), factor * fitted.predict(new), rtol=2e-3)


def test_input_that_never_changes_says_nothing(fitted: RobustRegression) -> None:
    def wider(inputs: Array) -> Array:
        return np.column_stack([inputs, np.full(len(inputs), 7.0)])

    regression = RobustRegression.fit(wider(rows(150)), law(rows(150)))
    new = rows(50, seed=1)
    np.testing.assert_allclose(regression.predict(wider(new)), fitted.predict(new), rtol=5e-3)


def test_as_many_inputs_as_rows_do_not_break_it() -> None:
    rng = np.random.default_rng(3)
    inputs, prices = rng.integers(1, 9, (530, 20)).astype(float), rng.uniform(0, 1, 20)
    values = 1 + inputs @ prices
    noisy = values[:30] * np.exp(0.03 * rng.standard_normal(30))
    predicted = RobustRegression.fit(inputs[:30], noisy).predict(inputs[30:])
    constant = np.abs(np.median(values[:30]) / values[30:] - 1).mean()
    assert np.abs(predicted / values[30:] - 1).mean() < constant


def test_values_stay_above_zero(fitted: RobustRegression) -> None:
    assert (fitted.predict(np.array([[-100.0, -1e3, 0.0], [0.0, 0.0, 0.0]])) > 0).all()


def test_fit_is_the_same_each_time() -> None:
    first, second = (RobustRegression.fit(rows(40), law(rows(40))).to_json() for _ in range(2))
    assert first == second


def test_json_brings_the_same_regression_back(fitted: RobustRegression) -> None:
    again = RobustRegression.from_json(json.loads(json.dumps(fitted.to_json())))
    new = rows(50, seed=1)
    assert again.predict(new).tolist() == fitted.predict(new).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["weights"].pop(), "shapes"),
        (lambda data: data["prices"].append(1.0), "shapes"),
        (lambda data: data["mean"].__setitem__(0, float("nan")), "finite"),
    ],
)
def test_numbers_that_do_not_belong_together_are_refused(
    fitted: RobustRegression, change: Callable[[dict[str, list[float]]], None], message: str
) -> None:
    data = fitted.to_json()
    change(data)
    with pytest.raises(ValueError, match=message):
        RobustRegression.from_json(data)


def test_drift_is_the_median_of_the_neighbours() -> None:
    residuals = np.zeros(60)
    residuals[20:40] = 0.3
    residuals[5] = 9.0
    drift = drift_of(residuals, np.arange(60.0))
    assert drift[5] == 0  # A row has no say in its own.
    assert drift[:16].tolist() == [0.0] * 16
    assert drift[24:36].tolist() == [0.3] * 12


def test_drift_goes_by_the_order_and_not_by_the_position() -> None:
    rng = np.random.default_rng(0)
    residuals, order = rng.standard_normal(40), rng.permutation(40).astype(float)
    sorted_drift = drift_of(residuals[np.argsort(order)], np.sort(order))
    assert drift_of(residuals, order).tolist() == sorted_drift[order.astype(int)].tolist()


def test_drift_at_other_times_is_that_of_the_rows_around() -> None:
    residuals = np.repeat([0.0, 0.2], 20)
    at = np.array([3.5, 35.5])
    assert drift_of(residuals, np.arange(40.0), at).tolist() == [0.0, 0.2]
    assert drift_of(residuals[:1], np.array([4.0]), np.array([4.0])).tolist() == [0.0]
