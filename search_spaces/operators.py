"""What each operator costs: the one table that every count comes from.

An operator is a function of PyTorch's public interface (``torch.nn.functional.linear``,
``torch.Tensor.reshape``) by its bare name. A formula takes the traced output and the call's own
arguments. An operator without a formula is an error, never a silent zero.

``elementwise`` follows XLA's cost analysis, which is what the tables of *The Efficiency Misnomer*
(Dehghani et al., ICLR 2022) print, halved, as "GFLOPs": one operation for each addition,
multiplication, division, comparison or selection of two elements, of any data type, and for each
conversion between data types; exp, log, tanh, erf, sqrt, rsqrt and powers that are not whole are
not counted, nor is what only moves data. A reduction of N elements to one is N - 1 operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.errors import UncountedOperatorError
from search_spaces.indexing_formulas import INDEXING_FORMULAS
from search_spaces.layer_formulas import LAYER_FORMULAS
from search_spaces.operator_costs import (
    Cost,
    Formula,
    Kept,
    Product,
    TracedTensor,
    elements,
    numel,
    tensors_in,
)
from search_spaces.pointwise_formulas import POINTWISE_FORMULAS

__all__ = [
    "FORMULAS",
    "Cost",
    "Formula",
    "Kept",
    "Product",
    "TracedTensor",
    "cost_of",
    "elements",
    "numel",
    "tensors_in",
]

FORMULAS: dict[str, Formula] = LAYER_FORMULAS | POINTWISE_FORMULAS | INDEXING_FORMULAS
"""Formula of each operator."""


def cost_of(
    name: str,
    outputs: Sequence[TracedTensor],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Cost:
    """Cost of one call of an operator.

    Args:
        name: Key into :data:`FORMULAS`.
        outputs: What it returned.
        args: Positional arguments, with a :class:`TracedTensor` for each tensor.
        kwargs: Named arguments, likewise.
    """
    formula, out = FORMULAS[name], outputs[0] if len(outputs) == 1 else outputs
    try:
        return formula(out, *args, **kwargs)
    except TypeError as error:  # It takes other arguments than the formula.
        raise UncountedOperatorError(f"This call of `{name}` is not counted: {error}.") from error
