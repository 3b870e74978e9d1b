"""The built-in families: each is one module with its space and its presets."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from search_spaces.decoder import PRESETS as DECODERS
from search_spaces.decoder import DecoderSpace
from search_spaces.encoder_decoder import PRESETS as ENCODER_DECODERS
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.fnet import PRESETS as FNETS
from search_spaces.fnet import FNetSpace
from search_spaces.mbconv import PRESETS as MBCONVS
from search_spaces.mbconv import MBConvSpace
from search_spaces.moe import PRESETS as MOES
from search_spaces.moe import MoESpace
from search_spaces.resnet import PRESETS as RESNETS
from search_spaces.resnet import ResNetSpace
from search_spaces.space import SearchSpace
from search_spaces.swin import PRESETS as SWINS
from search_spaces.swin import SwinSpace
from search_spaces.universal import PRESETS as UNIVERSALS
from search_spaces.universal import UniversalSpace
from search_spaces.vit import PRESETS as VITS
from search_spaces.vit import ViTSpace

__all__ = ["FAMILIES", "SPACES"]

FAMILIES: tuple[tuple[type[SearchSpace], Mapping[str, Mapping[str, Any]]], ...] = (
    (ViTSpace, VITS),
    (UniversalSpace, UNIVERSALS),
    (MoESpace, MOES),
    (FNetSpace, FNETS),
    (SwinSpace, SWINS),
    (DecoderSpace, DECODERS),
    (EncoderDecoderSpace, ENCODER_DECODERS),
    (MBConvSpace, MBCONVS),
    (ResNetSpace, RESNETS),
)
"""The space of each family, with the fields that make it hold each preset alone."""

SPACES: Mapping[str, type[SearchSpace]] = MappingProxyType(
    {space.__dataclass_fields__["name"].default: space for space, _ in FAMILIES}  # type: ignore[attr-defined]
)
"""The spaces by the name that an experiment file uses."""
