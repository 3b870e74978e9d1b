"""Labels of models: pairs of names and choices that are read back as what they were."""

from nas.labels import label_of, read_label
from search_spaces import Choice


def test_what_is_written_is_read_back() -> None:
    configuration: dict[str, Choice] = {
        "depth": 4, "rate": 0.5, "pool": "cls", "kernel": "7", "op": "conv 3x3", "said": 'a"b',
        "list": "8,12,8", "empty": "", "beyond": "inf",
    }  # fmt: skip
    found = read_label(label_of(configuration))
    assert found == configuration
    assert list(found) == list(configuration)
    assert [name for name, value in found.items() if isinstance(value, float)] == ["depth", "rate"]


def test_codes_of_categories_are_words_and_numbers_are_not() -> None:
    configuration = {"edge0": 3, "edge1": 0, "depth": 3, "bias": True}
    label = label_of(configuration, ["edge0", "edge1"])
    assert label == 'edge0="3" edge1="0" depth=3 bias=True'
    assert read_label(label) == {"edge0": "3", "edge1": "0", "depth": 3.0, "bias": "True"}


def test_what_is_no_pair_is_left_out() -> None:
    assert read_label("vit_small of depth=3; b=x") == {"depth": 3.0, "b": "x"}
    assert read_label("resnet18") == {}
    assert read_label("depth=inf rate=nan") == {"depth": "inf", "rate": "nan"}
