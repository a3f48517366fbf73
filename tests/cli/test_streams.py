"""Streams as people have them: closed, full, of ASCII, no terminal, with a reader that leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench

Invoke = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]
NASTY = '"\\e[31mred\\n\\r\\u202e<b>"'
SHOWN = "\\x1b[31mred\\n\\r\\u202e<b>"


def shell(line: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A line of the shell, with `$C` the command; its exit code is the command's, not that of what reads it."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; C() {{ "{sys.executable}" -m clsbench "$@"; }}; {line}'],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def test_reader_that_leaves(here: Path) -> None:
    """A reader that is gone before the first line costs nothing: 0, no trace, the run complete on disk."""
    answer = shell("C run tiny.yaml 'report={figures: true}' -q | head -0", here)
    assert (0, "", "") == (answer.returncode, answer.stdout, answer.stderr)
    (directory,) = (here / "runs" / "moons").iterdir()
    assert "finished" == clsbench.load(directory).summary["status"]
    assert (directory / "curves.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize(
    ("redirection", "reason"), [("> /dev/full", "no space left on device"), (">&-", "it is closed")]
)
def test_stdout_that_takes_nothing(redirection: str, reason: str, here: Path) -> None:
    """A full or closed stdout is 6 and one line, and the run is kept."""
    answer = shell(f"C run tiny.yaml -q {redirection}", here)
    message = f"standard output cannot be written: {reason}; the run is kept, and `clsbench report` shows it"
    assert (6, f"error: {message}\n") == (answer.returncode, answer.stderr)
    (directory,) = (here / "runs" / "moons").iterdir()
    assert "finished" == clsbench.load(directory).summary["status"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_stdout_that_takes_no_help(here: Path) -> None:
    """Help and lists on a full or closed stdout are 6 without a trace, and a gone reader is 0."""
    answer = shell(
        'for v in --help "list --json" "list -h"; do C $v > /dev/full; echo $?; C $v >&-; echo $?; done', here
    )
    assert ["6"] * 6 == answer.stdout.split()
    assert 6 == answer.stderr.count("error: standard output cannot be written") == answer.stderr.count("\n")
    assert (0, "") == ((answer := shell("C --help | head -0", here)).returncode, answer.stderr)


def test_stdout_is_for_results_where_the_other_streams_are_closed(here: Path) -> None:
    """What users' code prints past Python is lost with a closed stderr; stdout does not take its place."""
    (here / "noisy.py").write_text("import os\nos.write(1, b'noise')\nos.write(2, b'noise')\n")
    answer = shell("C list losses --json --plugin noisy.py <&- 2>&-", here)
    assert (0, "[") == (answer.returncode, answer.stdout[:1])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_stderr_that_takes_nothing(here: Path) -> None:
    """Where the error's line cannot be written, the exit code still tells."""
    answer = shell("C check none.yaml 2> /dev/full; echo $?; C check none.yaml 2>&-; echo $?", here)
    assert ["2", "2"] == answer.stdout.split()


def test_ascii_only_stdout(here: Path) -> None:
    """Curves and labels are pure ASCII where the encoding has no more, and it is 0."""
    answer = shell(
        "C run tiny.yaml -q 'loss=[bce, {name: hinge, label: é交}]'", here, PYTHONIOENCODING="ascii", LANG="C"
    )
    assert (0, "") == (answer.returncode, answer.stderr)
    assert answer.stdout.isascii()
    assert "\\xe9\\u4ea4" in answer.stdout
    assert "test accuracy by epoch" in answer.stdout


def test_locale_that_has_no_more_than_ascii(here: Path) -> None:
    """LANG=C, or LC_ALL=C, asks for ASCII, though Python would print UTF-8; an encoding that is named wins."""
    gone = {"PYTHONIOENCODING": "", "LC_ALL": "", "LC_CTYPE": "", "LANG": ""}
    explain = "explain --logits=1,2 --target=0 | tail -1"
    line = f"C run tiny.yaml -q 'loss=[bce, {{name: hinge, label: é}}]'; LANG= LC_ALL=C C {explain}"
    answer = shell(f"{line}; PYTHONIOENCODING=utf-8 C report", here, **{**gone, "LANG": "C"})
    assert (0, "") == (answer.returncode, answer.stderr)
    first, _, second = answer.stdout.partition("summary.json")
    assert first.isascii()
    assert "\\xe9" in first
    assert "é" in second


@pytest.mark.parametrize("columns", ["1", "20", "80"])
def test_no_terminal_of_any_width(columns: str, here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off a terminal there are no escapes and no carriage returns, and one column breaks nothing."""
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: {})
    assert 0 == invoke("run", "tiny.yaml").exit_code
    monkeypatch.setenv("COLUMNS", columns)
    for verb in (
        ("run", "tiny.yaml"),
        ("report",),
        ("check", "tiny.yaml"),
        ("list",),
        ("list", "focal"),
        ("explain", "--logits=1,2", "--target=0"),
        ("--help",),
    ):
        answer = invoke(*verb)
        assert (0, "") == (answer.exit_code, answer.stderr), verb
        assert answer.stdout.strip()
        assert not set("\x1b\r\x08") & set(answer.stdout), verb


def test_escape_codes_in_names_are_shown_escaped(here: Path, invoke: Invoke) -> None:
    """Labels with escape codes, line breaks and bidirectional marks act on no terminal, wherever shown."""
    (here / "c.yaml").write_text(
        f"dataset: {{name: moons, samples: 60, label: {NASTY}}}\nmodel: {{name: linear, label: {NASTY}}}\n"
        f"loss: [bce, {{name: hinge, label: {NASTY}}}]\ntrain: {{epochs: 1, seeds: 1}}\n"
    )
    for verb in (("check", "c.yaml"), ("run", "c.yaml"), ("report",)):
        answer = invoke(*verb)
        assert 0 == answer.exit_code
        assert SHOWN in answer.stdout, verb
        assert all(char.isprintable() for char in answer.stdout.replace("\n", ""))
    for mistake in (
        f"loss=[{{name: bce, label: {NASTY}}}, {{name: bce, label: {NASTY}}}]",
        f"{NASTY}=1",
        f"model={NASTY}",
    ):
        answer = invoke("check", "c.yaml", mistake)
        assert 2 == answer.exit_code
        assert "red\\n\\r" in answer.stderr
        assert 1 == answer.stderr.count("\n")
        assert answer.stderr.removesuffix("\n").isprintable()
