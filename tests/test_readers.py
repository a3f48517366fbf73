"""What reads files of others raises what it documents, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from faulting import guided
from faulting.readers import READERS, Reader, fault_of
from faulting.seeds import json_mutated

FOUND = sorted((name, path) for name in READERS for path in (guided.FOUND / name).glob("*.bin"))


@pytest.mark.parametrize("name", READERS)
def test_right_input_is_read(name: str) -> None:
    """What fuzzing starts from is read without an error, so that it reaches what lies behind the first check."""
    for example in READERS[name].examples:
        READERS[name].read(example)


@pytest.mark.parametrize(("name", "path"), FOUND, ids=[f"{name}-{path.stem}" for name, path in FOUND])
def test_found_input_raises_the_documented_error(name: str, path: Path) -> None:
    """What fuzzing has found once is read, or refused as it should be."""
    assert None is fault_of(READERS[name], path.read_bytes())


@pytest.mark.parametrize("name", [name for name in READERS if READERS[name].is_json])
def test_other_json_raises_the_documented_error(name: str) -> None:
    """Values of other types, missing and doubled ones: 300 files are each read, or refused as they should be."""
    chance = random.Random(0)
    for _ in range(100):
        data = READERS[name].examples[0]
        for _ in range(3):
            data = json_mutated(data, chance) or data
            assert (None, data) == (fault_of(READERS[name], data), data)


def test_other_error_is_noticed() -> None:
    """An exception that is not documented, one that ends the process included, is a fault."""

    def leave(data: bytes) -> None:
        raise SystemExit(3)

    assert isinstance(fault_of(Reader(leave, ValueError, [], []), b""), SystemExit)  # type: ignore[arg-type]


def test_guided_fuzzing_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without atheris the figure is missed, and says how to install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    figure = guided.measure(1)
    assert not figure.reached
    assert "pip install '.[fuzz]'" in figure.text
