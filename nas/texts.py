"""Text for language models: bytes, or byte pairs learned from the training split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from nas.quality import BITS_PER_BYTE, IGNORED, Measure
from nas.splits import Split, Splits, output_shape
from search_spaces import Architecture, SearchSpace

__all__ = ["TextDataset", "load_text", "windows"]

BYTES = 256
WORDS = r" ?[^\s]+|\s+"
"""No pair is merged across the words and the white space that this finds."""


@dataclass(frozen=True, slots=True, eq=False)
class TextDataset:
    """Text to predict token by token; quality is the bits it takes for each byte.

    A network decides how the text is cut: into as many kinds of token as its vocabulary has, in
    rows as long as it reads. Up to 256 kinds the tokens are the bytes; above, byte pairs that the
    training split is rich in are merged (Sennrich et al. 2016), which needs ``tokenizers``.

    Attributes:
        name: What an experiment file calls it.
        train: What weights, and byte pairs, are fitted to.
        validation: What a search sees.
        test: What nothing sees until the final set is chosen.
    """

    name: str
    train: bytes
    validation: bytes
    test: bytes

    @property
    def measure(self) -> Measure:
        """Bits for each byte of text."""
        return BITS_PER_BYTE

    @property
    def space_fields(self) -> Mapping[str, int]:
        """None: a network's own vocabulary and context decide how the text is cut."""
        return {}

    def check(self, space: SearchSpace) -> None:
        """Raises ValueError unless the networks of a space read token ids, and rows of the text.

        Raises:
            ExperimentError: Byte pairs are asked for, and ``tokenizers`` is not installed.
        """
        if not space.reads_ids:
            raise ValueError(
                f"its networks read no token ids, but the data set {self.name} holds text; set "
                "`task.dataset` to one of images, or search a family of language models."
            )
        for block in space.blocks:
            if block.token_ids is not None:
                self._check_context(block.token_ids, block.input_shapes[0][0])

    def fitted(self, architecture: Architecture) -> Splits:
        """The splits as rows of as many ids as a network reads; see :func:`windows`.

        Raises:
            ValueError: The network does not read such rows, or not put out its vocabulary.
        """
        read, vocabulary = architecture.input_shapes, architecture.token_ids
        put_out = output_shape(architecture)
        if vocabulary is None or len(read) != 1 or len(read[0]) != 1:
            raise ValueError(
                f"The data set {self.name} holds text, but the network reads {read}; one row of "
                "token ids is needed."
            )
        (context,) = read[0]
        if len(put_out) != 2 or put_out[1] != vocabulary or put_out[0] > context:
            raise ValueError(
                f"A network that reads {context} of {vocabulary} token ids must put out "
                f"[at most {context}, {vocabulary}]; it puts out {put_out}."
            )
        self._check_context(vocabulary, context)
        return _cut(self, vocabulary, context, put_out[0])

    def _check_context(self, vocabulary: int, context: int) -> None:
        fewest = min(len(ids) for ids in _encoded(self, vocabulary)[0])
        if context >= fewest:
            raise ValueError(
                f"a row of {context} tokens and the one after it do not fit in the smallest split "
                f"of the data set {self.name}, which has {fewest} tokens of a vocabulary of "
                f"{vocabulary}; take a shorter context or more text."
            )


def windows(
    ids: NDArray[np.int64], context: int, positions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of ids, and the ids that follow the last inputs of each row.

    Rows advance by the positions, and the last one ends with the text, so that every token but the
    first ``context - positions + 1`` is predicted once: a label that an earlier row has is
    ignored.

    Args:
        ids: A text, ``[n]``; longer than the context.
        context: Ids in a row.
        positions: How many of them are followed by a label, from the end.

    Returns:
        Inputs ``[rows, context]`` and labels ``[rows, positions]``.

    >>> inputs, labels = windows(np.arange(6), context=3, positions=2)
    >>> inputs.tolist(), labels.tolist()
    ([[0, 1, 2], [2, 3, 4]], [[2, 3], [4, 5]])
    """
    last = len(ids) - 1 - context
    starts = np.arange(0, last + 1, positions)
    repeated = (starts[-1] - last) % positions
    if repeated:
        starts = np.append(starts, last)
    inputs = ids[starts[:, None] + np.arange(context)]
    labels = ids[starts[:, None] + np.arange(context - positions + 1, context + 1)]
    labels[-1, :repeated] = IGNORED
    return inputs, labels


def load_text(path: Path | None = None) -> TextDataset:
    """A text, split 80/10/10 by position.

    Args:
        path: A file, read as bytes; the descriptions of scikit-learn's data sets when absent.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if path is None:
        content = _descriptions()
    elif path.is_file():
        content = path.read_bytes()
    else:
        raise FileNotFoundError(f"There is no text {path}, which `task.path` names.")
    first, second = (len(content) * tenths // 10 for tenths in (8, 9))
    return TextDataset("text", content[:first], content[first:second], content[second:])


def _descriptions() -> bytes:
    from importlib.resources import files

    folder = files("sklearn.datasets").joinpath("descr")
    found = sorted((p for p in folder.iterdir() if p.name.endswith(".rst")), key=lambda p: p.name)
    return b"\n".join(path.read_bytes() for path in found)


@lru_cache(maxsize=16)
def _cut(dataset: TextDataset, vocabulary: int, context: int, positions: int) -> Splits:
    encoded, lengths = _encoded(dataset, vocabulary)

    def cut(ids: NDArray[np.int64]) -> Split:
        inputs, labels = windows(ids, context, positions)
        return Split(inputs, labels, int(lengths[labels[labels != IGNORED]].sum()))

    return Splits(*map(cut, encoded))


@lru_cache(maxsize=16)
def _encoded(
    dataset: TextDataset, vocabulary: int
) -> tuple[tuple[NDArray[np.int64], ...], NDArray[np.int64]]:
    """The ids of each split, and the bytes that each id stands for: ``[vocabulary]``."""
    splits = (dataset.train, dataset.validation, dataset.test)
    if vocabulary > BYTES:
        return _byte_pairs(splits, vocabulary)
    largest = max((max(split) for split in splits if split), default=0)
    if largest >= vocabulary:
        raise ValueError(
            f"the vocabulary must be at least {largest + 1} for the bytes of the data set "
            f"{dataset.name}; got {vocabulary}."
        )
    ids = tuple(np.frombuffer(split, dtype=np.uint8).astype(np.int64) for split in splits)
    return ids, np.ones(vocabulary, dtype=np.int64)


def _byte_pairs(
    splits: tuple[bytes, ...], vocabulary: int
) -> tuple[tuple[NDArray[np.int64], ...], NDArray[np.int64]]:
    try:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    except ImportError as error:
        raise ExperimentError(
            f"A vocabulary of {vocabulary}, above the {BYTES} bytes, needs the package tokenizers: "
            "pip install tokenizers"
        ) from error
    # Each byte stands as the character of its number, so that any file can be cut.
    train, *others = (split.decode("latin-1") for split in splits)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=[chr(byte) for byte in range(BYTES)],
        show_progress=False,
    )
    tokenizer.train_from_iterator([train], trainer)
    lengths = np.ones(vocabulary, dtype=np.int64)
    for token, number in tokenizer.get_vocab().items():
        lengths[number] = len(token)
    ids = (np.array(tokenizer.encode(text).ids, dtype=np.int64) for text in (train, *others))
    return tuple(ids), lengths
