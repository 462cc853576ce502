import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import contrastive_entropy as ce
import references as ref
from contrastive_entropy.mixtures.operator import singular_values
from contrastive_entropy.mixtures.streaming import Progress


def points(n, d=3, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def in_memory(x, y, variance):
    return ce.GaussianMixture(x, variance).log_inner(ce.GaussianMixture(y, variance)).item()


def as_kind(x, kind, folder):
    if kind == "memory map":
        np.save(folder / "x.npy", x.numpy())
        return np.load(folder / "x.npy", mmap_mode="r")
    if kind == "list":
        return list(x.split(7))
    if kind == "loader":
        return DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=6)
    return x.numpy() if kind == "numpy" else x


@pytest.mark.parametrize("kind", ["tensor", "numpy", "memory map", "list", "loader"])
@pytest.mark.parametrize("batch_size", [1, 7, 16, 1000])
def test_any_source_gives_what_memory_gives(tmp_path, kind, batch_size):
    x, y = points(23), points(11, seed=1) + 1
    source = as_kind(x, kind, tmp_path)
    found = ce.streamed_log_norm(source, variance=0.3, batch_size=batch_size)
    assert found == pytest.approx(in_memory(x, x, 0.3), abs=1e-12)
    for left, right in ((source, y), (y, source)):
        found = ce.streamed_log_inner(left, right, variance=0.3, batch_size=batch_size)
        assert found == pytest.approx(in_memory(x, y, 0.3), abs=1e-12)


def test_equals_the_reference():
    x, v = points(9).numpy(), np.array(0.4)
    rows = ref.log_sum_over_components(x, v, x, v, np.full(9, -math.log(9)))
    assert ce.streamed_log_norm(x, variance=0.4, batch_size=4) == pytest.approx(
        ref.log_sum(rows - math.log(9)), abs=1e-12
    )


def test_images_and_whole_numbers_are_flattened():
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 5), dtype=np.uint8)
    flat = torch.from_numpy(images).flatten(1).float()
    assert ce.streamed_log_norm(images, variance=5e3, batch_size=5) == pytest.approx(
        in_memory(flat, flat, 5e3), abs=1e-5
    )
    large = torch.randint(0, 50, (12, 2), generator=torch.Generator().manual_seed(0)) + 1_600_000_000
    expected = in_memory(large.double(), large.double(), 9.0)
    for whole in (large, large.numpy(), large.numpy().astype(">i8")):
        assert ce.streamed_log_norm(whole, variance=9.0) == pytest.approx(expected, abs=1e-9)


def test_tables_reversed_arrays_and_empty_batches():
    x = np.random.default_rng(0).normal(size=(9, 2))
    expected = ce.streamed_log_norm(x, variance=0.4)
    table = pd.DataFrame(x, columns=["a", "b"])
    for points in (table, [table[:4], table[4:]], x[::-1], [x[:4], x[:0], x[4:]]):
        assert ce.streamed_log_norm(points, variance=0.4, batch_size=4) == pytest.approx(expected, abs=1e-12)
        inner = ce.streamed_log_inner(points, x, variance=0.4, batch_size=4)
        assert inner == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="rows 0 to 8: complex values; expected real numbers"):
        ce.streamed_log_norm(x + 1j, variance=0.4)


@pytest.mark.parametrize("own", [True, False])
def test_an_interrupted_sum_continues_to_the_same_bits(own):
    x, y = points(40), points(30, seed=1)

    def run(**keywords):
        common = {"variance": 0.3, "batch_size": 8, **keywords}
        return ce.streamed_log_norm(x, **common) if own else ce.streamed_log_inner(x, y, **common)

    states = []
    whole = run(progress=states.append)
    blocks = 15 if own else 20
    assert [state.blocks for state in states] == list(range(1, blocks + 1))
    assert states[-1].pairs == (40 * 41 // 2 if own else 40 * 30)
    for state in (Progress(), *states):
        later = []
        assert run(resume=state, progress=later.append) == whole
        assert later == states[state.blocks :]


def test_effective_points_and_mmd():
    far = torch.arange(5.0)[:, None] * 100
    log_norm = ce.streamed_log_norm(far, variance=0.5)
    assert ce.effective_points(log_norm, variance=0.5, dimension=1) == pytest.approx(5)
    assert ce.effective_points(
        ce.streamed_log_norm(torch.zeros(5, 1), variance=0.5), variance=0.5, dimension=1
    ) == pytest.approx(1)
    x, y, v = points(8), points(6, seed=1) + 1, 0.7
    logs = [ce.streamed_log_norm(x, variance=v), ce.streamed_log_norm(y, variance=v)]
    logs.append(ce.streamed_log_inner(x, y, variance=v))

    def mean_kernel(a, b):
        return np.mean([[np.exp(-((s - t) ** 2).sum() / (4 * v)) for t in b.numpy()] for s in a.numpy()])

    expected = mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)
    assert ce.squared_mmd(*logs, variance=v, dimension=3) == pytest.approx(expected, abs=1e-12)
    assert ce.squared_mmd(logs[0], logs[0], logs[0], variance=v, dimension=3) == 0


def test_batches_that_change_between_passes_are_refused():
    loader = DataLoader(TensorDataset(points(200)), batch_size=20, shuffle=True)
    for call in (
        lambda: ce.streamed_log_norm(loader, variance=0.5),
        lambda: ce.streamed_log_inner(points(30), loader, variance=0.5, batch_size=10),
    ):
        with pytest.raises(ValueError, match=r"batch \d+ differs from what it was .* data loader without shuffle"):
            call()
    once = ce.streamed_log_inner(loader, points(30), variance=0.5)  # each batch is read once
    assert once == pytest.approx(ce.streamed_log_inner(points(200), points(30), variance=0.5), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ce.streamed_log_norm(points(5), variance=0), "variance must be a positive number, got 0"),
        (lambda: ce.streamed_log_norm(points(5), variance=1, batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: ce.streamed_log_norm(iter([points(5)]), variance=1), r"an iterator \(list_iterator\) .* only once"),
        (lambda: ce.streamed_log_norm(points(0), variance=1), "no points on one of the sides"),
        (lambda: ce.streamed_log_inner(points(3), [], variance=1), "no points on one of the sides"),
        (lambda: ce.streamed_log_norm([points(3), points(3)[0]], variance=1), r"batch 1: .* \(n, d\), got \(3,\)"),
        (lambda: ce.streamed_log_norm(points(9) / 0, variance=1, batch_size=4), "rows 0 to 3: NaN or infinite values"),
        (lambda: ce.streamed_log_inner(points(3), points(3, 4), variance=1), "3 coordinates on one side and 4"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_streamed_singular_values_are_those_of_the_operator(batch_size):
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (30, 12))
    done = []
    found = ce.streamed_singular_values(x, z, variance=0.2, batch_size=batch_size, progress=done.append)
    p, q = ce.GaussianMixture(x, 0.2), ce.GaussianMixture(z, 0.2)
    torch.testing.assert_close(found, singular_values(p, q), atol=1e-8, rtol=0)
    assert found.sum().item() == pytest.approx(ce.fidelity(p, q).item(), abs=1e-10)
    assert done[-1] == 30
    assert len(done) == -(-30 // batch_size)


def test_streamed_singular_values_with_fewer_points_than_columns_and_batches():
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (5, 9))
    found = ce.streamed_singular_values([x[:2], x[2:]], z, variance=0.3)
    assert found.shape == (9,)
    expected = ce.fidelity(ce.GaussianMixture(x, 0.3), ce.GaussianMixture(z, 0.3)).item()
    assert found.sum().item() == pytest.approx(expected, abs=1e-7)  # null directions round to 1e-8 each


def test_streamed_singular_values_refuse():
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="variance must be a positive number, got 0"):
        ce.streamed_singular_values(x, x, variance=0)
    with pytest.raises(ValueError, match="dimensions differ: 2 coordinates on one side and 3 on the other"):
        ce.streamed_singular_values(x, torch.zeros(3, 3), variance=1.0)
    with pytest.raises(ValueError, match="there are no points"):
        ce.streamed_singular_values(x[:0], x, variance=1.0)
