"""Whole data sets, without a run: entropies, singular functions, and samples of any generator."""
