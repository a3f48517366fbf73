"""A run as JUnit XML, which CI systems show: a case for the run, and one for each expectation."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

from clsbench.errors import ConfigError, ExpectationError, RunError, TrialError
from clsbench.report.expectations import shortfall
from clsbench.report.failures import failures
from clsbench.report.outputs import Output
from clsbench.report.text import printable
from clsbench.results import Summary


def suite_name(experiment: str) -> str:
    return f"clsbench.{experiment}"


def as_junit(summary: Summary) -> bytes:
    """The outcome of a run."""
    suite = _suite(suite_name(summary["name"]))
    run = _case(suite, "run", seconds=summary["wall_seconds"] or summary["seconds"] or 0.0)
    if failed := failures(summary):
        _add(run, "error", type=TrialError.__name__, message=failed)
    for row in summary["expectations"]:
        case = _case(suite, row["text"])
        if not row["met"]:
            _add(case, "failure", type=ExpectationError.__name__, message=shortfall(row, summary))
    return _document(suite)


@contextmanager
def errors_to(output: Output | None, suite: str) -> Iterator[None]:
    """In this block, an error that ends the command is also written to the output, if there is one."""
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if output is not None:
            root = _suite(suite)
            mistakes = error.mistakes if isinstance(error, ConfigError) else [str(error)]
            _add(_case(root, "run"), "error", type=type(error).__name__, message="; ".join(mistakes))
            try:
                output.write(_document(root))
            except RunError as unwritable:  # the error itself matters more to the user
                print(f"warning: {printable(str(unwritable), sys.stderr.encoding)}", file=sys.stderr)
        raise


def _suite(name: str) -> ElementTree.Element:
    return ElementTree.Element("testsuite", name=printable(name))


def _case(suite: ElementTree.Element, name: str, seconds: float = 0.0) -> ElementTree.Element:
    return _add(suite, "testcase", classname=suite.attrib["name"], name=name, time=f"{seconds:.3f}")


def _add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    # XML has no way to write a control character.
    return ElementTree.SubElement(parent, tag, {key: printable(value) for key, value in attributes.items()})


def _document(suite: ElementTree.Element) -> bytes:
    counted = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error"}
    suite.attrib |= {key: str(len(suite.findall(found))) for key, found in counted.items()}
    suite.set("time", f"{sum(float(case.attrib['time']) for case in suite):.3f}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + os.linesep.encode()
