"""How much of an image its code keeps."""

from pathlib import Path

import torch
from torch import Tensor

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.errors import InputError
from contrastive_entropy.fitting.run import Run
from contrastive_entropy.metrics.evaluation import Evaluation, Headline, Table
from contrastive_entropy.metrics.moments import frechet_distance
from contrastive_entropy.metrics.neighborhoods import require_enough
from contrastive_entropy.metrics.pictures import sharpness
from contrastive_entropy.spaces.images import image_spaces

READING = "the share of the images' variance that their codes keep; 1 is all of it."


def evaluate(
    run: Run,
    dataset: Dataset,
    *,
    seed: int = 1,
    from_density: bool = False,
    feature_weights: Path | None = None,
    features: bool = True,
) -> Evaluation:
    """Compare images with their reconstructions, of training and of held-out images.

    Args:
        run: of codes, finished.
        dataset: what `run.dataset()` returned.
        seed: of the noise on codes in the row `noisy_error`.
        from_density, feature_weights: are for generators, and refused.
        features: also compares in features of `efficientnet.EfficientNet`, where its package is installed.

    Returns:
        Evaluation with the table `codes`, columns train and held_out. The arrays are inputs and reconstructions (n, d) of
        held-out images.

    Raises:
        InputError: training has not finished, too few images, or what is asked is for generators.
    """
    if from_density or feature_weights is not None:
        name = "from_density" if from_density else "feature_weights"
        raise InputError(f"`{name}` is for generators, and {run.folder} holds codes; leave it out")
    train, held_out = dataset.train.points, dataset.held_out.points
    require_enough(dataset.name, len(train), len(held_out))
    network = run.network()
    generator = torch.Generator().manual_seed(seed)
    noise = float(run.plan.model.code_noise)
    parts = {"train": train[: len(held_out)], "held_out": held_out}
    shape = dataset.image_shape
    assert shape is not None
    spaces, notes = image_spaces(shape, features=features, feature_weights=None)
    codes = {name: network.codes_of(part) for name, part in parts.items()}
    made = {name: network.images_of(own) for name, own in codes.items()}
    columns: dict[str, dict[str, float]] = {}
    for name, part in parts.items():
        own = codes[name]
        noisy = network.images_of(own + noise * torch.randn(own.shape, generator=generator))
        columns[name] = _figures(made[name], noisy, part, train, shape)
    for space in spaces:
        placed = space.features(held_out[: space.most], "held-out images")
        for name, images in made.items():
            found = space.features(images[: space.most], f"reconstructions of {name.replace('_', '-')} images")
            columns[name]["features_frechet"] = frechet_distance(found, placed)
    return Evaluation(
        Headline("explained", columns["held_out"]["explained"], READING),
        (Table("codes", f"{network.dimension} numbers for an image of {dataset.dimension}", columns),),
        (),
        {"seed": seed, "code_noise": noise},
        {"inputs": held_out, "reconstructions": made["held_out"]},
        notes,
    )


def _figures(
    made: Tensor, noisy: Tensor, images: Tensor, train: Tensor, shape: tuple[int, int, int]
) -> dict[str, float]:
    error, noisy_error = (float((part - images).square().mean()) for part in (made, noisy))
    return {
        "explained": 1 - error / float((images - train.mean(0)).square().mean()),
        "error": error,
        "noisy_error": noisy_error,
        "sharpness": sharpness(made, images, shape),
    }
