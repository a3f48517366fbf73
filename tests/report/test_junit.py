"""A run as JUnit XML."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from clsbench.errors import ConfigError, DataError
from clsbench.report.junit import as_junit, errors_to
from clsbench.report.outputs import JUNIT, Output

HOSTILE = "'<&\"]]>\x1b[31m\n\u202e\x00\udcffé交'"


def summary(*texts_met: Any) -> Any:
    rows = [{"text": text, "met": met, "left": 0.25, "right": 0.5, "slack": None} for text, met in texts_met]
    return {
        "name": "moons",
        "status": "finished",
        "arms": [],
        "expectations": rows,
        "seconds": 20.0,
        "wall_seconds": 12.5,
    }


def suite_in(document: Any) -> Any:
    root = ElementTree.fromstring(document)
    assert "testsuites" == root.tag
    (suite,) = root
    return suite


def test_the_run_and_each_expectation_is_a_case() -> None:
    """The run is a case with its time; an unmet expectation is a failure with its message; the counts are right."""
    suite = suite_in(as_junit(summary(("a.m > 0.1", True), ("a.m > 0.5", False))))
    assert {"name": "clsbench.moons", "tests": "3", "failures": "1", "errors": "0", "time": "12.500"} == suite.attrib
    assert ["run", "a.m > 0.1", "a.m > 0.5"] == [case.get("name") for case in suite]
    assert {"clsbench.moons"} == {case.get("classname") for case in suite}
    run, met, unmet = suite
    assert ([], [], 1) == (list(run), list(met), len(unmet))
    assert ("failure", "0.25 against 0.5") == (unmet[0].tag, unmet[0].get("message"))


def test_a_run_with_a_failed_trial_does_not_pass() -> None:
    """Its case is an error with the arm and the reason, whatever was expected."""
    arm = {"name": "bce", "seeds": [0, 1], "failures": {"1": "out of memory"}}
    suite = suite_in(as_junit({**summary(("a.m > 0.1", True)), "status": "failed", "arms": [arm]}))
    assert ("2", "0", "1") == (suite.get("tests"), suite.get("failures"), suite.get("errors"))
    assert ("error", "bce: 1 of 2 seeds failed: out of memory") == (suite[0][0].tag, suite[0][0].get("message"))


def test_hostile_names_are_inert() -> None:
    """Quotes, markup and control characters of a name leave the file well-formed and are shown escaped."""
    name = suite_in(as_junit(summary((f"{HOSTILE}.m > 0.5", False))))[1].get("name")
    assert "'<&\"]]>\\x1b[31m\\n\\u202e\\x00\\udcffé交'.m > 0.5" == name


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DataError("no \x1b data"), "no \\x1b data"),
        (KeyboardInterrupt(), ""),
        (ConfigError("a.yaml:1:1: one", "a.yaml:2:1: two"), "a.yaml:1:1: one; a.yaml:2:1: two"),
    ],
)
def test_what_ends_the_command_is_an_error(tmp_path: Path, error: Any, message: Any) -> None:
    """It is written over the JUnit file of an earlier run, with every mistake of a config; the error goes on."""
    path = tmp_path / "junit.xml"
    path.write_bytes(as_junit(summary(("a.m > 0.1", True))))
    with pytest.raises(type(error)), errors_to(Output("--junit", path, JUNIT), "clsbench.moons"):
        raise error
    suite = suite_in(path.read_bytes())
    assert ("clsbench.moons", "1", "0", "1") == tuple(map(suite.get, ("name", "tests", "failures", "errors")))
    assert (type(error).__name__, message) == (suite[0][0].get("type"), suite[0][0].get("message"))


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an output the error alone goes on."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError), errors_to(None, "clsbench.moons"):
        raise DataError("no data")
    assert [] == list(tmp_path.iterdir())


def test_error_is_told_where_its_file_cannot_be_written(tmp_path: Path, capsys: Any) -> None:
    """A folder that has gone since is a warning; the error is the one that goes on."""
    (tmp_path / "gone").mkdir()
    output = Output("--junit", tmp_path / "gone" / "junit.xml", JUNIT)
    (tmp_path / "gone").rmdir()
    with pytest.raises(DataError), errors_to(output, "clsbench.moons"):
        raise DataError("no data")
    assert capsys.readouterr().err.startswith("warning: ")
