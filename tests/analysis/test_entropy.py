import json
import math

import numpy as np
import pytest
import torch

import contrastive_entropy as ce
from contrastive_entropy import InputError
from contrastive_entropy.analysis import entropy
from contrastive_entropy.analysis.entropy import measure
from contrastive_entropy.data.load import load, load_points
from contrastive_entropy.models.generator import GENERATOR


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.standard_normal((60, 3)))
    np.save(tmp_path / "b.npy", rng.standard_normal((50, 3)) + 1)
    return tmp_path


def test_figures_are_those_of_the_whole_file(files):
    a, b = (torch.from_numpy(np.load(files / name)) for name in ("a.npy", "b.npy"))
    p, q = ce.GaussianMixture(a, 0.4), ce.GaussianMixture(b, 0.4)
    figures = measure(str(files / "a.npy"), str(files / "b.npy"), variance=0.4, batch_size=16)
    assert (figures["points"], figures["against_points"], figures["dimension"]) == (60, 50, 3)
    assert figures["log_norm"] == -figures["renyi_entropy"] == pytest.approx(p.log_norm().item(), abs=1e-12)
    assert figures["against_log_norm"] == pytest.approx(q.log_norm().item(), abs=1e-12)
    assert figures["log_inner"] == pytest.approx(p.log_inner(q).item(), abs=1e-12)
    assert figures["cauchy_schwarz_divergence"] == pytest.approx(ce.cauchy_schwarz_divergence(p, q).item(), abs=1e-12)
    peak = ce.GaussianMixture(a[:1], 0.4).log_norm()
    ratio = [math.exp(value - peak) for value in (p.log_norm(), q.log_norm(), p.log_inner(q))]
    assert figures["effective_points"] == pytest.approx(1 / ratio[0])
    assert figures["mmd"] == pytest.approx(math.sqrt(ratio[0] + ratio[1] - 2 * ratio[2]))


def test_files_of_points_are_mapped_and_named_sets_are_their_training_part(files):
    assert isinstance(load_points(str(files / "a.npy"))[0], np.memmap)
    assert load_points("digits")[0].shape == (1297, 64)
    assert load_points("moons", seed=3)[0].shape == (10_000, 2)
    np.savetxt(files / "a.csv", np.load(files / "a.npy"), delimiter=",")
    assert load_points(str(files / "a.csv"))[0].shape == (60, 3)


def test_both_sets_are_standardized_in_the_first_ones_units(files):
    a, b = (torch.from_numpy(np.load(files / name)) for name in ("a.npy", "b.npy"))
    scale = np.array([1e-3, 1, 1e6])
    for name in ("a", "b"):
        np.save(files / f"{name}_uneven.npy", np.load(files / f"{name}.npy") * scale + 5 * scale)
    standard = ((part - a.mean(0)) / a.std(0, correction=0) for part in (a, b))
    p, q = (ce.GaussianMixture(part, 0.4) for part in standard)
    arguments = (str(files / "a_uneven.npy"), str(files / "b_uneven.npy"))
    out = files / "figures.json"
    figures = measure(*arguments, variance=0.4, standardize=True, out=out)
    assert figures["log_norm"] == pytest.approx(p.log_norm().item(), abs=1e-5)
    assert figures["cauchy_schwarz_divergence"] == pytest.approx(ce.cauchy_schwarz_divergence(p, q).item(), abs=1e-5)
    assert json.loads(out.read_text())["standardize"] is True
    chosen = [measure(str(files / f"a{name}.npy"), standardize=True)["variance"] for name in ("", "_uneven")]
    assert chosen[0] == pytest.approx(chosen[1], rel=1e-5)
    with pytest.raises(InputError, match="digits holds images, whose pixels share one scale"):
        measure("digits", standardize=True)
    with pytest.raises(InputError, match="mnist holds images, whose pixels share one scale"):
        measure("mnist", standardize=True, data_root=files)  # said before anything is looked for


def test_sets_of_two_kinds_are_refused(files):
    table = "".join(f"{row / 7},{row % 5}\n" for row in range(40))
    for name, header in (("a", "x,y\n"), ("crossed", "y,x\n")):
        (files / f"{name}.csv").write_text(header + table)
    refused = pytest.raises(InputError, match=r"crossed\.csv has the columns y, x|a\.csv has the columns x, y")
    with refused:
        measure(str(files / "a.csv"), str(files / "crossed.csv"))
    digits = load("digits").train.points.numpy()
    np.save(files / "bright.npy", 255 * digits[:40])
    np.save(files / "rows.npy", digits[:40])
    np.save(files / "images.npy", np.uint8(255 * digits[:40].reshape(40, 8, 8)))
    for pair in (("digits", "bright.npy"), ("bright.npy", "images.npy")):
        with pytest.raises(InputError, match=r"holds images in \[0, 1\], channels first, and .* values from 0 to 255"):
            measure(*(str(files / name) if "." in name else name for name in pair), variance=0.4)
    assert measure("digits", str(files / "rows.npy"), variance=0.4)["cauchy_schwarz_divergence"] < 3
    (files / "constant.csv").write_text("x,y\n" + "".join(f"{row / 7},1\n" for row in range(40)))
    with pytest.raises(
        InputError, match="column 1, counted from 0, is 1 in all of the data, but differs from it by up to 3"
    ):
        measure(str(files / "constant.csv"), str(files / "a.csv"), standardize=True)


def test_an_offset_beyond_single_precision_is_said(files, caplog):
    np.savetxt(files / "far.csv", 1e7 + np.load(files / "a.npy"), delimiter=",", fmt="%.18g")
    measure(str(files / "far.csv"), variance=np.float32(0.5), out=files / "far.json")
    assert not caplog.text  # the offset is taken off
    measure(str(files / "a.npy"), str(files / "far.csv"), variance=0.5)  # and cannot be where the data have none
    assert "column 0, counted from 0, lies near 1e+07" in caplog.text
    assert json.loads((files / "far.json").read_text())["variance"] == 0.5


def test_the_variance_is_chosen_as_the_fit_ends(files):
    end = GENERATOR.plan(ce.GeneratorSettings("digits"), load("digits")).variance.end
    assert measure("digits")["variance"] == pytest.approx(end, rel=0.05)
    np.save(files / "same.npy", np.zeros((20, 2)))
    with pytest.raises(InputError, match=r"same\.npy: .*constant or mostly duplicates.*set `variance`"):
        measure(str(files / "same.npy"))


def test_an_interrupted_measurement_continues(files, monkeypatch):
    out = files / "out" / "figures.json"
    arguments = (str(files / "a.npy"), str(files / "b.npy"))
    whole = measure(*arguments, variance=0.4, batch_size=16)
    real, calls = entropy.streamed_log_inner, []

    def interrupted(*rest, progress, **keywords):
        def stop(state):
            progress(state)
            if state.blocks == 3:
                raise KeyboardInterrupt

        return real(*rest, progress=stop, **keywords)

    monkeypatch.setattr(entropy, "streamed_log_inner", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(*arguments, variance=0.4, batch_size=16, out=out)
    assert [path.name for path in out.parent.iterdir()] == ["figures.json.partial"]
    assert json.loads((out.parent / "figures.json.partial").read_text())["sums"]["log <p,q>"][0] == 3

    def spy(*rest, resume, **keywords):
        calls.append(resume.blocks)
        return real(*rest, resume=resume, **keywords)

    monkeypatch.setattr(entropy, "streamed_log_inner", spy)
    figures = measure(*arguments, variance=0.4, batch_size=16, out=out)
    assert calls == [3]
    assert [path.name for path in out.parent.iterdir()] == ["figures.json"]
    written = json.loads(out.read_text())
    for name in ("log_norm", "against_log_norm", "log_inner", "mmd"):
        assert figures[name] == whole[name] == written[name]


def test_a_state_of_other_settings_or_data_is_not_continued(files):
    out = files / "figures.json"
    state = {"settings": {"data": "other"}, "sums": {"log <p,p>": [10, 60 * 61 // 2, 99.0]}}
    (files / "figures.json.partial").write_text(json.dumps(state))
    figures = measure(str(files / "a.npy"), variance=0.4, batch_size=16, out=out)
    assert figures["log_norm"] == measure(str(files / "a.npy"), variance=0.4, batch_size=16)["log_norm"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"variance": -1.0}, "variance must be a positive number, got -1"),
        ({"batch_size": 0}, "batch must be at least 1, got 0"),
        ({"against": "moons"}, "digits has 64 coordinates and moons has 2"),
        ({"out": "/proc/x/y.json"}, r"/proc/x.* \(.*\).*choose another `out`"),
    ],
)
def test_refusals(keywords, message, tmp_path):
    from pathlib import Path

    if "out" in keywords:
        keywords = {"out": Path(keywords["out"])}
    with pytest.raises(InputError, match=message):
        measure("digits", **keywords)


def test_a_state_that_is_none_is_begun_anew(files):
    (files / "out.json.partial").write_text("[1]")
    measure(str(files / "a.npy"), variance=0.4, out=files / "out.json")
    assert not (files / "out.json.partial").exists()


def test_a_root_that_would_be_ignored_is_refused(files):
    with pytest.raises(
        InputError, match=r"for copies of data sets of the hub, and digits and .*a\.npy are none: leave it"
    ):
        measure("digits", str(files / "a.npy"), data_root=files)
    with pytest.raises(InputError, match=r"and .*a\.npy is none: leave it out"):
        load_points(files / "a.npy", data_root=files)


def test_bad_rows_and_damaged_files(files):
    array = np.load(files / "a.npy")
    array[37, 1] = np.nan
    np.save(files / "nan.npy", array)
    with pytest.raises(InputError, match="rows 32 to 47: NaN or infinite values"):
        measure(str(files / "nan.npy"), variance=1.0, batch_size=16)
    with pytest.raises(InputError, match=r"nan\.npy: data hold NaN or infinite values: remove or fill them"):
        measure(str(files / "nan.npy"))
    (files / "junk.npy").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"junk\.npy: not a readable \.npy file"):
        measure(str(files / "junk.npy"))


def test_fidelity_of_two_files(files):
    a, b = (torch.from_numpy(np.load(files / name)) for name in ("a.npy", "b.npy"))
    arguments = (str(files / "a.npy"), str(files / "b.npy"))
    figures = measure(*arguments, variance=0.4, batch_size=16, fidelity=True)
    expected = ce.fidelity(ce.GaussianMixture(a, 0.4), ce.GaussianMixture(b, 0.4)).item()
    assert figures["fidelity"] == pytest.approx(expected, abs=1e-7)
    assert figures["bures_distance"] == pytest.approx(math.sqrt(2 - 2 * expected), abs=1e-6)
    assert 1 <= figures["cross_effective_rank"] <= 50
    assert "fidelity" not in measure(*arguments, variance=0.4)


def test_fidelity_needs_two_sets_that_fit_and_meet(files, monkeypatch):
    arguments = (str(files / "a.npy"), str(files / "b.npy"))
    with pytest.raises(InputError, match="give the second one with `against`"):
        measure(arguments[0], fidelity=True)
    with pytest.raises(InputError, match="no point of one set is near any of the other"):
        measure(*arguments, variance=1e-9, fidelity=True)
    monkeypatch.setattr(entropy, "MOST_COLUMNS", 49)
    with pytest.raises(InputError, match=r"at most 49 points of .*b\.npy in memory, and it has 50: swap the two"):
        measure(*arguments, variance=0.4, fidelity=True)
