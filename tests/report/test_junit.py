"""A run as JUnit XML."""

from xml.etree import ElementTree

import pytest

from clsbench.errors import DataError, RunError
from clsbench.report.junit import failures_to, write_junit

HOSTILE = "'<&\"]]>\x1b[31m\n\u202e\x00é交'"


def summary(*texts_met):
    rows = [{"text": text, "met": met, "left": 0.25, "right": 0.5, "slack": None} for text, met in texts_met]
    return {"name": "moons", "status": "finished", "arms": [], "expectations": rows, "seconds": 12.5}


def suite_in(path):
    root = ElementTree.parse(path).getroot()
    assert "testsuites" == root.tag
    (suite,) = root
    return suite


def test_the_run_and_each_expectation_is_a_case(tmp_path):
    """The run is a case with its time; an unmet expectation is a failure with its message; the counts are right."""
    path = tmp_path / "junit.xml"
    write_junit(path, summary(("a.m > 0.1", True), ("a.m > 0.5", False)))
    suite = suite_in(path)
    assert {"name": "clsbench.moons", "tests": "3", "failures": "1", "errors": "0", "time": "12.500"} == suite.attrib
    assert ["run", "a.m > 0.1", "a.m > 0.5"] == [case.get("name") for case in suite]
    assert {"clsbench.moons"} == {case.get("classname") for case in suite}
    run, met, unmet = suite
    assert ([], [], 1) == (list(run), list(met), len(unmet))
    assert ("failure", "0.25 against 0.5") == (unmet[0].tag, unmet[0].get("message"))


def test_a_run_with_a_failed_trial_does_not_pass(tmp_path):
    """Its case is an error with the arm and the reason, whatever was expected."""
    path = tmp_path / "junit.xml"
    arm = {"name": "bce", "seeds": [0, 1], "failures": {"1": "out of memory"}}
    write_junit(path, {**summary(("a.m > 0.1", True)), "status": "failed", "arms": [arm]})
    suite = suite_in(path)
    assert ("2", "0", "1") == (suite.get("tests"), suite.get("failures"), suite.get("errors"))
    assert ("error", "bce: 1 of 2 seeds failed: out of memory") == (suite[0][0].tag, suite[0][0].get("message"))


def test_hostile_names_are_inert(tmp_path):
    """Quotes, markup and control characters of a name leave the file well-formed and are shown escaped."""
    path = tmp_path / "junit.xml"
    write_junit(path, summary((f"{HOSTILE}.m > 0.5", False)))
    name = suite_in(path)[1].get("name")
    assert name == "'<&\"]]>\\x1b[31m\\n\\u202e\\x00é交'.m > 0.5"


@pytest.mark.parametrize("error", [DataError("no \x1b data"), KeyboardInterrupt()])
def test_a_run_that_ends_early_is_an_error(tmp_path, error):
    """A file of an earlier run does not speak for one that failed; the error goes on."""
    path = tmp_path / "junit.xml"
    write_junit(path, summary(("a.m > 0.1", True)))
    with pytest.raises(type(error)), failures_to(path, "moons"):
        raise error
    suite = suite_in(path)
    assert ("1", "0", "1") == (suite.get("tests"), suite.get("failures"), suite.get("errors"))
    assert type(error).__name__ == suite[0][0].get("type")


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
    """Nobody asked: the error alone goes on."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError), failures_to(None, "moons"):
        raise DataError("no data")
    assert [] == list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    """A folder in its place is a run's error, and leaves nothing beside."""
    (tmp_path / "junit.xml").mkdir()
    with pytest.raises(RunError, match=r"junit\.xml cannot be written"):
        write_junit(tmp_path / "junit.xml", summary())
    assert ["junit.xml"] == [path.name for path in tmp_path.iterdir()]
