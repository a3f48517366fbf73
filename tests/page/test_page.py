"""report.html in a browser: it asks for nothing, complains of nothing, draws every number, and can be moved."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench import shown
from clsbench.runs.directory import RunDirectory
from tests.conftest import CHROMIUM, ROOT

if sys.platform != "win32":
    from tests.page.devtools import Browser, Tab

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)>"
PLANE = {
    "name": "plane",
    "dataset": {"name": "moons", "samples": 120, "label": "<b>moons"},
    "model": [{"name": "mlp", "hidden": [4]}, {"name": "linear", "init": {"weights": "normal", "scale": 30.0}}],
    "loss": ["mse_softmax", {"name": "cross_entropy", "label": HOSTILE}, "hinge"],
    "train": {"epochs": 4, "seeds": 2},
    "report": {"figures": False},
}
MANY = {
    "name": "many",
    "dataset": [{"name": "moons", "samples": 60, "label": f"m{number}"} for number in range(5)],
    "model": "linear",
    "loss": ["mse_softmax", "cross_entropy"],
    "train": {"epochs": 1, "seeds": 2},
    "report": {"figures": False},
}
IMAGES = {
    "name": "images",
    "dataset": {"name": "digits", "normalize": "unit", "limit": 300},
    "model": "linear",
    "loss": ["mse_softmax", "cross_entropy"],
    "optimizer": {"name": "sgd", "lr": 0.5},
    "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 1},
    "train": {"epochs": 3, "seeds": 1},
    "report": {"figures": False},
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, CHROMIUM)))
    found = Browser(chromium, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    return clsbench.run(PLANE, output=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    return clsbench.run(IMAGES, output=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    return clsbench.run(MANY, output=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def tab(browser: Browser, plane: clsbench.Result) -> Iterator[Tab]:
    found = Tab(browser, plane.directory / "report.html")
    yield found
    found.close()


@pytest.fixture
def of_images(browser: Browser, images: clsbench.Result) -> Iterator[Tab]:
    found = Tab(browser, images.directory / "report.html")
    yield found
    found.close()


def texts(tab: Tab, selector: str) -> list[str]:
    """The text of every visible element."""
    found: list[str] = tab.evaluate(
        f"[...document.querySelectorAll({selector!r})].filter(e => e.checkVisibility()).map(e => e.textContent)"
    )
    return found


def click(tab: Tab, selector: str, words: str = "") -> None:
    """Click the first visible element of a selector that has these words, as a mouse does."""
    place: Any = tab.evaluate(
        f"(() => {{ const e = [...document.querySelectorAll({selector!r})].find(e => e.checkVisibility()"
        f" && e.textContent.includes({words!r})); e.scrollIntoView({{block: 'center'}});"
        " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        tab.mouse(kind, *place)
    tab.settle()


def focus(tab: Tab, selector: str) -> None:
    tab.evaluate(f"[...document.querySelectorAll({selector!r})].find(e => e.checkVisibility()).focus()")


@pytest.mark.parametrize("dark", [False, True])
def test_opens_from_disk_without_a_complaint_or_a_request(
    browser: Browser, plane: clsbench.Result, images: clsbench.Result, many: clsbench.Result, dark: bool
) -> None:
    """Nothing in the console, nothing asked of the network, nothing wider than the window, at both widths."""
    for result in (plane, images, many):
        for width in (1280, 390):
            tab = Tab(browser, result.directory / "report.html", width, dark=dark)
            for choice in range(len(texts(tab, ".choice"))):
                tab.evaluate(f"document.querySelectorAll('.choice')[{choice}].click()")
                tab.settle()
            assert ([], []) == (tab.complaints(), tab.requests())
            assert width >= tab.evaluate("document.documentElement.scrollWidth")
            tab.close()


def test_hostile_label_stays_text(tab: Tab) -> None:
    """A label that would end a script and load an image is shown as it was written, and makes no element."""
    assert 0 == tab.evaluate("document.querySelectorAll('img, b:not(p > b)').length")
    assert any(HOSTILE in legend for legend in texts(tab, ".toggle"))
    assert any(HOSTILE in cell for cell in texts(tab, "th[scope=row]"))
    assert any("<b>moons" in heading for heading in texts(tab, "h2"))


def test_buttons_tell_the_verdict_of_each_comparison(tab: Tab) -> None:
    """In a word, so that a difference in one comparison is not taken for one in all."""
    buttons = texts(tab, ".choice")
    assert 2 == len(buttons)
    assert all(button.endswith((" undecided", " equivalent", " best")) for button in buttons)


def test_policy_allows_the_pages_own_code_alone(tab: Tab) -> None:
    """Code that comes in otherwise does not run, an inline style does not count, and nothing can be fetched."""
    tab.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<i id=in style=\"color: red\" onclick=\"x = 1\">i</i>')"
    )
    tab.evaluate("document.getElementById('in').click()")
    assert "undefined" == tab.evaluate("typeof window.x")
    assert "rgb(255, 0, 0)" != tab.evaluate("getComputedStyle(document.getElementById('in')).color")
    refused = "fetch('data:text/plain,1').then(() => 'fetched', () => 'refused')"
    assert "refused" == tab.evaluate(refused)


def test_every_chart_draws_its_points(tab: Tab, plane: clsbench.Result) -> None:
    """A line for each arm that has the metric, with a point for each epoch."""
    lines = tab.evaluate(
        "[...document.querySelectorAll('.headline .line')].filter(e => e.checkVisibility())"
        ".map(e => [e.dataset.points, e.getAttribute('d').split(/[ML]/).length - 1])"
    )
    assert [["5", 5]] * 3 == lines
    empty = "[...document.querySelectorAll('.chart')].filter(e => e.checkVisibility() && !e.querySelector('.line'))"
    assert 0 == tab.evaluate(f"{empty}.length")
    # hinge has no probabilities: two lines of NLL.
    assert 2 == tab.evaluate(
        "[...document.querySelectorAll('.chart')].find(e => e.checkVisibility() && e.textContent.includes('test NLL'))"
        ".querySelectorAll('.line').length"
    )


def test_slider_moves_marbles_rule_and_surface(tab: Tab) -> None:
    """The arrow keys move it; the counts under the terrains, the rule of every chart and the surfaces follow."""
    seen = (
        "[...document.querySelectorAll('.said, .time output')].filter(e => e.checkVisibility()).map(e => e.textContent)"
    )
    picture = (
        "[...document.querySelectorAll('.terrains canvas, .surface canvas')].filter(e => e.checkVisibility())"
        ".map(e => e.toDataURL())"
    )
    rules = "[...document.querySelectorAll('.rule')].filter(e => e.checkVisibility()).map(e => e.getAttribute('x1'))"
    before, shown, ruled = tab.evaluate(seen), tab.evaluate(picture), tab.evaluate(rules)
    focus(tab, ".time input")
    tab.press("Home")
    tab.settle()
    assert "epoch 0 of 4" in tab.evaluate(seen)
    assert before != tab.evaluate(seen)
    assert all(a != b for a, b in zip(shown, tab.evaluate(picture), strict=True))
    # Reliability has no epochs, and no rule that moves.
    assert any(a != b for a, b in zip(ruled, tab.evaluate(rules), strict=True))
    tab.press("ArrowRight")
    tab.settle()
    assert "epoch 1 of 4" in tab.evaluate(seen)


def test_verdicts_are_drawn_with_their_intervals(tab: Tab, plane: clsbench.Result) -> None:
    """Each metric that is judged has a row for each arm beside the best, at the summary's numbers, with its word."""
    place, drawn = tab.evaluate("PAGE.first"), tab.evaluate("PAGE.comparisons[PAGE.first].verdicts")
    arms = set(plane.summary["pairing"][place]["arms"])
    rows = [row for row in plane.summary["verdicts"] if row["a"] in arms and row["low"] is not None]
    known = {frozenset(map(abs, (row["low"], row["high"]))) for row in rows}
    assert {frozenset(map(abs, (row["low"], row["high"]))) for chart in drawn for row in chart["rows"]} <= known
    assert len({row["metric"] for row in rows}) == len(drawn) > 2
    told = tab.evaluate(
        "[...document.querySelectorAll('.chart svg')].filter(e => e.checkVisibility() && e.querySelector('.zero'))"
        ".map(e => [e.querySelectorAll('.dot').length, e.getAttribute('aria-label')])"
    )
    assert [len(chart["rows"]) for chart in drawn] == [dots for dots, _ in told]
    for chart, (_, label) in zip(drawn, told, strict=True):
        assert all(f"{row['name']}: " in label and row["verdict"] in label for row in chart["rows"])


def test_terrain_turns_in_three_dimensions(tab: Tab) -> None:
    """By the arrow keys and by the mouse, and both pictures together."""
    pictures = (
        "[...document.querySelectorAll('.relief canvas')].filter(e => e.checkVisibility()).map(e => e.toDataURL())"
    )
    first = tab.evaluate(pictures)
    assert 2 == len(set(first))
    focus(tab, ".relief canvas")
    tab.press("ArrowRight")
    turned = tab.evaluate(pictures)
    assert all(a != b for a, b in zip(first, turned, strict=True))
    tab.press("ArrowLeft")
    assert first == tab.evaluate(pictures)
    x, y = tab.evaluate(
        "(() => { const e = [...document.querySelectorAll('.relief canvas')].find(e => e.checkVisibility());"
        "e.scrollIntoView(); const b = e.getBoundingClientRect(); return [b.x + 80, b.y + 80]; })()"
    )
    tab.mouse("mousePressed", x, y)
    tab.mouse("mouseMoved", x + 60, y + 10)
    tab.mouse("mouseReleased", x + 60, y + 10)
    assert all(a != b for a, b in zip(first, tab.evaluate(pictures), strict=True))


def test_terrain_in_three_dimensions_is_the_loss(of_images: Tab) -> None:
    """Its highest corner is the loss at that margin, also where the samples did not reach far."""
    found = of_images.evaluate(
        "stages.get(PAGE.first).reliefs.map(e => [e.terrain.name, e.span, e.highest, e.stage.charts.reach])"
    )
    assert ["mse_softmax", "cross_entropy"] == [name for name, *_ in found]
    for name, span, highest, reach in found:
        assert min(10, reach / 2) == span
        wrong = 1 / (1 + math.exp(-2 * span))
        expected = 2 * wrong**2 if name == "mse_softmax" else math.log1p(math.exp(2 * span))
        assert pytest.approx(expected, rel=1e-3) == highest


def test_play_runs_to_the_last_epoch(tab: Tab) -> None:
    """The button starts from the first epoch and stops at the last."""
    click(tab, ".play")
    tab.evaluate(
        "new Promise(done => { const wait = () => document.querySelector('.comparison:not([hidden]) .play')"
        ".textContent.includes('Play') ? done() : setTimeout(wait, 50); wait(); })"
    )
    assert ["epoch 4 of 4"] == texts(tab, ".time output")


def test_arm_can_be_hidden_and_the_axis_turned(tab: Tab) -> None:
    """A click takes an arm's line away, another brings it back; steps take the place of epochs."""
    count = "[...document.querySelectorAll('.headline .line')].filter(e => e.checkVisibility()).length"
    click(tab, ".toggle", "hinge")
    assert 2 == tab.evaluate(count)
    click(tab, ".toggle", "hinge")
    assert 3 == tab.evaluate(count)
    click(tab, "button.axis", "step")
    labels = (
        "[...document.querySelectorAll('.headline svg text')].filter(e => e.checkVisibility()).map(e => e.textContent)"
    )
    assert "step" in tab.evaluate(labels)


def test_marble_can_be_dragged_and_rolls(tab: Tab) -> None:
    """Dragged to another margin it starts there; under both losses it rolls, and the steps are counted."""
    place = tab.evaluate(
        "(() => { const c = [...document.querySelectorAll('.terrains canvas')].find(e => e.checkVisibility());"
        " c.scrollIntoView({block: 'center'}); const t = [...stages.values()].at(-1).terrains[0];"
        " const b = c.getBoundingClientRect(); return [b.x + t.x(t.own), b.y + 100, b.x + t.x(0.5)]; })()"
    )
    tab.mouse("mouseMoved", place[0], place[1])
    tab.mouse("mousePressed", place[0], place[1])
    tab.mouse("mouseMoved", place[2], place[1])
    tab.mouse("mouseReleased", place[2], place[1])
    tab.settle()
    assert ["margin 0.5"] == texts(tab, ".yours output")
    click(tab, ".yours button")
    tab.evaluate(
        "new Promise(done => { const wait = () =>"
        " [...stages.values()].at(-1).own.timer ? setTimeout(wait, 50) : done(); wait(); })"
    )
    (said,) = texts(tab, ".rolled")
    assert 2 == said.count("brings it home (p = 0.9) in") or "it needs about" in said


def test_rolling_agrees_with_gradient_descent(tab: Tab) -> None:
    """From a margin of -4 at learning rate 1, the steps are those of PyTorch's gradients on two logits, within one."""
    import torch

    steps: dict[str, int] = {}
    for name in ("mse", "ce"):
        z, home = torch.tensor([-2.0, 2.0], dtype=torch.float64), torch.log(torch.tensor(9.0))
        steps[name] = 0
        while z[0] - z[1] < home:
            z.requires_grad_()
            p = z.softmax(0)
            value = -p[0].log() if name == "ce" else (1 - p[0]) ** 2 + p[1] ** 2
            (gradient,) = torch.autograd.grad(value, z)
            z, steps[name] = (z - gradient).detach(), steps[name] + 1
    tab.evaluate("[...stages.values()].at(-1).own.place(-4)")
    tab.evaluate(
        "(() => { const own = [...stages.values()].at(-1).own; for (const t of own.racers())"
        " Object.assign(t, {steps: 0, home: false}); for (let i = 0; i < 600; i++) own.step(1); })()"
    )
    found = dict(tab.evaluate("[...stages.values()].at(-1).own.racers().map(t => [t.data.loss, t.steps])"))
    assert steps["mse"] == pytest.approx(found["mse_softmax"], abs=1)
    assert steps["ce"] == pytest.approx(found[HOSTILE], abs=1)


def test_chart_and_marbles_are_read_by_keyboard(tab: Tab) -> None:
    """With the focus on them, arrow keys read an epoch's values and a sample's classes, loss and margin."""
    focus(tab, ".headline svg")
    tab.press("ArrowLeft")
    assert any(text.startswith("epoch 3: mse_softmax") for text in texts(tab, ".headline .readout"))
    focus(tab, ".terrains canvas")
    tab.press("ArrowRight")
    tab.settle()
    (tip,) = texts(tab, ".tip")
    assert all(word in tip for word in ("sample ", "predicted ", "loss ", "margin "))


def test_images_are_shown_where_one_arm_is_right_and_the_other_wrong(of_images: Tab, images: clsbench.Result) -> None:
    """After the first epoch, so many as the kept predictions say, at most 16 each way, and they have ink."""
    replay = RunDirectory(images.directory).replay(["digits"])
    assert replay is not None
    a, b = (of["predicted"][1] == replay.scenes["digits"].targets for of in replay.trials.values())
    each = [int((a & ~b).sum()), int((b & ~a).sum())]
    assert sum(each) > 0
    of_images.evaluate("[...stages.values()][0].moveTo(1)")
    of_images.evaluate("new Promise(done => setTimeout(done, 300))")
    headings = [heading for heading in texts(of_images, "h4") if "right," in heading]
    names = [("mse_softmax", "cross_entropy"), ("cross_entropy", "mse_softmax")]
    expected = [
        f"{good} right, {bad} wrong: {count} of {len(a)}" for (good, bad), count in zip(names, each, strict=True)
    ]
    assert expected == headings
    inked = (
        "[...document.querySelectorAll('.gallery canvas')].map(c => c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 < 3 && v > 0))"
    )
    assert [True] * sum(min(count, 16) for count in each) == of_images.evaluate(inked)
    assert ([], []) == (of_images.complaints(), of_images.requests())


def test_wrong_samples_are_those_that_the_network_gets_wrong(of_images: Tab, images: clsbench.Result) -> None:
    """With ten classes a sample may be right at a probability below a half: the counts are those of predictions."""
    replay = RunDirectory(images.directory).replay(["digits"])
    assert replay is not None
    wrong = [int((of["predicted"][-1] != replay.scenes["digits"].targets).sum()) for of in replay.trials.values()]
    captions = texts(of_images, ".said")
    of_all = f" of {len(replay.scenes['digits'].targets)} training samples wrong"
    assert [True] * 2 == [", seed 0: " in said and of_all in said for said in captions]
    shown = [int(said.split(":")[1].split()[0]) for said in captions]
    assert wrong == shown


def test_everything_is_on_paper(tab: Tab) -> None:
    """Each comparison with its pictures, each table with all of its columns, and the config; the screen stays as is."""
    folded = "[...document.querySelectorAll('.comparison, details')].map((e) => e.hidden || e.open === false)"
    before = tab.evaluate(folded)
    tab.evaluate("Promise.all(Object.keys(PAGE.pictures).map(picture)).then(() => true)")  # as once it is idle
    tab.ask("Emulation.setEmulatedMedia", media="print", features=[])
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.settle()
    assert not any(tab.evaluate(folded))
    drawn = "(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((value) => value)"
    assert all(tab.evaluate(f"[...document.querySelectorAll('.terrains canvas')].map({drawn})"))
    clipping = "[...document.querySelectorAll('.scroll')].map((e) => getComputedStyle(e).overflowX)"
    assert {"visible"} == set(tab.evaluate(clipping))
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert before == tab.evaluate(folded)
    assert any(before)


def test_page_is_the_same_twice(plane: clsbench.Result) -> None:
    """Written again from what the run keeps, byte by byte; and small."""
    directory = RunDirectory(plane.directory)
    again = shown.page(clsbench.load(plane.directory), directory, directory.experiment())
    assert (plane.directory / "report.html").read_bytes() == again
    assert len(again) < 1_500_000


def axe() -> Path | None:
    """axe-core, where npm has put it: beside the clone, or on NODE_PATH."""
    folders = [ROOT / "node_modules", *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))]
    return next((file for folder in folders if (file := folder / "axe-core" / "axe.min.js").exists()), None)


@pytest.mark.skipif(axe() is None, reason="needs axe-core (npm install axe-core)")
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_fault(
    browser: Browser, plane: clsbench.Result, images: clsbench.Result, dark: bool
) -> None:
    """Names, roles, contrasts and headings, by axe-core's rules."""
    script = axe()
    assert script is not None
    for result in (plane, images):
        tab = Tab(browser, result.directory / "report.html", dark=dark)
        tab.evaluate(script.read_text(encoding="utf-8") + "; 0")
        found = tab.evaluate(
            "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))"
            ".map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html)]))"
        )
        assert [] == found
        tab.close()
