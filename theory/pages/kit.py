"""What pages are built of: a head, text, figures, tables, folded parts; one HTML file that needs
no other.

    from theory.pages import kit

    kit.page("Run desk", kit.lead("Trained on 200 features."),
             kit.section("Accuracy", kit.figure(drawn, alt="Accuracy against radius: it falls at "
                                                "0.1 before and at 0.4 after",
                                                caption="Look where the curves fall.")),
             kit.table(["claim", "measured"], [["A2", 0.126]], caption="Claims", sortable=True),
             kit.folded("Settings", kit.pairs({"d": 200, "k": 7})))

One rule: a plain ``str`` is text and is escaped, wherever it is given; a piece of HTML is of the
class :class:`Html`, which every function here returns, and is taken as it is. (An f-string around
pieces is a ``str``: say ``Html(f"...")``, and ``text(value)`` for what it quotes.) The page asks no
server for anything, and forbids itself to (Content-Security-Policy): styles, scripts and figures
are in the file. Scripts come last, so the page is read without them; the ``script`` of
:func:`page` adds one.

Colours are variables of ``kit.css``, light and dark: ``--ink``, ``--soft``, ``--rule``, ``--shade``
(a ground), ``--clean``, ``--adversarial``, ``--linear`` (text; ``--clean-mark`` and so on for lines
and marks), ``--holds``, ``--fails``, ``--outside``. Classes: ``lead``, ``note``, ``number`` (of a
cell), ``wide`` (a box in which what is too wide for a phone moves), and the words of the last six
colours.
No text is smaller than 11 px: do not set a font size below .75rem.
"""

import base64
import html
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory.drawing.style import house_style, settle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Html", "figure", "folded", "image", "joined", "lead", "number", "page", "pairs",
           "paragraph", "section", "table", "text"]

HERE = Path(__file__).parent
SHOWN_DPI = 100  # CSS pixels an inch of a figure takes: letters of 8 points are 11 pixels high
PHONE = 366  # CSS pixels that a page has across on a phone; what is wider moves in its box
MANY_COLUMNS = 4  # that fit on a phone
SHARPNESS = 1.75  # pixels of a PNG for one of them
HEAVY, SHARPER = 160_000, 2.0  # bytes of an SVG, from which on a PNG that is smaller stands for it
POLICY = ("default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
          "script-src 'unsafe-inline'")


class Html(str):
    """A piece of HTML, taken as it is where other text is escaped."""


def text(value: object) -> Html:
    """Return a value as HTML that shows it as it is; an :class:`Html` stays what it is."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(number(value) if isinstance(value, float) else str(value)))


def joined(parts: Iterable[object]) -> Html:
    """Return pieces one below the other; "" is left out."""
    return Html("\n".join(text(part) for part in parts if part != ""))


def number(value: float, digits: int = 3) -> str:
    """Return a number for a table: three digits, a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−")


def page(title: str, *parts: object, style: str = "", script: str = "") -> str:
    """Return a whole page, the text of a file in UTF-8.

    Parameters
    ----------
    title : str
        Of the window, and the only heading of first order.
    *parts : Html or str
        In order; "" is left out.
    style, script : str
        CSS and JavaScript of this page, beside the kit's.
    """
    body = joined(parts)
    if 'class="sortable"' in body:
        script = _file("sort.js") + script
    scripts = f"<script>\n{_inside(script, 'script')}</script>\n" if script else ""
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="icon" href="data:,">\n<title>{text(title)}</title>\n'
            f"<style>\n{_inside(_file('kit.css') + style, 'style')}</style>\n</head>\n<body>\n"
            f"<main>\n<h1>{text(title)}</h1>\n{body}\n</main>\n{scripts}</body>\n</html>\n")


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _inside(source: str, tag: str) -> str:
    """The source of a script or style, which no HTML escape may touch; it must not end its tag."""
    if f"</{tag}" in source.lower():
        raise ValueError(f"{tag}: expected no </{tag} in it, which ends it in HTML")
    return source


def lead(value: object) -> Html:
    """Return the line under the title that says what is to be seen."""
    return Html(f'<p class="lead">{text(value)}</p>' if value != "" else "")


def paragraph(value: object, kind: str = "") -> Html:
    """Return a paragraph; ``kind`` is a class, such as "note"."""
    mark = f' class="{text(kind)}"' if kind else ""
    return Html(f"<p{mark}>{text(value)}</p>")


def section(heading: str, *parts: object, name: str = "") -> Html:
    """Return a part of the page with a heading of second order.

    Parameters
    ----------
    heading : str
    *parts : Html or str
    name : str
        What a link to it ends in, ``#name``; "" makes one of the heading.
    """
    name = name or re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
    return Html(f'<section id="{text(name)}">\n<h2>{text(heading)}</h2>\n{joined(parts)}\n'
                "</section>")


def folded(summary: object, *parts: object, is_open: bool = False, name: str = "") -> Html:
    """Return details that are shown on a click (or from the start) under a line of summary."""
    mark = (f' id="{text(name)}"' if name else "") + (" open" if is_open else "")
    return Html(f"<details{mark}><summary>{text(summary)}</summary>\n{joined(parts)}\n"
                "</details>")


def pairs(content: Mapping[str, Any]) -> Html:
    """Return names with their values; a list is written with commas between."""
    rows = "".join(
        f"<dt>{text(name)}</dt><dd>"
        f"{text(', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value)}</dd>"
        for name, value in content.items())
    return Html(f"<dl>{rows}</dl>")


def table(heads: Sequence[object], rows: Sequence[Sequence[object]], *, caption: str,
          sortable: bool = False) -> Html:
    """Return a table in a box of its own, which moves where the screen is too narrow.

    Parameters
    ----------
    heads : sequence
        Of the columns.
    rows : sequence of sequence
        Cells: numbers stand on the right and are sorted as numbers; NaN is a dash. The first cell
        is the head of its row. A pair (value, shown) is sorted by its number and shown as text.
    caption : str
        Says what the table is; also to those who do not see it.
    sortable : bool
        A click on a head sorts by that column.

    Notes
    -----
    Of many columns and not to be sorted, a table becomes a list on a phone: each cell with its
    head.
    """
    listed = len(heads) > MANY_COLUMNS and not sortable
    numeric = [bool(rows) and all(_sorted_by(row[place]) is not None for row in rows
                                  if place < len(row) and row[place] not in ("", "–"))
               for place in range(len(heads))]
    head = "".join(f'<th scope="col"{_kind(right and place > 0)}>{text(value)}</th>'
                   for place, (value, right) in enumerate(zip(heads, numeric)))
    body = "\n".join("<tr>" + "".join(
        _cell(value, place == 0, right, heads[place] if listed else "")
        for place, (value, right) in enumerate(zip(row, numeric))) + "</tr>" for row in rows)
    kind = ' class="sortable"' if sortable else ' class="listed"' if listed else ""
    return Html(f'<div class="wide" tabindex="0" role="region" aria-label="{text(caption)}">'
                f"<table{kind}><caption><span>{text(caption)}</span></caption>"
                f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>")


def _sorted_by(value: object) -> float | None:
    """The number a cell is sorted by, or None for text."""
    if isinstance(value, tuple):
        value = value[0]
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _kind(right: bool) -> str:
    return ' class="number"' if right else ""


def _cell(value: object, is_head: bool, right: bool, head: object = "") -> str:
    by = _sorted_by(value)
    shown = value[1] if isinstance(value, tuple) else value
    sort = "" if by is None or math.isnan(by) else f' data-value="{by!r}"'
    if is_head:
        return f'<th scope="row"{sort}>{text(shown)}</th>'
    told = f' data-head="{text(head)}"' if head != "" else ""
    return f"<td{_kind(right)}{sort}{told}>{text(shown)}</td>"


def figure(drawn: "Figure", *, alt: str, caption: str, narrow: "Figure | None" = None,
           form: str = "svg") -> Html:
    """Return a figure in the page, with a caption that says what to see.

    It is shown in its natural size, where letters of 8 points are 11 pixels high; on a screen that
    is narrower it moves sideways in its box.

    Parameters
    ----------
    drawn : matplotlib.figure.Figure
        At most as wide as a page, :data:`theory.drawing.style.PAGE`.
    alt : str
        What the picture shows, for those who do not see it.
    caption : str
    narrow : Figure or None
        The same for a phone, at most as wide as :data:`theory.drawing.style.COLUMN`.
    form : "svg" or "png"
        Lines are smaller and sharper as SVG, images and clouds of points as PNG.
    """
    width, height = _shown_size(drawn)
    source = ""
    if narrow is not None:
        small = _shown_size(narrow)
        source = (f'<source media="(max-width: 45rem)" srcset="{image(narrow, form)}" '
                  f'width="{small[0]}" height="{small[1]}">')
    moves = ' class="moves"' if narrow is None and width > PHONE else ""
    return Html(f'<figure{moves}><div class="wide" tabindex="0" role="region" '
                f'aria-label="{text(alt)}">'
                f'<picture class="print">{source}<img alt="{text(alt)}" width="{width}" '
                f'height="{height}" src="{image(drawn, form)}"></picture></div>'
                f"<figcaption>{text(caption)}</figcaption></figure>")


def _shown_size(drawn: "Figure") -> tuple[int, int]:
    """Width and height in CSS pixels."""
    width, height = (round(SHOWN_DPI * float(inches)) for inches in drawn.get_size_inches())
    return width, height


def image(drawn: "Figure", form: str = "svg") -> str:
    """Return a figure as the address of an image that is in the page: ``data:image/...``.

    An SVG is an image of its own, not part of the page, so that no two figures share a name. One
    of many points becomes a PNG that can be looked at closely, if that is smaller.
    """
    if form not in ("svg", "png"):
        raise ValueError(f"form: expected svg or png, got {form!r}")
    content, kind = _file_of(drawn, form, SHARPNESS), "svg+xml" if form == "svg" else "png"
    if form == "svg" and len(content) > HEAVY:
        content, kind = min((content, kind), (_file_of(drawn, "png", SHARPER), "png"),
                            key=lambda made: len(made[0]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _file_of(drawn: "Figure", form: str, sharpness: float) -> bytes:
    buffer = io.BytesIO()
    with house_style():
        import matplotlib

        # names by content, no date: equal figures give equal bytes
        matplotlib.rcParams["svg.hashsalt"] = "purify"
        settle(drawn)
        drawn.savefig(buffer, format=form, dpi=sharpness * SHOWN_DPI,
                      metadata={"Date": None} if form == "svg" else None)
    return _shortened(buffer.getvalue()) if form == "svg" else buffer.getvalue()


def _shortened(svg: bytes) -> bytes:
    """The same picture in fewer bytes: paths to a hundredth of a point, no space between marks."""
    paths = re.sub(rb' d="[^"]*"', lambda path: re.sub(
        rb"\s+", b" ", re.sub(rb"(\.\d\d)\d+", rb"\1", path.group())), svg)
    return re.sub(rb">\s+<", b"><", paths)
