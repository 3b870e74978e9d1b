"""What a block has in memory in its backward pass, replayed over its trace in reverse.

It follows PyTorch's autograd engine. An operator's gradients are made while what it kept and the
gradient of its output are still there; both are freed before the next operator runs. A gradient
that arrives for a tensor that has one already is added to it in place, unless that one is a view
or shares its memory; then the sum is made beside both. Gradients of weights stay.

Left out are the scratch of the kernels themselves (of cuBLAS, cuDNN, oneDNN), what is between the
steps of an operator that is several (of RMSNorm on the CPU), and copies that only the layout of a
gradient causes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search_spaces.operators import TracedTensor, elements

if TYPE_CHECKING:
    from search_spaces.tracing import Operation

__all__ = ["Step", "alive_in_backward"]

PASSES = frozenset(["add", "contiguous", "flatten", "reshape", "sub"])
"""Operators that pass the gradient of their output on to operands of its size; so do views. (The
second operand of a difference takes it negated.)"""

RESHAPES = frozenset(["flatten", "reshape", "unflatten", "view"])
"""Of those, the ones that copy a gradient which is a view of something larger or smaller."""

PARTS = frozenset(["cat", "stack", "sum"])
"""Operators whose operands' gradients are views of the gradient of their output."""

FOLDS = frozenset(["linear", "matmul"])
"""Operators that make gradients of weights, and of operands that are no matrices, in another shape;
the gradient itself is then a view."""

BROADCASTS = frozenset(["div", "maximum", "minimum", "mul", "pow", "sub", "where"])
"""Operators that make the gradient of a broadcast operand in the shape of their output first."""


@dataclass(frozen=True, slots=True)
class Step:
    """An operation with what it keeps for its backward pass.

    Attributes:
        operation: The operation.
        kept: The tensors whose memory it keeps; others may keep it too.
        inner: Elements that it keeps beside those.
        scratch: Elements that it has beside all that while it runs.
    """

    operation: Operation
    kept: frozenset[TracedTensor]
    inner: int
    scratch: int


def alive_in_backward(
    steps: Sequence[Step],
    output: TracedTensor,
    needs: Callable[[TracedTensor], bool],
    *,
    again: bool = False,
) -> tuple[int, ...]:
    """Elements alive whenever more come to be: what is kept, but for inputs, and gradients.

    Args:
        steps: The operations in the order they ran.
        output: The tensor whose gradient comes in.
        needs: Whether a tensor needs a gradient.
        again: Whether the weights have gradients from elsewhere, which those made here are added
            to and which are not counted.
    """
    if not needs(output):
        return (0,)
    keepers = Counter(t for step in steps for t in step.kept if t.source != "input")
    memory = _Memory(sum(map(elements, keepers)) + sum(step.inner for step in steps), again)
    memory.add(output, memory.hold(_Buffer(elements(output))))
    for step in reversed(steps):
        arrived = [memory.gradients.pop(t) for t in step.operation.outputs if t in memory.gradients]
        if not arrived:
            continue
        scratch = memory.hold(_Buffer(step.scratch))
        made = _made(step.operation, arrived[0], needs, memory)
        for buffer in (*arrived, scratch):
            memory.drop(buffer)
        keepers.subtract(step.kept)
        memory.alive -= step.inner + sum(elements(t) for t in step.kept if keepers[t] == 0)
        for tensor, buffer in made:
            memory.add(tensor, buffer)
    return tuple(memory.seen)


@dataclass(slots=True)
class _Buffer:
    """Memory of gradients: how many there are in it, and whether some of them are views."""

    size: int
    viewed: bool = False
    users: int = 0


@dataclass(slots=True)
class _Memory:
    """Elements alive, with the gradients among them, and how many there were at each growth."""

    alive: int
    again: bool
    seen: list[int] = field(default_factory=list)
    gradients: dict[TracedTensor, _Buffer] = field(default_factory=dict)

    def hold(self, buffer: _Buffer) -> _Buffer:
        self.alive += 0 if buffer.users else buffer.size
        self.seen.append(self.alive)
        buffer.users += 1
        return buffer

    def drop(self, buffer: _Buffer) -> None:
        buffer.users -= 1
        self.alive -= 0 if buffer.users else buffer.size

    def add(self, tensor: TracedTensor, buffer: _Buffer) -> None:
        """Adds a gradient that is held already to a tensor's."""
        old = self.gradients.setdefault(tensor, buffer)
        if self.again and tensor.source == "weight":
            self.drop(self.hold(_Buffer(elements(tensor))))
            self.drop(self.gradients.pop(tensor))
        elif old is not buffer:
            if old.viewed or old.users > 1:
                self.gradients[tensor] = self.hold(_Buffer(elements(tensor)))
                self.drop(old)
            self.drop(buffer)


def _made(
    operation: Operation, arrived: _Buffer, needs: Callable[[TracedTensor], bool], memory: _Memory
) -> list[tuple[TracedTensor, _Buffer]]:
    """The gradients of an operation's inputs, held."""
    out = sum(elements(tensor) for tensor in operation.outputs)
    passes = operation.view or operation.name in PASSES
    copies = operation.name in RESHAPES and arrived.size != out
    views = operation.view or operation.name in PARTS | RESHAPES
    made, wide = [], []
    for tensor in filter(needs, operation.inputs):
        size = elements(tensor)
        if operation.name in BROADCASTS and size < out:
            wide.append(memory.hold(_Buffer(out)))
        negated = operation.name == "sub" and tensor in operation.args[1:2]
        passed = operation.name in PARTS or (passes and size == out and not copies | negated)
        buffer = memory.hold(arrived if passed else _Buffer(size))
        folds = operation.name in FOLDS and (tensor.source == "weight" or len(tensor.shape) > 2)
        buffer.viewed |= folds or (passed and views)
        made.append((tensor, buffer))
    for buffer in wide:
        memory.drop(buffer)
    return made
