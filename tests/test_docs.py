import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RESULTS = sorted(path.name for path in (ROOT / "results").glob("objectives_*.json"))


def table(result):
    spec = importlib.util.spec_from_file_location("objectives", ROOT / "benchmarks" / "objectives.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.table(result)


@pytest.mark.parametrize("name", RESULTS)
def test_published_tables_are_the_recorded_results(name):
    text = (ROOT / "docs" / "objectives.md").read_text()
    published = re.search(rf"<!-- results/{re.escape(name)} -->\n(.*?)\n\n", text, re.DOTALL)
    assert published is not None
    assert published.group(1) == table(json.loads((ROOT / "results" / name).read_text()))


@pytest.mark.parametrize("name", RESULTS)
def test_results_say_how_to_repeat_them(name):
    result = json.loads((ROOT / "results" / name).read_text())
    assert {"command", "seed", "commit", "device", "torch", "runs"} <= set(result)
    for run in result["runs"].values():
        assert run["wall_seconds"] > 0
        assert run["command"].startswith("contrastive-entropy fit mdn")


def test_links_in_the_documentation_lead_somewhere():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names = {}
    exec(example.replace("range(500)", "range(30)"), names)
    assert 0 < names["bound"].tightness.item() <= 1
