"""What learns: importing this room registers every model; it imports no torch."""

# From the simplest on, which is the order of `clsbench list`.
from clsbench.models import dense  # isort: skip
from clsbench.models import conv  # isort: skip

__all__ = ["conv", "dense"]
