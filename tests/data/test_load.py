import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from contrastive_entropy import InputError
from contrastive_entropy.data.hub import HUB
from contrastive_entropy.data.laws import LAWS
from contrastive_entropy.data.load import STACKED, load, names
from contrastive_entropy.data.toys import TOYS, sample_toy
from files import save_images, write

RNG = np.random.default_rng(0)


def test_digits_are_split_once_and_for_all():
    data = load("digits")
    assert (len(data.train), len(data.held_out), data.image_shape) == (1297, 500, (1, 8, 8))
    assert data.train.points.min() == 0
    assert data.train.points.max() == 1
    assert torch.equal(load("digits", seed=5).held_out.points, data.held_out.points)
    assert sorted(data.train.labels.unique().tolist()) == list(range(10))
    assert len(torch.cat([data.train.points, data.held_out.points]).unique(dim=0)) == 1797


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_files_hold_one_point_per_row(tmp_path, suffix):
    array = RNG.standard_normal((50, 3))
    data = load(write(tmp_path / f"x{suffix}", array), held_out=0.2)
    assert (len(data.train), len(data.held_out)) == (40, 10)
    whole = torch.cat([data.train.points, data.held_out.points])
    expected = torch.from_numpy(array).float()
    torch.testing.assert_close(whole[whole[:, 0].argsort()], expected[expected[:, 0].argsort()])
    assert torch.equal(load(tmp_path / f"x{suffix}").held_out.points, data.held_out.points)
    assert not torch.equal(load(tmp_path / f"x{suffix}", seed=1).held_out.points, data.held_out.points)


def bad_file(folder, kind):
    """A file that cannot be used."""
    good = RNG.standard_normal((20, 2))
    arrays = {
        "vector": np.zeros(20),
        "five axes": np.zeros((20, 1, 2, 3, 4)),
        "channels": np.zeros((20, 7, 6, 5)),
        "empty": np.zeros((0, 3)),
        "strings": np.array([["a", "b"]] * 20),
        "few": np.zeros((5, 2)),
        "inf": np.where(np.arange(40).reshape(20, 2) == 7, np.inf, good),
        "huge": np.where(np.arange(40).reshape(20, 2) == 7, 1e300, good),
    }
    texts = {
        "text": "a,b\n" + "\n".join(["1,2"] * 4 + ["3,hello"] + ["1,2"] * 20),
        "blank": "a,b\n" + "\n".join(["1,2"] * 4 + ["3,"] + ["1,2"] * 20),
        "no rows": "a,b\n",
        "nothing": "",
        "ragged": "1,2\n3,4\n5,6,7\n",
    }
    if kind in arrays:
        return write(folder / "x.npy", arrays[kind])
    if kind in texts:
        (folder / "x.csv").write_text(texts[kind])
        return folder / "x.csv"
    if kind == "latin":
        (folder / "x.csv").write_bytes(b"\xe9t\xe9,b\n1,2\n")
        return folder / "x.csv"
    if kind == "pickle":
        np.save(folder / "x.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
        return folder / "x.npy"
    if kind == "arrays":
        np.savez(folder / "x.npz", a=good, b=good)
        return folder / "x.npz"
    if kind == "suffix":
        (folder / "x.doc").write_text("1 2")
        return folder / "x.doc"
    if kind.startswith("damaged"):
        suffix = kind.split()[1]
        (folder / f"x{suffix}").write_bytes(b"not really")
        return folder / f"x{suffix}"
    if kind == "folder":
        return folder
    for i, size in enumerate([(6, 5), (6, 6)]):
        Image.new("L", size).save(folder / f"{i}.png")
    if kind == "broken image":
        (folder / "0.png").write_bytes(b"no")
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("vector", r"wrong shape \(20,\); expected \(n, d\) points"),
        ("five axes", r"wrong shape \(20, 1, 2, 3, 4\)"),
        ("channels", r"wrong shape \(20, 7, 6, 5\)"),
        ("empty", r"the array is empty, shape \(0, 3\)"),
        ("strings", "holds values of type <U1; expected numbers"),
        ("few", "5 rows are too few"),
        ("inf", r"1 of 20 rows hold NaN or infinite values .rows 3, counted from 0."),
        ("huge", "beyond the range of float32"),
        ("text", r"column 'b' holds text .'hello' in row 4, counted from 0."),
        ("blank", r"1 of 25 rows hold NaN .* .rows 4,"),
        ("no rows", "holds no rows"),
        ("nothing", "is empty, it holds no rows"),
        ("ragged", r"not a readable \.csv file .*line 3"),
        ("latin", "1 rows are too few"),
        ("pickle", "holds Python objects, the first of type dict"),
        ("arrays", r"holds 2 arrays .a, b.; expected a single one, or one named 'samples'"),
        ("suffix", r"cannot read files of type \.doc; expected \.npy"),
        ("damaged .npy", r"not a readable \.npy file"),
        ("damaged .npz", r"not a readable \.npz file"),
        ("damaged .parquet", r"not a readable \.parquet file"),
        ("folder", r"a folder without images; expected files such as \.png"),
        ("sizes", r"1\.png: its size 6x6, width x height, differs from 6x5 of 0\.png"),
        ("broken image", r"0\.png: not a readable image"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, kind, message):
    path = bad_file(tmp_path, kind)
    with pytest.raises(InputError, match=message) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_names_that_cannot_be_used():
    with pytest.raises(InputError, match="no data set named 'moon'; did you mean 'moons'"):
        load("moon")
    with pytest.raises(InputError, match="no data set named 'xyzzy'; known are digits"):
        load("xyzzy")
    with pytest.raises(InputError, match="no such file or folder: here/x"):
        load("here/x")
    with pytest.raises(InputError, match="no toy law named 'ring9'; did you mean 'ring8'"):
        sample_toy("ring9", 3, seed=0)
    with pytest.raises(InputError, match=r"`held_out` must lie in \(0, 1\), got 1"):
        load("x.csv", held_out=1)
    assert set(names()) == {"digits", *TOYS, *LAWS, *HUB, STACKED}


def test_digits_keep_their_labels():
    digits = load_digits()
    label_of = {image.tobytes(): label for image, label in zip(digits.data, digits.target, strict=True)}
    data = load("digits")
    for images, labels in ((data.train.points, data.train.labels), (data.held_out.points, data.held_out.labels)):
        assert [label_of[image.tobytes()] for image in (16 * images.double()).numpy()] == labels.tolist()


@pytest.mark.parametrize("held_out", [0.1, 0.25, 0.5])
def test_the_share_that_is_held_out(tmp_path, held_out):
    data = load(write(tmp_path / "x.npy", RNG.random((40, 2))), held_out=held_out)
    assert (len(data.train), len(data.held_out)) == (40 - 40 * held_out, 40 * held_out)


@pytest.mark.parametrize("held_out", [0.001, 0.99])
def test_both_parts_of_a_split_hold_points(tmp_path, held_out):
    data = load(write(tmp_path / "x.npy", RNG.random((10, 2))), held_out=held_out)
    assert min(len(data.train), len(data.held_out)) >= 1


def test_few_images_and_many_bad_rows(tmp_path):
    with pytest.raises(InputError, match="3 rows are too few to train and hold out; at least 10 are needed"):
        load(save_images(tmp_path, np.zeros((3, 4, 4), np.uint8)))
    with pytest.raises(InputError, match=r"20 of 20 rows .*\(rows 0, 1, 2, 3, 4, \.\.\., counted from 0\)"):
        load(write(tmp_path / "x.npy", np.full((20, 2), np.nan)))


@pytest.fixture
def unreadable(open_folder):
    file = write(open_folder / "x.npy", np.zeros((20, 2)))
    file.chmod(0)
    closed = open_folder / "closed"
    closed.mkdir()
    write(closed / "x.npy", np.zeros((20, 2)))
    closed.chmod(0)
    yield {"file": file, "folder": closed / "x.npy"}
    closed.chmod(0o700)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read(unreadable, ordinary_user, kind):
    with pytest.raises(InputError, match=r"x\.npy.*[Pp]ermission"):
        load(unreadable[kind])


@pytest.mark.parametrize("held_out", [0, 1, -0.1, 2, float("nan")])
def test_held_out_must_leave_both_parts(tmp_path, held_out):
    with pytest.raises(InputError, match=rf"`held_out` must lie in \(0, 1\), got {held_out}"):
        load(write(tmp_path / "x.npy", np.zeros((20, 2))), held_out=held_out)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Moons", "did you mean 'moons'"),
        ("ring-8", "did you mean 'ring8'"),
        ("digit", "did you mean 'digits'"),
        ("missing.npz", r"no such file or folder: missing\.npz"),
        ("x" * 5000, "no data set named|no such file"),
        ("", "no data set named ''|no such file"),
    ],
    ids=["capital", "hyphen", "singular", "path", "long", "empty"],
)
def test_more_names_that_cannot_be_used(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        load(name)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match=r"`seed` must lie from 0 to 2\^63 - 1, got -1"):
        load("moons", seed=-1)


@pytest.mark.parametrize("name", ["digits", "mnist", STACKED, "hub:ylecun/mnist"])
def test_images_are_not_standardized(name, tmp_path):
    with pytest.raises(InputError, match="holds images, whose pixels share one scale: leave `standardize` out"):
        load(name, standardize=True, data_root=tmp_path)  # said before anything is looked for
    np.save(tmp_path / "images.npy", np.zeros((20, 4, 4), np.uint8))
    with pytest.raises(InputError, match="holds images"):
        load(tmp_path / "images.npy", standardize=True)
