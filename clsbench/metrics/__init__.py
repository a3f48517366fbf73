"""Metrics, the same for every loss. Importing this room registers them; it imports no torch."""

from clsbench.metrics import diagnostics, single_label

__all__ = ["diagnostics", "single_label"]
