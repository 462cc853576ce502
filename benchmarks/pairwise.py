"""The sum over all pairs, ours beside its peers: results/pairwise.json.

python benchmarks/pairwise.py            # about ten minutes on two cores; needs the `bench` extra
python benchmarks/pairwise.py --quick    # the smallest size of each dimension

Every figure is of one process of its own (peak memory is a process's), the median of several calls after a warm-up.
log <p, q> of two samples of a standard normal law with a kernel's variance of d / 2, in float32.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import record
import torch
from torch import Tensor

SIZES = {2: (1024, 4096, 16384, 65536), 64: (1024, 4096, 16384), 784: (1024, 4096, 8192)}
PEERS = ("ours", "torch.cdist", "tiles of logsumexp", "KeOps", "geomloss")
DENSE_LIMIT = 16384  # beyond it the dense peer would need 17 GB
GEOMLOSS_LIMIT = 2e10  # n^2 d; beyond it a single call takes more than a minute
LONG = 8.0  # seconds of a call that is not repeated


def ours(x: Tensor, z: Tensor, variance: float) -> Tensor:
    import contrastive_entropy as ce

    return ce.GaussianMixture(x, variance / 2).log_inner(ce.GaussianMixture(z, variance / 2))


def cdist(x: Tensor, z: Tensor, variance: float) -> Tensor:
    return torch.logsumexp(-torch.cdist(x, z).square() / (2 * variance), (0, 1))


def tiles(x: Tensor, z: Tensor, variance: float) -> Tensor:
    from torch.utils.checkpoint import checkpoint

    def rows(part: Tensor) -> Tensor:
        squares = part.square().sum(1, keepdim=True) + z.square().sum(1) - 2 * part @ z.T
        return torch.logsumexp(-squares / (2 * variance), 1)

    return torch.logsumexp(torch.cat([checkpoint(rows, part, use_reentrant=False) for part in x.split(1024)]), 0)


def keops(x: Tensor, z: Tensor, variance: float) -> Tensor:
    from pykeops.torch import LazyTensor

    scaled = [(t / (2 * variance) ** 0.5).contiguous() for t in (x, z)]
    exponent = -((LazyTensor(scaled[0][:, None, :]) - LazyTensor(scaled[1][None, :, :])) ** 2).sum(-1)
    return torch.logsumexp(exponent.logsumexp(dim=1).squeeze(-1), 0)


def geomloss(x: Tensor, z: Tensor, variance: float) -> Tensor:
    """Its Gaussian kernel loss sums <p,p> + <q,q> - 2 <p,q>: three sums, and no logarithm."""
    from geomloss import SamplesLoss

    return SamplesLoss("gaussian", blur=variance**0.5, backend="online")(x, z)


FUNCTIONS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = dict(
    zip(PEERS, (ours, cdist, tiles, keops, geomloss), strict=True)
)


def memory(peak: bool) -> float:
    """MiB resident now, or at most since the last reset (Linux)."""
    name = "VmHWM:" if peak else "VmRSS:"
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) / 1024


def timed(call: Callable[[], object], budget: float) -> list[float]:
    """Seconds of repeated calls within about the budget, at least three unless a call is long."""
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < budget and len(seconds) < 50):
        if seconds and seconds[0] > LONG:
            break
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(peer: str, n: int, d: int, budget: float) -> dict[str, float]:
    """One peer at one size; run in a process of its own."""
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(n, d, generator=generator) for _ in range(2))
    function, variance = FUNCTIONS[peer], d / 2
    x.requires_grad_()
    z.requires_grad_()

    def forward() -> Tensor:
        with torch.no_grad():
            return function(x, z, variance)

    def both() -> None:
        torch.autograd.grad(function(x, z, variance), (x, z))

    small = [t[:32].detach().requires_grad_() for t in (x, z)]
    torch.autograd.grad(function(*small, variance), small)  # compile and load what is loaded once
    before, result = memory(peak=False), {}
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    for name, call in (("forward", forward), ("forward_backward", both)):
        seconds = timed(call, budget)
        result[f"{name}_seconds"] = statistics.median(seconds)
        result[f"{name}_fastest_seconds"] = min(seconds)
    return result | {"peak_memory_mib": memory(peak=True) - before}


def matrix_peak(budget: float) -> float:
    """float32 operations per second of a product of (4,096, 784) and (784, 4,096) matrices: the fastest of several."""
    a, b, out = torch.randn(4096, 784), torch.randn(4096, 784), torch.empty(4096, 4096)
    return 2 * 4096**2 * 784 / min(timed(lambda: torch.mm(a, b.T, out=out), budget))


def table(result: dict) -> str:
    """The markdown table that docs/pairwise.md shows."""
    lines = ["| d | n = m | " + " | ".join(PEERS) + " | ours is faster than KeOps, cdist | MiB: ours, cdist, KeOps |"]
    lines += ["|---" * (len(PEERS) + 4) + "|"]
    for case in result["cases"]:
        found = case["peers"]

        def cell(peer: str, found: dict = found) -> str:
            if peer not in found:
                return "-"
            return f"{found[peer]['forward_seconds']:.3g} / {found[peer]['forward_backward_seconds']:.3g}"

        def ratio(peer: str, found: dict = found) -> str:
            if peer not in found:
                return "-"
            return f"{found[peer]['forward_backward_seconds'] / found['ours']['forward_backward_seconds']:.1f}x"

        memory = ", ".join(
            f"{found[p]['peak_memory_mib']:.0f}" if p in found else "-" for p in ("ours", "torch.cdist", "KeOps")
        )
        cells = [
            str(case["d"]),
            f"{case['n']:,}",
            *map(cell, PEERS),
            f"{ratio('KeOps')}, {ratio('torch.cdist')}",
            memory,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smallest size of each dimension")
    parser.add_argument("--seconds", type=float, default=3.0, help="to spend on each timing")
    parser.add_argument("--one", nargs=3, metavar=("PEER", "N", "D"), help="measure one cell and print it as JSON")
    options = record.parsed(parser, table)
    if options.one:
        peer, n, d = options.one
        print(json.dumps(measure(peer, int(n), int(d), options.seconds)))
        return
    start, cases = time.monotonic(), []
    for d, sizes in SIZES.items():
        for n in sizes[:1] if options.quick else sizes:
            case: dict = {"d": d, "n": n, "matrix_peak_flops": matrix_peak(options.seconds), "peers": {}}
            for peer in PEERS:
                if peer == "torch.cdist" and n > DENSE_LIMIT:
                    continue
                if peer == "geomloss" and n * n * d > GEOMLOSS_LIMIT:
                    continue
                command = [sys.executable, __file__, "--one", peer, str(n), str(d), "--seconds", str(options.seconds)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise SystemExit(f"{peer} at n = {n}, d = {d} failed:\n{done.stderr}")
                case["peers"][peer] = json.loads(done.stdout.splitlines()[-1])
            seconds = case["peers"]["ours"]["forward_seconds"]
            case["share_of_matrix_peak"] = 2 * n * n * d / seconds / case["matrix_peak_flops"]
            cases.append(case)
            print(json.dumps(case), flush=True)
    result = {
        **record.origin(0, capability=True),
        "wall_seconds": round(time.monotonic() - start, 1),
        "cases": cases,
    }
    path = record.write("pairwise_quick" if options.quick else "pairwise", result)
    print(f"wrote {path}\n\n{table(result)}")


if __name__ == "__main__":
    main()
