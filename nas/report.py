"""Reports: one self-contained HTML file of a search or a comparison, and its figures as SVG."""

from __future__ import annotations

from pathlib import Path

from hw_profiles.files import read_json, write_atomically
from hw_profiles.store import Store
from nas.comparison_folder import ComparisonFolder
from nas.progress import Reporter
from nas.report_comparison import read_comparison_document
from nas.report_document import Document
from nas.report_page import page
from nas.report_runs import read_run
from nas.report_search import search_document
from nas.report_svg import write_svg
from nas.run_folder import RunFolder

__all__ = ["NAME", "read_report", "write_document", "write_figures", "write_report"]

NAME = "report.html"
"""Of the file in the folder of what it is of."""


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Writes the report of a folder as one HTML file; the same folder gives the same file.

    Args:
        folder: Of a search or of a comparison.
        out: The file; ``report.html`` in the folder when absent. An old one is replaced.

    Returns:
        The file.

    Raises:
        FileNotFoundError: There is nothing to report on in the folder.
        CorruptFileError: A file in it is damaged.
    """
    return write_document(read_report(folder), folder, out)


def write_document(document: Document, folder: Path, out: Path | None = None) -> Path:
    """Writes a report that was read already; arguments as of :func:`write_report`."""
    path = folder / NAME if out is None else out
    write_atomically(path, page(document).encode())
    return path


def write_figures(document: Document, folder: Path) -> list[Path]:
    """Writes every figure of a report as an SVG file, and returns the files.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    paths = []
    for figure in document.figures:
        if figure.panels:
            paths.append(folder / f"{figure.key}.svg")
            write_svg(figure, paths[-1])
    return paths


def read_report(
    folder: Path, store: Store | None = None, report: Reporter | None = None
) -> Document:
    """What the report of a folder says; errors as of :func:`write_report`.

    Args:
        folder: Of a search or of a comparison.
        store: Where counts are kept.
        report: Where progress is written.
    """
    store, report = store or Store(), report or Reporter()
    if _is_comparison(folder):
        return read_comparison_document(ComparisonFolder.open(folder), store, report)
    return search_document(read_run(RunFolder.open(folder), store, report))


def _is_comparison(folder: Path) -> bool:
    manifest = RunFolder(folder).manifest
    if not manifest.is_file():
        return False
    data = read_json(manifest)
    return isinstance(data, dict) and data.get("format") == ComparisonFolder.format
