"""The scenes of `clsbench demo`: 80 x 24, in colour or without, in ASCII where the encoding has no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from clsbench.analysis.terrain import terrain_of
from clsbench.lecture.acts import LOSSES, RATES, Moment, Side
from clsbench.lecture.marble import LOGITS, LR, Roll
from clsbench.report.renderers.terrains import Stage, centred, counts_of, draw_histogram, draw_terrain, paired
from clsbench.report.text import rounded

if TYPE_CHECKING:
    from clsbench.lecture.claims import Claim

STYLES = ("cyan", "yellow")  # of the two losses, everywhere in the lecture
TYPE = {"cross_entropy": "cross-entropy", "mse_softmax": "squared error"}
PANEL = 37
GROUND, TERRAIN, HISTOGRAM = 10, 7, 5
CLASSES = 10  # digits
Scene = list[Text]


def marble_scene(ascii_only: bool, rolls: Sequence[Roll], step: int, *, done: bool = False) -> Scene:
    """Act 1 after a number of steps of gradient descent; `done` tells how it ends."""
    stage = Stage(-22, 6, PANEL, ascii_only)
    logits = ", ".join(f"{z:g}" for z in LOGITS)

    def panel(number: int) -> Scene:
        roll, style = rolls[number], STYLES[number]
        m = roll.at(step)
        here = min(step, len(roll.margins) - 1)
        return [
            centred(TYPE[roll.terrain.loss], PANEL, f"bold {style}"),
            *draw_terrain(stage, roll.terrain, 1.0, GROUND, style, m),
            stage.axis(),
            centred(f"step {here}: margin {m:.3f}", PANEL),
            centred(f"loss {roll.terrain.height(m, 1.0):.3f}, pull {roll.terrain.pull(m, 1.0):.3g}", PANEL),
        ]

    return [
        _title("1  One marble on two terrains"),
        Text(f"Logits ({logits}). Class 0 is right, and the network is sure of class 1."),
        Text("Left to right: the margin, log-odds of the right class. Height: the loss."),
        Text(f"Gradient descent on the logits, learning rate {LR:g}. Home: right of 0."),
        Text(""),
        *paired(PANEL, panel),
        Text(""),
        *(map(_end_of, rolls) if done else ()),
    ]


def _end_of(roll: Roll) -> Text:
    name = TYPE[roll.terrain.loss]
    if roll.counted:
        return Text(f"{name}: home after {roll.steps:.0f} steps (counted)", "bold")
    return Text(f"{name}: home after {rounded(roll.steps)} steps (integrated)", "bold")


def loading_scene(title: str, what: str) -> Scene:
    """Shown until an act has something to show."""
    return [_title(title), Text(""), Text(what, "dim")]


def gentle_scene(ascii_only: bool, moment: Moment, *, done: bool) -> Scene:
    """Act 2 after an epoch: from small weights both losses bring their marbles home."""
    best = [side.accuracies[0] for side in moment.sides]
    return [
        _title(f"2  A gentle start: real data on the same terrains, epoch {moment.epoch}"),
        Text("Softmax regression on scikit-learn's digits, from small weights. Red bars count"),
        Text(
            f"{len(moment.sides[0].margins)} training samples by margin. Same start and same batches for both losses."
        ),
        Text(""),
        *_marbles(moment, Stage(-12, 12, PANEL, ascii_only), shown=0),
        Text(""),
        *(
            _told(f"Validation accuracy {_number(best[0])} and {_number(best[1])}: near the slope both learn.")
            if done
            else ()
        ),
    ]


def wrong_scene(ascii_only: bool, moment: Moment, rate: int, *, done: bool) -> Scene:
    """Act 3 after an epoch: from a confidently wrong start."""
    return [
        _title(f"3  A wrong start: wrong labels first, then the right ones, epoch {moment.epoch}"),
        Text("The same network first learned by cross-entropy to call every digit the next,"),
        Text(f"until it was sure. Now the labels are right; learning rate {RATES[rate]:g}."),
        Text(""),
        *_marbles(moment, Stage(-60, 20, PANEL, ascii_only), shown=rate),
        Text(""),
        *(_told("On the slope they roll home; on the plateau they lie. Another learning rate?") if done else ()),
    ]


def rates_scene(ascii_only: bool, moment: Moment) -> Scene:
    """The end of act 3: the validation accuracy of every learning rate."""
    width = 22
    stage = Stage(0, 1, width, ascii_only)
    lines = [
        _title(f"3  Does another learning rate save it? Validation accuracy after {moment.epoch} epochs"),
        Text(""),
        Text("learning rate  ").append_text(Text("").join([_head(side, width + 9) for side in moment.sides])),
    ]
    for number, rate in enumerate(RATES):
        line = Text(f"{rate:>13g}  ")
        for place, side in enumerate(moment.sides):
            value = side.accuracies[number]
            bar = ("#" if stage.ascii_only else "█") * round((value or 0.0) * width)
            line.append(f"{bar:<{width}}", STYLES[place]).append(f" {_number(value):<8}")
        lines.append(line)
    best = [max((a or 0.0, rate) for a, rate in zip(side.accuracies, RATES, strict=True)) for side in moment.sides]
    told = " and ".join(f"{TYPE[s.loss]} {a:.3f} at {r:g}" for s, (a, r) in zip(moment.sides, best, strict=True))
    return [
        *lines,
        Text(""),
        Text(f"The best of them: {told}.", "bold"),
        *_told("Both networks can represent the answer, as cross-entropy shows."),
        *_told("The loss changes how hard it is to reach."),
    ]


def claim_scene(claim: Claim) -> Scene:
    """One claim of the lecture: a table and what it shows."""
    widths = [max(map(len, column)) for column in zip(claim.columns, *claim.rows, strict=True)]
    rows = [(claim.columns, "bold"), *((row, "") for row in claim.rows)]
    table = [Text("  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)), style) for row, style in rows]
    return [_title(claim.title), Text(""), *table, Text(""), *map(Text, claim.conclusion)]


def _marbles(moment: Moment, stage: Stage, shown: int) -> Scene:
    """Two panels: the terrain, the marbles under it, and what share is right."""
    most = max(max(counts_of(stage, side.margins)) for side in moment.sides)

    def panel(number: int) -> Scene:
        side, style = moment.sides[number], STYLES[number]
        terrain = terrain_of(side.loss, CLASSES)
        assert terrain is not None
        return [
            _head(side, PANEL),
            *draw_terrain(stage, terrain, 1 / (CLASSES - 1), TERRAIN, style),
            *draw_histogram(stage, side.margins, most, HISTOGRAM, "bold red"),
            stage.axis(),
            centred(f"validation accuracy {_number(side.accuracies[shown])}", PANEL),
        ]

    return paired(PANEL, panel)


def _head(side: Side, width: int) -> Text:
    return centred(TYPE[side.loss], width, f"bold {STYLES[LOSSES.index(side.loss)]}")


def _told(text: str) -> Scene:
    return [Text(text, "bold")]


def _number(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.3f}"


def _title(text: str) -> Text:
    return Text(text, "bold")
