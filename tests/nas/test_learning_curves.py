"""Forecasts from learning curves, against regressions that are solved one by one."""

import numpy as np
import pytest

from nas.learning_curves import RIDGE, CurveModel, geometric_rungs


def curves_of(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    costs = np.exp(rng.normal(size=(n, 2)))
    finals = rng.normal(size=n) - np.log(costs[:, 0])
    curves = finals[:, None] + rng.normal(size=(n, 3)) * [1.0, 0.5, 0.2] + [2.0, 1.0, 0.5]
    return curves, costs, finals


def ridge(inputs: np.ndarray, targets: np.ndarray, new: np.ndarray) -> float:
    """By minimising the penalised squares as ordinary ones with rows added."""
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0)
    design = np.column_stack([np.ones(len(inputs)), (inputs - mean) / scale])
    rows = np.sqrt(RIDGE) * np.eye(design.shape[1])[1:]
    solution = np.linalg.lstsq(
        np.vstack([design, rows]), np.concatenate([targets, np.zeros(len(rows))]), rcond=None
    )[0]
    return float(solution[0] + (new - mean) / scale @ solution[1:])


@pytest.mark.parametrize(
    ("arguments", "rungs"),
    [((10, 1, 2), (1, 2, 5)), ((10, 2, 2), (2, 5)), ((10, 1, 3), (1, 3)), ((2, 1, 2), (1,)),
     ((81, 1, 3), (1, 3, 9, 27)), ((1, 1, 2), ())],
)  # fmt: skip
def test_rungs_are_a_geometric_series(arguments: tuple[int, int, int], rungs: object) -> None:
    assert geometric_rungs(*arguments) == rungs


def test_forecasts_are_those_of_ridge_regressions_on_what_was_seen_so_far() -> None:
    curves, costs, finals = curves_of(30)
    forecasts = CurveModel(curves, costs, finals).forecasts(costs[4])
    for rung, forecast in enumerate(forecasts):
        inputs = np.hstack([curves[:, : rung + 1], np.log(costs)])
        expected = ridge(inputs, finals, inputs[4])
        assert forecast.final(curves[4, : rung + 1]) == pytest.approx(expected)


def test_what_is_expected_of_one_from_the_others_is_nearly_a_fit_without_it() -> None:
    curves, costs, finals = curves_of(40)
    model = CurveModel(curves, costs, finals)
    for row in (0, 7):
        others = np.arange(40) != row
        inputs = np.hstack([curves, np.log(costs)])
        # The scale of the inputs moves a little where one is left out, and the penalty with it.
        left_out = ridge(inputs[others], finals[others], inputs[row])
        assert model.left_out[row, 2] == pytest.approx(left_out, abs=0.02)
    errors = finals - model.left_out[:, 1]
    assert model.spreads[1] == pytest.approx(errors.std())


def test_later_rungs_tell_more() -> None:
    spreads = CurveModel(*curves_of(60)).spreads
    assert spreads[0] > spreads[1] > spreads[2]


def test_costs_beyond_those_seen_are_taken_for_the_farthest_seen() -> None:
    curves, costs, finals = curves_of(20)
    model = CurveModel(curves, costs, finals)
    assert model.forecasts(costs.max(axis=0) * 9) == model.forecasts(costs.max(axis=0))
    assert model.forecasts(-costs[0]) == model.forecasts(costs.min(axis=0))


def test_costs_that_may_be_negative_and_constant_ones_are_inputs_too() -> None:
    curves, costs, finals = curves_of(20)
    costs = np.column_stack([costs[:, 0] - 1, np.full(20, 3.0)])
    model = CurveModel(curves, costs, finals)
    assert all(
        np.isfinite(f.final(curves[0, : i + 1])) for i, f in enumerate(model.forecasts(costs[0]))
    )
