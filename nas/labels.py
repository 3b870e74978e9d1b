"""Labels: what a person knows a model by, and what it says of the model.

A label is a line of pairs such as ``depth=4 pool=cls``. What looks like a number is one, so words
that do, such as the codes of operations, stand in quotes: ``edge0="3"``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping

from search_spaces import Choice

__all__ = ["label_of", "read_label"]

PAIR = re.compile(r'([^\s=;"]+)=("(?:[^"\\]|\\.)*"|[^\s;"]+)')


def label_of(configuration: Mapping[str, Choice], categories: Collection[str] = ()) -> str:
    """The label of a configuration.

    Args:
        configuration: Choices by name.
        categories: Names whose numbers are codes, of which none is more than another.

    >>> label_of({"depth": 4, "pool": "cls", "edge0": 3, "kind": "7"}, ["edge0"])
    'depth=4 pool=cls edge0="3" kind="7"'
    """
    pairs = []
    for name, choice in configuration.items():
        text = str(choice)
        word = name in categories or isinstance(choice, str)
        if word and (_number(text) is not None or PAIR.fullmatch(f"x={text}") is None):
            text = json.dumps(text, ensure_ascii=False)
        pairs.append(f"{name}={text}")
    return " ".join(pairs)


def read_label(label: str) -> dict[str, str | float]:
    """The finite numbers and the words of a label by name.

    >>> read_label('depth=4 pool=cls edge0="3"')
    {'depth': 4.0, 'pool': 'cls', 'edge0': '3'}
    """
    found: dict[str, str | float] = {}
    for name, text in PAIR.findall(label):
        number = _number(text)
        word = json.loads(text) if text.startswith('"') else text
        found[name] = word if number is None else number
    return found


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
