"""Datasets as registered functions. Importing this opens no data and loads no library."""

from clsbench.data import files, toy, vision

__all__ = ["files", "toy", "vision"]
