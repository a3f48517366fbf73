"""The raw data of a dataset: features and labels as arrays, checked in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from clsbench.data.targets import checked, looks_like, taken_for
from clsbench.errors import DataError
from clsbench.problems import KINDS, Problem, SingleLabel
from clsbench.registry import ProblemName

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Labels = npt.NDArray[np.int64]


Posterior: TypeAlias = "Callable[[Array], Array]"
Fill = Literal["mean", "most_frequent"]
Marks = tuple[str, str]


@dataclass(frozen=True)
class Column:
    """A column of a table. A cell of a category is the number of its name in `categories`; of a boolean, 0 or 1."""

    name: str
    kind: Literal["number", "boolean", "category"] = "number"
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawData:
    """A dataset before it is split or prepared for a network.

    Attributes:
        features: [N, ...]; images are [N, C, H, W].
        labels: [N] classes, numbered from 0; [N, D] in the other kinds of problems.
        num_classes: how many classes there may be, a class without samples is allowed; D in the other kinds.
        class_names: one for each class, label or value; if empty, the numbers are the names.
        ordered: whether each class is between the one before and the one after it.
        kind: the kind of problem that the labels pose.
        full_scale: the largest value a pixel can have (255 for 8 bits), None if the features are not pixels.
        test_features, test_labels: the dataset's own test set, if it has one.
        columns: a table's features, or their names if all are numbers; if empty, their numbers are the names.
        val_features, val_labels: the dataset's own validation set, if it has one.
        fill: what a missing value of a table, NaN, is replaced by: the column's mean (of a category the most frequent
            one), or its most frequent value, of the training split; None if none may be missing.
        groups: [N]; samples of equal numbers stay in one split. None if every sample may be in any.
        source: where the data are from, for people; by default the dataset's name.
        warnings: what the reader noticed: the code of each warning, and a sentence.
        posterior: `posterior(features [N, ...]) -> [N, C]`, the true probability of each class or target, where it is
            known.
        marks: the delimiter and the decimal mark of a table of text, given or found.
    """

    features: Array
    labels: Array
    num_classes: int
    class_names: tuple[str, ...] = ()
    full_scale: float | None = None
    test_features: Array | None = None
    test_labels: Array | None = None
    columns: tuple[Column | str, ...] = ()
    val_features: Array | None = None
    val_labels: Array | None = None
    fill: Fill | None = None
    groups: Labels | None = None
    source: str | None = None
    warnings: tuple[tuple[str, str], ...] = ()
    posterior: Posterior | None = None
    marks: Marks | None = None
    kind: ProblemName = "single_label"
    ordered: bool = False

    @property
    def table(self) -> tuple[Column, ...]:
        """The columns of a table; empty if they have no names."""
        return tuple(each if isinstance(each, Column) else Column(each) for each in self.columns)

    def name_of(self, place: Sequence[int]) -> str:
        """The name of the column, or image channel, of the feature at `place`."""
        return name_of(self.table, place)

    def posterior_of(self, features: Array) -> Array | None:
        """`[N, C]`: the true probability of each class or target, where it is known.

        Raises:
            DataError: it is none of as many classes or targets.
        """
        import numpy as np

        if self.posterior is None:
            return None
        found = np.asarray(self.posterior(features), np.float64)
        shape = (len(features), self.num_classes)
        excluding = KINDS[self.kind].exclusive
        are_probabilities = found.shape == shape and bool(((found >= 0) & (found <= 1)).all())
        if not are_probabilities or (excluding and not np.allclose(found.sum(1), 1)):
            sums = " that sum to 1 for each sample" if excluding else ""
            raise DataError(f"the posterior is not {list(shape)} probabilities{sums}")
        return found

    @property
    def problem(self) -> Problem:
        """The problem that these data pose."""
        names = self.class_names or tuple(map(str, range(self.num_classes)))
        problem = KINDS[self.kind].of(names, self.labels)
        return replace(problem, ordered=True) if self.ordered and isinstance(problem, SingleLabel) else problem


def name_of(columns: Sequence[Column], place: Sequence[int]) -> str:
    """The name of the column, or image channel, of the feature at `place`; a column without a name has its number."""
    if len(place) > 1:
        return f"channel {place[0]}"
    return f"column {columns[place[0]].name!r}" if columns else f"column {place[0]}"


def as_raw(result: Any) -> RawData:
    """Check what a dataset function returned: a RawData, or a pair `(features, labels)`.

    Arrays may be lists, numpy arrays or torch tensors. Of a pair, whole numbers `[N]` are classes, 0 to the largest
    one, and other labels what they look like; see `looks_like`.

    Raises:
        DataError: the arrays are unusable; the message names the row, column or class.
    """
    if isinstance(result, RawData):
        raw = result
    elif isinstance(result, tuple | list) and len(result) == 2:
        raw = _of_pair(*result)
    else:
        raise DataError(f"a dataset returned a {type(result).__name__}; return (features, labels) or a RawData")

    names = tuple(str(name) for name in raw.class_names) or tuple(map(str, range(raw.num_classes)))
    if len(names) != raw.num_classes:
        raise DataError(f"{len(names)} class names for {raw.num_classes} classes; name every class")
    raw = replace(raw, class_names=names)
    features, labels = _checked(raw, raw.features, raw.labels, "")
    if raw.columns and len(raw.columns) != features.shape[1]:
        raise DataError(f"{len(raw.columns)} columns are named, and there are {features.shape[1]}; name every column")
    raw = replace(raw, features=features, labels=labels, groups=_groups(raw))
    own: dict[str, Any] = {}
    for which, x, y in (
        ("test", raw.test_features, raw.test_labels),
        ("val", raw.val_features, raw.val_labels),
    ):
        if x is not None or y is not None:
            own[f"{which}_features"], own[f"{which}_labels"] = _own_split(raw, x, y, which)
    raw = replace(raw, **own)
    _check_two_classes(raw)
    return raw


def as_kind(raw: RawData, kind: ProblemName) -> RawData:
    """Checked data as a problem of another kind; the labels of all splits are converted together.

    Raises:
        DataError: their labels cannot be taken for it.
    """
    if kind == raw.kind:
        return raw
    import numpy as np

    splits = {name: getattr(raw, name) for name in ("labels", "val_labels", "test_labels")}
    given = {name: each for name, each in splits.items() if each is not None}
    labels, names = taken_for(kind, raw.problem, np.concatenate(list(given.values())))
    if not KINDS[kind].exclusive:
        labels = checked(kind, labels, names, "")
    parts = np.split(labels, np.cumsum([len(each) for each in given.values()])[:-1])
    converted: dict[str, Any] = dict(zip(given, parts, strict=True))
    posterior = _columns_of(raw.posterior, len(names)) if kind == "probability" else None
    found = replace(raw, num_classes=len(names), class_names=names, kind=kind, posterior=posterior, **converted)
    _check_two_classes(found)
    return found


def _columns_of(posterior: Posterior | None, number: int) -> Posterior | None:
    """The last columns of a posterior: of two classes, one may be left."""
    return None if posterior is None else lambda features: posterior(features)[:, -number:]


def _of_pair(features: Any, labels: Any) -> RawData:
    import numpy as np

    targets = _array(labels, "labels")
    is_numeric = targets.dtype.kind in "buif" and targets.ndim in (1, 2) and targets.size > 0
    whole = targets.ndim == 1 and (targets.dtype.kind != "f" or bool((targets == np.floor(targets)).all()))
    kind = "single_label" if whole or not is_numeric else looks_like(targets)
    if kind == "single_label":
        numbers = _labels(targets[:, 0] if is_numeric and targets.ndim == 2 else targets, "labels")
        return RawData(features, numbers, num_classes=_num_classes(numbers))
    targets = targets.reshape(len(targets), -1)
    return RawData(features, targets, num_classes=targets.shape[1], kind=kind)


def _own_split(raw: RawData, features: Any, labels: Any, which: str) -> tuple[Array, Labels]:
    x, y = _checked(raw, features, labels, f"{which} ")
    if x.shape[1:] != raw.features.shape[1:]:
        shapes = f"{list(x.shape[1:])}, training samples {list(raw.features.shape[1:])}"
        raise DataError(f"{which} samples have shape {shapes}; both must have the same")
    return x, y


def _groups(raw: RawData) -> Labels | None:
    if raw.groups is None:
        return None
    groups = _labels(raw.groups, "groups")
    if len(groups) != len(raw.labels):
        raise DataError(f"{len(groups)} groups for {len(raw.labels)} samples; every sample needs one")
    return groups


def _checked(raw: RawData, features: Any, labels: Any, which: str) -> tuple[Array, Labels]:
    x = _features(features, f"{which}features", may_lack=raw.fill is not None)
    exclusive, num_classes = KINDS[raw.kind].exclusive, raw.num_classes
    y = _labels(labels, f"{which}labels") if exclusive else checked(raw.kind, labels, raw.class_names, which)
    if len(x) != len(y):
        raise DataError(f"{len(x)} rows of {which}features but {len(y)} {which}labels; every sample needs one label")
    if len(y) == 0:
        raise DataError(f"no {which}samples; a dataset needs at least one")
    outside = (y < 0) | (y >= num_classes)
    if exclusive and outside.any():
        row = int(outside.argmax())
        allowed = f"labels of {num_classes} classes are 0 to {num_classes - 1}"
        raise DataError(f"label {int(y[row])} in row {row} of the {which}labels is out of range; {allowed}")
    return x, y


def _num_classes(labels: Labels) -> int:
    largest = int(labels.max(initial=0))
    # An identifier mistaken for a class number would need as many outputs.
    if largest >= len(labels) > 0:
        raise DataError(
            f"label {largest} in row {int(labels.argmax())} is larger than the number of samples, {len(labels)}; "
            "number the classes from 0 without gaps"
        )
    return largest + 1


def _check_two_classes(raw: RawData) -> None:
    if KINDS[raw.kind].exclusive and (raw.labels == raw.labels[0]).all():
        name = raw.class_names[raw.labels[0]]
        raise DataError(f"every sample is of class {name!r}; classification needs two or more classes")


def _features(values: Any, what: str, *, may_lack: bool) -> Array:
    import numpy as np

    x = _array(values, what)
    if x.dtype.kind not in "buif":
        raise DataError(f"the {what} are of type {x.dtype}; give numbers")
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise DataError(f"the {what} have shape {list(x.shape)}; give [samples, features] or [samples, C, H, W]")
    if x.dtype.kind == "f":
        _check_finite(x, what, may_lack)
    if x.dtype in (np.uint8, np.float32, np.float64):
        return x
    # float32 holds every integer of up to 24 bits; wider ones need float64.
    return x.astype(np.float32 if x.dtype.itemsize <= 2 else np.float64)


def _check_finite(x: Array, what: str, may_lack: bool) -> None:
    import numpy as np

    finite = ~np.isinf(x) if may_lack else np.isfinite(x)
    if not finite.all():
        row, *column = (int(i) for i in np.argwhere(~finite)[0])
        place = column[0] if len(column) == 1 else column
        raise DataError(f"the {what} hold {x[row, *column]} in row {row}, column {place}; every value must be finite")


def _labels(values: Any, what: str) -> Labels:
    import numpy as np

    y = _array(values, what)
    if y.ndim != 1:
        raise DataError(f"the {what} have shape {list(y.shape)}; give one number for each sample")
    if y.dtype.kind not in "buif":
        raise DataError(f"the {what} are of type {y.dtype}; number the classes from 0")
    with np.errstate(invalid="ignore"):
        whole = y.astype(np.int64)
    if (whole != y).any():
        row = int((whole != y).argmax())
        raise DataError(f"label {y[row]} in row {row} of the {what} is not an integer; number the classes from 0")
    return whole


def _array(values: Any, what: str) -> Array:
    import numpy as np

    # numpy cannot convert a tensor on a device, or one that requires a gradient.
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"the {what} do not form an array ({error}); every sample needs the same shape") from error
