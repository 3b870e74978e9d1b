"""What ``hwnas report`` does; the parser names it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from nas.progress import Reporter

__all__ = ["report"]


def report(options: Namespace) -> int:
    """``hwnas report``."""
    from nas.report import read_report, write_document, write_figures

    said, folder = Reporter(), Path(options.run)
    document = read_report(folder, report=said)
    # First the figures, so that what is missing for them leaves no report behind.
    figures = [] if options.svg is None else write_figures(document, Path(options.svg))
    written = write_document(document, folder, options.out and Path(options.out))
    print(written)
    if figures:
        said.line(f"{len(figures)} figures are in {options.svg}.")
    return 0
