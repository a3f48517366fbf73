"""Datasets as registered functions. Importing this opens no data and loads no library."""

from clsbench.data import folders, memory, playground, tables, toy, toy_values, vision

__all__ = ["folders", "memory", "playground", "tables", "toy", "toy_values", "vision"]
