"""Files that are whole or absent, and JSON that carries its own checksum."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from search_spaces import CorruptFileError

__all__ = ["canonical_json", "read_json", "sha256_of", "write_atomically", "write_json"]


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def canonical_json(data: Any) -> bytes:
    """JSON in one fixed form, for hashing.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_of(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Writes indented JSON, whole or not at all.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    write_atomically(path, (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        FileNotFoundError: There is none.
        CorruptFileError: It is not JSON, or holds NaN or infinity; the message names the file, and
            the place in it.
    """
    odd: list[str] = []

    def number(token: str) -> float:
        value = float(token)
        if not math.isfinite(value):
            odd.append(token)
        return value

    try:
        data = json.loads(path.read_bytes(), parse_constant=number, parse_float=number)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{path} is not JSON: {error}.") from error
    if odd:
        place = ", ".join(["", *_place_of_odd([data])[1:]])
        raise CorruptFileError(f"{path}{place}: {odd[0]} is not a number that JSON knows.")
    return data


def _place_of_odd(data: Any) -> list[str]:
    """The keys and positions that lead to the first number that is NaN or infinite."""
    if isinstance(data, dict):
        items = list(data.items())
    else:
        items = list(enumerate(data)) if isinstance(data, list) else []
    for key, value in items:
        if isinstance(value, float) and not math.isfinite(value):
            return [str(key)]
        if place := _place_of_odd(value):
            return [str(key), *place]
    return []
