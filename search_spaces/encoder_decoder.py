"""Encoder-decoder language models (T5; Raffel et al. 2020): the search space.

A network reads one row of ids, the source before the target. The encoder reads the source; the
decoder reads the target and what the encoder made of the source, and scores at each position of
the target every id that may come next. The blocks are those of :mod:`search_spaces.t5`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from search_spaces.architecture import Choice, SharedWeight
from search_spaces.moe import expert_capacity
from search_spaces.space import SearchSpace, Slot
from search_spaces.t5 import (
    CrossAttention,
    EncoderNorm,
    RelativeAttention,
    SpanEmbedding,
    SwitchFeedForward,
    T5FeedForward,
    T5Head,
)
from search_spaces.transformer import head_features
from search_spaces.validation import check_choices, check_items, check_positive

__all__ = ["PRESETS", "EncoderDecoderSpace"]


@dataclass(frozen=True)
class EncoderDecoderSpace(SearchSpace):
    """Encoder-decoder language models.

    Attributes:
        vocabulary: Choices of the number of ids.
        source: Choices of the tokens that the encoder reads.
        target: Choices of the tokens that the decoder reads.
        encoder_depth: Choices of the number of layers of the encoder.
        decoder_depth: Choices of the number of layers of the decoder.
        width: Choices of the features of a token.
        heads: Choices of the number of heads.
        head_width: Choices of the features of a head; 0 for the width over the heads, which each
            of them must then divide.
        mlp_ratio: Choices of MLP width over width; the MLP width is rounded.
        gated: Choices of whether the MLPs are gated; those of experts never are.
        tied: Choices of whether the head's weight is the table of the embeddings, which encoder
            and decoder always share.
        experts: Choices of the number of experts; 0 for MLPs without.
        expert_every: Choices of which layers of each stack have experts: with 2, the second, the
            fourth and so on.
        capacity_factor: Choices of an expert's room over its even share of the tokens
            (:func:`search_spaces.moe.expert_capacity`).
    """

    vocabulary: Sequence[int] = (256,)
    source: Sequence[int] = (32,)
    target: Sequence[int] = (32,)
    encoder_depth: Sequence[int] = (1, 2, 3)
    decoder_depth: Sequence[int] = (1, 2)
    width: Sequence[int] = (32, 48)
    heads: Sequence[int] = (2, 4)
    head_width: Sequence[int] = (0,)
    mlp_ratio: Sequence[float] = (2, 4)
    gated: Sequence[bool] = (False, True)
    tied: Sequence[bool] = (True,)
    experts: Sequence[int] = (0,)
    expert_every: Sequence[int] = (2,)
    capacity_factor: Sequence[float] = (1.25,)
    name: str = field(default="encoder_decoder", init=False)

    def __post_init__(self) -> None:
        check_choices(self)
        whole = ("vocabulary", "source", "target", "encoder_depth", "decoder_depth", "width")
        check_positive(self, *whole, "heads", "mlp_ratio", "expert_every", "capacity_factor")
        check_items(self, int, *whole, "heads", "head_width", "experts", "expert_every")
        check_items(self, bool, "gated", "tied")
        deepest = max(*self.encoder_depth, *self.decoder_depth)
        if any(self.experts) and min(self.expert_every) > deepest:
            raise ValueError(
                "`expert_every` must not exceed every depth where `experts` is above 0, or no "
                f"layer has experts; got {self.expert_every} and depths up to {deepest}."
            )
        _ = self.blocks  # A space that cannot make one of its blocks is refused here.

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        return {
            "vocabulary": tuple(self.vocabulary),
            "source": tuple(self.source),
            "target": tuple(self.target),
            "width": tuple(self.width),
            "heads": tuple(self.heads),
            "head_width": tuple(self.head_width),
            "mlp_ratio": tuple(self.mlp_ratio),
            "gated": tuple(self.gated),
            "tied": tuple(self.tied),
            "experts": tuple(self.experts),
            "expert_every": tuple(self.expert_every),
            "capacity_factor": tuple(self.capacity_factor),
            "encoder_depth": tuple(self.encoder_depth),
            "decoder_depth": tuple(self.decoder_depth),
        }

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        first, end = 1, 1 + 2 * max(self.encoder_depth)
        slots = [Slot(("vocabulary", "source", "target", "width"), _source_embedding)]
        for layer in range(max(self.encoder_depth)):
            slots.append(_self_attention(layer, "source", "encoder_depth", first, causal=False))
            slots.append(_feed_forward(layer, "source", "encoder_depth"))
        slots.append(Slot(("source", "width"), EncoderNorm))
        slots.append(
            Slot(
                ("vocabulary", "source", "target", "width"),
                _target_embedding,
                inputs=(-1,),
                shared=lambda *choices: (("table", 0, "table"),),
            )
        )
        first = len(slots)
        for layer in range(max(self.decoder_depth)):
            slots.append(_self_attention(layer, "target", "decoder_depth", first, causal=True))
            slots.append(_cross_attention(layer, (len(slots) - 1, end)))
            slots.append(_feed_forward(layer, "target", "decoder_depth"))
        slots.append(Slot(("target", "width", "vocabulary", "tied"), T5Head, shared=_head_shares))
        return tuple(slots)


def _source_embedding(vocabulary: int, source: int, target: int, width: int) -> SpanEmbedding:
    return SpanEmbedding(vocabulary, source + target, 0, source, width)


def _target_embedding(vocabulary: int, source: int, target: int, width: int) -> SpanEmbedding:
    return SpanEmbedding(vocabulary, source + target, source, target, width)


def _head_shares(target: int, width: int, vocabulary: int, tied: bool) -> tuple[SharedWeight, ...]:
    return (("score.weight", 0, "table"),) if tied else ()


def _self_attention(layer: int, tokens: str, depth: str, first: int, *, causal: bool) -> Slot:
    """The slot of a layer's self-attention, the first of its stack in slot ``first``."""
    bias = "inner.1.position_bias"

    def block(
        tokens: int, depth: int, width: int, heads: int, head_width: int
    ) -> RelativeAttention | None:
        if layer >= depth:
            return None
        return RelativeAttention(
            tokens, width, heads, head_features(width, heads, head_width), causal
        )

    return Slot(
        (tokens, depth, "width", "heads", "head_width"),
        block,
        shared=(lambda *choices: ((bias, first, bias),)) if layer else None,
    )


def _cross_attention(layer: int, inputs: tuple[int, int]) -> Slot:
    def block(
        target: int, source: int, depth: int, width: int, heads: int, head_width: int
    ) -> CrossAttention | None:
        if layer >= depth:
            return None
        each = head_features(width, heads, head_width)
        return CrossAttention(target, source, width, heads, each)

    reads = ("target", "source", "decoder_depth", "width", "heads", "head_width")
    return Slot(reads, block, inputs=inputs)


def _feed_forward(layer: int, tokens: str, depth: str) -> Slot:
    def block(
        tokens: int,
        depth: int,
        width: int,
        mlp_ratio: float,
        gated: bool,
        experts: int,
        expert_every: int,
        capacity_factor: float,
    ) -> T5FeedForward | SwitchFeedForward | None:
        if layer >= depth:
            return None
        hidden = round(mlp_ratio * width)
        if not experts or (layer + 1) % expert_every:
            return T5FeedForward(tokens, width, hidden, gated)
        capacity = expert_capacity(tokens, experts, 1, capacity_factor)
        return SwitchFeedForward(tokens, width, hidden, experts, capacity)

    routing = ("gated", "experts", "expert_every", "capacity_factor")
    return Slot((tokens, depth, "width", "mlp_ratio", *routing), block)


_T5 = {"vocabulary": (32_128,), "source": (512,), "target": (512,), "head_width": (64,)}

PRESETS: dict[str, dict[str, Any]] = {
    "t5_small": _T5
    | {
        "encoder_depth": (6,),
        "decoder_depth": (6,),
        "width": (512,),
        "heads": (8,),
        "mlp_ratio": (4,),
        "gated": (False,),
    },
    "byt5_small": {
        "vocabulary": (384,),
        "source": (1024,),
        "target": (1024,),
        "encoder_depth": (12,),
        "decoder_depth": (4,),
        "width": (1472,),
        "heads": (6,),
        "head_width": (64,),
        "mlp_ratio": (3584 / 1472,),
        "gated": (True,),
        "tied": (False,),
    },
    "switch_base_8": _T5
    | {
        "encoder_depth": (12,),
        "decoder_depth": (12,),
        "width": (768,),
        "heads": (12,),
        "mlp_ratio": (4,),
        "gated": (False,),
        "experts": (8,),
    },
}
"""Fields of an :class:`EncoderDecoderSpace` that has one architecture, by the model's name.

The lengths of source and target are no part of these models; they are the longest that T5 was
trained on, and for ByT5 the longest source.
"""
