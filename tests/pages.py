"""Pages as tests make and read them."""

from html.parser import HTMLParser

import torch

from contrastive_entropy.data.schema import Table as Columns
from contrastive_entropy.metrics.catalog import AS_REAL, LOW, Metric
from contrastive_entropy.metrics.diagnosis import Diagnosis, Remedy
from contrastive_entropy.metrics.evaluation import Evaluation, Headline, Listing, Section, Table
from contrastive_entropy.report.drawing import png_bytes, samples_figure
from contrastive_entropy.report.html import Facts, Picture, page

VOID = {"meta", "link", "img", "input", "br"}

BAD = "<script>document.title = 'broken'</script>\"><img src=http://outside.example/x.png onerror=alert(1)>"
"""What a column may be called."""

METRICS = (
    Metric("tightness", "about 1 = as close as real data", lambda side: 0.0),
    Metric("best_error", f"distance {BAD}", lambda side: 0.0, LOW),
    Metric("mean_error", "and to all", lambda side: 0.0, AS_REAL),
    Metric("hidden", "never said", lambda side: 0.0, shown=False),
)

FOUND = Diagnosis("collapse", f"recall 0.1 {BAD}", (Remedy("train longer", "steps", 4000), Remedy("lower", "width")))


WIDE = Listing("wide", [f"column_{at}" for at in range(30)], [["1000000"] * 30])
"""Wider than any screen."""


def evaluation(*diagnoses, tables=()):
    figures = {"tightness": 0.9371, "best_error": 0.0012, "mean_error": 150.2, "hidden": 7.0}
    first = Table("samples", f"samples of {BAD}", {"model": figures, "reference": {"tightness": 1.002}}, METRICS)
    headline = Headline("tightness", 0.9371, "about 1 is good.")
    return Evaluation(headline, (first, *tables), diagnoses, {}, notes=(f"Lower `variance_end` of {BAD}.",))


def figure():
    return samples_figure(torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), Columns.of(2))


def whole(found=None, **changed):
    """A page with all that a page may have, and bad text in every place for text."""
    known = {
        "title": f"moons {BAD}",
        "facts": Facts({"data": BAD}, (f"fit {BAD}",), (Listing(BAD, ("what", BAD), [(BAD, BAD)]),)),
        "sections": (
            Section(
                f"Columns {BAD}",
                f"First {BAD}.\n\nSecond `code`.",
                (Table("worst", BAD, {"model": {BAD: 1.0}}), Listing(BAD, (BAD,), [(BAD,)]), WIDE),
                {f"Pairs {BAD}. All of them.": figure()},
            ),
        ),
    } | changed
    pictures = [Picture(png_bytes(figure()), f"Samples beside {BAD}. Points, too.")] * 2
    return page(evaluation(FOUND) if found is None else found, pictures, **known)


class Reader(HTMLParser):
    """The tags, attributes and text of a page; raises for tags that are not balanced."""

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.text, self.style = [], [], "", ""
        self.feed(content.decode())
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if "style" in self.open:
            self.style += data
        else:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]
