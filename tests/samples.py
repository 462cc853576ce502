"""Small mixtures and joint laws that tests share."""

import torch

import contrastive_entropy as ce


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture(n, d, variance=0.5, seed=0, dtype=torch.float64):
    return ce.GaussianMixture(torch.randn(n, d, generator=generator(seed), dtype=dtype), variance)


def batch(count=5, components=3, dimension=2, seed=0, dtype=torch.float64):
    x = torch.randn(count, dimension, generator=generator(seed), dtype=dtype)
    z = torch.randn(count, components, dimension, generator=generator(seed + 1), dtype=dtype)
    return x, z


def joint(count=12, dimension=2, features=1, seed=0, variance=0.3, noise=0.1):
    x = torch.randn(count, dimension, generator=generator(seed), dtype=torch.float64)
    y = torch.tanh(x @ torch.randn(dimension, features, generator=generator(seed + 7), dtype=torch.float64))
    return ce.JointMixture(x, y, variance, noise)


def points(n=200, d=3, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def separating(data, **changes):
    asked = {"most": ce.variance.median_pair_variance(data), "centers": 4, "features": 1, "feature_variance": 0.01}
    return ce.variance.separating_variance(data, **asked | changes)


OBJECTIVES = {
    function.__name__: function
    for function in (
        ce.log_likelihood,
        ce.inner_product,
        ce.normalized_inner_product,
        ce.debiased_normalized_inner_product,
        ce.projection,
        ce.schur_trace,
        ce.nuclear_norm,
        ce.debiased_nuclear_norm,
        ce.affinity,
        ce.debiased_affinity,
        ce.trace,
    )
}
"""The functions of objectives on p(x), as they are called in Python."""
