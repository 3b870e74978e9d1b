"""Counts taken another way than the package takes them, and small blocks of a user's own.

The package reads PyTorch's public functions on the meta device. The tallies here read the ATen
operators below them, the tensors that autograd packs, and PyTorch's own FLOP counter.
"""

from __future__ import annotations

import functools
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import Block, Shape

PRODUCTS = {"mm", "addmm", "bmm", "convolution"}
SEVERAL = {"topk"}
"""Operators of which every output is a result."""
TAKES = {"embedding", "gather", "index"}
"""Operators that read as much of their first argument as they put out."""


@dataclass(frozen=True, slots=True)
class Dense(Block):
    """A linear layer without bias: ``width_in`` numbers in, ``width`` out."""

    width_in: int
    width: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width_in,),)

    def build(self) -> nn.Module:
        return nn.Linear(self.width_in, self.width, bias=False)


@dataclass(frozen=True, slots=True)
class AddProjected(Block):
    """``x + project(y)``: only the second input is kept for the backward pass."""

    width: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width,), (self.width,))

    def build(self) -> nn.Module:
        return _AddProjected(self.width)


class _AddProjected(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.project(y)
        return result


@dataclass(frozen=True, slots=True)
class Join(Block):
    """The sum of two inputs of ``width`` numbers."""

    width: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width,), (self.width,))

    def build(self) -> nn.Module:
        return _Sum()


class _Sum(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


@dataclass(frozen=True, slots=True)
class Multiply(Block):
    """The product of its inputs, the first of them squared; it has no weights."""

    width: int
    inputs: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width,),) * self.inputs

    def build(self) -> nn.Module:
        return _Multiply()


class _Multiply(nn.Module):
    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return functools.reduce(torch.mul, inputs, inputs[0])


def batch_of(block: Block, batch: int, device: str, grad: bool = False) -> list[torch.Tensor]:
    """Random inputs of a block; token ids are whole numbers and need no gradient."""
    if block.token_ids is not None:
        return [
            torch.randint(block.token_ids, (batch, *shape), device=device, dtype=torch.int32)
            for shape in block.input_shapes
        ]
    return [
        torch.randn((batch, *shape), device=device, requires_grad=grad)
        for shape in block.input_shapes
    ]


def on_meta(block: Block) -> nn.Module:
    """The block's module without memory."""
    with torch.device("meta"):
        return block.build()


def forward_macs(module: nn.Module, inputs: list[torch.Tensor]) -> int:
    """MACs of a forward pass by PyTorch's counter, which counts two FLOPs for each."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module.eval()(*inputs)
    return int(counter.get_total_flops()) // 2


def training_macs(module: nn.Module, inputs: list[torch.Tensor]) -> int:
    """MACs of a forward and a backward pass by PyTorch's counter."""
    counter = FlopCounterMode(display=False)
    with counter:
        module.train()(*inputs).sum().backward()
    return int(counter.get_total_flops()) // 2


class Operators(TorchDispatchMode):
    """Tallies ATen operators: elements they move, elements of products, elements alive.

    An element is four bytes. Of most operators only the first output is tallied; the others are
    statistics kept for a backward pass.
    """

    def __init__(self, module: nn.Module, inputs: list[torch.Tensor]) -> None:
        super().__init__()
        self.moved = self.product_outputs = self.peak = 0
        self.names: list[str] = []
        self._weights = {t.data_ptr() for t in (*module.parameters(), *module.buffers())}
        self._alive: dict[int, int] = {}
        for tensor in inputs:
            self._keep(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        outputs = _tensors(list(result)) if isinstance(result, tuple) else [result]
        outputs = outputs if name in SEVERAL else outputs[:1]
        read = _tensors(args)
        memory = {t.untyped_storage().data_ptr() for t in read}
        output = outputs[0]
        if output.numel() and output.untyped_storage().data_ptr() not in memory:
            self.names.append(name)
            # Of a table only the rows that are taken are read.
            taken = [output, *read[1:]] if name in TAKES else read
            self.moved += sum(map(_words, outputs)) + sum(map(_words, taken))
            self.product_outputs += output.numel() if name in PRODUCTS else 0
        for output in outputs:
            self._keep(output)
        self.peak = max(self.peak, sum(self._alive.values()))
        return result

    def _keep(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() in self._weights or storage.data_ptr() in self._alive:
            return
        self._alive[storage.data_ptr()] = storage.nbytes() // 4
        weakref.finalize(storage, self._alive.pop, storage.data_ptr(), None)


def _words(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.itemsize // 4


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def operators(module: nn.Module, inputs: list[torch.Tensor]) -> Operators:
    """The tally of one inference pass; on the CPU attention is one fused operator."""
    mode = Operators(module, inputs)
    with torch.no_grad(), mode:
        module.eval()(*inputs)
    return mode


def saved_elements(
    module: nn.Module, inputs: list[torch.Tensor]
) -> tuple[int, tuple[bool, ...], bool]:
    """What autograd keeps: elements beside inputs and output, and whether it keeps each of these.

    A tensor is known by its memory, so that views count once; weights and buffers do not count.
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    def take(tensor: torch.Tensor) -> bool:
        return kept.pop(tensor.untyped_storage().data_ptr(), None) is not None

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = module.train()(*inputs)
    for weight in (*module.parameters(), *module.buffers()):
        take(weight)
    saves_output, saves_inputs = take(output), tuple(take(x) for x in inputs)
    return sum(s.nbytes() for s in kept.values()) // 4, saves_inputs, saves_output
