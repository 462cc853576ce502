"""Data sets: embedded digits, toy laws, the hub's images, and the user's own files."""

from contrastive_entropy.data.dataset import Dataset, Part
from contrastive_entropy.data.load import load, load_points, names
from contrastive_entropy.data.points import read_points
from contrastive_entropy.data.schema import Column, Images, Schema, Table
from contrastive_entropy.data.toys import sample_toy, toy_modes

__all__ = [
    "Column",
    "Dataset",
    "Images",
    "Part",
    "Schema",
    "Table",
    "load",
    "load_points",
    "names",
    "read_points",
    "sample_toy",
    "toy_modes",
]
