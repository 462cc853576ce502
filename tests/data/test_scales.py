import numpy as np
import torch

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.load import load
from contrastive_entropy.data.scales import unevenness


def test_columns_whose_rounding_shows_are_pointed_at(tmp_path):
    points = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    near, far = (Dataset.of("x", *(2 * [(points + offset).float()])) for offset in (1e3, 1e7))
    assert unevenness(near) is None
    assert "column 0, counted from 0, lies near 1e+07 with a deviation of" in str(unevenness(far))
    assert "steps of 1.2: subtract an offset from it, or set `standardize`" in str(unevenness(far))
    np.savetxt(tmp_path / "far.csv", points + 1e7, delimiter=",", fmt="%.18g")
    assert unevenness(load(tmp_path / "far.csv", standardize=True)) is None
    assert "column 0" in str(unevenness(Dataset.of("x", *(2 * [(points[:, :1] + 1e7).float()]))))
