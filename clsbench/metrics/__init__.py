"""Metrics, the same for every loss. Importing this room registers them; it imports no torch."""

# In the order of tables.
from clsbench.metrics import single_label  # isort: skip
from clsbench.metrics import calibration  # isort: skip
from clsbench.metrics import truth  # isort: skip
from clsbench.metrics import by_class  # isort: skip
from clsbench.metrics import ranking  # isort: skip
from clsbench.metrics import multi_label  # isort: skip
from clsbench.metrics import regression  # isort: skip
from clsbench.metrics import probability  # isort: skip
from clsbench.metrics import diagnostics  # isort: skip

__all__ = [
    "by_class",
    "calibration",
    "diagnostics",
    "multi_label",
    "probability",
    "ranking",
    "regression",
    "single_label",
    "truth",
]
