"""What determines a fit: the settings of every kind of model and of the machine, checked when they are made."""

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from contrastive_entropy.data.dataset import Dataset
from contrastive_entropy.data.files import HELD_OUT
from contrastive_entropy.data.load import suggestion
from contrastive_entropy.errors import InputError
from contrastive_entropy.models import CODES, NOISES, EncoderMixtureDecoder, MixtureDensityNetwork, code_dimensions
from contrastive_entropy.networks.bodies import MLP, ConvolutionalDecoder, ConvolutionalEncoder, FourierFeatures
from contrastive_entropy.objectives.conditional import CONDITIONAL_OBJECTIVES
from contrastive_entropy.objectives.density import OBJECTIVES
from contrastive_entropy.variance.choice import (
    median_pair_variance,
    neighbor_variance,
    separating_variance,
)

SEEDS = 2**32
"""Seeds lie below this."""

MOST_FREQUENCIES = 16
"""The fastest wave then has a period of 2^-14, below any noise worth having."""

BODIES = ("mlp", "convolutional")
GEOMETRIC, ADAPTIVE = SCHEDULES = ("geometric", "adaptive")
"""How the variance falls: at one pace, or waiting while samples have no data near them."""

MOST_CODES = 32
"""Dimensions that the noise has by default, at most."""

ANNEAL_PACE, ANNEAL_MOST = 0.125, 0.8
"""Of a generator by default: the share of the steps in which the variance falls by a factor e, and the most in which it
falls at all, waiting included."""

RATE, RATE_WIDTH = 3e-3, 256
"""Learning rate of a generator by default, up to this `width`; beyond, in inverse proportion."""

COARSE_EVERY, COARSE_BESIDE_FINE = 2, 4
"""Steps from one that sees a larger variance to the next, by default of debiased_nuclear_norm: where others see all there
is at the step's own, and where some see the finer principal components alone."""

FINE_EVERY = 4
"""Steps from one that sees the finer principal components alone to the next, by default of debiased_nuclear_norm."""

OBJECTIVES_OWN = ("anneal_fraction", "coarse_every", "fine_every")
"""Settings whose default hangs on the objective."""

SMOOTHED = ("nuclear_norm", "debiased_nuclear_norm")
"""Objectives that take a smoothing."""

PAIRED = ("debiased_nuclear_norm",)
"""Objectives that halve the model points; in training each half faces data points of its own."""


@dataclass(frozen=True)
class FitConfig:
    """Everything that determines a fit of a mixture density network.

    Args:
        data: name or path, as `data.load` takes it.
        objective: of `OBJECTIVES`, except `trace`, which pairs each center with its own data point.
        smoothing: eps of (E12), relative to the largest singular value; None is the objective's default.
        tolerance: relative error that the smoothed nuclear norm and its gradient may have; None is 1e-3.
        steps: optimiser steps.
        batch_size: data points per step; of an objective of `PAIRED` so many for each half of the generated points.
        components: generated points per step.
        learning_rate: of Adam; None is 3e-3, and beyond a width of 256 in inverse proportion to it, as the best rates of
            hidden layers are (Yang et al., "Tensor Programs V", arXiv 2203.03466).
        decay_fraction: share of the steps, at the end, in which the learning rate falls linearly to 0.
        average_fraction: share of all steps so far over which the weights are averaged, exponentially; the average is what
            the fit returns, while metrics.csv is of each step's own weights. 0: the last step's weights.
        variance_start: of the density, in data units squared; None is half the median squared pair distance.
        variance_end: None is from the distances to near neighbours within a batch.
        anneal_fraction: share of the steps in which the variance falls; 0 is fixed at variance_end. None is 80%, but of
            debiased_nuclear_norm in all coordinates no more than an eighth for every factor e from start to end.
        schedule: how it falls, of `SCHEDULES`: adaptive is as geometric, but waits while more than a
            tenth of the model points have no data near enough to be drawn to, then catches up at twice the pace, in the
            first 80% of the steps, and may end above variance_end.
        coarse_every: every so many steps the objective is evaluated at a larger variance, drawn log-uniformly between the
            step's and variance_start, and weighted by the root of their ratio, so that parts of the data that the kernel
            no longer connects keep their shares of the samples even; metrics.csv and progress stay at the step's. 0:
            never. None is 2 for debiased_nuclear_norm where the variance anneals, beside fine steps 4, and 0 for others:
            without debiasing, a larger variance has another optimum.
        fine_every: with principal_components, every so many steps the objective sees the finer ones alone, without the 1,
            2, 4 ... up to half of all that vary most, at the variance that suits them, so that what hardly counts in
            distances is learnt, too; metrics.csv and progress are of all components. A step that sees a larger variance
            comes first. 0: never, else 2 or more. None is 4 for debiased_nuclear_norm, and 0 for others: without debiasing,
            a part of the components has another optimum.
        body: of `BODIES`.
        width: of the hidden layers; of the convolutional body, channels before its last layer.
        depth: hidden layers of the MLP, also of the one before the convolutions.
        noise: kind of noise codes.
        noise_dimension: of the codes; None is twice the data's, at most 32.
        principal_components: r, directions of the training data in which an MLP writes and in which the objective is
            evaluated, metrics.csv and progress included: less work where coordinates are many more. Cut to what the
            points span, n - 1; 0: all coordinates.
        points: how many of the training points are used; None is all.
        held_out: share of a file's points that is held out.
        data_root: folder with copies of hub data sets; None is the hub or its cache.
        standardize: bring every column to mean 0 and deviation 1, for tables whose columns have units of their own; all
            variances and figures are of these columns then.
        seed: of the data's draw or split, the initial weights, the batches and the noise.

    Raises:
        InputError: a field's value cannot be used.
    """

    data: str
    objective: str = "debiased_nuclear_norm"
    smoothing: float | None = None
    tolerance: float | None = None
    steps: int = 2000
    batch_size: int = 256
    components: int = 512
    learning_rate: float | None = None
    decay_fraction: float = 0.6
    average_fraction: float = 0.1
    variance_start: float | None = None
    variance_end: float | None = None
    anneal_fraction: float | None = None
    schedule: str = ADAPTIVE
    coarse_every: int | None = None
    fine_every: int | None = None
    body: str = "mlp"
    width: int = 256
    depth: int = 3
    noise: str = "gaussian"
    noise_dimension: int | None = None
    principal_components: int = 0
    points: int | None = None
    held_out: float = HELD_OUT
    data_root: str | None = None
    standardize: bool = False
    seed: int = 0

    kind: ClassVar[str] = "mdn"

    def __post_init__(self) -> None:
        if self.objective == "trace":
            raise InputError("trace pairs each center with its own data point, which a network on noise has not")
        _check_choice("objective", self.objective, [name for name in OBJECTIVES if name != "trace"])
        _check_choice("noise", self.noise, NOISES)
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_at_least("noise_dimension", self.noise_dimension, 1)
        _check_at_least("coarse_every", self.coarse_every, 0)
        _check_at_least("fine_every", self.fine_every, 0)
        if self.fine_every and self.principal_components < 2:
            raise InputError(
                "fine_every needs principal_components, two or more, whose finer ones a step sees: leave it out"
            )
        if self.fine_every == 1:
            raise InputError(
                "fine_every must be 0 or at least 2, got 1: in every step, nothing would see the leading component"
            )
        if self.fine_every and self.coarse_every == 1:
            raise InputError(
                "with coarse_every 1 every step sees a larger variance, none the finer components: leave one out"
            )
        if (self.fine_every, self.coarse_every) == (2, 2):
            raise InputError(
                "with coarse_every 2 and fine_every 2 no step sees all components at its own variance: raise one of them"
            )
        _check_share("average_fraction", self.average_fraction)
        _check_at_least("components", self.components, 2)
        _check_training(self)
        _check_principal(self.principal_components, "body", self.body)
        for name in ("smoothing", "tolerance"):
            if getattr(self, name) is not None and self.objective not in SMOOTHED:
                raise InputError(f"{name} is for {' and '.join(SMOOTHED)}; {self.objective} has none: leave it out")
        if self.smoothing is not None and not 0 <= self.smoothing < math.inf:
            raise InputError(f"smoothing must be a number >= 0, got {self.smoothing}")
        _check_positive("tolerance", self.tolerance)

    def resolve(self, dataset: Dataset) -> "FitConfig":
        """The same with both variances, how long they fall, the noise's dimension, learning rate and periods chosen.

        Raises:
            InputError: the data are constant or mostly duplicates.
        """
        start, end = _chosen_variances(self, dataset)
        components = spanned(self.principal_components, dataset)
        if self.fine_every and components < 2:
            raise InputError(
                f"fine_every needs two principal components, and the training points, {len(dataset.train)} x "
                f"{dataset.dimension}, span {components}: leave it out"
            )
        chosen = dataclasses.replace(
            self,
            variance_start=start,
            variance_end=end,
            learning_rate=self.learning_rate or RATE * min(1.0, RATE_WIDTH / self.width),
            principal_components=components,
            noise_dimension=self._codes(dataset.dimension),
        )
        return chosen.decided()

    def decided(self) -> "FitConfig":
        """The same with what the defaults of `OBJECTIVES_OWN` mean, which may change."""
        return dataclasses.replace(
            self, anneal_fraction=self.falling_share, coarse_every=self.coarse_period, fine_every=self.fine_period
        )

    def network(self, dimension: int, image_shape: tuple[int, int, int] | None) -> MixtureDensityNetwork:
        """A network of this shape with fresh weights from the seed, centred at 0 with scale 1.

        Raises:
            InputError: a convolutional body for data that are not images.
        """
        body: torch.nn.Module
        codes = self._codes(dimension)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self.body == "convolutional":
                body = ConvolutionalDecoder(
                    codes, _image_shape("body", self, image_shape), width=self.width, depth=self.depth
                )
            else:
                outputs = self.principal_components or dimension
                body = MLP(codes, outputs, width=self.width, depth=self.depth)
        return MixtureDensityNetwork(
            body,
            noise_dimension=codes,
            location=torch.zeros(dimension),
            scale=torch.ones(()),
            variance=self.variance_end or 1.0,
            noise=self.noise,
            basis=_no_basis_yet(self.principal_components, dimension),
        )

    @property
    def falling_share(self) -> float | None:
        """Share of the steps in which the variance falls, if nothing waits; None before the variances are chosen."""
        if self.anneal_fraction is not None:
            return self.anneal_fraction
        if self.objective != "debiased_nuclear_norm" or self.principal_components:
            return ANNEAL_MOST
        if self.variance_start is None or self.variance_end is None:
            return None
        return min(ANNEAL_MOST, ANNEAL_PACE * math.log(self.variance_start / self.variance_end))

    @property
    def coarse_period(self) -> int:
        """Steps from one that sees a larger variance to the next; 0: no step does."""
        if self.coarse_every is not None:
            return self.coarse_every
        if self.objective != "debiased_nuclear_norm" or self.anneal_fraction == 0:
            return 0
        return COARSE_BESIDE_FINE if self.fine_period else COARSE_EVERY

    @property
    def fine_period(self) -> int:
        """Steps from one that sees the finer principal components alone to the next; 0: no step does."""
        if self.fine_every is not None:
            return self.fine_every
        return FINE_EVERY if self.objective == "debiased_nuclear_norm" and self.principal_components > 1 else 0

    @property
    def drawn_points(self) -> int:
        """Data points that a step draws: the first `batch_size` are what the first half of the generated points faces."""
        return self.batch_size * (2 if self.objective in PAIRED else 1)

    def _codes(self, dimension: int) -> int:
        """Dimensions of the noise: many more than the data's leave samples between modes, no more reach less of them."""
        return self.noise_dimension or min(2 * dimension, MOST_CODES)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Everything that determines a fit of an encoder with a mixture decoder.

    Args:
        data: name or path, as `data.load` takes it.
        objective: of `CONDITIONAL_OBJECTIVES`.
        features: k, dimensions of the code y.
        centers: C, alternatives per code; 1 is a plain autoencoder.
        codes: what tells the centers apart, of `CODES`.
        code_dimension: of learned and gaussian codes.
        feature_variance: v_y of the noise on the features, which lie in [-1, 1].
        feature_variance_start: where it starts to fall from; None keeps it fixed.
        steps: optimiser steps.
        batch_size: data points per step.
        learning_rate: of Adam.
        decay_fraction: as in `FitConfig`; None is the steps after annealing, and a tenth at least.
        variance_start, variance_end, anneal_fraction: of the density, v_x = v_q, as in `FitConfig`; the end's default is
            half the `neighbor_variance` of 8 neighbours, or `separating_variance` where that is less and there are
            several centers: neighbours in feature space shall be alternatives, not one blur.
        body: of `BODIES`, for both halves unless `decoder` says otherwise.
        width, depth: as in `FitConfig`.
        decoder, decoder_width: body and width of the decoder; None as the encoder's. Another body needs a width of its own.
        frequencies: waves of `networks.FourierFeatures` that the decoder sees of the code, at most 16; 0: the code alone.
        principal_components, points, held_out, data_root, standardize, seed: as in `FitConfig`; the decoder writes in the
            components.

    Raises:
        InputError: a field's value cannot be used.
    """

    data: str
    objective: str = "normalized_inner_product"
    features: int = 2
    centers: int = 10
    codes: str = "heads"
    code_dimension: int = 8
    feature_variance: float = 0.0025
    feature_variance_start: float | None = None
    steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 1e-3
    decay_fraction: float | None = None
    variance_start: float | None = None
    variance_end: float | None = None
    anneal_fraction: float = 0.8
    body: str = "mlp"
    width: int = 256
    depth: int = 3
    decoder: str | None = None
    decoder_width: int | None = None
    frequencies: int = 0
    principal_components: int = 0
    points: int | None = None
    held_out: float = HELD_OUT
    data_root: str | None = None
    standardize: bool = False
    seed: int = 0

    kind: ClassVar[str] = "autoencoder"

    def __post_init__(self) -> None:
        _check_choice("objective", self.objective, CONDITIONAL_OBJECTIVES)
        _check_choice("codes", self.codes, CODES)
        for name in ("features", "centers", "code_dimension"):
            _check_at_least(name, getattr(self, name), 1)
        _check_at_least("frequencies", self.frequencies, 0)
        if self.frequencies > MOST_FREQUENCIES:
            raise InputError(f"frequencies must be at most {MOST_FREQUENCIES}, got {self.frequencies}")
        if self.decoder is not None:
            _check_choice("decoder", self.decoder, BODIES)
            if self.decoder != self.body and self.decoder_width is None:
                raise InputError(
                    f"a {self.decoder} decoder beside a {self.body} encoder needs a decoder_width of its own: hidden units "
                    "of an mlp (256), channels at full size if convolutional (16)"
                )
        _check_at_least("decoder_width", self.decoder_width, 1)
        _check_training(self)
        _check_principal(self.principal_components, "decoder" if self.decoder else "body", self.decoder or self.body)
        for name in ("feature_variance", "feature_variance_start"):
            _check_positive(name, getattr(self, name))
        if self.feature_variance_start is not None and self.feature_variance_start < self.feature_variance:
            raise InputError(
                "feature_variance_start must not be below feature_variance, got "
                f"{self.feature_variance_start} < {self.feature_variance}"
            )

    def resolve(self, dataset: Dataset) -> "AutoencoderConfig":
        """The same with all variances chosen for this data set.

        Raises:
            InputError: the data are constant or mostly duplicates.
        """
        start, end = _chosen_variances(self, dataset)
        if self.variance_end is None and self.centers > 1:
            end = separating_variance(
                dataset.train.points,
                most=end,
                centers=self.centers,
                features=self.features,
                feature_variance=self.feature_variance,
            )
        noise = self.feature_variance_start or self.feature_variance
        return dataclasses.replace(
            self,
            variance_start=start,
            variance_end=end,
            feature_variance_start=noise,
            principal_components=spanned(self.principal_components, dataset),
        )

    @property
    def drawn_points(self) -> int:
        """Data points that a step draws."""
        return self.batch_size

    def network(self, dimension: int, image_shape: tuple[int, int, int] | None) -> EncoderMixtureDecoder:
        """An encoder and a decoder of this shape with fresh weights from the seed, centred at 0 with scale 1.

        Raises:
            InputError: a convolutional body for data that are not images.
        """
        inputs = self.features * (1 + 2 * self.frequencies)
        inputs += code_dimensions(self.codes, self.centers, self.code_dimension)
        images = self.centers if self.codes == "heads" else 1
        encoder: torch.nn.Module
        decoder: torch.nn.Module
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self.body == "convolutional":
                encoder = ConvolutionalEncoder(_image_shape("body", self, image_shape), self.features, width=self.width)
            else:
                encoder = MLP(dimension, self.features, width=self.width, depth=self.depth)
            width = self.decoder_width or self.width
            if (self.decoder or self.body) == "convolutional":
                shape = _image_shape("decoder" if self.decoder else "body", self, image_shape)
                decoder = ConvolutionalDecoder(inputs, shape, width=width, depth=self.depth, images=images)
            else:
                outputs = self.principal_components or dimension
                decoder = MLP(inputs, images * outputs, width=width, depth=self.depth)
            if self.frequencies:
                decoder = torch.nn.Sequential(FourierFeatures(self.features, self.frequencies), decoder)
            return EncoderMixtureDecoder(
                encoder,
                decoder,
                centers=self.centers,
                codes=self.codes,
                code_dimension=self.code_dimension,
                location=torch.zeros(dimension),
                scale=torch.ones(()),
                variance=self.variance_end or 1.0,
                feature_variance=self.feature_variance,
                basis=_no_basis_yet(self.principal_components, dimension),
            )


Config = FitConfig | AutoencoderConfig

KINDS: dict[str, type[FitConfig] | type[AutoencoderConfig]] = {"mdn": FitConfig, "autoencoder": AutoencoderConfig}
"""Settings by the kind of model, as `contrastive-entropy fit KIND` names it."""


PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Precisions of the network. Weights themselves are float32 always: 16-bit ones would not see small steps."""


BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Instructions of x86 processors that multiply such numbers."""


@dataclass(frozen=True)
class Machine:
    """Where and how a fit runs; kept in the run, because a resumed run is the same only on the same terms.

    Args:
        accelerator, devices: as Lightning's Trainer takes them; auto is `automatic_device`.
        precision: of the network, of `PRECISIONS`; the objective is evaluated in float32 or better in any case.
        log_every: steps between rows of metrics.csv and TensorBoard.
        checkpoint_every: steps between checkpoints.
        track_every: steps between rows of bounds.csv; None is 20 rows in all. For autoencoders.

    Raises:
        InputError: unknown precision, or a number of steps is below 1.
    """

    accelerator: str = "auto"
    devices: str = "1"
    precision: str = "32-true"
    log_every: int = 10
    checkpoint_every: int = 100
    track_every: int | None = None

    def __post_init__(self) -> None:
        _check_choice("precision", self.precision, PRECISIONS)
        for name in ("log_every", "checkpoint_every", "track_every"):
            _check_at_least(name, getattr(self, name), 1)


def automatic_device() -> torch.device:
    """What `auto` takes: a CUDA device (ROCm's are called so, too) or the CPU; Apple's GPUs lack double precision."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def emulation(precision: str) -> str | None:
    """Why a precision is slow on this machine's processor, if it is; GPUs are not looked at."""
    if precision != "bf16-mixed":
        return None
    processor = torch.cpu.get_capabilities()
    if processor["architecture"] != "x86_64" or any(processor.get(name) for name in BFLOAT16):
        return None
    return "this processor has no bfloat16 arithmetic, so bf16-mixed may be ten times slower here than 32-true"


def _check_choice(name: str, value: str, known: "tuple[str, ...] | list[str]") -> None:
    if value not in known:
        raise InputError(f"unknown {name} {value!r}{suggestion(value, known)} (known: {', '.join(known)})")


def _check_at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise InputError(f"{name} must be at least {least}, got {value}")


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{name} must be a positive number, got {value}")


def _check_share(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise InputError(f"{name} must lie in [0, 1], got {value}")


def _check_training(config: "Config") -> None:
    """The settings that all kinds share."""
    _check_choice("body", config.body, BODIES)
    for name in ("steps", "width", "depth"):
        _check_at_least(name, getattr(config, name), 1)
    _check_at_least("batch_size", config.batch_size, 2)
    _check_at_least("points", config.points, 10)
    _check_at_least("seed", config.seed, 0)
    if config.seed >= SEEDS:
        raise InputError(f"seed must be below 2^32, got {config.seed}")
    for name in ("learning_rate", "variance_start", "variance_end"):
        _check_positive(name, getattr(config, name))
    for name in ("decay_fraction", "anneal_fraction"):
        _check_share(name, getattr(config, name))
    start, end = config.variance_start, config.variance_end
    if start is not None and end is not None and start < end:
        raise InputError(
            f"variance_start must not be below variance_end, got {start} < {end}; "
            "anneal_fraction 0 keeps the variance fixed at variance_end"
        )


def _check_principal(count: int, part: str, body: str) -> None:
    _check_at_least("principal_components", count, 0)
    if count and body != "mlp":
        raise InputError(f"principal_components need {part} mlp: a {body} network writes pixels; leave them out")


def spanned(count: int, dataset: Dataset) -> int:
    """No more principal components than the training points span."""
    return min(count, len(dataset.train) - 1, dataset.dimension)


def _no_basis_yet(count: int, dimension: int) -> torch.Tensor | None:
    return torch.zeros(count, dimension) if count else None


def _chosen_variances(config: "Config", dataset: Dataset) -> tuple[float, float]:
    """Start and end: given, or from the data's distances; an autoencoder, whose centers see one point each, ends finer."""
    points = min(config.batch_size, len(dataset.train))
    share, neighbors = (1.0, None) if isinstance(config, FitConfig) else (0.5, min(8, points - 1))
    try:
        end = config.variance_end or share * neighbor_variance(dataset.train.points, points=points, neighbors=neighbors)
        start = config.variance_start or max(end, median_pair_variance(dataset.train.points))
    except ValueError as error:
        raise InputError(f"{dataset.name}: {error}; or set variance_start and variance_end") from error
    return start, min(end, start)


def _image_shape(part: str, config: "Config", image_shape: tuple[int, int, int] | None) -> tuple[int, int, int]:
    if image_shape is None:
        raise InputError(f"{part} convolutional needs images, and {config.data} holds points; use {part} mlp")
    return image_shape
