import re

import pytest

from contrastive_entropy.metrics.diagnosis import Diagnosis
from contrastive_entropy.metrics.evaluation import Evaluation, Headline, Listing, Table
from contrastive_entropy.report.html import PRIVACY_SAYS, Facts, beside, page, verdict
from pages import BAD, FOUND, Reader, evaluation, whole

OUTSIDE = re.compile(r"https?:|//|url\(|@import", re.IGNORECASE)


@pytest.fixture(scope="module")
def read():
    return Reader(whole())


def test_the_page_needs_nothing_from_outside_and_runs_nothing(read):
    used = {tag for tag, _ in read.tags}
    assert not used & {"script", "iframe", "object", "embed", "base", "form"}
    for _, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcset", "action")]
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    assert not OUTSIDE.search(read.style)
    (policy,) = [meta["content"] for meta in read.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")


def test_text_of_the_user_is_text_in_every_place(read):
    assert len(read.all("img")) == 3  # two pictures and the section's figure
    assert read.text.count(BAD) >= 15
    assert not read.all("script")


def test_the_verdict_comes_first_and_then_the_headline_beside_real(read):
    text = read.text
    places = [text.index(words) for words in ("One problem found: samples show little", "0.937", "1.002", "150")]
    assert places == sorted(places)
    assert places[0] < 2 * len(BAD) + 200
    assert "tightness, model" in text
    assert "tightness, real" in text


def test_figures_say_what_they_are_and_what_is_better(read):
    for words in ("best error", "distance <script>", "better if"):
        assert words in read.text
    goals = re.findall('<td class="goal">(.*?)</td>', whole().decode())
    assert goals == ["higher", "lower", "as real"]
    assert "hidden" not in read.text
    assert "never said" not in read.text


def test_tables_are_for_everybody(read):
    tables, captions = read.all("table"), read.all("caption")
    assert len(tables) == len(captions) == 6
    scopes = [attributes.get("scope") for attributes in read.all("th")]
    assert set(scopes) == {"col", "row"}
    boxes = [attributes for attributes in read.all("div") if attributes.get("class") == "scroll"]
    assert len(boxes) == len(tables)
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)


def test_pictures_have_captions_words_in_their_place_and_a_size(read):
    first, second, _ = read.all("img")
    assert second["alt"] == f"Picture: Samples beside {BAD}."
    assert first["alt"] == f"Picture: Pairs {BAD}."
    assert int(first["width"]) > int(first["height"]) * 0.8 > 100
    assert len(read.all("figcaption")) == 3
    names = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(names) == len(set(names))
    assert {label["for"] for label in read.all("label")} <= set(names)
    assert {link["href"][1:] for link in read.all("a")} <= set(names)


def test_the_page_says_its_language_and_fits_any_screen(read):
    assert read.all("html") == [{"lang": "en"}]
    metas = {meta.get("name"): meta.get("content") for meta in read.all("meta")}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == "light dark"
    assert "prefers-color-scheme: dark" in read.style
    assert "@media print" in read.style
    assert whole().startswith(b"<!DOCTYPE html>")


def test_problems_name_their_remedies_as_the_reader_types_them():
    text = Reader(whole(settings=lambda text: text.replace("`steps`", "--steps"))).text
    assert "train longer: --steps 4000" in text
    assert "lower width" in text  # in <code>, not in backticks
    assert "`" not in text
    assert "No problems found" not in text


def test_without_problems_and_facts_there_is_no_part_for_them():
    text = Reader(page(evaluation(), (), title="moons")).text
    assert "No problems found." in text
    for part in ("Problems", "Pictures", "Facts", "Columns"):
        assert part not in text


def test_many_problems_are_counted():
    found = [FOUND, Diagnosis("gibberish", "precision 0.1")]
    assert verdict(found) == (
        "2 problems found: samples show little of the data's variety; samples do not look like data."
    )


def test_the_headline_stands_first_whatever_its_column():
    bounds = Table("bounds", "bounds", {"train": {"tightness": 0.9}, "held_out": {"tightness": 0.8}})
    found = Evaluation(Headline("tightness", 0.8, "read so"), (bounds,), (), {})
    assert list(beside(found).items()) == [("held_out", 0.8), ("train", 0.9)]
    assert beside(Evaluation(Headline("other", 0.8, "read so"), (bounds,), (), {})) == {"model": 0.8}


def test_figures_of_privacy_say_what_they_do_not_show():
    private = Table("privacy", "privacy", {"model": {"copies": 0.0}})
    assert PRIVACY_SAYS in Reader(whole(evaluation(tables=[private]))).text
    assert PRIVACY_SAYS not in Reader(whole()).text


def test_the_same_evaluation_gives_the_same_bytes():
    assert whole() == whole()


def test_text_that_is_no_unicode_is_written_all_the_same():
    assert b"&#56320;" in whole(title="a\udc00b")


def test_a_second_line_explains_the_first():
    content = whole(facts=Facts({}, (), (Listing("levels", ("column", "levels"), [("colour\nof the car", "red")]),)))
    assert b'<th scope="row">colour<small>of the car</small></th><td>red</td>' in content


def test_rows_of_text_fit_their_headings():
    with pytest.raises(ValueError, match=r"levels: expected 2 texts in each row, got \['red'\]"):
        Listing("levels", ("column", "levels"), [("a", "b"), ("red",)])
