"""FNet (Lee-Thorp et al. 2022): Fourier transforms in the place of attention; block and space.

The paper normalises after each residual sum; here, as in the other transformers of this package,
the normalisation stands before what is added, so that attention and mixing differ in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Choice
from search_spaces.block import Block, Shape
from search_spaces.space import Slot
from search_spaces.transformer import SelfAttention
from search_spaces.trunk import HEADS, ImageTrunk, Layer, half
from search_spaces.validation import check_one_of, check_type, check_whole

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["PRESETS", "FNetSpace", "FourierMixing"]

FORMS = ("fft", "dft")


@dataclass(frozen=True, slots=True)
class FourierMixing(Block):
    """``x + Re(F(norm(x)))`` over ``[tokens, width]``, F the transform along both of its axes.

    It has no weights but the LayerNorm's. The real part of the transform is ``C x C' - S x S'``,
    with cosines in the matrices C and sines in S, the first of a pair over tokens and the second
    over features; the paper found these products faster on TPUs at short lengths.

    Attributes:
        tokens: Length of the sequence.
        width: Features of a token.
        form: ``"fft"`` for the fast transform, ``"dft"`` for the products.
    """

    tokens: int
    width: int
    form: str

    def __post_init__(self) -> None:
        check_whole(self, "tokens", "width")
        check_type(self, str, "form")
        check_one_of(self, "form", FORMS)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        import torch
        from torch import nn

        from search_spaces import layers

        class Products(nn.Module):
            cos_tokens: torch.Tensor
            sin_tokens: torch.Tensor
            cos_features: torch.Tensor
            sin_features: torch.Tensor

            def __init__(self, tokens: int, width: int) -> None:
                super().__init__()
                for name, size in (("tokens", tokens), ("features", width)):
                    angle = _angles(size)
                    self.register_buffer(f"cos_{name}", torch.cos(angle).float())
                    self.register_buffer(f"sin_{name}", torch.sin(angle).float())

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                def transform(
                    over_tokens: torch.Tensor, over_features: torch.Tensor
                ) -> torch.Tensor:
                    mixed = torch.matmul(x, over_features)
                    # Written out, as `matmul` would expand it unseen.
                    return torch.matmul(over_tokens.expand(x.shape[0], -1, -1), mixed)

                real = transform(self.cos_tokens, self.cos_features)
                return real - transform(self.sin_tokens, self.sin_features)

        mixing = (
            layers.Apply(lambda x: torch.fft.fft2(x).real)
            if self.form == "fft"
            else Products(self.tokens, self.width)
        )
        return layers.Residual(nn.Sequential(nn.LayerNorm(self.width), mixing))


def _angles(size: int) -> torch.Tensor:
    """The angles of a transform's matrix ``[size, size]``, in fp64 and less than a full turn."""
    import torch

    numbers = torch.arange(size, dtype=torch.float64)
    return torch.outer(numbers, numbers) % size * (2 * math.pi / size)


@dataclass(frozen=True)
class FNetSpace(ImageTrunk):
    """Vision Transformers in which each layer mixes its tokens by attention or by a transform.

    Attributes:
        mlp_ratio: Choices of MLP width over width, the same for all layers.
        mixing: Choices, for each layer, of ``"attention"``, and ``"fft"`` and ``"dft"``, which are
            the two forms of one function.
    """

    depth: Sequence[int] = (2, 3, 4)
    mixing: Sequence[str] = ("attention", *FORMS)
    name: str = field(default="fnet", init=False)

    def __post_init__(self) -> None:
        check_one_of(self, "mixing", ("attention", *FORMS))
        super().__post_init__()

    @property
    def layer_parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        mixing = {f"mixing_{i}": tuple(self.mixing) for i in range(max(self.depth))}
        return {"mlp_ratio": tuple(self.mlp_ratio)} | mixing

    def layer(self, position: int) -> tuple[Slot, Slot]:
        def mix(
            layer: Layer, heads: int, head_width: int, kv_heads: int, mixing: str
        ) -> SelfAttention | FourierMixing:
            if mixing == "attention":
                return layer.attention(heads, head_width, kv_heads)
            return FourierMixing(layer.tokens, layer.width, mixing)

        return (
            half(position, mix, *HEADS, f"mixing_{position}"),
            half(position, Layer.mlp, "mlp_rank", "mlp_ratio"),
        )


PRESETS: dict[str, dict[str, Any]] = {
    # The encoder of FNet-Base over the patches of an image, as ViT-B/16 is BERT-Base's.
    "fnet_b_16": {
        "input_channels": 3,
        "resolution": 224,
        "classes": 1000,
        "patch_size": (16,),
        "depth": (12,),
        "width": (768,),
        "heads": (12,),
        "mlp_ratio": (4,),
        "pool": ("cls",),
        "mixing": ("fft",),
    },
}
"""Fields of the :class:`FNetSpace` whose one architecture is an FNet-like network for images."""
