"""Whatever a config holds, `check` answers 0 or 2 in words."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from clsbench.config import reader
from faulting import configs, fuzz
from faulting.configs import Case


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(configs.cases())
def test_any_config_is_checked_or_refused(tmp_path: Path, case: Case) -> None:
    """Valid, wrong and broken configs and overrides: exit code 0 with a plan, or 2 with lines `error: ...`."""
    code, problem = fuzz.problem_of(case, tmp_path)
    assert (None, True) == (problem, code in (0, 2))


def test_both_answers_come_often(tmp_path: Path) -> None:
    """Of valid experiments many fit together, so that fuzzing reaches the plan and not the first check alone."""
    codes: list[int] = []

    @settings(max_examples=60, database=None, suppress_health_check=list(HealthCheck))
    @given(configs.cases())
    def check(case: Case) -> None:
        codes.append(fuzz.problem_of(case, tmp_path)[0])

    check()
    assert 10 < codes.count(0) < len(codes) - 10


@pytest.mark.parametrize("fault", [RecursionError("too deep"), KeyError("lr"), SystemExit(3)])
def test_another_answer_is_noticed(fault: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises, or leaves with another code, is told by the test above and by the script."""

    def broken(*_: object) -> None:
        raise fault

    monkeypatch.setattr(reader, "build", broken)
    code, problem = fuzz.problem_of(Case(b"name: a"), tmp_path)
    assert code not in (0, 2)
    assert f"exit code {code}" in str(problem)
    figure = fuzz.measure(20)
    assert not figure.reached
    assert figure.failures


@pytest.mark.parametrize("harm", ["hang", "crash"])
def test_hang_and_crash_are_contained(harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes the process with it, or never answers, is a failure that names the config."""

    def harmed(*_: object) -> None:
        if harm == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    monkeypatch.setattr(fuzz, "problem_of", harmed)
    monkeypatch.setattr(fuzz, "SECONDS_A_CONFIG", 1)
    figure = fuzz.measure(5)
    assert not figure.reached
    assert "Case(config=" in figure.failures[0]
