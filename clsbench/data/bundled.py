"""The data files in scikit-learn's package, read without importing it: that takes longer than a small training."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def table(name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], tuple[str, ...]]:
    """Features `[N, D]`, class numbers `[N]` and class names of a table: `iris`, `wine_data` or `breast_cancer`.

    Its first line has the number of samples, the number of features and the names; the last column is the class.

    Raises:
        DataError: the file is missing.
    """
    import numpy as np

    with _file(f"{name}.csv").open(encoding="utf-8") as lines:
        _, _, *names = next(lines).strip().split(",")
        cells = np.loadtxt(lines, delimiter=",")
    return cells[:, :-1], cells[:, -1].astype(np.int64), tuple(names)


def diabetes_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ten measurements of 442 patients in their own units, `[N, 10]`, and the progression of the disease, `[N]`.

    Raises:
        DataError: a file is missing.
    """
    import numpy as np

    with (
        gzip.open(_file("diabetes_data_raw.csv.gz"), "rt", encoding="utf-8") as lines,
        gzip.open(_file("diabetes_target.csv.gz"), "rt", encoding="utf-8") as targets,
    ):
        return np.loadtxt(lines), np.loadtxt(targets)


def digit_images() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """1,797 images `[N, 1, 8, 8]` with brightness 0 to 16, and the digits `[N]`.

    Raises:
        DataError: the file is missing.
    """
    import numpy as np

    with gzip.open(_file("digits.csv.gz"), "rt", encoding="utf-8") as lines:
        cells = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    return cells[:, :-1].reshape(-1, 1, 8, 8), cells[:, -1].astype(np.int64)


def _file(name: str) -> Path:
    spec = find_spec("sklearn")
    folders = [] if spec is None else spec.submodule_search_locations or []
    found = next(
        (path for path in (Path(folder, "datasets", "data", name) for folder in folders) if path.exists()), None
    )
    if found is None:
        raise DataError(f"scikit-learn's data file {name} is missing; reinstall scikit-learn")
    return found
