"""Datasets as registered functions. Importing this opens no data and loads no library."""

from clsbench.data import files, folders, memory, toy, vision

__all__ = ["files", "folders", "memory", "toy", "vision"]
