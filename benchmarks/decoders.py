"""The autoencoder's objectives between likelihood and (E15), beside a distributional principal autoencoder.

python benchmarks/decoders.py     # half an hour on one core: results/decoders.json

Digits, a code of one dimension, 16 alternatives of each held-out digit: their energy score, the distance of the nearest,
and their diversity.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import record
import torch
from torch import Tensor

import contrastive_entropy as ce
from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.experiments.journal import markdown, over_seeds
from contrastive_entropy.metrics.alternatives import diversity
from contrastive_entropy.networks.bodies import MLP

OBJECTIVES = ("log_likelihood", "hoelder:gamma=0.5", "normalized_inner_product")
PEER = "distributional principal autoencoder"
STEPS, CENTERS, NOISE, WIDTH, BATCH, RATE = 3000, 16, 16, 256, 256, 1e-3


def scores(draws: Tensor, inputs: Tensor) -> dict[str, float]:
    """Of alternatives (n, a, d) for inputs (n, d)."""
    count = draws.shape[1]
    own = (draws - inputs.unsqueeze(1)).norm(dim=-1)
    apart = torch.cdist(draws, draws).sum((1, 2)) / (count * (count - 1))
    return {
        "energy_score": float((own.mean(1) - apart / 2).mean()),
        "best": float(own.amin(1).mean()),
        "diversity": diversity(draws, inputs),
    }


def ours(objective: str, seed: int, data: Dataset, folder: Path) -> Tensor:
    """Alternatives of the held-out digits."""
    settings = ce.AutoencoderSettings(
        "digits", features=1, centers=CENTERS, steps=STEPS, objective=objective, seed=seed
    )
    run = ce.fit(settings, folder, progress=False)
    return run.network().reconstruct(data.held_out.points, CENTERS, generator=torch.Generator().manual_seed(1))


def peer(seed: int, data: Dataset) -> Tensor:
    """Encoder to a code, decoder of (code, noise), the energy score of two draws (arXiv 2404.13649)."""
    torch.manual_seed(seed)
    x = data.train.points
    location, scale = x.mean(0), (x - x.mean(0)).square().mean().sqrt()
    encoder, decoder = MLP(x.shape[1], 1, width=WIDTH), MLP(1 + NOISE, x.shape[1], width=WIDTH)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], RATE)

    def draw(batch: Tensor, count: int) -> Tensor:
        code = encoder((batch - location) / scale).unsqueeze(1).expand(-1, count, -1)
        noise = torch.randn(len(batch), count, NOISE)
        return location + scale * decoder(torch.cat([code, noise], -1).flatten(0, 1)).unflatten(0, (-1, count))

    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (STEPS - step) / (0.2 * STEPS))
        batch = x[torch.randint(len(x), (BATCH,))]
        z = draw(batch, 2)
        loss = (z - batch.unsqueeze(1)).norm(dim=-1).mean() - (z[:, 0] - z[:, 1]).norm(dim=-1).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return draw(data.held_out.points, CENTERS)


def table(found: Mapping[str, Any]) -> str:
    """The markdown table of a result."""
    rows = [
        [
            name.replace("_", " "),
            *(over_seeds([run[key] for run in runs], digits=3) for key in ("energy_score", "best", "diversity")),
            f"{sum(run['seconds'] for run in runs) / len(runs):.0f}",
        ]
        for name, runs in found["rows"].items()
    ]
    return markdown(["", "energy score (low)", "nearest of 16 (low)", "diversity", "seconds"], rows)


def main() -> None:
    """Run all and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    asked = record.parsed(parser, table)
    data = ce.load("digits")
    rows: dict[str, list[dict[str, float]]] = {}
    for name in (*OBJECTIVES, PEER):
        for seed in range(asked.seeds):
            start = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                draws = peer(seed, data) if name == PEER else ours(name, seed, data, Path(folder) / "run")
            found = {**scores(draws, data.held_out.points), "seconds": round(time.monotonic() - start, 1)}
            rows.setdefault(name, []).append(found)
            print(name, seed, found, flush=True)
    record.write("decoders", {**record.origin(list(range(asked.seeds))), "rows": rows})
    print(table({"rows": rows}))


if __name__ == "__main__":
    main()
