"""An evaluation as one page of HTML: it needs no other file, no network and no script."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from xml.etree.ElementTree import Element

from contrastive_entropy.metrics.diagnosis import SIGNATURES, Diagnosis
from contrastive_entropy.metrics.evaluation import MODEL, Evaluation, Headline, Listing, Section, Table
from contrastive_entropy.report.drawing import png_bytes
from contrastive_entropy.report.markup import (
    column_name,
    document,
    figures_table,
    listing_table,
    node,
    paragraphs,
    picture,
    with_code,
    words,
)
from contrastive_entropy.report.terminal import number

PRIVACY = "privacy"
"""Name of the table of figures that say whether samples give training rows away."""

PRIVACY_SAYS = (
    "These figures compare samples with training rows, and what real rows that were not trained on would score in their "
    "place. They notice copies, near copies and what is too near to be chance. They do not prove that nobody can learn "
    "anything about a row: they are no guarantee such as differential privacy, and say nothing of attacks that they do "
    "not try."
)
"""What figures of privacy show, and what not."""

PICTURES_SAY = "The pictures and tables of this page may show single rows or images of the data, as they are."
"""What a reader should know before the page is passed on."""


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Args:
        png: its bytes.
        caption: what it shows; the first sentence in a few words.
    """

    png: bytes
    caption: str


@dataclass(frozen=True)
class Facts:
    """What a reader needs to know of a run, and to repeat it.

    Args:
        values: by what they are of: data, rows, objective ...
        commands: that repeat it.
        listings: in detail, which are folded away.
    """

    values: Mapping[str, str]
    commands: Sequence[str] = ()
    listings: Sequence[Listing] = ()


def page(
    evaluation: Evaluation,
    pictures: Sequence[Picture],
    *,
    title: str,
    facts: Facts | None = None,
    sections: Sequence[Section] = (),
    settings: Callable[[str], str] = str,
) -> bytes:
    """The verdict, the headline beside real data, all tables, problems, pictures and facts.

    Args:
        evaluation: of any kind of model.
        pictures: in order.
        title: of the page.
        facts: of the run, if it is of one.
        sections: what a kind of model adds.
        settings: turns the names of settings in backticks into what the reader types.

    Returns:
        A whole HTML document. The same arguments give the same bytes.
    """
    parts = [
        ("Problems", [_problem(found, settings) for found in evaluation.diagnoses]),
        ("Figures", _figures(evaluation, settings)),
        *((section.title, _section(section, f"section-{at}")) for at, section in enumerate(sections)),
        ("Pictures", [picture(shown.png, shown.caption, f"picture-{at}") for at, shown in enumerate(pictures)]),
        ("Facts", [] if facts is None else _facts(facts)),
    ]
    kept = [(f"part-{at}", name, contents) for at, (name, contents) in enumerate(parts) if contents]
    links = [node("li", node("a", name, href=f"#{anchor}")) for anchor, name, _ in kept]
    main = node(
        "main",
        node("header", *_top(evaluation, title), node("nav", node("ul", *links), aria_label="Parts of this page")),
        *(
            node("section", node("h2", name, id=anchor), *contents, aria_labelledby=anchor)
            for anchor, name, contents in kept
        ),
    )
    style = files("contrastive_entropy.report").joinpath("page.css").read_text(encoding="utf-8")
    return document(title, style, main)


def verdict(diagnoses: Sequence[Diagnosis]) -> str:
    """What was found, in a sentence.

    >>> verdict([Diagnosis("collapse", "recall 0.1 against 0.9")])
    "One problem found: samples show little of the data's variety."
    >>> verdict([])
    'No problems found.'
    """
    if not diagnoses:
        return "No problems found."
    count = "One problem" if len(diagnoses) == 1 else f"{len(diagnoses)} problems"
    return f"{count} found: {'; '.join(SIGNATURES.get(found.name, found.name) for found in diagnoses)}."


def beside(evaluation: Evaluation) -> dict[str, float]:
    """The headline's figure by column of the table that it is from, its own first: model, reference, train ..."""
    headline = evaluation.headline
    for table in evaluation.tables:
        known = {name: column[headline.name] for name, column in table.columns.items() if headline.name in column}
        own = [name for name, value in known.items() if value == headline.value]
        if own:
            return {own[0]: headline.value, **known}
    return {MODEL: headline.value}


def _top(evaluation: Evaluation, title: str) -> list[Element]:
    """Title, verdict and headline."""
    headline: Headline = evaluation.headline
    name = words(headline.name)
    scores = [(f"{name}, {column_name(column)}", value) for column, value in beside(evaluation).items()]
    state = "bad" if evaluation.diagnoses else "good"
    return [
        node("p", "contrastive-entropy: report", class_="from"),
        node("h1", title),
        node("p", verdict(evaluation.diagnoses), class_=f"verdict {state}"),
        node(
            "dl",
            *(node("div", node("dt", label), node("dd", number(value))) for label, value in scores),
            class_="scores",
        ),
        node("p", f"{name.capitalize()}: {headline.says}", class_="soft"),
    ]


def _problem(found: Diagnosis, settings: Callable[[str], str]) -> Element:
    """What is wrong, the figures that show it, and what to change."""
    remedies = [with_code("li", settings(str(remedy))) for remedy in found.remedies]
    tried = [node("p", "What may help, any of:"), node("ul", *remedies)] if remedies else []
    finding = SIGNATURES.get(found.name, found.name)
    return node(
        "div",
        with_code("h3", settings(f"{finding[:1].upper()}{finding[1:]}")),
        with_code("p", settings(f"Seen: {found.seen}.")),
        *tried,
        class_="problem",
    )


def _figures(evaluation: Evaluation, settings: Callable[[str], str]) -> list[Element]:
    """Tables and notes."""
    made = []
    for table in evaluation.tables:
        made.append(figures_table(table))
        if table.name == PRIVACY:
            made.append(node("p", PRIVACY_SAYS))
    notes = [with_code("li", settings(note)) for note in evaluation.notes]
    return [*made, node("ul", *notes, class_="soft")] if notes else made


def _section(section: Section, name: str) -> list[Element]:
    """What a kind adds."""
    figures: Mapping[str, Any] = section.figures
    return [
        *paragraphs(section.text),
        *(figures_table(table) if isinstance(table, Table) else listing_table(table) for table in section.tables),
        *(picture(png_bytes(figure), caption, f"{name}-{at}") for at, (caption, figure) in enumerate(figures.items())),
    ]


def _facts(facts: Facts) -> list[Element]:
    """What a run is, how to repeat it, and what the page shows of the data."""
    rows = list(facts.values.items())
    made = [listing_table(Listing("This run", ("what", "value"), rows))]
    if facts.commands:
        made += [node("h3", "To repeat it"), node("pre", "\n".join(facts.commands), tabindex="0")]
    made += [node("details", node("summary", one.title), listing_table(one)) for one in facts.listings]
    return [*made, node("p", PICTURES_SAY, class_="soft")]
