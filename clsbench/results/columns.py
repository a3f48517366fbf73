"""One field of many records, compactly: as numbers, as a few words, as numbers by class, or else as objects."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

_NO_COUNT = -(2**63)
_TEXT, _MAPPING = {str, type(None)}, {dict, type(None)}


class _Values(Protocol):
    """The values of one type, None among them."""

    def __len__(self) -> int: ...
    def add(self, values: Sequence[Any]) -> bool:
        """Add values; False if one is of another type, and nothing is added."""

    def at(self, place: int) -> Any: ...
    def several(self, places: Sequence[int]) -> list[Any]:
        """The values at some places."""


class Column:
    """The values of a field by place; where none was put, it is None."""

    __slots__ = ("_places", "_values")

    def __init__(self) -> None:
        self._values: _Values = _Nothing()
        self._places: array[int] | None = None  # of each value, in order; None as long as they are 0, 1, 2, ...

    def put(self, start: int, values: Sequence[Any]) -> None:
        """Add the values of the places from `start` on, which is after all that have one."""
        if self._places is None and start != len(self._values):
            self._places = array("q", range(len(self._values)))
        if self._places is not None:
            self._places.extend(range(start, start + len(values)))
        if not self._values.add(values):
            self._values = _suited(self._values, values)

    def at(self, place: int) -> Any:
        """The value at a place."""
        number = place if self._places is None else bisect_left(self._places, place)
        is_here = number < len(self._values) and (self._places is None or self._places[number] == place)
        return self._values.at(number) if is_here else None

    def values(self, places: Sequence[int]) -> list[Any]:
        """The values at some places."""
        is_whole = self._places is None and max(places, default=-1) < len(self._values)
        return self._values.several(places) if is_whole else [self.at(place) for place in places]

    def of_class(self, name: str, places: Sequence[int]) -> list[Any]:
        """The values of a class, in a field that is divided by class."""
        return [value.get(name) if isinstance(value, dict) else None for value in map(self.at, places)]


def _suited(before: _Values, values: Sequence[Any]) -> _Values:
    """The values before and some that did not fit, in the narrowest type that has room for all."""
    every = [*before.several(range(len(before))), *values]
    if isinstance(before, _Nothing):
        for kind in (_decimals, _counts, _Words, _ByClass):
            found: _Values = kind()
            if found.add(every):
                return found
    return _Objects(every)


class _Nothing:
    """None at every place."""

    def __init__(self) -> None:
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def add(self, values: Sequence[Any]) -> bool:
        are_none = values.count(None) == len(values)
        self._number += len(values) * are_none
        return are_none

    def at(self, place: int) -> None:
        return None

    def several(self, places: Sequence[int]) -> list[None]:
        return [None] * len(places)


class _Packed:
    """Numbers of one type in an array, in which one number that no record has stands for None."""

    def __init__(self, kind: type, code: Literal["d", "q"], none: float, is_none: Callable[[Any], bool]) -> None:
        self._numbers: array[Any] = array(code)
        self._kinds, self._none, self._is_none = {kind}, none, is_none

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, values: Sequence[Any]) -> bool:
        known = [value for value in values if value is not None] if None in values else values
        if not self._kinds.issuperset(map(type, known)) or any(map(self._is_none, known)):
            return False
        numbers = known if known is values else [self._none if value is None else value for value in values]
        try:
            self._numbers += array(self._numbers.typecode, numbers)
        except OverflowError:
            return False
        return True

    def at(self, place: int) -> Any:
        value = self._numbers[place]
        return None if self._is_none(value) else value

    def several(self, places: Sequence[int]) -> list[Any]:
        is_none = self._is_none
        return [None if is_none(value) else value for value in map(self._numbers.__getitem__, places)]


def _decimals() -> _Packed:
    return _Packed(float, "d", math.nan, math.isnan)


def _counts() -> _Packed:
    return _Packed(int, "q", _NO_COUNT, _NO_COUNT.__eq__)


class _Words:
    """Texts, each kept once."""

    def __init__(self) -> None:
        self._codes, self._words = array("l"), list[str | None]()
        self._code_of: dict[str | None, int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, values: Sequence[Any]) -> bool:
        if not _TEXT.issuperset(map(type, values)):
            return False
        for value in set(values) - self._code_of.keys():
            self._code_of[value] = len(self._words)
            self._words.append(value)
        self._codes.extend(map(self._code_of.__getitem__, values))
        return True

    def at(self, place: int) -> str | None:
        return self._words[self._codes[place]]

    def several(self, places: Sequence[int]) -> list[str | None]:
        return [self._words[self._codes[place]] for place in places]


class _ByClass:
    """Numbers by the name of a class, of one record after the other in one row; the names are kept once."""

    def __init__(self) -> None:
        self._names = list[tuple[str, ...]]()
        self._code_of: dict[tuple[str, ...], int] = {}
        self._codes, self._starts, self._numbers = array("l"), array("q"), _decimals()

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, values: Sequence[Any]) -> bool:
        if not _MAPPING.issuperset(map(type, values)):
            return False
        before = len(self._numbers)
        if not self._numbers.add([each for value in values if value for each in value.values()]):
            return False
        for value in values:
            self._codes.append(-1 if value is None else self._code(tuple(value)))
            self._starts.append(before)
            before += len(value or ())
        return True

    def _code(self, names: tuple[str, ...]) -> int:
        if (code := self._code_of.setdefault(names, len(self._names))) == len(self._names):
            self._names.append(names)
        return code

    def at(self, place: int) -> dict[str, float | None] | None:
        if (code := self._codes[place]) < 0:
            return None
        start = self._starts[place]
        names = self._names[code]
        return dict(zip(names, self._numbers.several(range(start, start + len(names))), strict=True))

    def several(self, places: Sequence[int]) -> list[dict[str, float | None] | None]:
        return [self.at(place) for place in places]


class _Objects(list[Any]):
    """Anything else, as it is."""

    def add(self, values: Sequence[Any]) -> bool:
        self.extend(values)
        return True

    def at(self, place: int) -> Any:
        return self[place]

    def several(self, places: Sequence[int]) -> list[Any]:
        return [self[place] for place in places]
