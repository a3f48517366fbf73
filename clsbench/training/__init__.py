"""How it learns: trials trained together as a stack, measured by one ruler; yields numbers, shows nothing.

Importing this room registers the optimizers; it imports no torch.
"""

from clsbench.training import optimizers

__all__ = ["optimizers"]
