import numpy as np
import pytest
import torch

import contrastive_entropy as ce
from commands import call, refused
from contrastive_entropy.analysis.functions import FILES, decompose_data
from contrastive_entropy.errors import InputError
from contrastive_entropy.mixtures.decomposition import decompose
from contrastive_entropy.report.spectra import functions_figure, scree_figure


def test_the_file_holds_the_decomposition(tmp_path):
    variance, paths = decompose_data("moons", tmp_path / "out", variance=0.05, points=200, functions=5)
    assert (variance, [path.name for path in paths]) == (0.05, list(FILES))
    assert all(path.stat().st_size > 0 for path in paths)
    with np.load(tmp_path / "out" / "decomposition.npz") as file:
        held = {name: torch.from_numpy(file[name]) for name in file.files}
    assert held["left_functions"].shape == (200, 5)
    p = ce.GaussianMixture(held["left_points"], 0.05)
    found = decompose(p, p)
    torch.testing.assert_close(held["values"], found.values)
    torch.testing.assert_close(held["left_functions"], found.left_values[:, :5])
    assert float(held["total"]) == pytest.approx(1.0)  # a set against itself


def test_same_call_same_bytes(tmp_path):
    for name in ("a", "b"):
        decompose_data("digits", tmp_path / name, points=100, functions=3)
    for file in ("scree.png", "functions.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_standardized_columns_may_have_any_unit(tmp_path):
    points = np.random.default_rng(0).standard_normal((80, 2))
    found = []
    for name, units in {"even": (1, 1), "uneven": (1e-3, 1e5)}.items():
        np.savetxt(tmp_path / f"{name}.csv", points * units, delimiter=",")
        for standardize in (False, True):
            out = tmp_path / f"{name}{standardize}"
            decompose_data(str(tmp_path / f"{name}.csv"), out, variance=0.3, standardize=standardize, functions=3)
            with np.load(out / "decomposition.npz") as file:
                found.append(file["values"])
    np.testing.assert_allclose(found[1], found[3][: len(found[1])], rtol=1e-4, atol=1e-6)
    assert found[2].max() < 0.02 < found[1].max()  # as they are, no two of the uneven points are near each other


def test_figures_of_points_in_any_dimension():
    generator = torch.Generator().manual_seed(0)
    for dimension in (1, 2, 5):
        x = torch.randn(40, dimension, generator=generator)
        found = decompose(ce.GaussianMixture(x, 0.5), ce.GaussianMixture(x[:30], 0.5))
        axes = functions_figure(found, 7, None).axes
        assert len([axis for axis in axes if axis.get_title()]) == 7
    assert scree_figure(found).axes[1].get_legend().get_texts()[0].get_text() == f"F = {float(found.total):.4f}"


def test_the_first_singular_image_is_nearly_the_mean(tmp_path):
    digits = torch.rand(50, 16, generator=torch.Generator().manual_seed(0))
    p = ce.GaussianMixture(digits, 50.0)
    found = decompose(p, p)
    shown = functions_figure(found, 2, (1, 4, 4)).axes[0].images[0].get_array()
    np.testing.assert_allclose(np.asarray(shown), digits.mean(0).reshape(4, 4).numpy(), atol=0.01)


def test_the_command(tmp_path):
    result = call("decompose", "moons", "--against", "circles", "--points", "60", "--out", tmp_path / "d")
    assert result.exit_code == 0, result.output
    assert result.output.count("wrote ") == 3
    refused(call("decompose", "moons", "--out", tmp_path / "d"), "exists; replace it with --overwrite")
    assert call("decompose", "moons", "--points", "60", "--out", tmp_path / "d", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"functions": 0}, "`functions` must be at least 1 and `points` at least 2, got 0 and 2000"),
        ({"variance": 0.0}, "variance must be a positive number, got 0"),
        ({"against": "digits"}, "moons has 2 coordinates and digits has 64"),
    ],
)
def test_refusals(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        decompose_data("moons", tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [np.ones((5, 2)), np.zeros((1, 2)), np.ones((5, 3))])
def test_points_that_coincide_are_drawn(tmp_path, rows):
    np.save(tmp_path / "same.npy", rows)
    assert len(decompose_data(str(tmp_path / "same.npy"), tmp_path / "out", variance=1.0)[1]) == 3


def test_sets_that_do_not_meet_are_refused(tmp_path):
    for name, shift in (("a", 0.0), ("b", 1e4)):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).standard_normal((20, 2)) + shift)
    with pytest.raises(InputError, match="no point of one set is near any of the other at this variance"):
        decompose_data(str(tmp_path / "a.npy"), tmp_path / "out", against=str(tmp_path / "b.npy"), variance=0.1)
    assert not (tmp_path / "out").exists()
