import subprocess
import sys

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
