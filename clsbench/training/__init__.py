"""How it learns: trials trained together as a stack, measured by one ruler; yields numbers, shows nothing.

Importing this room registers the optimizers and the metrics; it imports no torch.
"""

from clsbench.training import metrics, optimizers

__all__ = ["metrics", "optimizers"]
