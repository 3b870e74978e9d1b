"""Imported measurements in the folder of a profile: where they are kept, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw_profiles.profile import HardwareProfile
from nas.errors import ExperimentError
from nas.rendering import print_rows

if TYPE_CHECKING:
    from predictors.published import ImportedProfile, PublishedScore

__all__ = ["import_item", "imports_of", "print_imports", "save_import"]

FOLDER = "imported"
FAMILY = "published"
"""What their certificate stands under where that of a table stands under a family of networks."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
NO_REPETITION = {"aa_within_5": None, "aa_within_10": None, "aa_tau": None}
"""Rows that were published once do not say how a repetition would differ."""


def imports_of(profile: HardwareProfile) -> dict[str, ImportedProfile]:
    """The imported measurements of a profile by setting.

    Raises:
        CorruptFileError: One cannot be read.
    """
    from predictors.published import ImportedProfile

    paths = sorted((profile.folder / FOLDER).glob("*.json"))
    return {path.stem: ImportedProfile.load(path) for path in paths}


def save_import(folder: Path, setting: str, imported: ImportedProfile) -> Path:
    """Keeps imported measurements as a setting of the profile in a folder, and returns their path.

    The profile is made where there is none; a setting of that name is replaced.

    Raises:
        ExperimentError: The name is none, or the folder is of a device that tables were measured
            on.
        CorruptFileError: The folder's profile cannot be read.
    """
    if not NAME.fullmatch(setting):
        raise ExperimentError(
            "`--setting` must be letters, digits and any of . _ + - after the first; got "
            f"{setting!r}."
        )
    about = folder / "profile.json"
    profile = HardwareProfile.load(folder) if about.exists() else None
    if profile is not None and (profile.device is not None or profile.files):
        raise ExperimentError(
            f"{folder} is a profile with tables of a device; published measurements go into a "
            "folder of their own. Give another one with --out."
        )
    path = folder / FOLDER / f"{setting}.json"
    imported.save(path)
    kept = sorted({item.stem for item in path.parent.glob("*.json")})
    name = folder.resolve().name if profile is None else profile.name
    HardwareProfile(name, folder, order=tuple(kept)).save()
    return path


def import_item(profile: str, setting: str, imported: ImportedProfile) -> dict[str, Any]:
    """A row of ``hwnas profile list``."""
    steady = imported.validation.steady
    return {
        "profile": profile,
        "setting": setting,
        "device": "",
        "measured": "",
        "energy": False,
        "certificate": {FAMILY: asdict(imported.certificate) | NO_REPETITION},
        "quantities": {},
        "published": {
            "source": dict(imported.source),
            "features": [code.to_json() for code in imported.features],
            "steady": None if steady is None else asdict(steady),
        },
    }


def print_imports(imports: Sequence[tuple[str, ImportedProfile]]) -> None:
    """Prints what imported measurements are of, and their certificates."""
    for setting, imported in imports:
        source = imported.source
        rows = ", ".join(f"{name} = {value}" for name, value in source["where"].items())
        print(
            f"{setting}: column {source['latency']} ({source['unit']}) of {source['file']}, "
            f"{rows or 'all rows'}"
        )
        for code in imported.features:
            print(f"  {code.name}: {_domain(code.kind, code.limits, code.levels)}")
        certified = imported.certificate
        lines = [_cells("all", certified)]
        if imported.validation.steady is not None:
            lines.append(_cells("usual state", imported.validation.steady))
        title = f"Cross-validated in {certified.folds} parts"
        print_rows(HEADINGS, lines, title)


HEADINGS = (
    "rows", "n", "bias", "MAPE", "within 5 %", "within 10 %", "at least", "tau", "inside interval",
)  # fmt: skip


def _cells(what: str, score: PublishedScore) -> list[str]:
    return [
        what,
        str(score.n),
        f"{score.bias:+.1%}",
        f"{score.mape:.1%}",
        f"{score.within_5:.1%}",
        f"{score.within_10:.1%}",
        f"{score.within_10_low:.1%}",
        f"{score.tau:.3f}",
        f"{score.inside:.1%}",
    ]


def _domain(kind: str, limits: Sequence[float], levels: Sequence[Any]) -> str:
    """What a feature may be, in words."""
    known = ", ".join(f"{level:g}" if isinstance(level, float) else str(level) for level in levels)
    if kind == "name":
        return f"one of {known}"
    if kind == "number":
        return f"{limits[0]:g} to {limits[1]:g}"
    return f"{limits[0]:g} to {limits[1]:g} numbers{f' of {known}' if known else ''}"
