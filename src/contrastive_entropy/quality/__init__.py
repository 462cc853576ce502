"""How good a table is that stands for another: shapes, pairs, detection, utility, privacy, and what fails in words."""
