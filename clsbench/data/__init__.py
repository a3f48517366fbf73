"""Datasets as registered functions. Importing this opens no data and loads no library."""

from clsbench.data import files, memory, toy, vision

__all__ = ["files", "memory", "toy", "vision"]
