"""Search spaces of a user's own: classes in a file, or in an installed module."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

from nas.errors import ExperimentError
from search_spaces import SearchSpace

__all__ = ["absolute_path", "absolute_reference", "load_space_class"]


def absolute_reference(reference: str, folder: Path) -> str:
    """A reference to a class with the path of its file, if it names one, made absolute.

    Args:
        reference: ``"path/to/file.py:Class"`` or ``"package.module:Class"``.
        folder: What a relative path starts from; the working directory where no file is there.
    """
    where, colon, name = reference.rpartition(":")
    if not colon or not where.endswith(".py"):
        return reference
    return f"{absolute_path(Path(where), folder)}:{name}"


def absolute_path(path: Path, folder: Path) -> Path:
    """An absolute path from one relative to a folder, or else to the working directory."""
    inside = folder / path
    return (inside if inside.exists() else path).resolve()


def load_space_class(reference: str) -> type[SearchSpace]:
    """The class that a reference names; its module runs, so that its blocks are known.

    A file becomes the module of its stem, in every process and on every machine: blocks are called
    ``stem:Class`` in files.

    Args:
        reference: ``"path/to/file.py:Class"`` or ``"package.module:Class"``.

    Raises:
        ExperimentError: There is no such file, module or class, it does not load, its name is
            taken, or the class is no search space.
    """
    where, colon, name = reference.rpartition(":")
    if not colon or not where or not name:
        raise ExperimentError(
            f"`class` must be 'path/to/file.py:Class' or 'package.module:Class'; got {reference!r}."
        )
    module = _from_file(Path(where)) if where.endswith(".py") else _installed(where)
    found = getattr(module, name, None)
    if not (inspect.isclass(found) and issubclass(found, SearchSpace)):
        known = [
            key
            for key, value in vars(module).items()
            if inspect.isclass(value)
            and issubclass(value, SearchSpace)
            and value.__module__ == module.__name__
        ]
        raise ExperimentError(
            f"`class` {reference!r}: {where} has no search space {name}; it has "
            f"{', '.join(known) or 'none: derive one from search_spaces.SearchSpace'}."
        )
    return found


def _installed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # Whatever the code of others raises.
        raise ExperimentError(
            f"`class`: the module {name} cannot be imported ({error!r}); install it, or name a "
            "file: 'path/to/file.py:Class'."
        ) from error


def _from_file(path: Path) -> ModuleType:
    path, name = path.resolve(), path.stem
    if not path.is_file():
        raise ExperimentError(
            f"`class`: there is no file {path}; give its path from the experiment file or from "
            "the working directory."
        )
    if not name.isidentifier():
        raise ExperimentError(
            f"`class`: {path} must have the name of a Python module; rename it, without "
            "hyphens or spaces."
        )
    taken = _origin(name)
    if taken is not None and taken != path:
        raise ExperimentError(
            f"`class`: {path} would be the module {name}, which is {taken} already; rename it."
        )
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses, and pickled blocks, look their module up.
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # Whatever the code of others raises.
        del sys.modules[name]
        raise ExperimentError(f"`class`: {path} cannot be loaded: {error!r}.") from error
    return module


def _origin(name: str) -> Path | str | None:
    """Where the module that has a name already comes from, loaded or not."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        return Path(file).resolve() if file else "built in"
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve() if spec.has_location else spec.origin
