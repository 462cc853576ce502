import json

import pytest
import torch

import contrastive_entropy as ce
from commands import call, refused
from contrastive_entropy.data.given import parted
from contrastive_entropy.experiments import outliers
from contrastive_entropy.models.conditional import robust


@pytest.mark.parametrize(("way", "share"), [("spread", 0.2), ("cluster", 0.4), ("spread", 0.0)])
def test_a_share_of_the_targets_is_replaced(way, share):
    clean = parted(ce.load("heteroscedastic"))
    found, chosen = outliers.with_outliers(clean, way, share, seed=3)
    y, old = found.train.points[:, 0], clean.train.points[:, 0]
    assert float(chosen.double().mean()) == pytest.approx(share, abs=1e-3)
    assert torch.equal(y[~chosen], old[~chosen])
    assert torch.equal(found.held_out.points, clean.held_out.points)
    again, _ = outliers.with_outliers(clean, way, share, seed=3)
    assert torch.equal(again.train.points, found.train.points)
    if way == "cluster":
        assert y[chosen].mean() == pytest.approx(float(old.mean() + 8 * old.std()), rel=0.01)
        assert y[chosen].std() == pytest.approx(0.1 * float(old.std()), rel=0.1)
    elif share:
        middle, range_ = (old.max() + old.min()) / 2, old.max() - old.min()
        off = (y[chosen] - middle) / range_
        assert -5 <= off.min() < -4.5
        assert 4.5 < off.max() <= 5


def test_the_experiment_counts_what_it_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(robust, "LOOKING", robust.LOOKING | {"members": 2, "steps": 150})
    command = ("experiment", "outliers", "--quick", "--out", tmp_path, "--ways", "cluster", "--steps", 100)
    result = call(*command)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "outliers.json").read_text())
    rows = {(row["percent"], row["fit"]): row["runs"][0] for row in found["rows"]}
    assert set(rows) == {
        (0, "likelihood"),
        (0, "robust"),
        (20, "likelihood"),
        (20, "robust"),
        (20, "rows dropped"),
    }
    assert rows[20, "robust"]["flagged"] > 0.9
    assert rows[20, "robust"]["false"] < 0.05
    assert rows[20, "robust"]["rmse"] < 0.5 * rows[20, "likelihood"]["rmse"]
    assert "flagged" not in rows[0, "robust"]
    losses = outliers.losses(found)
    assert losses[("heteroscedastic", "cluster", 20, "likelihood")] == pytest.approx(
        rows[20, "likelihood"]["nll"] - rows[20, "rows dropped"]["nll"]
    )
    assert losses[("heteroscedastic", "none", 0, "robust")] == pytest.approx(
        rows[0, "robust"]["nll"] - rows[0, "likelihood"]["nll"]
    )
    assert "against dropping the rows" in result.output
    refused(call(*command[:-1], 90), "holds figures of other settings or data; choose another --out")
    again = call(*command)
    assert again.exit_code == 0
    assert json.loads((tmp_path / "outliers.json").read_text())["rows"] == found["rows"]


def test_what_cannot_be_asked_is_refused(tmp_path):
    refused(call("experiment", "outliers", "--ways", "cloud", "--out", tmp_path), "unknown way 'cloud'")
    refused(call("experiment", "outliers", "--percents", "100", "--out", tmp_path), "percents must be below 100")
