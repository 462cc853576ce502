"""The smoothed nuclear norm with its gradient, ours beside its peers: results/spectrum.json.

python benchmarks/spectrum.py [--data-root DIR]     # about six minutes on two cores; DIR/mnist adds MNIST's Gram matrices
python benchmarks/spectrum.py --device cuda         # results/spectrum_cuda.json

Each figure is the fastest of several calls, every peer in turn in one process, on the same float32 matrix: a
neighbour's load only slows. Errors are relative to the definition in float64: of the norm, and of the gradient W in the
Frobenius norm. "From points" is what training does: points to the log of the norm and back to the gradient in the
points of one side.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import record
import torch
from torch import Tensor

from contrastive_entropy.data.load import load, load_points
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.mixtures.operator import log_nuclear_norm
from contrastive_entropy.numerics.nuclear import matrix_nuclear_norm
from contrastive_entropy.numerics.polar import TOLERANCE, smoothed_polar

Pair = tuple[float, Tensor]


def gradient_of(function: Callable[[Tensor], Tensor], matrix: Tensor) -> Pair:
    leaf = matrix.clone().requires_grad_()
    value = function(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    return float(value.detach()), gradient


def torch_nuclear(matrix: Tensor, smoothing: float) -> Pair:
    """torch's own, which has no smoothing: its time is the yardstick, its error that of the exact norm in float32."""
    return gradient_of(lambda m: torch.linalg.matrix_norm(m, ord="nuc"), matrix)


def low_rank(matrix: Tensor, smoothing: float) -> Pair:
    """torch.svd_lowrank of rank n / 8 with two power iterations, and the smoothed factor from it."""
    torch.manual_seed(0)  # also of an accelerator
    u, s, v = torch.svd_lowrank(matrix, q=max(32, min(matrix.shape) // 8), niter=2)
    e = smoothing * s[0]
    root = torch.hypot(s, e)
    return float((root - e).sum()), (u * (s / root)) @ v.T


def newton_schulz(matrix: Tensor, smoothing: float) -> Pair:
    """Cubic Newton-Schulz iteration on [K; eI], to a change of W below 1e-4."""
    scale = float(torch.linalg.matrix_norm(matrix))
    vector = torch.ones_like(matrix[0])
    for _ in range(20):
        vector = matrix.T @ (matrix @ vector)
        vector = vector / vector.norm()
    e = smoothing * float((matrix @ vector).norm())
    upper, lower = matrix / scale, torch.eye(matrix.shape[1], device=matrix.device) * (e / scale)
    for _ in range(60):
        gram = torch.addmm(upper.T @ upper, lower, lower)
        step = gram.mul_(-0.5)
        step.diagonal().add_(1.5)
        before = float(upper.square().sum())
        upper, lower = upper @ step, lower @ step
        if abs(float(upper.square().sum()) - before) < 1e-4 * before:
            break
    value = float(torch.dot(upper.flatten(), matrix.flatten())) + e * float(lower.diagonal().sum() - matrix.shape[1])
    return value, upper


def ours(matrix: Tensor, smoothing: float) -> Pair:
    return gradient_of(partial(matrix_nuclear_norm, smoothing=smoothing), matrix)


PEERS: dict[str, Callable[[Tensor, float], Pair]] = {
    "ours": ours,
    "matrix_norm": torch_nuclear,
    "svd_lowrank": low_rank,
    "Newton-Schulz": newton_schulz,
}


def torch_from_points(x: Tensor, z: Tensor, variance: float, smoothing: float) -> Tensor:
    leaf = z.clone().requires_grad_()
    kernel = torch.exp(-torch.cdist(x, leaf).square() / (2 * variance))
    return torch.autograd.grad(torch.linalg.matrix_norm(kernel, ord="nuc").log(), leaf)[0]


def ours_from_points(x: Tensor, z: Tensor, variance: float, smoothing: float) -> Tensor:
    leaf = z.clone().requires_grad_()
    p, q = GaussianMixture(x, variance / 2), GaussianMixture(leaf, variance / 2)
    return torch.autograd.grad(log_nuclear_norm(p, q, smoothing=smoothing), leaf)[0]


FROM_POINTS = {"ours, from points": ours_from_points, "matrix_norm, from points": torch_from_points}

NEWTON_SCHULZ_LIMIT = 512  # on a CPU: some forty products, of denormal numbers on moons: seconds a call beyond


def definition(matrix: Tensor, smoothing: float) -> Pair:
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    e = smoothing * s[0]
    root = torch.hypot(s, e)
    return float((root - e).sum()), (u * (s / root)) @ vh


def gram(x: Tensor, z: Tensor, variance: float) -> Tensor:
    """Unit kernel, float32; entries that would be denormal in products are 0, as `log_nuclear_norm` makes them."""
    kernel = torch.exp(-torch.cdist(x.double(), z.double()).square() / (2 * variance))
    return kernel.masked_fill(kernel < 1e-18, 0).float()


@dataclass(frozen=True)
class Case:
    """Two sets of points and how they are compared."""

    name: str
    x: Tensor
    z: Tensor
    variance: float
    smoothing: float


def cases(data_root: Path | None, device: torch.device) -> list[Case]:
    moons, digits = (points.to(device) for points in (sample_toy("moons", 8192, seed=0), load("digits").train.points))
    found = []

    def add(name: str, points: Tensor, n: int, variance: float, smoothing: float) -> None:
        found.append(Case(f"{name}, v = {variance:g}", points[:n], points[n : 2 * n], variance, smoothing))

    for n in (256, 512, 1024, 2048, 4096):
        for v in (0.01, 0.02, 1.0):
            add("moons", moons, n, v, 1e-2)
    for n in (256, 512):
        add("digits", digits, n, 1.86, 1e-3)
    if data_root is not None:
        mnist = torch.as_tensor(load_points("mnist", data_root=data_root)[0][:8192]).to(device)
        for n in (256, 512, 1024, 2048, 4096):
            for v in (31.0, 100.0):
                add("MNIST", mnist, n, v, 1e-3)
    return found


def measure(case: Case, matrix: Tensor, budget: float) -> dict[str, dict[str, float]]:
    """Seconds and errors of every peer, which take turns."""
    value, factor = definition(matrix, case.smoothing)
    calls: dict[str, Callable[[], object]] = {}
    result: dict[str, dict[str, float]] = {}
    for name, function in PEERS.items():
        if name == "Newton-Schulz" and matrix.device.type == "cpu" and len(matrix) > NEWTON_SCHULZ_LIMIT:
            continue
        calls[name] = partial(function, matrix, case.smoothing)
        found, gradient = function(matrix, case.smoothing)  # also the warm-up
        error = float((gradient.double() - factor).norm() / factor.norm())
        result[name] = {"value_error": abs(found / value - 1), "gradient_error": error}
    # In float64: sum_i W_ij K_ij (x_i - z_j) / (v norm)
    x, z = case.x.double(), case.z.double()
    weights = factor * torch.exp(-torch.cdist(x, z).square() / (2 * case.variance)) / (case.variance * value)
    exact = weights.T @ x - weights.sum(0).unsqueeze(1) * z
    for name, from_points in FROM_POINTS.items():
        calls[name] = partial(from_points, case.x, case.z, case.variance, case.smoothing)
        gradient = from_points(case.x, case.z, case.variance, case.smoothing)
        result[name] = {"gradient_error": float((gradient.double() - exact).norm() / exact.norm())}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    while len(seconds["ours"]) < 3 or (sum(map(sum, seconds.values())) < budget and len(seconds["ours"]) < 50):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if matrix.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
        if sum(map(sum, seconds.values())) > 4 * budget:
            break
    for name, times in seconds.items():
        result[name] |= {"seconds": statistics.median(times), "fastest_seconds": min(times), "calls": len(times)}
    return result


def shown(peer: dict[str, float]) -> str:
    """Milliseconds, and the error of W where it is beyond the tolerance."""
    error = "" if peer["gradient_error"] < TOLERANCE else f" ({peer['gradient_error']:.0e})"
    return f"{1e3 * peer['fastest_seconds']:.3g} ms{error}"


def table(result: dict) -> str:
    """The markdown table that docs/spectrum.md shows."""
    lines = ["| matrix | n | method, triplets | " + " | ".join(PEERS) + " | faster than matrix_norm; from points | "]
    lines[0] += "error of W; from points |"
    lines += ["|---" * (len(PEERS) + 5) + "|"]
    for case in result["cases"]:
        peers = case["peers"]
        times = [shown(peers[name]) if name in peers else "-" for name in PEERS]
        ends = ("", ", from points")
        ratios = [
            peers[f"matrix_norm{end}"]["fastest_seconds"] / peers[f"ours{end}"]["fastest_seconds"] for end in ends
        ]
        errors = [peers[f"ours{end}"]["gradient_error"] for end in ends]
        cells = [case["matrix"], f"{case['n']:,}", f"{case['method']}, {case['rank']}", *times]
        cells += ["; ".join(f"{ratio:.1f}x" for ratio in ratios), "; ".join(f"{error:.0e}" for error in errors)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--only", default="", help="matrices whose name contains this")
    parser.add_argument("--seconds", type=float, default=3.0, help="to spend on each matrix, or three calls of each")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = record.parsed(parser, table)
    device = torch.device(options.device)
    start, rows = time.monotonic(), []
    for case in cases(options.data_root, device):
        if options.only not in case.name:
            continue
        matrix = gram(case.x, case.z, case.variance)
        polar = smoothed_polar(matrix, case.smoothing)
        row = {"matrix": case.name, "n": len(matrix), "smoothing": case.smoothing, "method": polar.method}
        row |= {"rank": polar.rank, "estimated_error": polar.error, "peers": measure(case, matrix, options.seconds)}
        rows.append(row)
        print(table({"cases": [row]}).splitlines()[-1], flush=True)
    result = {
        **record.origin(0, capability=True, device=device),
        "tolerance": TOLERANCE,
        "wall_seconds": round(time.monotonic() - start, 1),
        "cases": rows,
    }
    path = record.write("spectrum" if device.type == "cpu" else f"spectrum_{device.type}", result)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
