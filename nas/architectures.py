"""Architectures as the command line names them: a preset, or a file."""

from __future__ import annotations

from pathlib import Path

from search_spaces import Architecture, CorruptFileError, UnknownNameError

__all__ = ["named_architecture"]


def named_architecture(name: str) -> Architecture:
    """The architecture of a JSON file, or of a preset.

    Raises:
        FileNotFoundError: There is no such file.
        UnknownNameError: There is no such preset.
        CorruptFileError: The file holds something else.
    """
    from hw_profiles.files import read_json
    from search_spaces.presets import preset

    path = Path(name)
    if not path.is_file():
        if path.suffix == ".json" or len(path.parts) != 1:
            raise FileNotFoundError(
                f"There is no architecture {path}; give a JSON file, a preset, or a run folder "
                "and a member."
            )
        return preset(name)
    data = read_json(path)
    if isinstance(data, dict) and "architecture" in data:
        data = data["architecture"]  # What `hwnas cost --json` printed.
    try:
        return Architecture.from_json(data)
    except UnknownNameError as error:
        own = " It is not built in: price it in its run, with `hwnas cost RUN ID`."
        hint = own if error.kind == "block type" and ":" in error.name else ""
        raise CorruptFileError(f"{path} is not an architecture: {error}{hint}") from error
    except ValueError as error:
        raise CorruptFileError(f"{path} is not an architecture: {error}") from error
