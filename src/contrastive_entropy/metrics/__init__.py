"""Quality of samples: distances, neighbourhoods, modes, and what is diagnosed from them."""

from contrastive_entropy.metrics.distances import (
    column_distances,
    energy_distance,
    gaussian_mmd,
    mean_pair_distance,
    sliced_energy_distance,
    sliced_wasserstein,
)
from contrastive_entropy.metrics.modes import (
    ModeScores,
    class_mode_scores,
    clustering_purity,
    mode_scores,
)
from contrastive_entropy.metrics.moments import frechet_distance, kernel_distance
from contrastive_entropy.metrics.neighborhoods import (
    NeighborhoodScores,
    far_share,
    memorization,
    nearest_neighbor,
    neighbor_distance,
    neighborhood_scores,
    smaller_share,
)
from contrastive_entropy.metrics.pictures import sharpness
from contrastive_entropy.metrics.scores import parzen_log_likelihood, vendi_score

__all__ = [
    "ModeScores",
    "NeighborhoodScores",
    "class_mode_scores",
    "clustering_purity",
    "column_distances",
    "energy_distance",
    "far_share",
    "frechet_distance",
    "gaussian_mmd",
    "kernel_distance",
    "mean_pair_distance",
    "memorization",
    "mode_scores",
    "nearest_neighbor",
    "neighbor_distance",
    "neighborhood_scores",
    "parzen_log_likelihood",
    "sharpness",
    "sliced_energy_distance",
    "sliced_wasserstein",
    "smaller_share",
    "vendi_score",
]
