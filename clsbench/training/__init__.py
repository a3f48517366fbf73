"""Training: trials are trained together as a stack and all measured by the same metrics. It yields numbers.

Importing this room registers the optimizers; it imports no torch.
"""

from clsbench.training import optimizers

__all__ = ["optimizers"]
