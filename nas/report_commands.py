"""What ``hwnas report`` does; the parser names it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from nas.errors import ExperimentError
from nas.progress import Reporter

__all__ = ["report"]


def report(options: Namespace) -> int:
    """``hwnas report``."""
    from nas.report import read_report, write_document, write_figures

    said, folder = Reporter(), Path(options.run)
    if options.out and Path(options.out).is_dir():
        raise ExperimentError(f"`--out` {options.out} is a folder; name a file in it.")
    if options.svg and Path(options.svg).exists() and not Path(options.svg).is_dir():
        raise ExperimentError(f"`--svg` {options.svg} is a file; name a folder.")
    document = read_report(folder, report=said)
    # First the figures, so that what is missing for them leaves no report behind.
    figures = [] if options.svg is None else write_figures(document, Path(options.svg))
    written = write_document(document, folder, options.out and Path(options.out))
    print(written)
    if figures:
        said.line(f"{len(figures)} figures are in {options.svg}.")
    return 0
