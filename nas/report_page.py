"""Pages: a document as one HTML file that needs nothing beside it and asks nobody for anything.

The policy in its head lets a browser run the two scripts that are in it, by their checksums, and
fetch nothing; so a name that were not escaped could do neither.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

from nas.report_document import Document, Section, printable
from nas.report_elements import escaped, section_lines
from nas.report_figures import PALETTE
from nas.report_plotly import DARK, RING, panel_json

__all__ = ["page"]


def page(document: Document) -> str:
    """The document as HTML."""
    scripts = [_plotly(), _file("report.js")]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="generator" content="hwnas report">',
        f"<title>{escaped(document.title)}</title>",
        f"<style>\n{_file('report.css')}{_colours()}</style>",
        "</head>",
        "<body>",
        '<a class="skip" href="#findings">Skip to what was found</a>',
        f"<header><h1>{escaped(document.title)}</h1>",
        f'<p class="subtitle">{escaped(document.subtitle)}</p></header>',
        *_navigation(document.sections),
        "<main>",
        '<section class="lead" id="findings"><h2>What was found</h2>',
        *(f"<p>{escaped(line)}</p>" for line in document.lead),
        "</section>",
        "<noscript><p>The figures need JavaScript; all tables are here without it.</p></noscript>",
        *(line for section in document.sections for line in section_lines(section)),
        "</main>",
        "<footer><p>Made by <code>hwnas report</code>. This file asks no other machine for "
        "anything.</p></footer>",
        '<div id="details" role="status" hidden></div>',
        f'<script type="application/json" id="data">{_data(document)}</script>',
        *(f"<script>{script}</script>" for script in scripts),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    # As in a string of its own, so that it ends no element of the page.
    text: str = get_plotlyjs()
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--").replace("\r\n", "\n")


def _file(name: str) -> str:
    return files("nas").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _colours() -> str:
    light, dark = (
        "".join(f"--c{i}:{pair[side]};" for i, pair in enumerate(PALETTE)) for side in (0, 1)
    )
    return (
        f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"
        "@media print{:root{color-scheme:light}}\n"
    )


def _navigation(sections: Iterable[Section]) -> Iterator[str]:
    yield '<nav aria-label="Sections"><ol>'
    for section in sections:
        yield f'<li><a href="#{section.key}">{escaped(section.title)}</a></li>'
    yield "</ol></nav>"


def _data(document: Document) -> str:
    panels: dict[str, Any] = {
        f"{figure.key}-{place}": panel_json(panel)
        for figure in document.figures
        for place, panel in enumerate(figure.panels)
    }
    data = {
        "panels": panels,
        "names": [printable(name) for name in document.names],
        "subjects": [
            {
                "name": printable(subject.name),
                "status": printable(subject.status),
                "values": [printable(value) for value in subject.values],
            }
            for subject in document.subjects
        ],
        "dark": DARK,
        "ring": RING,
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    # What could end the element, or begin a comment in it.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
