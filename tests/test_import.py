import os
import subprocess
import sys

import pytest

import contrastive_entropy_command

PROBE = """
import sys
import torch
before = set(sys.modules)
import contrastive_entropy
new = {name.split('.')[0] for name in set(sys.modules) - before}
print(sorted(new & {'lightning', 'matplotlib', 'sklearn', 'pandas', 'scipy', 'typer', 'rich', 'datasets', 'tensorboard'}))
"""


def test_the_library_loads_torch_and_nothing_heavy_beside_it():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_of_the_command_sleep_unless_told_otherwise(monkeypatch, given, expected):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that what `main` sets is taken back, too
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    seen = []
    monkeypatch.setattr("contrastive_entropy.cli.app.app", lambda: seen.append(os.environ.get("GOMP_SPINCOUNT")))
    contrastive_entropy_command.main()
    assert seen == [expected]
