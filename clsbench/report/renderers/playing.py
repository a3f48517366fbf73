"""The lecture on a terminal: its scenes one after the other, each in the place of the one before.

It imports neither the command line's parser nor torch, so that act 1 is on the screen at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clsbench import system
from clsbench.lecture import Act
from clsbench.report.streams import console_on, whole_page

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

Scenes = Iterator[tuple[Sequence["Text"], bool]]  # what is shown, and whether to stay with it

FRAME_SECONDS = 0.4
EPOCH_SECONDS = 0.1  # at least: digits train faster than eyes follow
WITHOUT_KEYS = 3.0  # seconds for a scene where nobody can press Enter
LINES = 22  # of every scene: a terminal's 24, less the prompt and a line for the cursor


def play(act: Act | None = None, seconds: float | None = None) -> None:
    """Give one act or claim, by default acts 1, 2 and 3; by itself after so many seconds, or by Enter.

    Off a terminal, the last scene of each.
    """
    acts: tuple[Act, ...] = ("1", "2", "3") if act is None else (act,)
    console = console_on(sys.stdout)
    animated = console.is_terminal and not console.is_dumb_terminal
    for number, each in enumerate(acts):
        if animated:
            _show(console, each, seconds, goes_on=number < len(acts) - 1)
        else:
            _print_last(each)


def _print_last(act: Act) -> None:
    with whole_page() as console:
        *_, (scene, _) = _scenes(act, not console.encoding.startswith("utf"))
        for line in scene:
            console.print(line)


def _show(console: Console, act: Act, seconds: float | None, *, goes_on: bool) -> None:
    """Show the scenes of an act, each in the place of the one before."""
    from rich.live import Live

    frame = FRAME_SECONDS if seconds is None else min(seconds, FRAME_SECONDS)
    with _no_echo() as echoes, Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        scene: Sequence[Text] = ()
        for scene, stays in _scenes(act, not console.encoding.startswith("utf")):
            live.update(_page(scene, ""), refresh=True)
            if stays:
                _wait(live, scene, seconds, echoes)
            else:
                time.sleep(frame if act == "1" else min(frame, EPOCH_SECONDS))
        if goes_on:
            _wait(live, scene, seconds, echoes)
        live.update(_page(scene, ""), refresh=True)


def _page(scene: Sequence[Text], prompt: str) -> Text:
    from rich.text import Text

    lines = [*scene, *[Text()] * (LINES - len(scene)), Text(prompt, "dim")]
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def _wait(live: Live, scene: Sequence[Text], seconds: float | None, echoes: bool) -> None:
    if seconds is not None or not sys.stdin.isatty():
        time.sleep(WITHOUT_KEYS if seconds is None else seconds)
        return
    live.update(_page(scene, "Enter: go on"), refresh=True)
    sys.stdin.readline()
    if echoes:
        live.console.file.write("\x1b[A")  # Enter has moved the cursor down; the next scene overwrites this one
        live.console.file.flush()


@contextmanager
def _no_echo() -> Iterator[bool]:
    """Keys that are pressed while a scene is drawn leave no trace in it; true where they do, as on Windows."""
    if system.WINDOWS or not sys.stdin.isatty():
        yield True
        return
    import termios

    kept = termios.tcgetattr(sys.stdin)
    silent = [*kept]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSANOW, silent)
    try:
        yield False
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, kept)


def _scenes(act: Act, ascii_only: bool) -> Scenes:
    """The scenes of an act; torch is imported only by acts 2 and 3."""
    if act == "1":
        return _first(ascii_only)
    if act == "2":
        return _second(ascii_only)
    if act == "3":
        return _third(ascii_only)
    from clsbench.lecture.claims import CLAIMS
    from clsbench.report.renderers.scenes import claim_scene

    return iter([(claim_scene(CLAIMS[act]()), False)])


def _first(ascii_only: bool) -> Scenes:
    from clsbench.lecture.marble import rolls
    from clsbench.report.renderers.scenes import marble_scene

    found = rolls()
    last = max(len(roll.margins) - 1 for roll in found if roll.counted)
    yield marble_scene(ascii_only, found, 0), True
    for step in range(1, last + 1):
        yield marble_scene(ascii_only, found, step), False
    yield marble_scene(ascii_only, found, last, done=True), False


def _second(ascii_only: bool) -> Scenes:
    from clsbench.report.renderers.scenes import gentle_scene, loading_scene

    yield loading_scene("2  A gentle start", "Loading PyTorch ..."), False
    from clsbench.lecture.networks import gentle

    moment = None
    for moment in gentle():
        yield gentle_scene(ascii_only, moment, done=False), moment.epoch == 0
    if moment is not None:
        yield gentle_scene(ascii_only, moment, done=True), False


def _third(ascii_only: bool) -> Scenes:
    from clsbench.lecture.acts import SHOWN
    from clsbench.report.renderers.scenes import loading_scene, rates_scene, wrong_scene

    yield loading_scene("3  A wrong start", "Training both networks on wrong labels first ..."), False
    from clsbench.lecture.networks import wrong

    moment = None
    for moment in wrong():
        yield wrong_scene(ascii_only, moment, SHOWN, done=False), moment.epoch == 0
    if moment is not None:
        yield wrong_scene(ascii_only, moment, SHOWN, done=True), True
        yield rates_scene(ascii_only, moment), False
