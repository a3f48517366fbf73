"""Models: importing this room registers them; it imports no torch."""

# The simplest first, which is the order of `clsbench list`.
from clsbench.models import dense  # isort: skip
from clsbench.models import conv  # isort: skip

__all__ = ["conv", "dense"]
