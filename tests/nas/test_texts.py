"""Text: how it is split, cut into tokens and rows, and measured."""

import sys
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas.errors import ExperimentError
from nas.quality import IGNORED
from nas.splits import Splits
from nas.texts import TextDataset, load_text, windows
from search_spaces import Architecture, Block, Choice, SearchSpace, Shape, Slot, ViTSpace, chain


@dataclass(frozen=True, slots=True)
class Reader(Block):
    """Reads ids and puts out logits of the last positions."""

    vocabulary: int
    context: int
    positions: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.context,),)

    @property
    def token_ids(self) -> int | None:
        return self.vocabulary

    def build(self) -> nn.Module:
        return _Reader(self)


class _Reader(nn.Module):
    def __init__(self, block: Reader) -> None:
        super().__init__()
        self.first = block.context - block.positions
        self.logits = nn.Embedding(block.vocabulary, block.vocabulary)

    def forward(self, ids: Any) -> Any:
        return self.logits(ids)[:, self.first :]


@dataclass(frozen=True, slots=True)
class Wider(Block):
    """Puts out another vocabulary than is read."""

    vocabulary: int
    positions: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.positions, self.vocabulary),)

    def build(self) -> nn.Module:
        return nn.Linear(self.vocabulary, self.vocabulary + 1)


@dataclass(frozen=True)
class ReaderSpace(SearchSpace):
    vocabulary: tuple[int, ...] = (256,)
    context: tuple[int, ...] = (16,)
    name: str = field(default="reader", init=False)

    @property
    def parameters(self) -> dict[str, tuple[Choice, ...]]:
        return {"vocabulary": self.vocabulary, "context": self.context}

    @property
    def slots(self) -> tuple[Slot, ...]:
        return (Slot(("vocabulary", "context"), lambda v, c: Reader(v, c, c)),)


def reader(vocabulary: int, context: int, positions: int) -> Architecture:
    return Architecture("reader", {}, chain([Reader(vocabulary, context, positions)]))


@pytest.fixture(scope="module")
def text() -> TextDataset:
    return load_text()


def parts(splits: Any) -> dict[str, Any]:
    return {name: getattr(splits, name) for name in ("train", "validation", "test")}


def test_the_text_is_the_descriptions_of_scikit_learn(text: TextDataset) -> None:
    whole = text.train + text.validation + text.test
    folder = files("sklearn.datasets").joinpath("descr")
    found = [path.read_bytes() for path in folder.iterdir() if path.name.endswith(".rst")]
    assert len(whole) == sum(map(len, found)) + len(found) - 1
    assert all(content in whole for content in found)


def test_a_file_is_split_by_position(tmp_path: Path) -> None:
    path = tmp_path / "any.bin"
    path.write_bytes(bytes(range(256)) * 4)
    text = load_text(path)
    # Tenths of 1024 bytes, rounded down: 819 and 921.
    assert (len(text.train), len(text.validation), len(text.test)) == (819, 102, 103)
    assert text.train + text.validation + text.test == path.read_bytes()
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        load_text(tmp_path / "none.txt")


@given(n=st.integers(2, 60), data=st.data())
def test_every_token_after_the_first_row_is_predicted_once(n: int, data: Any) -> None:
    context = data.draw(st.integers(1, n - 1))
    positions = data.draw(st.integers(1, context))
    inputs, labels = windows(np.arange(n), context, positions)
    assert inputs.shape[1:] == (context,)
    assert labels.shape == (len(inputs), positions)
    predicted = labels[labels != IGNORED]
    assert sorted(predicted) == list(range(context - positions + 1, n))
    # Each label follows the input at the same place from the end.
    assert ((labels == inputs[:, context - positions :] + 1) | (labels == IGNORED)).all()


def test_rows_of_an_encoder_decoder_by_hand() -> None:
    # Four ids are read, and two of them followed: source 0, 1 and target 2, 3.
    inputs, labels = windows(np.arange(9), context=4, positions=2)
    assert inputs.tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    assert labels.tolist() == [[3, 4], [5, 6], [7, 8]]
    inputs, labels = windows(np.arange(8), context=4, positions=2)
    assert inputs.tolist()[-1] == [3, 4, 5, 6]
    assert labels.tolist() == [[3, 4], [5, 6], [IGNORED, 7]]


def test_tokens_of_a_small_vocabulary_are_the_bytes(text: TextDataset) -> None:
    fitted = text.fitted(reader(256, 16, 16))
    for name, split in parts(fitted).items():
        content = getattr(text, name)
        assert bytes(split.inputs[0].tolist()) == content[:16]
        assert split.size == len(content) - 1  # All but the first byte are predicted.
        assert (split.labels != IGNORED).sum() == split.size
    assert text.fitted(reader(256, 16, 16)) is fitted


def test_a_vocabulary_below_256_must_hold_every_byte() -> None:
    text = TextDataset("text", b"abc" * 20, b"abc" * 9, b"abz" * 9)
    assert text.fitted(reader(ord("z") + 1, 8, 8)).test.labels.max() == ord("z")
    with pytest.raises(ValueError, match="vocabulary must be at least 123"):
        text.fitted(reader(ord("z"), 8, 8))


@pytest.mark.parametrize("vocabulary", [257, 300, 1024])
def test_byte_pairs_lose_nothing_and_shorten_the_text(text: TextDataset, vocabulary: int) -> None:
    lengths = {}
    for size in (256, vocabulary):
        fitted = text.fitted(reader(size, 1, 1))
        for name, split in parts(fitted).items():
            assert 0 <= split.inputs.min() <= split.inputs.max() < size
            # The first token is not predicted; it is at most as long as the longest word.
            assert 1 <= len(getattr(text, name)) - split.size < 100
        lengths[size] = len(fitted.train)
    assert lengths[vocabulary] < lengths[256]


def test_byte_pairs_are_those_that_training_text_is_rich_in() -> None:
    # The first pair merged in "abababab" is "ab": 256. Validation has it, however rare there.
    text = TextDataset("text", b"ab" * 40, b"xaby" * 9, bytes(range(128, 256)))
    fitted: Splits = text.fitted(reader(257, 1, 1))
    assert set(fitted.train.inputs.ravel()) == {256}
    assert fitted.train.size == 2 * 39
    row = fitted.validation.inputs.ravel()[:6].tolist()
    assert row == [ord("x"), 256, ord("y"), ord("x"), 256, ord("y")]
    # Bytes that are no UTF-8 stand for themselves.
    assert fitted.test.inputs.ravel().tolist() == list(range(128, 255))


def test_byte_pairs_need_a_package_that_is_named(
    text: TextDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ExperimentError, match="pip install tokenizers"):
        text.check(ReaderSpace(vocabulary=(256, 333)))


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        (Architecture("x", {}, chain([Reader(256, 8, 8), Wider(256, 8)])), "must put out"),
        (reader(256, 5000, 16), "a row of 5000 tokens"),
        (ViTSpace().decode([0] * len(ViTSpace().parameters)), "holds text"),
    ],
    ids=["vocabulary", "context", "images"],
)
def test_a_network_that_does_not_read_it_is_refused(
    text: TextDataset, architecture: Architecture, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        text.fitted(architecture)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (ReaderSpace(context=(16, 4400)), "a row of 4400 tokens"),
        (ReaderSpace(vocabulary=(256, 100)), "vocabulary must be at least"),
        (ViTSpace(), "read no token ids"),
    ],
    ids=["context", "vocabulary", "images"],
)
def test_a_space_that_does_not_read_it_is_refused(
    text: TextDataset, space: SearchSpace, said: str
) -> None:
    text.check(ReaderSpace())
    with pytest.raises(ValueError, match=said):
        text.check(space)
