"""Unstructured sparsity: what is zero, what that saves on paper, and that training keeps it."""

import itertools
from dataclasses import dataclass

import pytest
import torch

from search_spaces import (
    SPACES,
    Block,
    CountTable,
    FeedForward,
    InvertedBottleneck,
    MBConvSpace,
    PatchEmbedding,
    SparseBlock,
    SparseSpace,
    UnionSpace,
    ViTSpace,
    block_from_key,
    block_key,
    count,
)
from search_spaces.t5 import RelativeAttention

DENSE = FeedForward(5, 16, 24, 0)
SPARSE = SparseBlock(block_key(DENSE), 0.7)


def test_the_share_of_each_weight_that_is_zero() -> None:
    torch.manual_seed(0)
    for name, weight in SPARSE.build().named_parameters():
        zeros = int((weight == 0).sum())
        assert zeros == (int(0.7 * 16 * 24) if weight.dim() == 2 else zeros), name
        assert weight.dim() == 2 or zeros < weight.numel() or name.endswith("bias")


def test_zeros_stay_through_training() -> None:
    torch.manual_seed(0)
    module = SPARSE.build()
    before = {n: p == 0 for n, p in module.named_parameters() if p.dim() == 2}
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(4, 5, 16)).square().mean().backward()
        optimizer.step()
    for name, zero in before.items():
        assert torch.equal(module.get_parameter(name) == 0, zero)


def test_effective_macs_are_those_of_the_weights_left() -> None:
    table = CountTable()
    dense, sparse = table[DENSE], table[SPARSE]
    left = 16 * 24 - int(0.7 * 16 * 24)
    assert sparse.effective_macs.at(3) == 3 * 5 * 2 * left
    assert dense.effective_macs == dense.macs == sparse.macs
    assert (sparse.params, sparse.access, sparse.flops) == (dense.params, dense.access, dense.flops)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.95])
@pytest.mark.parametrize(
    "block",
    [InvertedBottleneck(4, 8, 12, 3, 2, 3, True, "silu"), PatchEmbedding(3, 8, 4, 16, True)],
    ids=block_key,
)
def test_convolutions_count_by_the_weights_that_are_left(block: object, level: float) -> None:
    torch.manual_seed(0)
    sparse = SparseBlock(block_key(block), level)  # type: ignore[arg-type]
    module = sparse.build()
    expected = 0

    def add(conv: torch.nn.Module, args: object, output: torch.Tensor) -> None:
        nonlocal expected
        assert isinstance(conv, torch.nn.Conv2d)
        expected += int((conv.weight != 0).sum()) * output.shape[2] * output.shape[3]

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(add)
    module.eval()(*(torch.randn(1, *shape) for shape in sparse.input_shapes))
    assert CountTable()[sparse].effective_macs.at(1) == expected


def test_key_and_back() -> None:
    assert block_from_key(block_key(SPARSE)) == SPARSE
    assert SPARSE.dense == DENSE


@pytest.mark.parametrize("level", [0, 0.0, 1.0, -0.5, True, "0.5"])
def test_levels_that_are_none_are_refused(level: object) -> None:
    with pytest.raises(ValueError, match="`sparsity` must be a float above 0 and below 1"):
        SparseBlock(block_key(DENSE), level)  # type: ignore[arg-type]


def test_sparse_of_sparse_is_refused() -> None:
    with pytest.raises(ValueError, match="must be dense"):
        SparseBlock(block_key(SPARSE), 0.5)


def test_a_space_has_one_more_choice() -> None:
    dense, levels = ViTSpace(), (0.0, 0.5, 0.9)
    space = SparseSpace(dense, levels)
    assert space.name == "vit"
    assert space.size == 3 * dense.size
    table = CountTable()
    config = {name: choices[0] for name, choices in dense.parameters.items()}
    by_level = [count(space.architecture(config | {"sparsity": s}), table) for s in levels]
    assert by_level[0] == count(dense.architecture(config), table)
    for less, more in itertools.pairwise(by_level):
        assert less.effective_macs > more.effective_macs
        assert (less.macs, less.params) == (more.macs, more.params)


@pytest.mark.parametrize(
    ("space", "levels", "message"),
    [
        (UnionSpace([MBConvSpace()]), (0.0,), "one dense family"),
        (SparseSpace(MBConvSpace(), (0.0,)), (0.5,), "one dense family"),
        (MBConvSpace(), (), "must list levels"),
        (MBConvSpace(), (0.0, 1.5), "below 1; got 1.5"),
        (MBConvSpace(), 0.5, "must list levels"),
    ],
)
def test_spaces_that_cannot_be_sparse_are_refused(
    space: object, levels: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SparseSpace(space, levels)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ZeroFirst(Block):
    """A linear layer that begins at zero, as the last one of a residual often does."""

    width: int

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.width,),)

    def build(self) -> torch.nn.Module:
        linear = torch.nn.Linear(self.width, self.width)
        torch.nn.init.zeros_(linear.weight)
        return linear


def test_weights_that_begin_at_zero_learn_where_they_are_not_pruned() -> None:
    torch.manual_seed(0)
    module = SparseBlock(block_key(ZeroFirst(8)), 0.5).build()
    module(torch.randn(4, 8)).sum().backward()
    with torch.no_grad():
        module.weight -= module.weight.grad
    assert int((module.weight != 0).sum()) == 32


def test_loaded_weights_bring_their_own_zeros() -> None:
    torch.manual_seed(0)
    first, second = SPARSE.build(), SPARSE.build()
    second.load_state_dict(first.state_dict())
    optimizer = torch.optim.SGD(second.parameters(), lr=1.0)
    second(torch.randn(4, 5, 16)).square().mean().backward()
    optimizer.step()
    for name, weight in first.named_parameters():
        if weight.dim() == 2:
            assert torch.equal(weight == 0, second.get_parameter(name) == 0)


def test_blocks_that_share_a_product_weight_stay_dense() -> None:
    """The head shares the table; the layers between, and what shares no product, are sparse."""
    decoder = SparseSpace(SPACES["decoder"](tied=(True,)), (0.5,))
    kinds = [type(block).__name__ for block in decoder.decode([0] * len(decoder.parameters)).blocks]
    assert kinds[0] == "TokenEmbedding"
    assert kinds[-1] == "LanguageHead"
    assert set(kinds[1:-1]) == {"SparseBlock"}
    t5 = SparseSpace(SPACES["encoder_decoder"](tied=(False,)), (0.5,))
    dense = [b for b in t5.blocks if isinstance(b, RelativeAttention)]
    assert dense == []  # What they share is a table of position biases.
