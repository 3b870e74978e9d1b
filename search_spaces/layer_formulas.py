"""Costs of products, attention, normalisation, pooling and the Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search_spaces.errors import UncountedOperatorError
from search_spaces.operator_costs import (
    Cost,
    Formula,
    Kept,
    Product,
    TracedTensor,
    elements,
    numel,
)

__all__ = ["LAYER_FORMULAS"]


def _linear(
    out: TracedTensor, x: TracedTensor, weight: TracedTensor, bias: TracedTensor | None = None
) -> Cost:
    n = numel(out)
    return Cost(
        (Product(n * x.shape[-1], n, ((x,), (weight,))),),
        elementwise=n if bias is not None else 0,
        kept=(Kept(x, (weight,)),),
    )


def _convolution(
    out: TracedTensor,
    x: TracedTensor,
    weight: TracedTensor,
    bias: TracedTensor | None = None,
    *args: object,
    **kwargs: object,
) -> Cost:
    n = numel(out)
    return Cost(
        (Product(n * math.prod(weight.shape[1:]), n, ((x,), (weight,))),),
        elementwise=n if bias is not None else 0,
        kept=(Kept(x),),
    )


def _matmul(out: TracedTensor, a: TracedTensor, b: TracedTensor) -> Cost:
    n = numel(out)
    return Cost((Product(n * a.shape[-1], n, ((a,), (b,))),), kept=(Kept(a, (b,)), Kept(b, (a,))))


def _attention(
    out: TracedTensor,
    query: TracedTensor,
    key: TracedTensor,
    value: TracedTensor,
    attn_mask: TracedTensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Cost:
    # Traffic is unfused: scores are written and read, and so are the weights after the softmax,
    # and the scores once more where a mask is added to them. A causal mask is computed over the
    # full square, as XLA and PyTorch's counter do.
    # What is kept is what PyTorch's fused kernels keep: one log-sum-exp for each row, and a mask,
    # a boolean one as the numbers that it is first turned into. That is so on the CPU, where keys
    # that several queries share are not copied. Kernels of other devices may pad the mask, or copy
    # such keys.
    _check_fused(query, key, value, attn_mask)
    rows = math.prod(query.shape[:-1])
    scores = rows * key.shape[-2]
    masked = scores if is_causal or attn_mask is not None else 0
    kept = [Kept(query), Kept(key), Kept(value), Kept(out), Kept(rows)]
    traffic = 4 * scores + 2 * masked
    if attn_mask is not None and attn_mask.dtype == "bool":
        kept.append(Kept(numel(attn_mask)))
        traffic += 2 * numel(attn_mask)
    elif attn_mask is not None:
        kept.append(Kept(attn_mask))
    return Cost(
        (
            Product(scores * query.shape[-1], scores, ((query,), (key,))),
            Product(scores * value.shape[-1], numel(out), ((query, key), (value,))),
        ),
        elementwise=numel(query) + masked + 4 * scores - rows,
        inner_traffic=traffic,
        kept=tuple(kept),
    )


def _check_fused(
    query: TracedTensor, key: TracedTensor, value: TracedTensor, mask: TracedTensor | None
) -> None:
    """Refuses what PyTorch computes by separate operators, which keep the scores of each head."""
    reason = None
    if mask is not None and mask.differentiable:
        reason = "its mask may need a gradient"
    elif len(query.shape) != 4 or (mask is not None and len(mask.shape) not in (2, 4)):
        reason = "it is not of four dimensions with a mask of two or four"
    elif key.shape[-1] != value.shape[-1]:
        reason = "keys and values differ in width"
    if reason:
        raise UncountedOperatorError(
            f"`scaled_dot_product_attention` is not one fused operator when {reason}; "
            "write its products and its softmax out."
        )


def _layer_norm(
    out: TracedTensor,
    x: TracedTensor,
    normalized_shape: Sequence[int],
    weight: TracedTensor | None = None,
    bias: TracedTensor | None = None,
    eps: float = 1e-5,
) -> Cost:
    return _normalised(x, numel(x) // math.prod(normalized_shape), weight, bias)


def _group_norm(
    out: TracedTensor,
    x: TracedTensor,
    num_groups: int,
    weight: TracedTensor | None = None,
    bias: TracedTensor | None = None,
    eps: float = 1e-5,
) -> Cost:
    return _normalised(x, x.shape[0] * num_groups, weight, bias)


def _normalised(
    x: TracedTensor, rows: int, weight: TracedTensor | None, bias: TracedTensor | None
) -> Cost:
    # Mean and variance are two sums; centre, square, scale, weight and bias the other five.
    absent = (weight is None) + (bias is None)
    return Cost(elementwise=(7 - absent) * numel(x) + 4 * rows, kept=(Kept(x), Kept(2 * rows)))


def _rms_norm(
    out: TracedTensor,
    x: TracedTensor,
    normalized_shape: Sequence[int],
    weight: TracedTensor | None = None,
    eps: float | None = None,
) -> Cost:
    # Square, mean, scale and weight for each element; epsilon for each row. What is kept is what
    # the CPU keeps; a fused kernel keeps its input in place of the normalised one.
    n = numel(x)
    rows = n // math.prod(normalized_shape)
    kept = [Kept(x, (x,)), Kept(rows, (x,))]
    if weight is not None:
        kept.append(Kept(n, (weight,)))
    weighted = n if weight is not None else 0
    return Cost(elementwise=3 * n + weighted + rows, kept=tuple(kept), scratch=weighted)


def _batch_norm(out: TracedTensor, x: TracedTensor, *args: object, **kwargs: object) -> Cost:
    # Centre, scale, shift for each element; epsilon and weight for each channel.
    channels = out.shape[1]
    return Cost(elementwise=3 * numel(out) + 2 * channels, kept=(Kept(x), Kept(2 * channels)))


def _softmax(out: TracedTensor, x: TracedTensor, dim: int | None = None, **kwargs: object) -> Cost:
    if dim is None:
        raise ValueError("`softmax` must be given `dim`.")
    rows = numel(out) // out.shape[dim]
    return Cost(elementwise=4 * numel(out) - rows, kept=(Kept(out),))


def _window(kernel_size: int | Sequence[int]) -> int:
    return kernel_size**2 if isinstance(kernel_size, int) else math.prod(kernel_size)


def _max_pool2d(
    out: TracedTensor,
    x: TracedTensor,
    kernel_size: int | Sequence[int],
    *args: object,
    **kw: object,
) -> Cost:
    # Beside its input it keeps the int64 position of each maximum.
    n = numel(out)
    return Cost(elementwise=(_window(kernel_size) - 1) * n, kept=(Kept(x), Kept(2 * n)))


def _avg_pool2d(
    out: TracedTensor,
    x: TracedTensor,
    kernel_size: int | Sequence[int],
    *args: object,
    **kw: object,
) -> Cost:
    return Cost(elementwise=_window(kernel_size) * numel(out), kept=(Kept(x),))


def _fft2(
    out: TracedTensor,
    x: TracedTensor,
    s: Sequence[int] | None = None,
    dim: Sequence[int] = (-2, -1),
    norm: str | None = None,
) -> Cost:
    # 5 N log2 N operations on real numbers for each complex transform of N numbers: radix 2 by
    # Cooley and Tukey (1965), and what benchmarks of FFTW take for any N. (XLA multiplies the
    # logarithms of the two sides, which is no count of any algorithm.) A real input is copied to a
    # complex one first.
    size = math.prod(out.shape[axis] for axis in dim)
    transforms = numel(out) // size
    scaling = 0 if norm in (None, "backward") else 2 * numel(out)
    copied = 0 if x.dtype == out.dtype else 2 * elements(out)
    return Cost(
        elementwise=transforms * round(5 * size * math.log2(size)) + scaling,
        inner_traffic=copied,
        scratch=copied // 2,
    )


LAYER_FORMULAS: dict[str, Formula] = {
    "linear": _linear,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "matmul": _matmul,
    "scaled_dot_product_attention": _attention,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
    "batch_norm": _batch_norm,
    "softmax": _softmax,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "fft2": _fft2,
}
"""Formulas of this module by operator."""
