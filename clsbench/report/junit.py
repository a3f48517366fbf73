"""A run as JUnit XML, which CI systems show: a case for the run, and one for each expectation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from clsbench.errors import ConfigError, TrialError
from clsbench.report.expectations import failures, shortfall
from clsbench.report.text import printable
from clsbench.runs.files import write_atomically


def clear(path: Path) -> None:
    """Remove the file of an earlier run, before anything can fail: it must not speak for this one.

    Raises:
        ConfigError: no file can go there.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"--junit: {path.parent} is no folder; make it, or give another FILE")
    try:
        if path.exists() and not path.is_file():  # a device must not be removed, nor replaced by a file
            raise ConfigError(f"--junit: {path} is no file; give another FILE")
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"--junit: {path} cannot be written: {error.strerror}; give another FILE") from None


def write_junit(path: Path, summary: Mapping[str, Any]) -> None:
    """Write what came of a run.

    Raises:
        RunError: the file cannot be written.
    """
    suite = _suite(summary["name"])
    run = _case(suite, "run", seconds=summary["seconds"])
    if failed := failures(summary):
        _add(run, "error", type=TrialError.__name__, message="; ".join(failed))
    for row in summary["expectations"]:
        case = _case(suite, row["text"])
        if not row["met"]:
            _add(case, "failure", type="ExpectationError", message=shortfall(row, summary))
    _write(path, suite)


@contextmanager
def failures_to(path: Path | None, name: str) -> Iterator[None]:
    """While it holds, what ends the run is written where a path is given."""
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if path is not None:
            suite = _suite(name)
            _add(_case(suite, "run"), "error", type=type(error).__name__, message=str(error))
            _write(path, suite)
        raise


def _suite(name: str) -> ElementTree.Element:
    return ElementTree.Element("testsuite", name=printable(f"clsbench.{name}"))


def _case(suite: ElementTree.Element, name: str, seconds: float = 0.0) -> ElementTree.Element:
    return _add(suite, "testcase", classname=suite.attrib["name"], name=name, time=f"{seconds:.3f}")


def _add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    # XML has no way to write a control character.
    return ElementTree.SubElement(parent, tag, {key: printable(value) for key, value in attributes.items()})


def _write(path: Path, suite: ElementTree.Element) -> None:
    counted = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error"}
    suite.attrib |= {key: str(len(suite.findall(found))) for key, found in counted.items()}
    suite.set("time", f"{sum(float(case.attrib['time']) for case in suite):.3f}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    write_atomically(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + os.linesep.encode())
