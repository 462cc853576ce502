import importlib
import importlib.util
import io
import os
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import avg_pool2d

import contrastive_entropy as ce
from contrastive_entropy.analysis.samples import evaluate_samples
from contrastive_entropy.data.load import load
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.machine import Machine
from contrastive_entropy.metrics import frechet_distance, kernel_distance, neighborhood_scores
from contrastive_entropy.metrics.catalog import SAMPLE_METRICS
from contrastive_entropy.spaces import efficientnet
from contrastive_entropy.spaces.efficientnet import MISSING, PACKAGE, SIDE, EfficientNet, prepared

MODULE = PACKAGE.replace("-", "_")
IN_FEATURES = [metric.name for metric in SAMPLE_METRICS if "efficientnet" in metric.needs]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SIZE = 32

needs_weights = pytest.mark.skipif(importlib.util.find_spec(MODULE) is None, reason=f"{PACKAGE} is not installed")


def waves(height, width):
    """(2, 3, height, width) with frequencies of all sizes."""
    values = torch.sin(torch.arange(2 * 3 * height * width, dtype=torch.float64).square() / 1e4)
    return values.reshape(2, 3, height, width).float()


@needs_weights
@pytest.mark.parametrize(
    ("size", "mean", "deviation", "places", "expected"),
    [
        ((96, 96), 0.307134, 0.810933, (0, 2, 838, 687), (1.736602, 1.359452, 6.000000, 5.635860)),
        ((53, 70), 0.568354, 1.248378, (0, 1, 2, 1279), (2.972523, 0.000000, 2.222857, 0.000000)),
    ],
)
def test_the_network_is_the_published_one(size, mean, deviation, places, expected):
    """Figures of efficientnet_lite_pytorch 0.1.0 (PyPI): means of its `extract_features` with the same weights."""
    with torch.inference_mode():
        found = efficientnet.load()(waves(*size))
    assert found.shape == (2, 1280)
    assert float(found.mean()) == pytest.approx(mean, abs=1e-5)
    assert float(found.std()) == pytest.approx(deviation, abs=1e-5)
    assert found[0, list(places)].tolist() == pytest.approx(expected, abs=1e-4)


@needs_weights
def test_each_stage_halves_what_it_should():
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        maps = efficientnet.load().maps(waves(64, 96))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [tuple(found.shape[1:]) for found in maps] == [
        (16, 32, 48), (24, 16, 24), (40, 8, 12), (80, 4, 6), (112, 4, 6), (192, 2, 3), (320, 2, 3),
    ]  # fmt: skip


def test_images_are_prepared():
    points = torch.tensor([[-1.0, 0.0, 0.5, 2.0]])
    found = prepared(points, (1, 2, 2))
    assert found.shape == (1, 3, SIDE, SIDE)
    assert torch.equal(found[:, 0], found[:, 2])
    corners = [float(found[0, 1, y, x]) for y in (0, -1) for x in (0, -1)]
    assert corners == pytest.approx([-127 / 128, -127 / 128, 0.5 / 128, 1.0], abs=1e-6)
    assert prepared(torch.rand(2, 3 * 40 * 30), (3, 40, 30)).shape == (2, 3, 128, 96)
    assert prepared(torch.rand(2, 3 * 100), (1, 3, 100)).shape == (2, 3, 96, 4 * 96)


@needs_weights
def test_features_are_the_network_s_of_each_image(monkeypatch):
    monkeypatch.setattr(efficientnet, "BATCH", 2)
    points = torch.rand(5, 3 * 6 * 5, generator=torch.Generator().manual_seed(0))
    found = EfficientNet((3, 6, 5)).features(points, "images")
    with torch.inference_mode():
        expected = efficientnet.load()(prepared(points, (3, 6, 5)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found.std(0).mean() > 0.01  # else any features would do


class Code:
    """Unpickled, it makes a folder."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def another_package(tmp_path, monkeypatch):
    """Stands for the package, with a file that holds something else; the code of both would leave a mark."""
    folder = tmp_path / MODULE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'executed')!r}).mkdir()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    importlib.invalidate_caches()
    return folder


def test_another_file_is_refused_and_not_executed(another_package, tmp_path):
    path = another_package / efficientnet.WEIGHTS
    with pytest.raises(InputError, match=r"no readable file \(No such file or directory\); install efficientnet-lite0"):
        EfficientNet((1, 2, 2))
    stream = io.BytesIO()
    torch.save(Code(tmp_path / "executed"), stream)
    path.write_bytes(stream.getvalue())
    message = (
        rf"{path.name}: expected the EfficientNet-Lite0 weights with SHA-256 {efficientnet.DIGEST}, got [0-9a-f]+;"
    )
    with pytest.raises(InputError, match=message):
        EfficientNet((1, 2, 2))
    assert not (tmp_path / "executed").exists()


def test_code_in_a_file_of_that_digest_would_not_run_either(another_package, tmp_path, monkeypatch):
    stream = io.BytesIO()
    torch.save(Code(tmp_path / "executed"), stream)
    (another_package / efficientnet.WEIGHTS).write_bytes(stream.getvalue())
    monkeypatch.setattr(efficientnet, "DIGEST", efficientnet.hashlib.sha256(stream.getvalue()).hexdigest())
    with pytest.raises(Exception, match="Weights only load failed"):
        EfficientNet((1, 2, 2))
    assert not (tmp_path / "executed").exists()


def test_points_that_are_no_images_are_refused():
    for shape, what in ((None, "points"), ((4, 2, 2), "4 channels")):
        with pytest.raises(InputError, match=f"of images with 1 or 3 channels, and the data are {what}"):
            EfficientNet(shape)


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    settings = ce.GeneratorSettings("digits", steps=10, batch_size=16, components=16, width=8, depth=1)
    folder = tmp_path_factory.mktemp("digits") / "run"
    return ce.fit(settings, out=folder, machine=Machine(accelerator="cpu"), progress=False)


@needs_weights
def test_evaluate_adds_figures_in_features(digits_run):
    found, plain = digits_run.evaluate().as_dict(), digits_run.evaluate(features=False).as_dict()
    assert found["settings"].pop("efficientnet") == {
        "extractor": "EfficientNet-Lite0, 1280",
        "weights_sha256": efficientnet.DIGEST,
        "side": 96,
        "points": 20,  # see conftest.py
    }
    dataset, space = load("digits"), EfficientNet((1, 8, 8))
    held_out, points = (space.features(part[:20], "") for part in (dataset.held_out.points, dataset.train.points))
    shown = {name: found["tables"]["samples"]["reference"].pop(name) for name in IN_FEATURES}
    scores = neighborhood_scores(held_out, points, neighbors=5)
    assert shown == pytest.approx({
        "features_frechet": frechet_distance(points, held_out),
        "features_kernel": kernel_distance(points, held_out),
        "features_precision": scores.precision,
        "features_recall": scores.recall,
        "features_coverage": scores.coverage,
    })  # fmt: skip
    worse = {name: found["tables"]["samples"]["model"].pop(name) for name in IN_FEATURES}
    assert worse["features_frechet"] > 2 * shown["features_frechet"]
    assert found == plain


def test_without_the_package_it_is_said_how_to_get_it(digits_run, monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(
        InputError, match=r"pip install '.\[features\]' in this project's folder, or efficientnet-lite0"
    ):
        EfficientNet((1, 8, 8))
    found, asked = digits_run.evaluate(), digits_run.evaluate(features=False)
    assert MISSING in found.notes
    assert MISSING not in asked.notes
    assert not set(IN_FEATURES) & set(found.model)
    assert {"sharpness", "pair_diversity"} <= set(found.model)
    moons = load("moons")
    assert MISSING not in evaluate_samples(moons.train.points[:400], moons, variance=0.1).notes


def patterns(count, seed, kinds=4):
    """(count, 3 SIZE SIZE) stripes, checks, discs and gradients in random colours, `kinds` of them, grained as photos."""
    drawn = torch.Generator().manual_seed(seed)
    kind = torch.arange(count) % kinds
    first, second, angle, scale = (torch.rand(count, n, 1, 1, generator=drawn) for n in (3, 3, 1, 1))
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, SIZE)] * 2, indexing="ij")
    along = x * (3 * angle).cos() + y * (3 * angle).sin()
    waves = torch.sin((6 + 14 * scale) * along)
    checks = waves * torch.sin((6 + 14 * scale) * (y * (3 * angle).cos() - x * (3 * angle).sin()))
    disc = 0.3 + 0.5 * scale - ((x - angle / 2).square() + y.square()).sqrt()
    shapes = torch.cat([waves > 0, checks > 0, disc > 0, (1 + along) / 2], 1).float()
    mask = shapes[torch.arange(count), kind].unsqueeze(1)
    grain = 0.1 * torch.randn(count, 3, SIZE, SIZE, generator=drawn)
    return (first * mask + second * (1 - mask) + grain).flatten(1)


def blurred(points, width):
    images = points.reshape(len(points), 3, SIZE, SIZE)
    return avg_pool2d(images, width, 1, width // 2, count_include_pad=False).flatten(1)


def noisy(points, deviation):
    return points + deviation * torch.randn(points.shape, generator=torch.Generator().manual_seed(5))


def cifar(part, count):
    pandas, image, numpy = (pytest.importorskip(name) for name in ("pandas", "PIL.Image", "numpy"))
    path = SHARED / "cifar10" / f"{part}-00000-of-00001.parquet"
    if not path.exists():
        pytest.skip(f"no {path}")
    rows = pandas.read_parquet(path)[:count]
    read = [numpy.array(image.open(io.BytesIO(found["bytes"])).convert("RGB")) for found in rows["img"]]
    points = torch.as_tensor(numpy.stack(read)).permute(0, 3, 1, 2).reshape(count, -1).float() / 255
    return points, torch.as_tensor(rows["label"].to_numpy().copy())


def two_of_each(name):
    """Real points, others of their law, and some of these that lack classes."""
    if name == "patterns":
        return patterns(160, 0), patterns(160, 1), patterns(160, 2, kinds=2), patterns(160, 3, kinds=1)
    (real, _), (rest, labels) = cifar("train", 300), cifar("test", 1500)
    return real, rest[:300], rest[labels < 4][:300], rest[labels == 0][:300]


@needs_weights
@pytest.mark.parametrize("name", ["patterns", "cifar10"])
def test_the_distance_grows_with_blur_noise_and_lost_classes(name):
    real, others, fewer, fewest = two_of_each(name)
    space = EfficientNet((3, SIZE, SIZE))
    held_out = space.features(real, "real images")

    def distances(points):
        found = space.features(points[: len(fewest)], "images")
        return frechet_distance(found, held_out), kernel_distance(found, held_out)

    least = distances(others)
    assert abs(least[1]) < 0.02
    for worse in (
        [blurred(others, 3), blurred(others, 5)],
        [noisy(others, 0.15), noisy(others, 0.3)],
        [fewer, fewest],
    ):
        (frechet, kernel), (more, most) = map(distances, worse)
        assert least[0] < frechet < more
        assert 0.05 < kernel < 0.8 * most  # which the number of images does not bias


@needs_weights
def test_the_perceptual_distance(monkeypatch):
    monkeypatch.setattr(efficientnet, "BATCH", 3)
    space, images = EfficientNet((3, SIZE, SIZE)), patterns(8, 0)
    assert torch.equal(space.perceptual_distance(images, images), torch.zeros(8))
    other = patterns(8, 1)
    found = space.perceptual_distance(images, other)
    assert found.shape == (8,)
    torch.testing.assert_close(found, space.perceptual_distance(other, images))
    assert (found < 4).all()
    one, three, five = (space.perceptual_distance(images, blurred(images, width)) for width in (1, 3, 5))
    assert (one < three).all()
    assert (three < five).all()
    assert three.mean() < found.mean()
    with pytest.raises(ValueError, match=r"as many images, got shapes \(8, 3072\) and \(7, 3072\)"):
        space.perceptual_distance(images, images[:7])


@needs_weights
def test_maps_are_compared_by_their_direction():
    space, images = EfficientNet((3, SIZE, SIZE)), patterns(2, 0)
    a, b = (space.network.maps(prepared(part, (3, SIZE, SIZE))) for part in (images, blurred(images, 3)))
    expected = torch.zeros(2)
    for level in (0, 1, 2, 4, 6):
        x, y = (part[level] / part[level].norm(dim=1, keepdim=True) for part in (a, b))
        expected += (x - y).square().sum(1).mean((1, 2)) / 5
    torch.testing.assert_close(space.perceptual_distance(images, blurred(images, 3)), expected)
