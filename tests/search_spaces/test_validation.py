"""Conditions on fields, and the words of their errors."""

from types import SimpleNamespace
from typing import Any

import pytest

from search_spaces import SPACES
from search_spaces.validation import (
    check_items,
    check_multiple,
    check_odd,
    check_one_of,
    check_positive,
    check_type,
    check_whole,
)


@pytest.mark.parametrize("value", [1, 0.5, (1, 2), [3]])
def test_positive_takes_numbers_above_zero_and_lists_of_them(value: Any) -> None:
    assert check_positive(SimpleNamespace(width=value), "width") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "`width` must be a number above 0; got 0"),
        (-1.5, "got -1.5"),
        (float("nan"), "got nan"),
        (True, "got True"),
        ("8", "got '8'"),
        (None, "got None"),
        ((1, 0), "got 0"),
        ((), "`width` is empty; give at least one choice"),
    ],
)
def test_positive_refuses_the_rest(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_positive(SimpleNamespace(depth=1, width=value), "depth", "width")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "`width` must be a number above 0; got 0"),
        (8.0, "`width` must be of type int; got 8.0"),
        ((8,), r"`width` must be of type int; got \(8,\)"),
        (True, "got True"),
    ],
)
def test_whole(value: Any, message: str) -> None:
    assert check_whole(SimpleNamespace(width=8), "width") is None
    with pytest.raises(ValueError, match=message):
        check_whole(SimpleNamespace(width=value), "width")


@pytest.mark.parametrize(("kind", "value"), [(bool, 1), (int, True), (int, 1.0), (str, None)])
def test_type_is_the_very_type(kind: type, value: Any) -> None:
    assert check_type(SimpleNamespace(field=kind()), kind, "field") is None
    with pytest.raises(ValueError, match=f"`field` must be of type {kind.__name__}; got {value}"):
        check_type(SimpleNamespace(field=value), kind, "field")


@pytest.mark.parametrize("value", [(1, True), [1.0], ("1",), 1, "1", None])
def test_items(value: Any) -> None:
    assert check_items(SimpleNamespace(sizes=(1, 2)), int, "sizes") is None
    with pytest.raises(ValueError, match="`sizes` must list values of type int; got"):
        check_items(SimpleNamespace(sizes=value), int, "sizes")


def test_multiple() -> None:
    assert check_multiple(SimpleNamespace(width=12, heads=3), "width", "heads") is None
    with pytest.raises(ValueError, match="`width` must be divisible by `heads`; got 12 and 5"):
        check_multiple(SimpleNamespace(width=12, heads=5), "width", "heads")


@pytest.mark.parametrize(
    ("value", "message"),
    [(4, "`kernel` must be odd; got 4"), ((3, 6), "got 6"), (-3, "above 0; got -3")],
)
def test_odd(value: Any, message: str) -> None:
    assert check_odd(SimpleNamespace(kernel=(1, 3)), "kernel") is None
    with pytest.raises(ValueError, match=message):
        check_odd(SimpleNamespace(kernel=value), "kernel")


@pytest.mark.parametrize("value", ["max", ("cls", "max"), ["max"]])
def test_one_of(value: Any) -> None:
    assert check_one_of(SimpleNamespace(pool=("cls", "mean")), "pool", ["cls", "mean"]) is None
    with pytest.raises(ValueError, match=r"`pool` must be one of \('cls', 'mean'\); got 'max'"):
        check_one_of(SimpleNamespace(pool=value), "pool", ["cls", "mean"])


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("vit", {"mlp_ratio": 4}),
        ("swin", {"depth": 2}),
        ("mbconv", {"width": 16}),
        ("mbconv", {"squeeze": True}),
        ("mbconv", {"compound": 1.0}),
        ("moe", {"capacity_factor": 1.5}),
        ("decoder", {"mlp_ratio": 2}),
        ("encoder_decoder", {"gated": True}),
        ("resnet", {"bottleneck_ratio": 0.5}),
    ],
)
def test_a_single_value_where_choices_are_listed(family: str, fields: dict[str, Any]) -> None:
    ((name, value),) = fields.items()
    with pytest.raises(ValueError, match=rf"`{name}` must list its choices; got {value}, so write"):
        SPACES[family](**fields)
