"""The lazy Python API over the same stages that recipes use."""

from raylib.dataset.dataset import Dataset
from raylib.dataset.reading import read
from raylib.dataset.rejected import Rejected

__all__ = ["Dataset", "Rejected", "read"]
