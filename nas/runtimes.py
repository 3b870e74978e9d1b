"""What runtimes do when they are not told otherwise."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from hw_profiles import RUNTIMES
from search_spaces import UnknownNameError

__all__ = ["runtime_defaults"]


def runtime_defaults(name: str) -> dict[str, Any]:
    """Number format and threads of a runtime, without making one, which may need a device.

    Raises:
        UnknownNameError: There is no such runtime.

    >>> runtime_defaults("onnxruntime")
    {'dtype': 'fp32', 'threads': 1}
    """
    if name not in RUNTIMES:
        raise UnknownNameError("runtime", name, tuple(RUNTIMES))
    module, _, cls = RUNTIMES[name].partition(":")
    parameters = inspect.signature(getattr(import_module(module), cls)).parameters
    return {key: parameters[key].default for key in ("dtype", "threads")}
