"""What several test files of this folder use."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="session")
def references() -> ModuleType:
    """The independent tallies and the user's own blocks of ``references.py``."""
    spec = importlib.util.spec_from_file_location(
        "search_spaces_references", Path(__file__).with_name("references.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Dataclasses look their module up there.
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
