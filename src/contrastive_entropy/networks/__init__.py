"""Networks that write the centers of mixtures."""
