"""Experiments as their user runs them, made small."""

import dataclasses
import json

import pytest
import torch
from contrastive_entropy.config import FitConfig
from contrastive_entropy.runs import Run

from commands import call, refused
from contrastive_entropy import training
from contrastive_entropy.data.load import load
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.experiments import arena, compare, variance_sweep
from contrastive_entropy.experiments.contenders import NAMES, PARAMETERS, Contender, energy_loss, mmd_loss
from contrastive_entropy.metrics.distances import energy_distance, gaussian_mmd, mean_pair_distance
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.objectives.density import OBJECTIVES


def test_mode_coverage(tmp_path):
    out = tmp_path / "modes"
    arguments = ["experiment", "mode-coverage", "--out", out, "--steps", 5, "--seeds", "0,1", "--samples", 200]
    result = call(*arguments, "--laws", "ring8, grid25")
    assert result.exit_code == 0, result.output
    found = json.loads((out / "mode-coverage.json").read_text())
    assert [(row["law"], row["modes"], len(row["model"])) for row in found["rows"]] == [
        ("ring8", 8, 2),
        ("grid25", 25, 2),
    ]
    for row in found["rows"]:
        assert all(0 < seconds < 100 for seconds in row["seconds"])
        assert {score["modes"] for score in row["real"]} == {row["modes"]}
        assert all(score["high_quality"] > 0.95 for score in row["real"])
        assert all(score["modes"] < row["modes"] for score in row["model"])  # five steps
    assert found["settings"]["grid25"]["noise_dimension"] == 2
    assert found["settings"]["grid25"]["steps"] == 5
    run = Run.open(out / "runs" / "ring8-seed0")
    free = FitConfig("ring8").resolve(run.dataset())  # nobody sets the variance, or how it falls
    for name in ("variance_start", "variance_end", "schedule", "coarse_period", "smoothing"):
        assert getattr(run.config, name) == getattr(free, name)
    assert "runs reach all 8 modes" in result.stdout
    assert (out / "mode-coverage.png").stat().st_size > 10_000
    seconds = found["rows"][0]["seconds"]
    assert call(*arguments, "--laws", "ring8").exit_code == 0
    again = json.loads((out / "mode-coverage.json").read_text())
    assert again["rows"][0]["seconds"] == seconds  # what training took, not what reading it takes
    assert again["rows"][0]["model"] == found["rows"][0]["model"]
    refused(
        call(*arguments, "--laws", "moons"),
        "moons has no separate modes; those that have are ring8, grid25, modes1200, stacked_mnist",
    )
    refused(call(*arguments, "--laws", "ring8", "--objective", "nuclear_norm"), "holds a run with other settings")


@pytest.mark.parametrize(
    "name", ["bound-tracking", "reconstruction-diversity", "mode-coverage", "compare", "variance-sweep"]
)
def test_every_experiment_explains_itself(name):
    result = call("experiment", name, "--help")
    assert result.exit_code == 0
    assert "--quick" in result.stdout


def points(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
def test_peers_draw_as_many_data_as_the_debiased_norm(name):
    for objective in ("log_likelihood", "debiased_nuclear_norm"):
        drawn = Contender.named(name, 1.0).settings(FitConfig("moons", objective, batch_size=32)).drawn_points
        assert drawn == (32 if name in OBJECTIVES and name != "debiased_nuclear_norm" else 64)


def test_peers_minimise_what_the_metrics_measure():
    x, z = points(30, 3, 0), 0.5 * points(40, 3, 1) + 1
    assert float(energy_loss(x, z)) == pytest.approx(energy_distance(x, z) + mean_pair_distance(x), rel=1e-9)
    own = gaussian_mmd(x, z, variance=2.0) - (torch.pdist(x).square() / -4).exp().mean()
    assert float(mmd_loss(x, z, [2.0])) == pytest.approx(float(own), rel=1e-9)


@pytest.mark.parametrize("blur", [0.5, 2.0])
def test_sinkhorn_contenders_equal_pot(blur):
    import ot

    x, z = points(12, 2, 0), points(16, 2, 1) + 1

    def cost(a, b):
        """Entropic transport of |a - b|^2 / 2 with the divergence of the plan from the product of its marginals."""
        matrix = (torch.cdist(a, b).square() / 2).numpy()
        plan = ot.sinkhorn(
            ot.unif(len(a)), ot.unif(len(b)), matrix, blur**2, method="sinkhorn_log", numItermax=100_000, stopThr=1e-9
        )
        product = 1 / (len(a) * len(b))
        return float((plan * matrix).sum() + blur**2 * (plan * torch.tensor(plan / product).log().numpy()).sum())

    p, q = GaussianMixture(x, 1.0), GaussianMixture(z, 1.0)
    plain = Contender.named(f"sinkhorn:{blur}", 1.0).loss()(p, q)
    halved = Contender.named(f"sinkhorn_debiased:{blur}", 1.0).loss()(p, q)
    (x_first, x_second), (first, second) = x.chunk(2), z.chunk(2)
    assert float(plain) == pytest.approx(
        cost(x, z) - cost(x, x) / 2 - cost(z, z) / 2, rel=0.03
    )  # geomloss anneals its blur by halves
    assert float(halved) == pytest.approx(cost(x_first, first) + cost(x_second, second) - cost(first, second), rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_every_contender_can_be_followed(name):
    x, z = points(24, 2, 0).float(), points(16, 2, 1).float().requires_grad_()
    loss = Contender.named(name, 1.0).loss()(GaussianMixture(x, 0.5), GaussianMixture(z, 0.5))
    (gradient,) = torch.autograd.grad(loss, z)
    assert float(gradient.norm()) > 0
    if name in PARAMETERS:
        other = Contender.named(f"{name}:0.3", 1.0).loss()(GaussianMixture(x, 0.5), GaussianMixture(z, 0.5))
        assert float(other.detach()) != float(loss.detach())


@pytest.mark.parametrize(("schedule", "data"), [("geometric", "moons"), ("adaptive", "moons"), ("geometric", "digits")])
def test_the_arena_trains_as_the_command_does(tmp_path, schedule, data):
    components = 8 if data == "digits" else 0
    config = FitConfig(
        data=data, principal_components=components, objective="debiased_nuclear_norm", schedule=schedule, steps=30,
        batch_size=32, components=32, coarse_every=3, width=16, depth=1, noise_dimension=4, average_fraction=0.3,
        decay_fraction=0.5, smoothing=1e-2,
    )  # fmt: skip
    dataset = load(data)
    resolved = Run.resolved(config, dataset)
    loss = Contender.named("debiased_nuclear_norm:1e-2", resolved.variance_start).loss()
    network, _ = arena.train(loss, resolved, dataset, data)
    expected = training.fit(config, tmp_path / "run", dataset).load_network()
    torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=1e-4, atol=1e-6)
    last, _ = arena.train(loss, dataclasses.replace(resolved, average_fraction=0.0), dataset, data)
    assert not torch.allclose(*(next(n.body.parameters()) for n in (network, last)), rtol=1e-3)


def test_a_plane_law_is_measured_on_more_points_than_are_held_out(monkeypatch):
    monkeypatch.setattr(arena, "LAW", 10_000)
    space = arena.Space(load("moons"))
    assert (space.wanted, len(space.law)) == (10_000, 10_000)
    drawn = sample_toy("moons", 10_000, seed=9)
    same, other = (space.figures(drawn + shift)["energy"] for shift in (0, 0.05))
    assert abs(same) < 3e-4
    assert other == pytest.approx(energy_distance(drawn + 0.05, space.law), rel=1e-3)
    assert other > 3e-3
    assert arena.Space(load("digits")).law is None
    standardized = load("moons", standardize=True)
    energy = arena.Space(standardized).figures(standardized.schema.encode(drawn))["energy"]
    assert abs(energy) < 6e-4  # the law, too, is brought to the columns of the fit


def test_compare(tmp_path):
    out = tmp_path / "compare"
    arguments = [
        "experiment",
        "compare",
        "--out",
        out,
        "--steps",
        4,
        "--seeds",
        "0,1",
        "--width",
        16,
        "--components",
        64,
    ]
    result = call(*arguments, "--contenders", "debiased_nuclear_norm:1e-2,energy")
    assert result.exit_code == 0, result.output
    found = json.loads((out / "compare.json").read_text())
    assert [(row["contender"], len(row["runs"])) for row in found["rows"]] == [
        ("debiased_nuclear_norm:1e-2", 2),
        ("energy", 2),
    ]
    assert "features of MLPClassifier(256, 64), 10 epochs on 1297 training points" in found["space"]
    assert len(found["space_digest"]) == 16
    for row in found["rows"]:
        assert all(run["figures"]["frechet"] > 2 * found["real"]["frechet"] for run in row["runs"])  # four steps
        assert all(run["step_milliseconds"] > 0 and run["device"] == found["device"] for run in row["runs"])
    table = (out / "compare.md").read_text().splitlines()
    assert table[-3].startswith("| real points |")
    assert (out / "compare.png").stat().st_size > 10_000
    before = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    assert len(before) == 8
    result = call(*arguments, "--contenders", "energy,debiased_nuclear_norm:1e-2,mmd:2")
    assert result.exit_code == 0, result.output
    after = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    assert before == {name: time for name, time in after.items() if not name.startswith("mmd")}
    refused(call(*arguments, "--contenders", "energy", "--learning-rate", 0.5), "holds a run with other settings")
    refused(call(*arguments, "--contenders", "enrgy"), "no contender named 'enrgy'; did you mean 'energy'?")
    refused(
        call(*arguments, "--contenders", "energy:2"), "parameters are positive numbers, for nuclear_norm (smoothing)"
    )
    refused(call(*arguments, "--contenders", "mmd:x"), "expected NAME:NUMBER, got 'mmd:x'")
    peers = [*arguments, "--contenders", "energy,mmd:2"]
    refused(
        call(*peers, "--coarse-every", 4), "--coarse-every would be ignored: none of --contenders sees the variance"
    )


def test_compare_points_without_classes(tmp_path):
    arguments = ["--data", "moons", "--steps", 3, "--seeds", "0", "--contenders", "energy", "--width", 16]
    result = call("experiment", "compare", "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 0, result.output
    assert "in the points themselves" in result.stdout
    assert "smallest class" not in (tmp_path / "out" / "compare.md").read_text()
    (file,) = (tmp_path / "out" / "runs").glob("*.json")
    known = json.loads(file.read_text())
    assert known["fit"]["data_root"] is None  # the data may lie elsewhere when the runs are taken up again
    assert call("experiment", "compare", "--out", tmp_path / "out", *arguments).exit_code == 0
    assert json.loads(file.read_text()) == known
    again = call("experiment", "compare", "--out", tmp_path / "out", *arguments, "--standardize")
    refused(again, "holds a run with other settings")


def test_variance_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(arena, "LAW", 2000)
    out = tmp_path / "sweep"
    # after fewer steps rounding decides how much coverage lost samples leave
    small = ["--steps", 600, "--seeds", "0,1", "--width", 32, "--components", 64, "--batch-size", 64]
    arguments = [
        "experiment",
        "variance-sweep",
        "--out",
        out,
        *small,
        "--objectives",
        "debiased_normalized_inner_product",
        "--schedule",
        "geometric",
    ]
    result = call(*arguments, "--factors", "0.0001,1,10000")
    assert result.exit_code == 0, result.output
    found = json.loads((out / "variance-sweep.json").read_text())
    assert [row["factor"] for row in found["rows"]] == [0.0001, 1.0, 10000.0]
    for row in found["rows"]:
        assert row["variance"] == pytest.approx(found["auto"] * row["factor"])
        assert row["reached"] == pytest.approx([row["variance"]] * 2)
    diagnoses = {row["factor"]: row["diagnoses"] for row in found["rows"]}
    # at the ends, and not between; gibberish at all, for so few steps
    ill = {factor: set(names) - {"gibberish"} for factor, names in diagnoses.items()}
    assert (ill[0.0001], ill[1]) == ({"vanishing"}, set())
    assert "blurred" in ill[10000]
    assert all(0 < rank <= 512 for row in found["rows"] for rank in row["effective_ranks"])
    assert found["rows"][0]["real_effective_ranks"][0] > 400 > 1.5 > found["rows"][2]["real_effective_ranks"][0]
    coverage = [row["runs"][0]["figures"]["coverage"] for row in found["rows"]]
    assert coverage[1] > max(coverage[0], coverage[2])
    assert "within 10% of its best coverage from 1 to 1; diagnosed: " in result.stdout
    assert "vanishing at 0.0001" in result.stdout
    assert "blurred at 10000" in result.stdout
    head, _, row = (out / "variance-sweep.md").read_text().splitlines()[:3]
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["| data"] == "| moons"
    assert cells["chosen variance"] == f"{found['auto']:.3g}"
    assert "vanishing 0.0001;" in cells["diagnosed at factors |"]
    several = variance_sweep.table(found, found | {"config": {"data": "others", "steps": 7}}).splitlines()
    assert several[2] == row
    assert several[3] == row.replace("moons", "others").replace("| 600 |", "| 7 |")
    assert (out / "variance-sweep.png").stat().st_size > 10_000
    untrained = [*arguments[:2], "--out", tmp_path / "untrained", "--steps", 1, "--seeds", 0, "--width", 4]
    result = call(*untrained, "--objectives", "log_likelihood", "--factors", "1")
    assert result.exit_code == 0, result.output
    assert " | 1.00 | " in (tmp_path / "untrained" / "variance-sweep.md").read_text()  # of itself, without error
    for row in found["rows"]:
        for run in row["runs"]:
            run["figures"]["coverage"] = 0.0
    assert "| nan% |" in variance_sweep.table(found)  # no share of a coverage of 0
    refused(
        call(*untrained, "--objectives", "nuclear_norm,energy", "--factors", "1"),
        "energy has no variance to sweep; --objectives takes ",
    )
    refused(call(*arguments, "--factors", "1,-2"), "--factors must be positive numbers, got '1,-2'")
    refused(call(*arguments, "--factors", "1,x"), "--factors must be numbers with commas between them")
    refused(call(*arguments, "--factors", "1,1.0"), "--factors names 1.0 twice")


def test_a_table_of_several_comparisons_names_what_differs():
    def result(frechet, **settings):
        figures = dict.fromkeys(compare.MEANINGS, 0.5) | {"frechet": frechet}
        config = {"seeds": [0], "data_root": str(frechet), "steps": 10, "decay_fraction": 0.6, **settings}
        rows = [{"contender": "energy", "runs": [{"figures": figures, "step_milliseconds": 3.0}]}]
        fit = {"learning_rate": 0.5, "steps": 10}
        return {"config": config, "fit": fit, "real": dict.fromkeys(compare.MEANINGS, 0.1), "rows": rows}

    fine = compare.table(result(2.0, coarse_every=0), result(1.0, coarse_every=None)).splitlines()
    assert [line.split(" |")[0] for line in fine[2:4]] == ["| energy", "| energy, coarse every 0"]
    rounded = compare.table(result(2.0, variance_end=0.1), result(1.0, variance_end=0.1 + 1e-16)).splitlines()
    assert [line.split(" |")[0] for line in rounded[2:4]] == ["| energy", "| energy"]
    chosen = compare.table(result(2.0, learning_rate=0.1), result(1.0, learning_rate=None)).splitlines()
    assert [line.split(" |")[0] for line in chosen[2:4]] == [
        "| energy, learning rate 0.5",
        "| energy, learning rate 0.1",
    ]
    lines = compare.table(result(2.0, decay_fraction=0.2), result(1.0)).splitlines()
    assert [line.split(" |")[0] for line in lines[2:]] == [
        "| energy, decay fraction 0.6",
        "| energy, decay fraction 0.2",
        "| real points",
    ]
    assert compare.table(result(2.0)).splitlines()[2].startswith("| energy | 2.000 |")


@pytest.mark.parametrize("rows", ["x\n", "x,y\n"], ids=["one-column", "constant-column"])
def test_a_sweep_of_a_flat_table_is_drawn(tmp_path, rows):
    values = torch.randn(60, generator=torch.Generator().manual_seed(0)).tolist()
    rows += "".join(f"{value}{',1' if ',' in rows else ''}\n" for value in values)
    (tmp_path / "flat.csv").write_text(rows)
    small = ["--steps", 2, "--seeds", 0, "--width", 4, "--batch-size", 32, "--components", 32, "--factors", "1"]
    sweep = ["experiment", "variance-sweep", "--data", tmp_path / "flat.csv", "--out", tmp_path / "sweep"]
    result = call(*sweep, *small, "--objectives", "log_likelihood")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "sweep" / "variance-sweep.png").stat().st_size > 10_000


def test_a_sweep_looks_at_the_variance_that_a_run_ended_at(tmp_path, monkeypatch):
    monkeypatch.setattr(arena, "LAW", 2000)
    small = ["--steps", 300, "--seeds", "0,1", "--width", 32, "--components", 64, "--batch-size", 64]
    sweep = ["experiment", "variance-sweep", "--out", tmp_path, *small, "--factors", "0.0001,1"]
    result = call(*sweep, "--objectives", "debiased_normalized_inner_product")
    assert result.exit_code == 0, result.output
    low, choice = json.loads((tmp_path / "variance-sweep.json").read_text())["rows"]
    # the adaptive schedule waits while samples find no data: at what was asked for hardly one would
    assert min(low["reached"]) > 10 * low["variance"]
    assert "vanishing" not in low["diagnoses"]
    assert 1 < low["effective_ranks"][0] < 500 > low["real_effective_ranks"][0] > choice["real_effective_ranks"][0] > 1
    assert choice["reached"] == pytest.approx([choice["variance"]] * 2)
    head, _, row = (tmp_path / "variance-sweep.md").read_text().splitlines()[:3]
    least = dict(zip(head.split(" | "), row.split(" | "), strict=True))["lowest variance reached / choice"]
    assert f"Runs ended at {least} times the chosen variance or more." in result.stdout
    assert float(least) == pytest.approx(min(low["reached"]) / choice["variance"], rel=0.05)


def test_the_choice_faces_the_factor_that_is_lowest_on_other_seeds():
    def cells(*energies):
        rows = [
            {
                "objective": "debiased_nuclear_norm",
                "factor": factor,
                "diagnoses": [],
                "runs": [{"figures": {"energy": energy, "coverage": 0.5}} for energy in own],
            }
            for factor, own in zip((0.1, 1.0, 10.0), energies, strict=True)
        ]
        found = {"config": {"data": "moons", "steps": 7}, "space": arena.POINTS, "auto": 0.1, "rows": rows}
        head, _, row = variance_sweep.table(found).splitlines()
        named = dict(zip(head.split(" | "), row.split(" | "), strict=True))
        return named["distance at the choice / lowest"], named["the same / that of the factor best on other seeds"]

    # without the first and without the second seed the choice is lowest, without the third the last factor: 8 / (3 + 4 + 5)
    lowest, others = cells((3.0, 6.0, 1.5), (3.0, 4.0, 1.0), (5.0, 1.0, 5.0))
    assert lowest == "1.00"
    assert others == "0.67 +- 0.29"  # 3, 4, 1 less 2/3 of 3, 4, 5: 1, 1.33, -2.33
    assert cells((3.0, 4.0, 5.0), (1.0, 1.0, 1.0), (2.0, 3.0, 4.0)) == ("1.00", "1.00")
    # always the same one: both are one ratio
    same = cells((1.0, 2.0, 3.0), (2.0, 4.0, 6.0), (5.0, 5.0, 5.0))
    assert same == ("2.00 +- 0.82", "2.00")  # twice as large on each seed
    # 15 / 6, and -1.5, 0, 1.5 off it over a mean of 2: .866 / 2
    assert cells((1.0, 2.0, 3.0), (1.0, 5.0, 9.0), (20.0, 20.0, 20.0))[1] == "2.50 +- 0.43"
    assert cells((1.0,), (2.0,), (3.0,)) == ("2.00", "-")


def test_where_a_sweep_is_diagnosed():
    rows = [
        {"factor": factor, "diagnoses": names}
        for factor, names in ((0.1, ["vanishing", "gibberish"]), (1.0, ["vanishing"]), (3.0, []), (10.0, ["gibberish"]))
    ]
    assert variance_sweep.diagnosed_at(rows) == {"vanishing": "0.1 to 1", "gibberish": "0.1 and 10"}
    assert variance_sweep.diagnosed_at(rows[2:3]) == {}
