"""Architectures as data: blocks, the spaces they come from, and their exact counts.

Importing this package loads neither PyTorch nor anything that needs it.
"""

from search_spaces.architecture import Architecture, Choice, Node, chain
from search_spaces.block import (
    Block,
    Shape,
    block_from_json,
    block_from_key,
    block_key,
    block_to_json,
)
from search_spaces.block_counts import BlockCounts, CountTable, PerBatch, TrainingCounts
from search_spaces.counts import Counts, TrainingSetup, count, count_codes
from search_spaces.errors import CorruptFileError, UncountedOperatorError, UnknownNameError
from search_spaces.mbconv import ConvHead, ConvStem, InvertedBottleneck, MBConvSpace
from search_spaces.space import SearchSpace, Slot, Suggest, UnionSpace
from search_spaces.vit import PatchEmbedding, TransformerLayer, ViTHead, ViTSpace

SPACES: dict[str, type[SearchSpace]] = {"vit": ViTSpace, "mbconv": MBConvSpace}
"""The built-in families by the name that an experiment file uses."""

__all__ = [
    "SPACES",
    "Architecture",
    "Block",
    "BlockCounts",
    "Choice",
    "ConvHead",
    "ConvStem",
    "CorruptFileError",
    "CountTable",
    "Counts",
    "InvertedBottleneck",
    "MBConvSpace",
    "Node",
    "PatchEmbedding",
    "PerBatch",
    "SearchSpace",
    "Shape",
    "Slot",
    "Suggest",
    "TrainingCounts",
    "TrainingSetup",
    "TransformerLayer",
    "UncountedOperatorError",
    "UnionSpace",
    "UnknownNameError",
    "ViTHead",
    "ViTSpace",
    "block_from_json",
    "block_from_key",
    "block_key",
    "block_to_json",
    "chain",
    "count",
    "count_codes",
]
