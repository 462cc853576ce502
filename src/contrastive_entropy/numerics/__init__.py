"""Sums and matrices on torch alone: kernels, sums over pairs, the nuclear norm, principal directions."""
