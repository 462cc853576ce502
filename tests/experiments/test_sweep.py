"""Experiments as their user runs them, made small."""

import json

import pytest
import torch

from commands import call, refused
from contrastive_entropy.experiments import comparison, variance_sweep
from contrastive_entropy.spaces.space import POINTS


@pytest.mark.slow
def test_variance_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "LAW", 2000)
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
        "energy has no variance to sweep; leave it out of --objectives",
    )
    refused(call(*arguments, "--factors", "1,-2"), "--factors must be positive numbers, got '1,-2'")
    refused(call(*arguments, "--factors", "1,x"), "--factors must be numbers with commas between them")
    refused(call(*arguments, "--factors", "1,1.0"), "--factors names 1.0 twice")


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


@pytest.mark.slow
def test_a_sweep_looks_at_the_variance_that_a_run_ended_at(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "LAW", 2000)
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
        found = {"config": {"data": "moons", "steps": 7}, "space": POINTS, "auto": 0.1, "rows": rows}
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
