"""Architectures as data: blocks, the spaces they come from, and their exact counts.

Importing this package loads neither PyTorch nor anything that needs it.
"""

from search_spaces.architecture import Architecture, Choice, Node, chain
from search_spaces.batch_counts import count_codes
from search_spaces.block import (
    Block,
    Shape,
    block_from_json,
    block_from_key,
    block_key,
    block_to_json,
)
from search_spaces.block_counts import BlockCounts, CountTable, PerBatch, TrainingCounts
from search_spaces.counts import OPTIMIZERS, Counts, TrainingSetup, count
from search_spaces.errors import (
    BlockError,
    CorruptFileError,
    UncountedOperatorError,
    UnknownNameError,
)
from search_spaces.families import SPACES
from search_spaces.mbconv import ConvHead, ConvStem, InvertedBottleneck, MBConvSpace
from search_spaces.presets import PRESETS, preset
from search_spaces.space import SearchSpace, Slot, Suggest
from search_spaces.sparse import SparseBlock, SparseSpace
from search_spaces.transformer import FeedForward, SelfAttention
from search_spaces.trunk import PatchEmbedding, ViTHead
from search_spaces.union import UnionSpace
from search_spaces.vit import ViTSpace

__all__ = [
    "OPTIMIZERS",
    "PRESETS",
    "SPACES",
    "Architecture",
    "Block",
    "BlockCounts",
    "BlockError",
    "Choice",
    "ConvHead",
    "ConvStem",
    "CorruptFileError",
    "CountTable",
    "Counts",
    "FeedForward",
    "InvertedBottleneck",
    "MBConvSpace",
    "Node",
    "PatchEmbedding",
    "PerBatch",
    "SearchSpace",
    "SelfAttention",
    "Shape",
    "Slot",
    "SparseBlock",
    "SparseSpace",
    "Suggest",
    "TrainingCounts",
    "TrainingSetup",
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
    "preset",
]
