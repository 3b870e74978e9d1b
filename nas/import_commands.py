"""``hwnas profile import`` and ``hwnas profile predict``: measurements that others published."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import ExperimentError
from nas.progress import Reporter
from search_spaces import CorruptFileError, UnknownNameError

if TYPE_CHECKING:
    from predictors.published import ImportedProfile

__all__ = ["profile_import", "profile_predict"]


def profile_import(options: Namespace) -> int:
    """``hwnas profile import``."""
    from hw_profiles.store import Store
    from nas.imports import import_item, print_imports, save_import
    from nas.rendering import print_json
    from predictors.published import import_measurements
    from predictors.published_table import PublishedTable

    path, report = Path(options.table), Reporter()
    name = path.name.split(".")[0]
    folder = Store().root / "profiles" / name if options.out is None else Path(options.out)
    where = _pairs("--where", options.where)
    try:
        if options.latency is None or not options.features:
            columns = ", ".join(PublishedTable.read(path).columns)
            raise ExperimentError(
                "`--latency COLUMN:UNIT` and `--features COLUMN ...` must say which columns of "
                f"{path.name} are what; it has {columns}."
            )
        with report.bar("Fitting") as bar:
            imported = import_measurements(
                path,
                options.latency,
                options.features,
                where=where,
                in_order=options.in_order,
                folds=options.folds,
                progress=bar,
            )
    except (CorruptFileError, UnknownNameError, ExperimentError):
        raise
    except ValueError as error:
        raise ExperimentError(str(error)) from error
    setting = options.setting or name
    kept = save_import(folder, setting, imported)
    if options.json:
        print_json(import_item(folder.resolve().name, setting, imported))
    else:
        print_imports([(setting, imported)])
    report.line(
        f"The profile is {kept}; `hwnas profile predict {folder}:{setting}` prices with it."
    )
    return 0


def profile_predict(options: Namespace) -> int:
    """``hwnas profile predict``."""
    from hw_profiles.store import Store
    from nas.imports import imports_of
    from nas.profile_commands import find_profile
    from nas.rendering import print_json, print_rows

    profile, settings = find_profile(options.profile, Store())
    imports = imports_of(profile)
    chosen = [name for name in settings if name in imports]
    if not chosen:
        raise ExperimentError(
            f"{options.profile} holds no imported measurements; `hwnas cost --profile` prices "
            "architectures with tables. Import some with `hwnas profile import`."
        )
    if len(chosen) > 1:
        raise ExperimentError(
            f"The profile {profile.name} holds several imported measurements; name one, as in "
            f"{options.profile}:{chosen[0]}. It has {', '.join(chosen)}."
        )
    imported = imports[chosen[0]]
    if bool(options.values) == (options.table is not None):
        names = " ".join(f"{code.name}=..." for code in imported.features)
        raise ExperimentError(
            f"`hwnas profile predict` takes a value for each feature ({names}), or --table with a "
            "file of them; give one of the two."
        )
    if options.table is None:
        found = [_predicted(imported, _pairs("FEATURE=VALUE", options.values))]
    else:
        found = list(_predicted_rows(imported, Path(options.table)))
    if options.json:
        print_json(found)
        return 0
    rows = [
        [*map(str, item["config"].values())]
        + [f"{1e3 * item[key]:.4g}" for key in ("latency_s", "low_s", "high_s")]
        for item in found
    ]
    print_rows([*found[0]["config"], "latency ms", "95 % from", "to"], rows)
    return 0


def _predicted(imported: ImportedProfile, config: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds of a configuration with the ends of their interval."""
    try:
        value, low, high = imported.predict(config)
    except UnknownNameError:
        raise
    except ValueError as error:
        raise ExperimentError(str(error)) from error
    return {"config": dict(config), "latency_s": value, "low_s": low, "high_s": high}


def _predicted_rows(imported: ImportedProfile, path: Path) -> Iterable[dict[str, Any]]:
    """The same of each row of a table; its other columns are left alone."""
    from predictors.published_table import PublishedTable

    try:
        table = PublishedTable.read(path)
    except (CorruptFileError, UnknownNameError):
        raise
    except ValueError as error:
        raise ExperimentError(str(error)) from error
    names = [code.name for code in imported.features]
    cells = zip(*(table.column(name) for name in names), strict=True)
    for number, row in zip(table.rows, cells, strict=True):
        try:
            yield _predicted(imported, dict(zip(names, row, strict=True)))
        except ValueError as error:
            raise ExperimentError(f"{path.name}, row {number}: {error}") from error


def _pairs(what: str, words: Sequence[str]) -> dict[str, str]:
    """``["a=1", "b=2"]`` as a dictionary."""
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals) or name in pairs:
            raise ExperimentError(f"`{what}` must be NAME=VALUE, each name once; got {word!r}.")
        pairs[name] = value
    return pairs
