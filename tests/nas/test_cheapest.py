"""The model that one indicator alone recommends."""

import numpy as np
import pytest

from nas.cheapest import recommendations
from nas.model_table import ModelTable

NAN = float("nan")


def table(**changes: object) -> ModelTable:
    given: dict[str, object] = {
        "names": tuple("abcde"),
        "quality": "accuracy",
        "scores": np.array([50.0, 80.0, 81.0, 82.0, 60.0]),
        "indicators": ("params", "rate"),
        "values": np.array([[1, 999], [2, 10], [4, 40], [8, 20], [1, 999.0]]),
        "maximized": frozenset({"accuracy", "rate"}),
    }
    return ModelTable(**(given | changes))  # type: ignore[arg-type]


def test_by_hand() -> None:
    middle, upper, top = recommendations(table())
    # Half of the models are below 80: b by params, and c by its rate.
    assert (middle.quality, middle.models) == (80, 3)
    assert middle.cheapest == {"params": "b", "rate": "c"}
    assert middle.times == {
        "params": {"params": 1, "rate": pytest.approx(4)},
        "rate": {"params": pytest.approx(2), "rate": 1},
    }
    assert middle.worst == {
        "params": ("rate", pytest.approx(4)),
        "rate": ("params", pytest.approx(2)),
    }
    assert upper.cheapest == {"params": "c", "rate": "c"}
    assert (top.quality, top.cheapest) == (82, {"params": "d", "rate": "d"})


def test_less_error_is_better_quality() -> None:
    error = table(scores=np.array([50.0, 20, 19, 18, 40]), maximized=frozenset({"rate"}))
    found = recommendations(error)[0]
    assert (found.quality, found.models, found.cheapest["params"]) == (20, 3, "b")


def test_of_equally_cheap_models_the_better_is_recommended() -> None:
    same = table(values=np.array([[1, 1], [2, 1], [2, 1], [8, 1], [1, 1.0]]))
    assert recommendations(same)[0].cheapest == {"params": "c", "rate": "d"}


def test_models_count_wherever_their_cost_is_known() -> None:
    gap = table(values=np.array([[1, 999], [2, NAN], [4, 40], [8, 20], [1, 999.0]]))
    middle, *_ = recommendations(gap)
    # The rate of b is not known, which is no reason against it by params.
    assert (middle.quality, middle.models) == (80, 3)
    assert middle.cheapest == {"params": "b", "rate": "c"}
    assert middle.times["params"] == {"params": 1, "rate": None}
    assert middle.times["rate"] == {"params": pytest.approx(2), "rate": 1}
    assert middle.worst["params"] == ("params", 1)


def test_an_indicator_that_is_known_of_no_good_model_recommends_none() -> None:
    gap = table(values=np.array([[1, 999], [2, NAN], [4, NAN], [8, NAN], [1, 999.0]]))
    middle, *_ = recommendations(gap)
    assert middle.cheapest == {"params": "b"}
    assert middle.times == {"params": {"params": 1}}
    assert recommendations(table(values=np.full((5, 2), NAN))) == ()
    assert recommendations(table(scores=np.full(5, NAN))) == ()


def test_what_has_no_ratio_is_not_told_in_times() -> None:
    zero = table(values=np.array([[1, 1], [0, 1], [4, 2], [8, 4], [1, 1.0]]))
    found = recommendations(zero)[0]
    assert found.cheapest == {"params": "b", "rate": "d"}
    assert found.times["rate"] == {"params": None, "rate": 1}
    assert found.worst == {"params": ("rate", pytest.approx(4)), "rate": ("rate", 1)}
