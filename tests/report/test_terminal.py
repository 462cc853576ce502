import io

import pytest
from rich.console import Console

from contrastive_entropy.metrics.catalog import LOW, Metric
from contrastive_entropy.metrics.diagnosis import Diagnosis, Remedy
from contrastive_entropy.metrics.evaluation import Evaluation, Headline, Table
from contrastive_entropy.report.terminal import number, print_figures, show

LONG = "a title that is longer than its table is wide"

METRICS = (
    Metric("best_error", "distance [of the nearest]", lambda side: 0.0, LOW),
    Metric("mean_preferred", "codes", lambda side: 0.0, LOW),
    Metric("hidden", "never said", lambda side: 0.0, shown=False),
)


def shown(*diagnoses, width=100, **given):
    tables = (
        Table(
            "bounds",
            "a title that is longer than its table is wide",
            {"train": {"gap": 0.5}, "held_out": {"gap": 150.2}},
        ),
        Table(
            "figures",
            "figures",
            {
                "model": {"best_error": 0.0012, "mean_preferred": 0.25, "hidden": 7.0},
                "reference": {"best_error": 3.14159},
            },
            METRICS,
        ),
    )
    found = Evaluation(Headline("tightness", 0.9371, "about 1 [is] good."), tables, diagnoses, {}, notes=("Rough.",))
    stream = io.StringIO()
    show(found, console=Console(file=stream, width=width), **given)
    return stream.getvalue()


def test_one_evaluation_is_rendered_whole():
    text = shown()
    assert text.startswith(f"{LONG}\n")
    for words in ("train", "held out", "model", "real", "goal", "what it says"):
        assert words in text
    for words in ("0.00120", "3.142", "distance [of the nearest]", "Tightness 0.937: about 1 [is] good.", "Rough."):
        assert words in text
    assert "hidden" not in text
    assert text.endswith("No problems found.\n")


@pytest.mark.parametrize("width", [60, 100])
def test_settings_are_what_the_reader_types(width):
    found = Diagnosis("unsharp", "seen", (Remedy("train longer", "steps", 4000), Remedy("raise", "batch_size")))
    assert "(seen): train longer: `steps` 4000 or raise `batch_size`\n" in shown(found, width=width)
    text = shown(found, settings=lambda text: text.replace("`steps`", "--steps"), width=width)
    assert "Diagnosis: alternatives are blurred (seen): train longer: --steps 4000 or raise `batch_size`\n" in text
    assert "No problems found" not in text


def test_figures_with_meanings_are_printed(capsys):
    print_figures(
        "title", {"points": 3000, "log_norm": 0.123456789, "other": 1}, {"points": "n", "log_norm": "log [p]"}
    )
    text = capsys.readouterr().out
    assert "3,000" in text
    assert "0.123457" in text
    assert "log [p]" in text
    assert "other" not in text


@pytest.mark.parametrize(("value", "text"), [(0.00123, "0.00123"), (0.5, "0.500"), (99.9, "99.900"), (123.4, "123")])
def test_numbers_have_the_digits_that_are_worth_reading(value, text):
    assert number(value) == text
