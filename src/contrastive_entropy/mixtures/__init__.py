"""Gaussian mixtures with closed-form inner products and norms, operators between them, sums over whole data sets."""
