"""Time stamps give the answers of their twins without the offset."""

import numpy as np
import pandas as pd
import pytest

from contrastive_entropy.analysis.entropy import measure
from contrastive_entropy.analysis.functions import decompose_data
from contrastive_entropy.analysis.samples import evaluate_files
from contrastive_entropy.data.load import load
from contrastive_entropy.variance import METHODS, select

START = {"t": 1_700_000_000_000, "u": -3e9}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Tables a and b, and far_a and far_b with offsets in two of their columns."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        table = pd.DataFrame(
            {"t": rng.integers(0, 10_000, 400), "u": rng.normal(0, 2000, 400).round(), "v": rng.normal(size=400)}
        )
        table.to_csv(folder / f"{name}.csv", index=False)
        far = table.assign(**{column: table[column] + start for column, start in START.items()})
        far.to_csv(folder / f"far_{name}.csv", index=False)
        np.save(folder / f"far_{name}.npy", far.to_numpy())
    return folder


def pair(files, of, suffix=".csv"):
    return of(files / f"far_a{suffix}", files / f"far_b{suffix}"), of(files / "a.csv", files / "b.csv")


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
@pytest.mark.parametrize("standardize", [False, True])
def test_entropies_and_divergences(files, suffix, standardize, caplog):
    far, twin = pair(
        files, lambda a, b: measure(str(a), str(b), fidelity=True, standardize=standardize, batch_size=128), suffix
    )
    same = [name for name in twin if "seconds" not in name]
    assert [far[name] for name in same] == pytest.approx([twin[name] for name in same], rel=1e-4)
    assert not caplog.records
    assert twin["effective_points"] > (10 if not standardize else 1)


def test_variances(files):
    for method in METHODS:
        far, twin = (
            select(load(files / name).train.points, method=method, points=128) for name in ("far_a.csv", "a.csv")
        )
        assert far.variance == pytest.approx(twin.variance, rel=1e-4)


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_samples_beside_data(files, suffix):
    far, twin = pair(files, lambda a, b: evaluate_files(str(b), str(a)), suffix)
    assert far.model == pytest.approx(twin.model, rel=1e-3, abs=1e-3)
    assert far.reference == pytest.approx(twin.reference, rel=1e-3, abs=1e-3)


def test_samples_of_one_time(files, tmp_path):
    found = []
    for name, start in (("far_a", START["t"]), ("a", 0)):
        table = pd.read_csv(files / f"{name}.csv")
        table.assign(t=start + 5000, u=START["u"] if start else 0).to_csv(tmp_path / f"{name}.csv", index=False)
        found.append(evaluate_files(str(tmp_path / f"{name}.csv"), str(files / f"{name}.csv"), variance=1e5).model)
    assert found[0] == pytest.approx(found[1], rel=1e-3, abs=1e-3)


def test_decompositions_are_written_in_the_units_of_the_data(files, tmp_path):
    found = []
    for name in ("far_a.csv", "a.csv"):
        decompose_data(str(files / name), tmp_path / name, points=100)
        found.append(dict(np.load(tmp_path / name / "decomposition.npz")))
    np.testing.assert_allclose(found[0]["values"], found[1]["values"], rtol=1e-4)
    np.testing.assert_array_equal(found[0]["left_points"][:, :2], found[1]["left_points"][:, :2] + list(START.values()))
