"""`clsbench demo`: piped it prints the last frame of an act, on a terminal it plays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsbench.lecture.acts import LOSSES, RATES, Moment, Side
from clsbench.report.renderers import scenes

Invoke = Callable[..., Any]
Fails = Callable[..., str]
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("act", ["1", "softmax", "one-hot", "sigmoid", "likelihood"])
def test_an_act_off_a_terminal_is_its_last_frame(act: str, invoke: Invoke) -> None:
    """No escape codes, 80 x 24."""
    answer = invoke("demo", act)
    assert (0, "") == (answer.exit_code, answer.stderr)
    assert "\x1b" not in answer.stdout
    lines = answer.stdout.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    if act == "1":
        assert "cross-entropy: home after 11 steps (counted)" in lines
        assert "squared error: home after about 60,600,000 steps (integrated)" in lines


@pytest.mark.parametrize(
    ("start", "unneeded"),
    [
        ("from clsbench.cli import app as main", {"torch", "numpy", "scipy", "matplotlib"}),
        ("from clsbench.__main__ import main", {"torch", "numpy", "scipy", "matplotlib", "typer", "pydantic"}),
    ],
)
def test_the_first_act_starts_at_once(start: str, unneeded: set[str], invoke: Invoke) -> None:
    """It loads neither PyTorch nor numpy, and as the command `clsbench demo 1` no parser; it is the same act."""
    code = (
        f"import sys\n{start}\nsys.argv[1:] = ['demo', '1']\n"
        f"try: main()\nfinally: print(sorted({unneeded} & set(sys.modules)), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, env=environment
    )
    assert "[]\n" == done.stderr
    assert invoke("demo", "1").stdout.splitlines()[-2:] == done.stdout.splitlines()[-2:]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.parametrize("no_colour", [False, True])
def test_an_act_plays_on_a_terminal(no_colour: bool) -> None:
    """Frame by frame in one place, with Enter or without; the last frame stays, and the cursor comes back."""
    import pty

    main, other = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-m", "clsbench", "demo", "1", "--seconds", "0"]
    if no_colour:
        environment["NO_COLOR"] = "1"
    with subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment) as playing:
        os.close(other)
        shown = b""
        while True:
            try:
                part = os.read(main, 65536)
            except OSError:  # the terminal is closed
                break
            if not part:
                break
            shown += part
    os.close(main)
    assert 0 == playing.returncode
    text = shown.decode()
    for step in range(12):
        assert f"step {step}: margin" in text
    assert text.rindex("home after 11 steps") > text.rindex("step 11: margin")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert no_colour == ("\x1b[36m" not in text and "\x1b[1;36m" not in text)


def moment(accuracy: float | None) -> Moment:
    sides = (Side(loss, (-70.0, -3.0, 0.5, 30.0), (accuracy,) * len(RATES)) for loss in LOSSES)
    return Moment(30, tuple(sides))


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("accuracy", [0.0, 0.9375, 1.0, None])
def test_every_scene_fits_the_screen(ascii_only: bool, accuracy: float | None) -> None:
    """80 x 22, whatever was measured; a trial that diverged is told as such."""
    now = moment(accuracy)
    shown = [
        scenes.gentle_scene(ascii_only, now, done=True),
        scenes.wrong_scene(ascii_only, now, 4, done=True),
        scenes.rates_scene(ascii_only, now),
    ]
    for scene in shown:
        lines = [line.plain for line in scene]
        assert len(lines) <= 22
        assert max(map(len, lines)) <= 80
        assert ("0.938" if accuracy == 0.9375 else "diverged" if accuracy is None else f"{accuracy:.3f}") in "".join(
            lines
        )
        if ascii_only:
            assert all(line.isascii() for line in lines)


def test_an_unknown_act_is_refused(fails: Fails) -> None:
    """The message lists the acts."""
    message = fails(2, "demo", "4")
    assert "Value error" not in message
    assert "'1', '2', '3', 'softmax', 'one-hot', 'sigmoid', 'likelihood'" in message
