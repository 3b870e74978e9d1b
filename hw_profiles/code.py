"""Digests of the code that kept results follow from, so that none outlives a change of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import search_spaces
from hw_profiles.files import sha256_of
from search_spaces import SearchSpace

__all__ = ["counting_code", "timing_code"]

RUN = (
    "onnx_*.py",
    "quantization.py",
    "runtime.py",
    "cpu_runtime.py",
    "*_cpu.py",
    "cuda_graph.py",
    "timing.py",
    "gauge.py",
    "energy.py",
)
"""How networks are written, run, and timed or metered."""


def counting_code(space: SearchSpace | None = None) -> str:
    """Digest of what counts follow from: the blocks, the formulas and PyTorch's version.

    Args:
        space: A space whose own code, if it is not built in, counts too.
    """
    return _digest(_block_files(space))


def timing_code(space: SearchSpace) -> str:
    """Digest of what timings follow from: the blocks and how their graphs are written and run."""
    folder = Path(__file__).parent
    return _digest([*_block_files(space), *(path for name in RUN for path in folder.glob(name))])


def _block_files(space: SearchSpace | None) -> set[Path]:
    files = set(Path(search_spaces.__file__).parent.glob("*.py"))
    types: set[type] = set()
    if space is not None:
        types = {type(space), *(type(block) for block in space.blocks)}
    for cls in types:
        source = getattr(sys.modules.get(cls.__module__), "__file__", None)
        if source:
            files.add(Path(source).resolve())
    return {path.resolve() for path in files}


def _digest(files: Iterable[Path]) -> str:
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        torch_version = "none"
    texts = sorted(sha256_of(path.read_bytes()) for path in files)
    return sha256_of("\n".join([torch_version, *texts]).encode())[:16]
