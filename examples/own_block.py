"""MLP-Mixer (Tolstikhin et al. 2021): a block and a space that hwnas does not bring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from search_spaces import Block, Choice, FeedForward, PatchEmbedding, SearchSpace, Slot, ViTHead
from search_spaces.layers import Apply, Residual


@dataclass(frozen=True, slots=True)
class TokenMixing(Block):
    tokens: int
    width: int
    hidden: int

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.tokens, self.width),)

    def build(self) -> nn.Module:
        turn = Apply(lambda x: x.transpose(1, 2).contiguous())
        mlp = (nn.Linear(self.tokens, self.hidden), nn.GELU(), nn.Linear(self.hidden, self.tokens))
        return Residual(nn.Sequential(nn.LayerNorm(self.width), turn, *mlp, turn))


@dataclass(frozen=True)
class MixerSpace(SearchSpace):
    input_channels: int
    resolution: int
    classes: int
    depth: Sequence[int] = (2, 3, 4)
    width: Sequence[int] = (16, 32)
    hidden: Sequence[int] = (8, 16, 32)
    name = "mixer"

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        layers = {f"hidden_{layer}": tuple(self.hidden) for layer in range(max(self.depth))}
        return {"depth": tuple(self.depth), "width": tuple(self.width)} | layers

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        image, tokens = (self.input_channels, self.resolution), (self.resolution // 2) ** 2

        def layer(i: int) -> tuple[Slot, Slot]:
            def mixing(depth: int, width: int, hidden: int) -> Block | None:
                return TokenMixing(tokens, width, hidden) if i < depth else None

            def mlp(depth: int, width: int) -> Block | None:
                return FeedForward(tokens, width, 2 * width, 0) if i < depth else None

            return Slot(("depth", "width", f"hidden_{i}"), mixing), Slot(("depth", "width"), mlp)

        layers = [slot for i in range(max(self.depth)) for slot in layer(i)]
        stem = Slot(("width",), lambda width: PatchEmbedding(*image, 2, width, False))
        return (stem, *layers, Slot(("width",), lambda w: ViTHead(tokens, w, self.classes, "mean")))
