import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.fitting.checkpoint import SafetensorsCheckpointIO


def test_nested_state_comes_back_as_it_was(tmp_path):
    shared = torch.arange(3.0)
    state = {
        "weights": {"a": shared, "b": shared, "scalar": torch.tensor(2.5, dtype=torch.float64)},
        "optimizer": {0: {"step": torch.tensor(3), "betas": (0.9, 0.999)}, 1: None},
        "loops": [1, 2.5, True, "text", [], {}],
    }
    store = SafetensorsCheckpointIO()
    store.save_checkpoint(state, tmp_path / "c")
    loaded = store.load_checkpoint(tmp_path / "c")
    assert torch.equal(loaded["weights"]["b"], shared)
    assert loaded["weights"]["scalar"].dtype == torch.float64
    assert loaded["weights"]["scalar"].shape == ()
    assert loaded["optimizer"][0]["betas"] == (0.9, 0.999)
    assert loaded["optimizer"][0]["step"].item() == 3
    assert loaded["optimizer"][1] is None
    assert loaded["loops"] == state["loops"]
    store.remove_checkpoint(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_what_could_run_code_is_refused(tmp_path):
    with pytest.raises(TypeError, match="tensors and plain data, got function"):
        SafetensorsCheckpointIO().save_checkpoint({"x": lambda: 0}, tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("content", [b"", b"abc", b"\x00" * 64])
def test_damaged_files(tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(InputError, match="is corrupt"):
        SafetensorsCheckpointIO().load_checkpoint(tmp_path / "c")
    with pytest.raises(InputError, match="no checkpoint at"):
        SafetensorsCheckpointIO().load_checkpoint(tmp_path / "missing")
