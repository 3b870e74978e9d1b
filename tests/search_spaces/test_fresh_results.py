"""Results that are remembered: equal to those of a run, and only of what makes new tensors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from search_spaces.fresh_results import FreshResults


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


class Counted:
    """A function that says how often it ran."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.runs = function, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.runs += 1
        return self.function(*args, **kwargs)


@pytest.mark.parametrize(
    ("function", "shapes", "kwargs"),
    [
        (functional.linear, [(2, 5, 8), (3, 8), (3,)], {}),
        (functional.gelu, [(2, 5, 8)], {"approximate": "tanh"}),
        (functional.conv2d, [(2, 3, 9, 9), (4, 3, 3, 3)], {"stride": 2, "padding": (1, 1)}),
        (torch.matmul, [(2, 4, 5), (2, 5, 6)], {}),
        (torch.add, [(2, 1, 5), (3, 1)], {}),
        (torch.mean, [(2, 3, 4)], {"dim": (1, 2)}),
        (torch.argmax, [(2, 3, 4)], {"dim": -1}),
    ],
)
def test_a_remembered_result_is_that_of_a_run(
    function: Callable[..., Any], shapes: list[tuple[int, ...]], kwargs: dict[str, Any]
) -> None:
    results, counted = FreshResults(), Counted(function)
    for _ in range(3):
        args = [meta(*shape) for shape in shapes]
        found, expected = results.call(counted, args, kwargs), function(*args, **kwargs)
        assert (found.shape, found.stride()) == (expected.shape, expected.stride())
        assert (found.dtype, found.device) == (expected.dtype, expected.device)
        assert found.untyped_storage().nbytes() == expected.untyped_storage().nbytes()
    assert counted.runs == 1
    assert len(results.known) == 1


def test_each_result_is_a_tensor_of_its_own() -> None:
    results, x = FreshResults(), meta(2, 3)
    held = [results.call(torch.relu, [x], {}) for _ in range(3)]
    memory = [tensor.untyped_storage()._cdata for tensor in (x, *held)]
    assert len(set(memory)) == 4


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (torch.relu, [[meta(2, 3)], [meta(3, 2)]]),
        (torch.relu, [[meta(2, 3)], [meta(3, 2).T]]),
        (torch.relu, [[meta(2, 3)], [meta(2, 3, dtype=torch.float64)]]),
        (torch.mul, [[meta(2, dtype=torch.int64), value] for value in (1, 1.0, True)]),
        (torch.sum, [[meta(2, 3, 4), dims] for dims in ([0, 1], [1, 2], 1)]),
        (torch.pow, [[meta(2, 3), 2], [2, meta(2, 3)]]),
    ],
)
def test_what_differs_in_what_goes_in_is_run(
    function: Callable[..., Any], arguments: list[list[Any]]
) -> None:
    results, counted = FreshResults(), Counted(function)
    for args in arguments:
        found, expected = results.call(counted, args, {}), function(*args)
        assert (found.shape, found.stride(), found.dtype) == (
            expected.shape,
            expected.stride(),
            expected.dtype,
        )
    assert counted.runs == len(arguments)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.transpose(0, 1),  # A view.
        lambda x: x.reshape(6),
        lambda x: x.contiguous(),  # The tensor itself.
        lambda x: x.add_(1),  # Changes what it is given.
        lambda x: (x.add_(1), x.clone())[1],  # So does this, though what it returns is new.
        lambda x: x.clone()[1:],  # Not the first element of its memory.
        lambda x: x.clone()[:1],  # Less than its memory.
        lambda x: x.max(dim=0),  # Two results.
        lambda x: x.shape,
    ],
)
def test_what_is_no_new_tensor_is_run_each_time(function: Callable[..., Any]) -> None:
    results, counted, x = FreshResults(), Counted(function), meta(2, 3)
    for _ in range(2):
        results.call(counted, [x], {})
    assert counted.runs == 2
    assert not results.known


def test_an_error_is_raised_each_time() -> None:
    results, norm = FreshResults(), nn.BatchNorm2d(4, device="meta").eval()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            results.call(norm, [meta(2, 3, 5, 5)], {})
    assert not results.known
    assert results.call(norm, [meta(2, 4, 5, 5)], {}).shape == (2, 4, 5, 5)


def test_no_more_than_the_limit_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search_spaces.fresh_results.LIMIT", 3)
    results = FreshResults()
    for size in range(1, 8):
        assert results.call(torch.relu, [meta(size)], {}).shape == (size,)
        assert len(results.known) <= 3


def test_an_argument_without_a_hash_is_run_each_time() -> None:
    def scaled(x: torch.Tensor, factors: set[int]) -> torch.Tensor:
        return x * sum(factors)

    results, counted = FreshResults(), Counted(scaled)
    for _ in range(2):
        assert results.call(counted, [meta(2, 3), {1, 2}], {}).shape == (2, 3)
    assert counted.runs == 2
    assert not results.known
