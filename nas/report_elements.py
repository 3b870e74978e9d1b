"""Elements: what a document holds, as lines of HTML with every name escaped."""

from __future__ import annotations

import html
from collections.abc import Iterator

from nas.report_document import Cell, Facts, Section, Table, printable
from nas.report_figures import GREY, Axis, Figure, Heatmap, Panel, Series
from nas.report_plotly import panel_json

__all__ = ["escaped", "section_lines"]

LONG = 60
"""Characters from which a cell may break into lines."""
LONG_NOTE = 28
"""Characters from which a note may."""
MANY = 12
"""Names from which a heat map takes a whole row."""
SHAPES = {
    "circle": '<circle cx="13" cy="8" r="4.5"/>',
    "square": '<path d="M9 4h8v8H9z"/>',
    "diamond": '<path d="M13 2 19 8 13 14 7 8z"/>',
    "triangle": '<path d="M13 3 18 12H8z"/>',
    "wedge": '<path d="M13 13 18 4H8z"/>',
    "cross": '<path d="M10 3 13 6 16 3 18 5 15 8 18 11 16 13 13 10 10 13 8 11 11 8 8 5z"/>',
    "pentagon": '<path d="M13 3 18 7 16 13H10L8 7z"/>',
    "hexagon": '<path d="M13 3 17 5V11L13 13 9 11V5z"/>',
    "star": '<path d="M13 1 15 6H20L16 9 17 14 13 11 9 14 10 9 6 6H11z"/>',
}
DASHES = {"solid": "", "dash": "5 3", "dot": "2 2"}


def escaped(text: str, quote: bool = True) -> str:
    """Text that a browser shows as it is, also in an attribute.

    >>> escaped("<a> & 'b'")
    '&lt;a&gt; &amp; &#x27;b&#x27;'
    """
    return html.escape(printable(text), quote=quote)


def section_lines(section: Section) -> Iterator[str]:
    """A section with everything in it."""
    yield f'<section id="{section.key}"><h2>{escaped(section.title)}</h2>'
    yield from (f"<p>{escaped(text)}</p>" for text in section.text)
    if section.folded:
        yield "<details><summary>Show</summary>"
    inside = False
    for item in section.items:
        if isinstance(item, Facts) != inside:
            inside = not inside
            yield '<div class="facts">' if inside else "</div>"
        if isinstance(item, Facts):
            yield from _facts(item)
        elif isinstance(item, Table):
            yield from _table(item)
        else:
            yield from _figure(item)
    if inside:
        yield "</div>"
    if section.folded:
        yield "</details>"
    yield "</section>"


def _facts(facts: Facts) -> Iterator[str]:
    yield f'<div class="card"><h3>{escaped(facts.title)}</h3><dl>'
    for name, known in facts.items.items():
        lines = [known] if isinstance(known, str) else known
        yield f"<dt>{escaped(name)}</dt><dd>{'<br>'.join(escaped(line) for line in lines)}</dd>"
    yield "</dl></div>"


def _table(table: Table) -> Iterator[str]:
    caption = escaped(table.caption)
    yield f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{table.key}-caption">'
    yield f'<table id="{table.key}">'
    yield f'<caption id="{table.key}-caption"><div>{caption}</div></caption>'
    words = [all(row[i].value is None for row in table.rows) for i in range(len(table.headings))]
    yield "<thead><tr>"
    for cell, left in zip(table.headings, words, strict=True):
        yield (
            f'<th scope="col" aria-sort="none"{_class(left)}{_title(cell)}>'
            f'<button type="button">{escaped(cell.text)}</button>{_note(cell)}</th>'
        )
    yield "</tr></thead>"
    yield "<tbody>"
    for place, row in enumerate(table.rows):
        subject = f' data-subject="{table.subjects[place]}"' if table.subjects else ""
        cells = "".join(_cell(i, cell, words[i]) for i, cell in enumerate(row))
        yield f"<tr{subject}>{cells}</tr>"
    yield "</tbody></table></div>"


def _cell(column: int, cell: Cell, left: bool) -> str:
    kind = 'th scope="row"' if column == 0 else "td"
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    long = len(cell.text) > LONG
    body = f"{escaped(cell.text)}{_note(cell)}"
    return f"<{kind}{_class(left, long)}{value}{_title(cell)}>{body}</{kind[:2]}>"


def _class(left: bool, long: bool = False) -> str:
    names = " ".join(name for name, used in (("words", left), ("long", long)) if used)
    return f' class="{names}"' if names else ""


def _title(cell: Cell) -> str:
    return f' title="{escaped(cell.title)}"' if cell.title else ""


def _note(cell: Cell) -> str:
    if not cell.note:
        return ""
    return f"<small{_class(False, len(cell.note) > LONG_NOTE)}>{escaped(cell.note)}</small>"


def _figure(figure: Figure) -> Iterator[str]:
    yield f'<figure id="{figure.key}" aria-labelledby="{figure.key}-title">'
    yield f'<h3 id="{figure.key}-title">{escaped(figure.title)}</h3>'
    yield f"<figcaption>{escaped(figure.caption)}</figcaption>"
    if figure.legend or figure.limits:
        yield '<ul class="legend">'
        for series in figure.legend:
            name = escaped(escaped(series.name, quote=False))
            yield (
                f'<li><button type="button" aria-pressed="true" data-series="{name}">'
                f"{_swatch(series)}{escaped(series.name)}</button></li>"
            )
        for name in figure.limits:
            yield f"<li><span>{_limit()}{escaped(name)}</span></li>"
        yield "</ul>"
    yield '<div class="panels">'
    for place, panel in enumerate(figure.panels):
        yield (
            f'<div class="panel{_width(panel)}"><h4>{escaped(panel.title)}</h4>'
            f'<p class="note">{escaped(panel.note)}</p><div class="plot" id="{figure.key}-{place}" '
            f'role="img" aria-label="{escaped(_described(panel))}" '
            f'style="min-height:{panel_json(panel)["layout"]["height"]}px"></div></div>'
        )
    yield "</div></figure>"


def _width(panel: Panel | Heatmap) -> str:
    if isinstance(panel, Panel):
        return {0: " wide", 1: ""}.get(panel.span, " half")
    return " wide" if len(panel.names) > MANY else " half"


def _described(panel: Panel | Heatmap) -> str:
    if isinstance(panel, Heatmap):
        return f"{panel.title}: a square of {len(panel.names)} by {len(panel.names)} numbers"
    shown = ", ".join(f"{len(s.x)} {s.name}" for s in panel.series if s.marker)
    return f"{panel.title}: {_said(panel.y)} against {_said(panel.x)}; {shown or 'no points'}"


def _said(axis: Axis) -> str:
    return axis.title or "rows"


def _swatch(series: Series) -> str:
    colour = "var(--grey)" if series.colour >= GREY else f"var(--c{series.colour})"
    inside = colour if series.filled else "var(--clear)"
    line = ""
    if series.line:
        line = (
            f'<path d="M0 8H26" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{DASHES[series.line]}"/>'
        )
    shape = SHAPES.get(series.marker, "")
    return (
        f'<svg viewBox="0 0 26 16" aria-hidden="true">{line}'
        f'<g fill="{inside}" stroke="{colour}" stroke-width="1.5">{shape}</g></svg>'
    )


def _limit() -> str:
    return (
        '<svg viewBox="0 0 26 16" aria-hidden="true"><path d="M13 0V16" stroke="var(--c1)" '
        'stroke-width="2" stroke-dasharray="4 3"/></svg>'
    )
