"""What experiment files have in common: sections that are checked, overrides, what is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Strict, ValidationError

from nas.errors import ExperimentError
from nas.spaces import nearest
from search_spaces import UnknownNameError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "Config",
    "Real",
    "Whole",
    "check_known",
    "explained",
    "override",
    "placed",
    "problem",
    "read_config",
]

Whole = Annotated[int, Strict()]
"""An integer that is written as one: neither text nor a truth value."""

Real = Annotated[float, Strict()]
"""A number that is written as one, with or without a fraction."""


class Config(BaseModel):
    """Values that are checked when they are read; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_config(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What an experiment file says, unchecked.

    Args:
        path: A TOML file.
        overrides: Settings of the form ``section.key=value``, the value in TOML.

    Raises:
        FileNotFoundError: There is no such file.
        ExperimentError: It is not TOML, or an override is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no experiment file {path}.")
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path} is not TOML: {error}.") from error
    for text in overrides:
        override(data, text)
    return data


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Puts the place of a value before what is said of it."""
    try:
        yield
    except (ExperimentError, UnknownNameError) as error:
        error.args = (f"{place}: {error}",)
        raise


def check_known(kind: str, name: str, known: Mapping[str, Any] | Sequence[str]) -> None:
    """Raises UnknownNameError unless a name is one of the known."""
    if name not in known:
        raise UnknownNameError(kind, name, known)


def explained(error: ValidationError, where: str, model: type[Config]) -> ExperimentError:
    """What is wrong with the values of an experiment, a line each.

    Args:
        error: What the model raised.
        where: What messages call the file.
        model: The experiment's.
    """
    lines = []
    for item in error.errors():
        place = [str(part) for part in item["loc"]]
        dotted = ".".join(place)
        if item["type"] == "extra_forbidden":
            known = _fields(model, place[:-1])
            lines.append(
                f"{where}: unknown key `{dotted}`.{nearest(place[-1], known)} "
                f"Known {'in `' + '.'.join(place[:-1]) + '`' if place[:-1] else 'sections'}: "
                f"{', '.join(known)}."
            )
        elif item["type"] == "missing":
            lines.append(f"{where}: `{dotted}` is missing; add it.")
        else:
            lines.append(f"{where}: `{dotted}`: {problem(item)}; got {item['input']!r}.")
    return ExperimentError("\n".join(lines))


def problem(item: ErrorDetails) -> str:
    """What is wrong with one value: of what a validator raised itself, its own words alone."""
    return str(item.get("ctx", {}).get("error", item["msg"]))


def override(data: dict[str, Any], text: str) -> None:
    """Changes what an experiment says by a setting of the form ``section.key=value``.

    Raises:
        ExperimentError: It is none.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ExperimentError(f"`--set` takes section.key=value; got {text!r}.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    *sections, last = (part.strip().strip('"') for part in key.strip().split("."))
    target = data
    for section in sections:
        inner = target.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ExperimentError(f"`--set {text}`: `{section}` is not a section.")
        target = inner
    target[last] = parsed


def _fields(model: type[Config], path: Sequence[str]) -> list[str]:
    inner: Any = model
    for part in path:
        annotation = inner.model_fields[part].annotation if part in inner.model_fields else None
        candidates = [annotation, *get_args(annotation)]
        inner = next((c for c in candidates if isinstance(c, type) and issubclass(c, Config)), None)
        if inner is None:
            return []
    return list(inner.model_fields)
