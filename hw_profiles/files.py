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
        CorruptFileError: It is not JSON, or holds NaN or infinity; the message names the file.
    """

    def refuse(token: str) -> None:
        raise CorruptFileError(f"{path} holds {token}, which is not a number that JSON knows.")

    def number(token: str) -> float:
        value = float(token)
        if not math.isfinite(value):
            refuse(token)
        return value

    try:
        return json.loads(path.read_bytes(), parse_constant=refuse, parse_float=number)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{path} is not JSON: {error}.") from error
