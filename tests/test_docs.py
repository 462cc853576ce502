import importlib.util
import json
import re
from pathlib import Path

import pytest

import contrastive_entropy as ce
from contrastive_entropy.experiments import (
    bound_tracking,
    class_conditional,
    compare,
    mode_coverage,
    outliers,
    predicted_laws,
    reconstruction_diversity,
    tables,
    variance_sweep,
)
from contrastive_entropy.experiments.journal import markdown
from contrastive_entropy.fitting.settings import settings_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TABLES = [
    (page, names, text)
    for page in PAGES
    for names, text in re.findall(r"<!-- (results/.+?) -->\n(.*?)\n\n", page.read_text(), re.DOTALL)
]
SHORT = {
    "debiased nuclear norm (ours)": "debiased_nuclear_norm",
    "MMD": "mmd",
    "energy distance": "energy",
}
"""Rows of excerpts, and as recorded."""
RESULTS = sorted(path.name for path in (ROOT / "results").glob("objectives_*.json"))


@pytest.fixture(autouse=True)
def _benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def table(names):
    """What the experiment or script that wrote results prints of them: objectives.py for results/objectives_moons.json."""
    names = [path.removeprefix("results/") for path in names.split()]
    found = [json.loads((ROOT / "results" / name).read_text()) for name in names]
    for experiment in (
        bound_tracking,
        class_conditional,
        compare,
        mode_coverage,
        outliers,
        predicted_laws,
        reconstruction_diversity,
        tables,
        variance_sweep,
    ):
        if names[0].startswith(experiment.__name__.rpartition(".")[2]):
            return experiment.table(*found)
    script = ROOT / "benchmarks" / f"{re.split('[_.]', names[0])[0]}.py"
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.table(*found)


@pytest.mark.parametrize(("page", "names", "text"), TABLES, ids=[names for _, names, _ in TABLES])
def test_published_tables_are_the_recorded_results(page, names, text):
    assert text == table(names)


@pytest.mark.parametrize(
    ("page", "name", "text"),
    [
        (page, name, text)
        for page in PAGES
        for name, text in re.findall(r"<!-- from results/(\S+) -->\n(.*?)\n\n", page.read_text(), re.DOTALL)
    ],
)
def test_excerpts_hold_the_recorded_figures(page, name, text):
    """Rows are named as in SHORT or as recorded, columns as recorded."""
    full, excerpt = cells(table(f"results/{name}")), cells(text)
    assert len(excerpt) > 1
    for row, columns in excerpt.items():
        recorded = full[SHORT.get(row, row)]
        for column, cell in columns.items():
            assert cell == recorded[column], (page.name, row, column)


def cells(text):
    """A markdown table by row and column."""
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def prose(text):
    """The sentences outside code, tables, headings and comments."""
    text = re.sub(r"```.*?```", "\n\n", text, flags=re.DOTALL)
    lines = [
        "" if re.match(r"\s*(\||#|<|!\[|    )", line) else re.sub(r"^\s*[-*] ", "\n", line)
        for line in text.splitlines()
    ]
    text = re.sub(r"\]\([^)]*\)", "]", "\n".join(lines))
    return [
        sentence
        for paragraph in re.split(r"\n\s*\n", text)
        for sentence in re.split(r"(?<=[.!?])[*)\"]*\s+", " ".join(paragraph.split()))
        if sentence
    ]


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 900
    for sentence in prose(text):
        assert len(sentence.split()) <= 40, sentence


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_lines_of_the_documentation_fit_the_screen(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for line in text.splitlines():
        longest = max(map(len, line.split()), default=0)  # an address cannot be broken
        assert len(line) <= 120 or longest > 100 or line.startswith(("|", "<!--")), line


def test_every_result_is_published():
    recorded = {path.name for path in (ROOT / "results").glob("*.json")}
    published = {name for page in PAGES for name in re.findall(r"results/(\w+\.json)", page.read_text())}
    assert recorded == published


def test_results_say_how_to_repeat_them_all():
    for path in (ROOT / "results").glob("*.json"):
        result = json.loads(path.read_text())
        assert {"command", "seed", "commit", "device", "torch"} <= set(result), path.name
        assert re.fullmatch("[0-9a-f]{40}", result["commit"])


@pytest.mark.parametrize("name", RESULTS)
def test_results_say_how_to_repeat_them(name):
    result = json.loads((ROOT / "results" / name).read_text())
    assert {"command", "seed", "commit", "device", "torch", "runs"} <= set(result)
    for run in result["runs"].values():
        assert run["wall_seconds"] > 0
        assert re.match("contrastive-entropy fit (mdn|generator) ", run["command"])


def test_links_in_the_documentation_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    points, images, loop = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(points.replace("steps=500", "steps=10"), names := {})
    assert names["generator"].network_ is not None
    exec(images.replace('("digits")', '("digits", steps=4, width=8, batch_size=32, components=32)'), names := {})
    assert names["images"].shape == (1000, 64)
    assert "Tightness" in capsys.readouterr().out
    exec(loop.replace("range(200)", "range(30)"), names := {})
    assert names["bound"].attained.item() > 0
    assert 0 < ce.fidelity(names["p"], names["q"]).item() <= 1


@pytest.mark.parametrize(
    "kind",
    [
        ce.GeneratorSettings,
        ce.TableSettings,
        ce.ConditionalSettings,
        ce.AutoencoderSettings,
        ce.CodesSettings,
        ce.Machine,
    ],
)
def test_the_page_of_settings_is_that_of_the_code(kind):
    page = (ROOT / "docs" / "settings.md").read_text()
    assert settings_table(kind) in page


def settings_table(kind):
    """All settings of a class, as their options say it."""
    rows = []
    for setting in settings_of(kind):
        default = setting.option.chosen if setting.default is None else setting.default
        says = " ".join(setting.option.says.split())
        rows.append([f"`{setting.name}`", str("none" if default is None else default), says])
    return markdown(["setting", "default", "what it is"], rows)
