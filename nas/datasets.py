"""Data sets by the name that an experiment file uses."""

from __future__ import annotations

from collections.abc import Callable

from nas.images import load_digits
from nas.splits import Dataset
from nas.texts import load_text

__all__ = ["DATASETS", "FROM_FILES"]

DATASETS: dict[str, Callable[..., Dataset]] = {"digits": load_digits, "text": load_text}
"""Loads a data set; one of :data:`FROM_FILES` takes the path of a file of the user's own."""

FROM_FILES = ("text",)
"""Data sets that can be read from ``task.path``."""
