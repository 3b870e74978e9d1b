"""Memory against PyTorch's tracker, and the replay of the backward pass against hand counts."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.memory import inference_bytes, training_bytes
from search_spaces import (
    OPTIMIZERS,
    SPACES,
    Architecture,
    Block,
    CountTable,
    PerBatch,
    Shape,
    TrainingCounts,
    TrainingSetup,
    count,
    preset,
)
from search_spaces.network import Network

WITHIN = 0.05
WIDTH, HIDDEN, TOKENS, HEADS = 6, 10, 4, 2

each_batch = pytest.mark.parametrize("batch", [1, 8])


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def member(family: str) -> Architecture:
    space = SPACES[family]()
    return space.decode(space.random_codes(1, np.random.default_rng(0))[0])


@each_batch
@pytest.mark.parametrize("family", SPACES)
def test_memory_of_inference_is_that_of_the_tracker(
    family: str, batch: int, table: CountTable
) -> None:
    architecture = member(family)
    predicted = count(architecture, table, batch=batch).peak_memory_bytes
    assert predicted == pytest.approx(inference_bytes(architecture, batch), rel=WITHIN)


@each_batch
@pytest.mark.parametrize("family", SPACES)
def test_memory_of_training_is_that_of_the_tracker(
    family: str, batch: int, table: CountTable
) -> None:
    architecture = member(family)
    predicted = count(architecture, table, TrainingSetup(batch, "adamw")).train_memory_bytes
    assert predicted == pytest.approx(training_bytes(architecture, batch, "adamw"), rel=WITHIN)


@pytest.mark.parametrize("family", ["universal", "mbconv"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_memory_of_each_optimiser_is_that_of_the_tracker(
    optimizer: str, family: str, table: CountTable
) -> None:
    architecture = member(family)
    predicted = count(architecture, table, TrainingSetup(4, optimizer)).train_memory_bytes
    assert predicted == pytest.approx(training_bytes(architecture, 4, optimizer), rel=WITHIN)


@pytest.mark.parametrize("name", ["universal_transformer_base", "fnet_b_16"])
def test_memory_of_a_published_network_is_that_of_the_tracker(name: str, table: CountTable) -> None:
    architecture = preset(name)
    counts = count(architecture, table, TrainingSetup(1, "adamw"))
    tracked = inference_bytes(architecture, 1), training_bytes(architecture, 1, "adamw")
    assert (counts.peak_memory_bytes, counts.train_memory_bytes) == pytest.approx(
        tracked, rel=WITHIN
    )


def allocated_bytes(architecture: Architecture, batch: int) -> int:
    """Most bytes alive in a forward and a backward pass on the CPU, by what PyTorch allocates."""
    network = Network(architecture).train()
    dtype = torch.float32 if architecture.token_ids is None else torch.int32
    inputs = [torch.zeros(batch, *shape, dtype=dtype) for shape in architecture.input_shapes]
    before = sum(t.nbytes for t in (*network.parameters(), *network.buffers(), *inputs))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        output = network(*inputs)
        output.backward(torch.ones_like(output))
    assert profiled.profiler is not None
    assert profiled.profiler.kineto_results is not None
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [int(event.nbytes()) for event in sorted(events, key=lambda event: event.start_ns())]
    return before + max(itertools.accumulate(changes))


@pytest.mark.parametrize(
    ("family", "batch"),
    [("vit", 8), ("universal", 1), ("universal", 8), ("moe", 8), ("decoder", 8)],
)
def test_memory_of_training_is_what_pytorch_allocates(
    family: str, batch: int, table: CountTable
) -> None:
    # Watched by the tracker, PyTorch adds no gradients in place, which it does here.
    architecture = member(family)
    predicted = count(architecture, table, TrainingSetup(batch, "sgd")).train_memory_bytes
    assert predicted == pytest.approx(allocated_bytes(architecture, batch), rel=0.01)


class Chain(nn.Module):
    """Two linear layers and a ReLU between them."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.down(torch.relu(self.up(x)))
        return y


class Residual(Chain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


class Gate(nn.Module):
    """Each of an example's rows times a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(WIDTH, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x * torch.sigmoid(self.score(x))
        return y


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


MODULES: dict[str, tuple[tuple[Shape, ...], Callable[[], nn.Module]]] = {
    "chain": (((WIDTH,),), Chain),
    "residual": (((WIDTH,),), Residual),
    "gate": (((TOKENS, WIDTH),), Gate),
    "attention": (
        ((HEADS, TOKENS, WIDTH),) * 3,
        lambda: Call(F.scaled_dot_product_attention),
    ),
    "halves": (((WIDTH,),), lambda: Call(lambda x: torch.relu(x[:, :3]) + torch.relu(x[:, 3:]))),
    "mean": (((TOKENS, WIDTH),), lambda: Call(lambda x: torch.relu(x).mean(1))),
    "difference": (((WIDTH,),) * 2, lambda: Call(torch.sub)),
    "sum": (((WIDTH,),) * 2, lambda: Call(torch.add)),
}


@dataclass(frozen=True, slots=True)
class Small(Block):
    """A block whose backward pass can be followed by hand."""

    name: str

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return MODULES[self.name][0]

    def build(self) -> nn.Module:
        return MODULES[self.name][1]()


def training(name: str) -> TrainingCounts:
    """Counts of a block all of whose inputs need a gradient."""
    block = Small(name)
    return CountTable()[block].train["1" * len(block.input_shapes)]


MATRIX = WIDTH * HIDDEN


def test_backward_pass_of_a_chain() -> None:
    # Of each example the ReLU's output is kept, until the ReLU itself is done.
    at_down = PerBatch(MATRIX, HIDDEN + WIDTH + HIDDEN)
    at_relu = PerBatch(MATRIX, HIDDEN + HIDDEN + HIDDEN)
    at_up = PerBatch(2 * MATRIX, HIDDEN + WIDTH)
    assert training("chain").backward.lines == (at_up, at_relu)
    for batch in (1, 2, 5, 100):
        most = max(line.at(batch) for line in (at_down, at_relu, at_up))
        assert training("chain").backward.at(batch) == most


def test_backward_pass_of_a_chain_whose_weights_have_gradients() -> None:
    # Each weight's second gradient is there beside the sum with the first, then neither.
    at_down = PerBatch(MATRIX, HIDDEN + WIDTH + HIDDEN)
    adding = PerBatch(2 * MATRIX, HIDDEN + HIDDEN)
    at_relu = PerBatch(0, 3 * HIDDEN)
    at_up = PerBatch(MATRIX, HIDDEN + WIDTH)
    adding_up = PerBatch(2 * MATRIX, WIDTH)
    for batch in (1, 2, 5, 100):
        most = max(line.at(batch) for line in (at_down, adding, at_relu, at_up, adding_up))
        assert training("chain").again.at(batch) == most


def test_backward_pass_of_a_residual() -> None:
    # The sum passes its gradient to both sides; it waits for the chain's, which is added to it.
    at_down = PerBatch(MATRIX, HIDDEN + WIDTH + HIDDEN)
    at_relu = PerBatch(MATRIX, 3 * HIDDEN + WIDTH)
    at_up = PerBatch(2 * MATRIX, HIDDEN + 2 * WIDTH)
    for batch in (1, 2, 5, 100):
        most = max(line.at(batch) for line in (at_down, at_relu, at_up))
        assert training("residual").backward.at(batch) == most


def test_backward_pass_of_attention() -> None:
    # Kept beside queries, keys and values, which are the inputs: the output, and a number for each
    # row of scores. The gradients of all four tensors are there at once.
    size, rows = HEADS * TOKENS * WIDTH, HEADS * TOKENS
    assert training("attention").backward.lines == (PerBatch(0, 5 * size + rows),)


def test_backward_pass_of_a_product_with_a_broadcast_factor() -> None:
    # The sigmoid's output is kept. The gate's gradient is made for each number, then summed.
    size = TOKENS * WIDTH
    assert training("gate").backward.at(100) == 100 * (TOKENS + 3 * size + TOKENS)


def test_backward_pass_of_slices() -> None:
    # The gradient of a slice is as large as what it is a slice of; the second is added to the first
    # in place. At the first slice: both, and its ReLU's; at the ReLU between them: its output, its
    # two gradients and the other slice's.
    half, whole = WIDTH // 2, WIDTH
    assert 2 * whole + half == whole + 3 * half
    assert training("halves").backward.lines == (PerBatch(0, 2 * whole + half),)


def test_a_mean_spreads_its_gradient() -> None:
    # The ReLU's output is kept; its gradient is of its size; so is that of its input.
    size = TOKENS * WIDTH
    assert training("mean").backward.lines == (PerBatch(0, 3 * size),)


def test_a_sum_passes_its_gradient_on_and_a_difference_negates_it_for_one() -> None:
    assert training("sum").backward.lines == (PerBatch(0, WIDTH),)
    assert training("difference").backward.lines == (PerBatch(0, 2 * WIDTH),)
