"""Elements of a page. They are put together as a tree, so that no text can be taken for markup."""

import base64
import struct
import textwrap
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from contrastive_entropy.metrics.evaluation import Listing, Table
from contrastive_entropy.report.terminal import HEADINGS, number

Content = Element | str | None

GOALS = {"high": "higher", "low": "lower", "as real": "as real", "1": "near 1", "0.9": "near 0.9"}
"""Goals of metrics, after "better if"."""


def node(tag: str, *contents: Content, **attributes: str) -> Element:
    """An element.

    Args:
        tag: of the element.
        contents: texts and elements in order; None is left out.
        attributes: by name; `class_` is class, and underscores are hyphens.

    >>> tostring(node("p", "a < b, ", node("b", "c"), class_="x"), encoding="unicode")
    '<p class="x">a &lt; b, <b>c</b></p>'
    """
    made = Element(tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
    last: Element | None = None
    for content in contents:
        if isinstance(content, Element):
            made.append(content)
            last = content
        elif content is not None and last is None:
            made.text = (made.text or "") + content
        elif content is not None and last is not None:
            last.tail = (last.tail or "") + content
    return made


def with_code(tag: str, text: str, **attributes: str) -> Element:
    """An element of a text in which `names` stand in backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return node(tag, text, **attributes)
    return node(tag, *(node("code", part) if at % 2 else part for at, part in enumerate(parts)), **attributes)


def paragraphs(text: str) -> list[Element]:
    """The paragraphs of a text, between empty lines."""
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    return [with_code("p", part) for part in parts if part]


def words(name: str) -> str:
    """The name of a figure as people read it.

    >>> words("energy_distance")
    'energy distance'
    """
    return name.replace("_", " ")


def column_name(name: str) -> str:
    """The name of a table's column as people know it."""
    return HEADINGS.get(name, words(name))


def figures_table(table: Table) -> Element:
    """Figures side by side, and what they say."""
    known = {metric.name: metric for metric in table.metrics}
    headings = ["figure", *map(column_name, table.columns), *(["better if"] if known else [])]
    body = []
    for name in table.rows:
        metric = known.get(name)
        heading = (name,) if metric is None else (words(name), node("small", metric.says))
        cells = [
            node("td", number(column[name]) if name in column else "", class_="number")
            for column in table.columns.values()
        ]
        if metric is not None:
            cells.append(node("td", GOALS.get(metric.goal, metric.goal), class_="goal"))
        body.append(node("tr", node("th", *heading, scope="row"), *cells))
    return _scrolled(table.title, headings, body, numbers=range(1, 1 + len(table.columns)))


def listing_table(listing: Listing) -> Element:
    """Rows of text; the first text of a row is its heading."""
    body = []
    for first, *rest in listing.rows:
        name, _, says = str(first).partition("\n")
        heading = node("th", name, node("small", says) if says else None, scope="row")
        body.append(node("tr", heading, *(node("td", str(text)) for text in rest)))
    return _scrolled(listing.title, listing.columns, body)


def _scrolled(title: str, headings: Sequence[str], body: Sequence[Element], numbers: Sequence[int] = ()) -> Element:
    """A table in a box of its own, which scrolls where the page is narrower."""
    heads = [
        node("th", text, scope="col", **({"class_": "number"} if at in numbers else {}))
        for at, text in enumerate(headings)
    ]
    table = node("table", node("caption", title), node("thead", node("tr", *heads)), node("tbody", *body))
    return node("div", table, class_="scroll", role="region", tabindex="0", aria_label=title)


def picture(png: bytes, caption: str, name: str) -> Element:
    """A picture inside the page: as wide as the page is, and in full size if asked for.

    Args:
        png: its bytes.
        caption: what it shows; the first sentence is what stands for it where it cannot be seen.
        name: of the control that shows its full size, unlike all others of the page.
    """
    width, height = struct.unpack(">II", png[16:24])
    shown = node(
        "img",
        src=f"data:image/png;base64,{base64.b64encode(png).decode()}",
        alt=f"Picture: {first_sentence(caption)}",
        width=str(width),
        height=str(height),
    )
    large = node("input", type="checkbox", id=name, class_="large")
    return node(
        "figure",
        large,
        node("label", "full size", for_=name),
        node("div", shown, class_="picture"),
        node("figcaption", caption),
    )


def first_sentence(text: str) -> str:
    """A text up to its first full stop.

    >>> first_sentence("Samples of 0.5. And more.")
    'Samples of 0.5.'
    """
    first, stop, _ = text.partition(". ")
    return first + stop.strip()


def document(title: str, style: str, main: Element) -> bytes:
    """A whole page, which may load nothing and run nothing.

    Args:
        title: of the window.
        style: a style sheet.
        main: what it shows.
    """
    root = Element("html", {"lang": "en"})
    head = SubElement(root, "head")
    head.append(Element("meta", {"charset": "utf-8"}))
    only = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head.append(Element("meta", {"http-equiv": "Content-Security-Policy", "content": only}))
    for name, content in (("viewport", "width=device-width, initial-scale=1"), ("color-scheme", "light dark")):
        head.append(Element("meta", {"name": name, "content": content}))
    head.append(node("title", title))
    head.append(Element("link", {"rel": "icon", "href": "data:,"}))
    head.append(node("style", textwrap.dedent(style)))
    SubElement(root, "body").append(main)
    text: str = tostring(root, encoding="unicode", method="html")
    return ("<!DOCTYPE html>\n" + text + "\n").encode("utf-8", errors="xmlcharrefreplace")
