import importlib
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from contrastive_entropy.spaces.efficientnet import EfficientNet

torch.manual_seed(0)  # also for what tests build while they are collected
torch.set_num_threads(1)  # the tests' matrices are small, and threads that wait for each other cost more

EfficientNet.most = 20  # images a side, which take 5 ms each

settings.register_profile("default", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="device of the tests that take the `device` fixture")


@pytest.fixture
def device(request):
    name = request.config.getoption("--device")
    if name.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(name)


@pytest.fixture
def torch_fidelity(monkeypatch):
    """`inception.import_alone` finds the package: installed, or where `make test` puts it without torchvision."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(sys.prefix) / "features")])
    importlib.invalidate_caches()
    if importlib.util.find_spec("torch_fidelity") is None:
        pytest.skip("torch-fidelity is not installed: `make test` installs it")
