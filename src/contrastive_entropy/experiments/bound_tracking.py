"""How tight the conditional bound gets with the number of centers, value and limit over training, and (E19) beside it."""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from contrastive_entropy.experiments.journal import Clock, finished_run, markdown, mean_and_error, shown, write_result
from contrastive_entropy.experiments.settings import BoundTrackingSettings, recorded
from contrastive_entropy.fitting.run import BOUNDS, Run
from contrastive_entropy.fitting.settings import load_for
from contrastive_entropy.mixtures.joint import JointMixture, conditional_bound
from contrastive_entropy.mixtures.mixture import GaussianMixture
from contrastive_entropy.models.autoencoder import AUTOENCODER, AutoencoderSettings
from contrastive_entropy.models.autoencoder.tracking import encoded, read_bounds
from contrastive_entropy.report.drawing import png_bytes
from contrastive_entropy.storage import write_atomically

FREE_STEPS = 400
"""Steps of the free centers."""

PAPER = 5.0
"""The paper's variance for MNIST."""


def run(settings: BoundTrackingSettings, folder: Path) -> dict[str, Any]:
    """Train what is missing, then write bound-tracking.json and bound-tracking.png.

    Args:
        settings: of the experiment.
        folder: of the experiment; its runs are in `runs/`.

    Returns:
        The rows: one per features and C, with means and standard errors over the seeds.

    Raises:
        InputError: data or folder cannot be used, or a signal stopped it.
    """
    clock = Clock(folder)
    rows, curves = [], []
    first = _fit(settings, settings.features[0], settings.centers[0], settings.seeds[0])
    datasets = {seed: load_for(dataclasses.replace(first, seed=seed)) for seed in settings.seeds}
    for features in settings.features:
        for centers in settings.centers:
            runs = []
            for seed, dataset in datasets.items():
                name = f"features{features}-centers{centers}-seed{seed}"
                runs.append(
                    finished_run(
                        AUTOENCODER, _fit(settings, features, centers, seed), folder / "runs" / name, dataset, clock
                    )
                )
            tables = [read_bounds(run.folder / BOUNDS) for run in runs]
            row: dict[str, Any] = {"features": features, "centers": centers}
            for part in ("train", "held_out"):
                for name in ("tightness", "gap", "neighbors", "iid_tightness", "best_error", "mean_error"):
                    row[f"{part}_{name}"] = mean_and_error([table[part][name][-1] for table in tables])
            if settings.free and features == 1:
                row["free_tightness"] = free_tightness(runs[0], datasets[settings.seeds[0]].train.points, centers)
            rows.append(row)
            curves.append(
                {"features": features, "centers": centers, "runs": [curve(table["train"]) for table in tables]}
            )
            write_result(
                folder / "bound-tracking.json",
                recorded(settings),
                list(settings.seeds),
                clock,
                {"rows": rows, "curves": curves},
            )
    write_atomically(folder / "bound-tracking.png", png_bytes(figure(rows, curves)))
    return {"rows": rows, "curves": curves}


def _fit(settings: BoundTrackingSettings, features: int, centers: int, seed: int) -> AutoencoderSettings:
    fit = settings.fit
    if fit.data == "mnist" and fit.variance_end is None:
        fit = dataclasses.replace(fit, variance_end=PAPER)
    return dataclasses.replace(fit, features=features, centers=centers, seed=seed)


def curve(columns: dict[str, list[float]]) -> dict[str, list[float]]:
    """Step, variance, value, limit, gap and errors over training."""
    names = ("step", "variance", "value", "limit", "gap", "best_error", "mean_error")
    return {name: columns[name] for name in names}


def free_tightness(run: Run, data: torch.Tensor, centers: int) -> float:
    """Tightness that C free centers per node of the quadrature reach on the run's own encoder: no decoder ties them.

    They start at draws from the posterior, the iid centers of (E19), and follow the gradient of (E15) itself; so what is
    missing to 1 is the bound's with C equal Gaussians of this variance, and the rest is the decoder's.

    Args:
        run: with one-dimensional features.
        data: (n, d) its training points.
        centers: C.
    """
    joint = encoded(run.network(), data)
    nodes, log_weights = joint.quadrature()
    keep = log_weights > log_weights.amax() - 12  # the rest holds less than 1e-4 of the mass
    nodes, log_weights = nodes[keep][::4], torch.log_softmax(log_weights[keep][::4], 0)
    posterior = joint.posterior(nodes)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.multinomial(posterior.exp(), centers, replacement=True, generator=generator)
    free = joint.points[chosen].clone().requires_grad_()  # (g, c, d)
    optimizer = torch.optim.Adam([free], 0.02)
    for step in range(FREE_STEPS):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / FREE_STEPS)
        optimizer.zero_grad()
        q = GaussianMixture(free, joint.variance)
        log_inner = _posterior_inner(joint, posterior, q)
        value = 2 * torch.logsumexp(log_inner + log_weights, 0) - torch.logsumexp(q.log_norm() + log_weights, 0)
        (-value).backward()
        optimizer.step()
    fitted = free.detach()
    position = {float(node): index for index, node in enumerate(nodes.squeeze(-1))}

    def model(conditions: torch.Tensor) -> GaussianMixture:
        index = [position[float(node)] for node in conditions.squeeze(-1)]
        return GaussianMixture(fitted[index], joint.variance)

    return conditional_bound(joint, model, nodes, log_weights=log_weights).tightness


def _posterior_inner(joint: JointMixture, posterior: torch.Tensor, q: GaussianMixture) -> torch.Tensor:
    """Log <p(.|y_g), q_g> up to a constant, differentiable, (g,)."""
    squares = torch.cdist(q.centers.flatten(0, 1), joint.points).square().unflatten(0, q.centers.shape[:2])
    exponents = squares.double() / (-4 * joint.variance) + posterior.unsqueeze(1)
    return torch.logsumexp(exponents.flatten(1), -1) - math.log(q.components)


def figure(rows: list[dict[str, Any]], curves: list[dict[str, Any]]) -> Figure:
    """For each feature dimension: gap over training, tightness against C with (E19), gap against best-of-C error."""
    dimensions = sorted({row["features"] for row in rows})
    result = Figure(figsize=(14, 4 * len(dimensions)), layout="constrained")
    FigureCanvasAgg(result)
    grid = result.subplots(len(dimensions), 3, squeeze=False)
    for axes, features in zip(grid, dimensions, strict=True):
        values, tightness, errors = axes
        own = [row for row in rows if row["features"] == features]
        for index, entry in enumerate(c for c in curves if c["features"] == features):
            first, color = entry["runs"][0], f"C{index}"
            values.semilogy(first["step"], first["gap"], color=color, label=f"C = {entry['centers']}")
            for run in entry["runs"]:
                errors.plot(run["best_error"][-1], run["gap"][-1], "o", color=color)
        values.set(xlabel="step", ylabel="nats", title=f"gap to the limit on training points, {features}-D feature")
        values.legend(fontsize=8)
        centers = [row["centers"] for row in own]
        for part, style in (("train", "o-"), ("held_out", "s--")):
            means, spread = zip(*(row[f"{part}_tightness"] for row in own), strict=True)
            tightness.errorbar(centers, means, spread, fmt=style, capsize=3, label=part.replace("_", " "))
        predicted = [row["train_iid_tightness"][0] for row in own]
        tightness.plot(centers, predicted, ":", color="black", label="iid centers (E19)")
        if all("free_tightness" in row for row in own):
            free = [row["free_tightness"] for row in own]
            tightness.plot(centers, free, "^-", color="#777777", label="free centers, no decoder")
        tightness.set(xlabel="centers C", title="tightness, mean and standard error over seeds", ylim=(0, 1.02))
        tightness.legend(fontsize=8)
        errors.set(xlabel="best-of-C squared error", ylabel="gap, nats", title="gap against reconstruction error")
        for axis in axes:
            axis.spines[["top", "right"]].set_visible(False)
    return result


def table(found: dict[str, Any]) -> str:
    """The markdown table of a result."""
    headings = (
        "features",
        "C",
        "tightness, train",
        "held out",
        "iid (E19)",
        "free centers",
        "neighbours",
        "best of C",
        "mean error",
    )
    rows = []
    for row in found["rows"]:
        free = f"{row['free_tightness']:.3f}" if "free_tightness" in row else "-"
        rows.append(
            [
                str(row["features"]),
                str(row["centers"]),
                *(shown(*row[f"{part}_tightness"], digits=3) for part in ("train", "held_out")),
                f"{row['train_iid_tightness'][0]:.3f}",
                free,
                f"{row['train_neighbors'][0]:.1f}",
                shown(*row["train_best_error"], digits=1),
                f"{row['train_mean_error'][0]:.1f}",
            ]
        )
    return markdown(headings, rows)


def reading(found: dict[str, Any]) -> str:
    """A paragraph on what was found, from the rows alone."""
    rows, lines = found["rows"], []
    for features in sorted({row["features"] for row in rows}):
        own = [row for row in rows if row["features"] == features]
        reached = ", ".join(f"{row['train_tightness'][0]:.3f} (C = {row['centers']})" for row in own)
        pairs = [(a["train_tightness"], b["train_tightness"], b["centers"]) for a, b in itertools.pairwise(own)]
        falls = [f"C = {c}" for a, b, c in pairs if a[0] - b[0] > 2 * math.hypot(a[1], b[1])]
        last = own[-1]
        lines += [
            f"With {features}-D features the training tightness is {reached}; held out it ends at "
            f"{last['held_out_tightness'][0]:.3f}.",
            f"It falls by more than two standard errors at {', '.join(falls)}." if falls else "No step falls.",
            f"Draws from the posterior would reach {last['train_iid_tightness'][0]:.3f} at C = {last['centers']}.",
        ]
        if "free_tightness" in last:
            lines.append(
                f"Centers that no decoder ties together reach {last['free_tightness']:.3f} on the same encoder."
            )
    return "\n".join(lines)
