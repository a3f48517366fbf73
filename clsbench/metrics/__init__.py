"""How it is judged: one ruler for every loss. Importing this room registers the metrics; it imports no torch."""

from clsbench.metrics import diagnostics, single_label

__all__ = ["diagnostics", "single_label"]
