"""A record: one trial at one epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json
from typing_extensions import TypedDict

from clsbench.results.reading import ROUNDING, STRICT, Bounds, Count, Seconds, Seed, damaged, first_mistake

Status = Literal["running", "finished", "diverged", "failed"]


class Record(TypedDict):
    """One line of `metrics.jsonl`. Beside these keys stand its metrics, which `value_of` reads.

    `epoch` 0 is before training; `loss` is the canonical name, `lr` the configured one; `seconds` is the training time
    of the trial so far.
    """

    trial: Count
    arm: str
    loss: str
    dataset: str
    model: str
    lr: float
    seed: Seed
    epoch: Count
    step: Count
    seconds: Seconds
    status: Status


class Origin(NamedTuple):
    """The fields that are equal in every record of a trial."""

    arm: str
    loss: str
    dataset: str
    model: str
    seed: int


def value_of(record: Record, metric: str) -> float | None:
    """The value of a metric in a record, of `METRIC[CLASS]` that of the class; None where it has none."""
    values: Mapping[str, Any] = record
    value: Any = values.get(metric)
    if value is None and metric.endswith("]"):
        name, _, of_class = metric[:-1].partition("[")
        value = (values.get(name) or {}).get(of_class)
    found: float | None = value
    return found


def classes_in(record: Record, metric: str) -> list[str]:
    """The classes for which a record has a number of a metric by class, or a null."""
    values: Mapping[str, Any] = record
    return list(values.get(metric) or ())


@dataclass(frozen=True)
class RecordReader:
    """Reads lines of records with the metrics that `adapter` knows, in the order of `fields`.

    `rulers` are the metrics that belong together, those of each kind of problem; the first of each tells the kind.
    """

    adapter: TypeAdapter[Any]
    fields: tuple[str, ...]
    rulers: tuple[tuple[str, ...], ...]

    def read(self, name: str, line: str) -> Record:
        """The record of a line; a metric of its kind of problem that it lacks is None.

        Raises:
            RunError: the line is not a record; `name` is the file and line.
        """
        try:
            record: Record = self.adapter.validate_json(line)
            if not self._known.issuperset(record):
                from_json(line, allow_inf_nan=False)  # keys of a newer version must be strict JSON too
        except ValidationError as error:
            raise damaged(name, first_mistake(error)) from error
        except ValueError as error:
            raise damaged(name, str(error)) from error
        return self._completed(record)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.fields)

    @cached_property
    def _kinds(self) -> tuple[frozenset[str], ...]:
        return tuple(map(frozenset, self.rulers))

    def _completed(self, record: Record) -> Record:
        """The record with every metric of its kind; one that has no kind's first metric is of the first kind."""
        of_kind = next(
            (kind for (first, *_), kind in zip(self.rulers, self._kinds, strict=True) if first in record), None
        )
        missing = (self._kinds[0] if of_kind is None else of_kind) - record.keys()
        if not missing:
            return record
        found: Any = {name: record.get(name) for name in self.fields if name in record or name in missing}
        completed: Record = found | record
        return completed


@cache
def reader_of(
    metrics: tuple[tuple[str, Bounds], ...],
    by_class: frozenset[str] = frozenset(),
    rulers: tuple[tuple[str, ...], ...] | None = None,
) -> RecordReader:
    """The reader of records with these metrics, in their order, each with its bounds; built once.

    Those `by_class` have a number for each class by its name. `rulers`: see `RecordReader`; by default one of all.
    """
    *before, seconds, status = get_type_hints(Record, include_extras=True).items()
    fields = (
        dict(before)
        | {name: _value(bounds, by_class=name in by_class) for name, bounds in metrics}
        | dict([seconds, status])
    )
    # Written out, so that one pass of compiled code reads a line: there may be millions.
    line = TypedDict("line", fields)  # type: ignore[misc]
    own = (tuple(name for name, _ in metrics),) if rulers is None else rulers
    return RecordReader(TypeAdapter(with_config(STRICT)(line)), tuple(fields), own)


def _value(bounds: Bounds, *, by_class: bool) -> Any:
    low, high = (None if end is None else end + sign * ROUNDING for end, sign in zip(bounds, (-1, 1), strict=True))
    if by_class:
        return NotRequired[dict[str, Annotated[float | None, Field(ge=low, le=high)]] | None]
    return NotRequired[Annotated[float | None, Field(ge=low, le=high)]]
