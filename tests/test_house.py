"""Rules of the house that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

from contrastive_entropy.objectives.catalog import CONDITIONAL_OBJECTIVES, DENSITY_OBJECTIVES, PEERS, names

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "contrastive_entropy"
FILES = sorted(SOURCE.rglob("*.py"))
IDS = [str(path.relative_to(SOURCE)) for path in FILES]

OBJECTIVES = {*names(DENSITY_OBJECTIVES), *names(CONDITIONAL_OBJECTIVES), *names(PEERS)}
LONG = {name for name in OBJECTIVES if len(name) >= 12}
"""Names that no sentence holds by chance."""

MAY_NAME = ("__init__.py", "objectives/catalog.py")
DEFAULTS = (
    "settings.py",
    *(f"estimators/{name}.py" for name in ("generator", "conditional_generator", "regressor", "table")),
)
"""Where objectives may be named: the catalogue, what is exported, and defaults."""

OTHER_MEANINGS = {"energy", "mmd", "sinkhorn", "trace", "projection", "parzen_log_likelihood"}
"""Figures and functions of others that bear the name of an objective."""


def strings(path, *, docstrings):
    """The string constants of a file, with their lines."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (docstrings or id(node) not in docs)
    ]


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda path: path.name)
def test_files_are_short(path):
    assert path.read_text().count("\n") <= 400


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 60, node.name


def test_the_top_of_the_package_is_small():
    entries = {path.name for path in SOURCE.iterdir()} - {"__init__.py", "py.typed", "__pycache__"}
    assert len(entries) <= 20


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_kinds_of_model_are_not_told_apart_by_type(path):
    if path.is_relative_to(SOURCE / "models"):
        return
    assert not re.search(r"isinstance\([^)]*(Settings|Config|Network|Generator|Decoder)", path.read_text())


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_the_library_names_no_flags(path):
    """But for pointers to the program's own help in docstrings."""
    if path.is_relative_to(SOURCE / "cli") or path.name == "commands.py":
        return
    for line, text in strings(path, docstrings=True):
        flags = set(re.findall(r"--[a-z][a-z-]*", text)) - {"--help", "--quick"}
        assert not flags, (line, flags)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_objectives_are_named_in_the_catalogue_and_as_defaults(path):
    place = str(path.relative_to(SOURCE))
    if place in MAY_NAME or place.endswith(DEFAULTS) or path.name == "__init__.py":
        return
    for line, text in strings(path, docstrings=False):
        assert text not in OBJECTIVES - OTHER_MEANINGS, (line, text)
        assert not any(name in text for name in LONG) or text in OTHER_MEANINGS, (line, text)
