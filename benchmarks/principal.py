"""What principal components save on large images: results/principal.json.

python benchmarks/principal.py --data-root DIR     # three minutes on two cores; DIR/celeba as the hub lays it out

Steps per second of `fit`, checkpoints and logs left out, on 64 x 64 colour faces: in all 12,288 coordinates and in
principal components, in turns. 400 faces span 399 components, in which nothing is lost; all 6,000 are cut.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path

import record
import torch

from contrastive_entropy.data.load import load
from contrastive_entropy.fitting.loop import Fit
from contrastive_entropy.models import AutoencoderSettings, GeneratorSettings, kind_of

AUTOENCODER = AutoencoderSettings(
    "celeba", features=1, centers=8, codes="heads", body="convolutional", width=8, decoder="mlp", decoder_width=512,
    depth=4, frequencies=4, batch_size=64, points=400,
)  # fmt: skip
GENERATOR = GeneratorSettings("celeba", width=512)
CASES: dict[str, tuple[AutoencoderSettings | GeneratorSettings, int]] = {
    "fit autoencoder, 400 faces, 8 heads": (AUTOENCODER, 400),
    "fit generator, 6,000 faces": (GENERATOR, 512),
}
"""Settings, and the components to compare with all coordinates."""


class Steps:
    """Training steps of one setting, with the network in bfloat16 where the processor has it."""

    def __init__(self, settings: AutoencoderSettings | GeneratorSettings, data_root: Path | None) -> None:
        dataset, kind = load(settings.data, data_root=data_root, points=settings.points), kind_of(settings)
        plan = kind.plan(settings, dataset)
        start = time.perf_counter()
        network = kind.network(plan, dataset.schema)
        kind.place(network, dataset)
        self.seconds_to_start = time.perf_counter() - start
        self.components = plan.model.principal_components
        self.fit = Fit(plan, kind.step(plan, network, dataset))
        self.optimizer = self.fit.configure_optimizers()
        self.step = 0

    def milliseconds(self, count: int) -> float:
        """Of one step, the mean of so many."""
        start = time.perf_counter()
        for _ in range(count):
            now = self.fit.now = self.fit.begin(self.step)
            with torch.autocast("cpu", torch.bfloat16):
                answer = self.fit.part.answer(self.fit.batch(now), now)
            self.fit.outcome = self.fit.part.judge(answer, now)
            self.optimizer.zero_grad()
            self.fit.outcome.bound.backward()
            self.optimizer.step()
            self.fit.finish()
            self.step += 1
        return 1e3 * (time.perf_counter() - start) / count


def table(result: dict) -> str:
    """The markdown table that docs/performance.md shows."""
    lines = [
        "| | all coordinates | principal components | step | times faster | before the first step |",
        "|---" * 6 + "|",
    ]
    for case in result["cases"]:
        whole, cut = (statistics.median(case[times]) for times in ("milliseconds", "principal_milliseconds"))
        name = case["name"].replace("fit mdn", "fit generator")  # as the command was called when it was recorded
        lines.append(
            f"| {name} | {whole:.0f} ms | {case['principal_components']} | {cut:.0f} ms | {whole / cut:.1f} | "
            f"{case['seconds_to_start']:.1f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, help="folder with a copy of CelebA; the hub or its cache otherwise")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="of each repetition")
    options = record.parsed(parser, table)
    start = time.monotonic()
    cases = []
    for name, (config, components) in CASES.items():
        whole = Steps(config, options.data_root)
        cut = Steps(dataclasses.replace(config, principal_components=components), options.data_root)
        times: dict[str, list[float]] = {"milliseconds": [], "principal_milliseconds": []}
        for repeat in range(options.repeats + 1):
            for key, steps in zip(times, (whole, cut), strict=True):
                taken = steps.milliseconds(options.steps)
                if repeat:  # the first warms up
                    times[key].append(taken)
        cases.append(
            {
                "name": name,
                "principal_components": cut.components,
                "seconds_to_start": cut.seconds_to_start,
                **times,
            }
        )
    result = {**record.origin(0), "cases": cases, "wall_seconds": round(time.monotonic() - start, 1)}
    record.write("principal", result)
    print(table(result))


if __name__ == "__main__":
    main()
