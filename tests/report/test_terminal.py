"""A document in the terminal: whole screens, and what holds on every console."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.report.document import Scale
from clsbench.report.renderers.plots import ticks
from clsbench.report.text import printable
from tests.report.runs import EPOCHS, on_screen, run_of, tried, tuned_run, usual

SCREENS = Path(__file__).parent / "screens"
RATES = [0.01, 0.1, 1.0, 10.0]
SENSITIVITIES = {"good": [0.7, 0.9, 0.95, 0.9], "bad": [0.2, 0.3, 0.4, 0.5], "hinge": [0.7, 0.91, 0.9, 0.3]}


def whole_run() -> tuple[list[dict[str, object]], dict[str, object]]:
    """A run with something in nearly every section."""
    records, summary = usual(diverged=[("bad", 1)])
    rows = {
        name: [tried({"lr": rate}, mean) for rate, mean in zip(RATES, means, strict=True)]
        for name, means in SENSITIVITIES.items()
    }
    unmet = {"text": "bad.test_accuracy > 0.8", "met": False, "left": 0.71, "right": 0.8, "slack": None}
    return records, {**summary, "tuning": tuned_run(rows, {"lr": RATES})["tuning"], "expectations": [unmet]}


@pytest.mark.parametrize(("width", "encoding"), [(80, "utf-8"), (100, "ascii"), (30, "utf-8")])
def test_a_whole_screen(width: int, encoding: str) -> None:
    """Headings, plots, tables and sentences of a run are printed as they are kept beside this test."""
    screen = SCREENS / f"{width}.{encoding}.txt"
    files = ["runs/moons/1/summary.json", "runs/moons/1/curves.png"]
    assert screen.read_text(encoding="utf-8") == on_screen(*whole_run(), width, encoding, files)


def test_comparisons_follow_each_other() -> None:
    """Each has its own heading, an empty line before it, and none at the end of the run."""
    text = on_screen(*run_of(["a", "b"], pairing=[["a"], ["b"]]))
    assert text.startswith("moons (1 of 2)\n")
    assert "\n\nmoons (2 of 2)\n" in text
    assert text.endswith("\n\nTook 12 s.\n")


def test_piped_output_has_no_escapes_and_no_carriage_returns() -> None:
    """Off a terminal the text is plain."""
    assert set() == set("\x1b\r") & set(on_screen(*whole_run()))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_unicode_gets_ascii(encoding: str) -> None:
    """Borders, signs and plots are ASCII; a character of a name that the encoding lacks is shown escaped."""
    text = on_screen(*run_of(["snow☃"]), encoding=encoding)
    assert text.isascii()
    assert "snow\\u2603" in text
    assert "0.510 +- 0.010" in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_eighty_columns_are_enough(encoding: str) -> None:
    """No line is longer than the console, with eight arms and a name longer than a line."""
    names = [f"mse_softmax lr={index / 10} momentum=0.9" for index in range(7)] + ["x" * 200]
    text = on_screen(*run_of(names), encoding=encoding, files=["runs/moons/1/" + "f" * 30] * 5)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [1, 2, 5, 20, 39, 40, 41, 60, 250])
def test_every_width_works(width: int, encoding: str) -> None:
    """From one column on, nothing crashes, no line is too long, and no number is cut short."""
    text = on_screen(*whole_run(), width=width, encoding=encoding)
    assert max(map(len, text.splitlines())) <= width
    assert "0.910±0.010".replace("±", "+-" if encoding == "ascii" else "±") in re.sub(r"\s", "", text)


def test_names_are_shown_literally() -> None:
    """Neither markup nor escape codes nor line breaks nor emoji codes of a name have any effect."""
    run = run_of(["[red]a[/] \x1b[31m\n\r:smile:\u202e"])
    assert r"[red]a[/] \x1b[31m\n\r:smile:\u202e" in " ".join(on_screen(*run, width=200).split())
    assert "\x1b" not in on_screen(*run)


def test_a_long_label_of_a_loss_is_folded_in_its_header() -> None:
    """Its column is no wider than needed, and no character is lost."""
    label = "a_very_long_label_of_the_users_own"
    records, summary = run_of(["a"])
    measures = {name: {"mean": 0.5} for name in ("accuracy", "nll", "likelihood", "brier", "ece", "margin")}
    summary["arms"][0]["cross"] = {**measures, "losses": {label: {"mean": 0.5}}}
    lines = on_screen(records, summary, encoding="ascii").split("Test metrics under every loss")[1].splitlines()
    ends = [line.split()[-1] for line in lines if line.strip()]
    start = ends.index("a_very_long_")
    assert ["a_very_long_", "label_of_the_", "users_own"] == ends[start : start + 3]


def test_lines_differ_by_letter_without_colour() -> None:
    """On a colourless terminal each line of a plot still carries its arm's letter."""
    plot = on_screen(*usual()).split("test accuracy by epoch")[1].split("at the end")[0]
    assert {"A", "B", "C"} <= set(plot)


def test_colour_is_an_addition(monkeypatch: pytest.MonkeyPatch) -> None:
    """A colour terminal shows the same characters; NO_COLOR takes the colours away."""
    plain = on_screen(*whole_run())
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = on_screen(*whole_run(), force_terminal=True, color_system="standard")
    assert "\x1b[36m" in coloured
    assert plain == re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert not re.search(r"\x1b\[[0-9;]*3\dm", on_screen(*usual(), force_terminal=True, no_color=True))


def test_a_long_directory_is_not_broken() -> None:
    """It stays on one line, so that it can be copied."""
    folder = "/home/" + "d" * 100
    text = on_screen(*run_of(["a"]), files=[f"{folder}/curves.png", f"{folder}/summary.json"])
    assert text.endswith(f"{folder}/\ncurves.png, summary.json\n")


def test_a_run_of_no_epoch_has_a_plot_of_points() -> None:
    """Curves of a single epoch are letters at their places."""
    records, summary = run_of(["a", "b"])
    text = on_screen([record for record in records if record["epoch"] == EPOCHS], summary)
    assert "test accuracy by epoch" in text


def test_printable_shows_what_it_escapes() -> None:
    """Letters of any script stay; what could act on a terminal becomes visible ASCII."""
    assert "Größe 損失 [b]" == printable("Größe 損失 [b]")
    assert r"a\x1b[2J\x00\t\n\u2028\ud800" == printable("a\x1b[2J\x00\t\n\u2028\ud800")
    assert "é\\u2603" == printable("é☃", "latin-1")


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.integers(2, 12),
    st.sampled_from(["linear", "integer"]),
)
def test_an_axis_has_ticks_within_its_limits(low: float, width: float, num_ticks: int, scale: Scale) -> None:
    """Whatever the values, there are two numbers or more on a linear axis, few, and all within it."""
    axis = ticks([low, low + width], num_ticks, scale)
    rounding = 1e-6 * (axis.high - axis.low)
    assert all(axis.low - rounding <= tick <= axis.high + rounding for tick in axis.ticks)
    assert (2 if scale == "linear" else 0) <= len(axis.ticks) <= 2 * num_ticks + 3


@given(st.floats(-1e12, 1e12), st.integers(2, 12))
def test_a_flat_curve_has_few_ticks(value: float, num_ticks: int) -> None:
    """Values that differ in the last bit alone are one level, not thousands of ticks between two of them."""
    axis = ticks([value, math.nextafter(value, math.inf)], num_ticks, "linear")
    assert 2 <= len(axis.ticks) <= 2 * num_ticks + 3
