"""Datasets as registered functions. Importing this opens no data and loads no library."""

from clsbench.data import folders, memory, playground, tables, toy, vision

__all__ = ["folders", "memory", "playground", "tables", "toy", "vision"]
