"""Several comparisons on one page: which arm is better over all of them, and by how much."""

from __future__ import annotations

from collections.abc import Sequence

from clsbench.analysis.across import groups
from clsbench.analysis.curves import Comparison, ranked
from clsbench.analysis.statistics import LEVEL
from clsbench.metrics.measures import direction, label_of
from clsbench.report.document import ArmRef, Cell, Column, Paragraph, Ranks, Section, Table, Text, joined, listed
from clsbench.report.sections.answer import verdicts_on
from clsbench.report.sections.arms import MAX_DRAWN, MAX_ROWS, short_references
from clsbench.report.text import count, first_few, number
from clsbench.report.values import MeanRange, Proportion, PValue, mean_std
from clsbench.results import Across, AcrossArm, AcrossPair, Summary
from clsbench.results.verdicts import BETTER, EQUIVALENT, REVERSED, UNDECIDED, WORSE


def across(found: Across, at: str | None = None) -> Section:
    """The sentence, the mean ranks as a diagram, and a row for each arm against the best one.

    `at` is the setting that the comparisons share, where others have another.
    """
    order = sorted(found["arms"], key=lambda arm: arm["mean_rank"])
    refs = _references(found)
    blocks = (Paragraph(_answer(found, order, refs)), _diagram(found, refs), _table(found, order, refs), _note(found))
    title = f"Over {count(len(found['blocks']), 'comparison')}"
    return Section("across", (title if at is None else f"{at}: {title.lower()}",), blocks)


def ranks(found: Across) -> Section:
    """The mean ranks alone, for a figure."""
    refs = _references(found)
    title = f"{label_of(found['metric'])}, over {count(len(found['blocks']), 'comparison')}"
    return Section("ranks", (title,), (_diagram(found, refs),))


def by_comparison(compared: Sequence[Comparison], summary: Summary, names: Sequence[str]) -> Section:
    """A row for each comparison: its best arm, and how many of the arms it was judged against are worse or equivalent.

    By the headline metric; an arm that has no number in it counts among those arms.
    """
    bests = [next((arm["name"] for arm in ranked(each)), None) for each in compared]
    rows: list[tuple[Cell, ...]] = []
    for name, best, comparison in zip(names, bests, compared, strict=True):
        if best is None:
            rows.append((name, "-", None, None, None))
            continue
        words = [row["verdict"] for row in verdicts_on(best, comparison, summary)]
        others = len({(row["a"], row["b"]) for row in summary["verdicts"] if best in (row["a"], row["b"])})
        value = next(mean_std(arm["metrics"][comparison.headline]) for arm in comparison.arms if arm["name"] == best)
        counts = (words.count(BETTER), words.count(EQUIVALENT))
        rows.append(
            (name, short_references(comparison)[best].name, value, *(Proportion(each, others) for each in counts))
        )
    columns = (
        Column(("comparison",), "left"),
        Column(("best arm",), "left"),
        Column((label_of(compared[0].headline),)),
        Column(("better", "than")),
        Column(("equivalent", "to")),
    )
    return Section("by_comparison", (), (Table(columns, tuple(rows[:MAX_ROWS]), omitted=max(0, len(rows) - MAX_ROWS)),))


def _references(found: Across) -> dict[str, ArmRef]:
    """The arms by name; those with the best mean ranks are drawn, marked in the config's order as in a comparison."""
    best = sorted(found["arms"], key=lambda arm: arm["mean_rank"])[:MAX_DRAWN]
    marks = {arm["name"]: mark for mark, arm in enumerate(arm for arm in found["arms"] if arm in best)}
    return {arm["name"]: ArmRef(arm["name"], marks.get(arm["name"])) for arm in found["arms"]}


def _diagram(found: Across, refs: dict[str, ArmRef]) -> Ranks:
    """The drawn arms at their mean ranks, with the groups of them that no test tells apart."""
    drawn = sorted((arm for arm in found["arms"] if refs[arm["name"]].mark is not None), key=lambda a: a["mean_rank"])
    spans = tuple(tuple(refs[name] for name in group) for group in groups({**found, "arms": drawn}))
    return Ranks(tuple((refs[arm["name"]], arm["mean_rank"]) for arm in drawn), spans, len(found["arms"]))


def _answer(found: Across, order: Sequence[AcrossArm], refs: dict[str, ArmRef]) -> Text:
    """`B has the best mean rank ..., and beats A (...); not told apart from C.`"""
    best, *others = (arm["name"] for arm in order)
    first = [refs[arm["name"]] for arm in order if arm["mean_rank"] == order[0]["mean_rank"]]
    rank = f"the best mean rank in {label_of(found['metric'])}, {order[0]['mean_rank']:.2f}"
    pairs = {other: _seen_from(found, best, other) for other in others}
    told = {
        word: [(refs[other], f" ({_score(pair)})") for other, pair in pairs.items() if _word(pair) == word]
        for word in (BETTER, WORSE)
    }
    if len(first) > 1:
        start: Text = (*listed(first_few(first, "more arms")), f" share {rank}; ")
        untold: Text = ("no test tells ", refs[best])
        links: dict[str, Text] = {BETTER: (refs[best], " beats "), WORSE: (refs[best], " is beaten by ")}
    else:
        start, untold = (refs[best], f" has {rank}, "), ("but no test tells it",)
        links = {BETTER: ("and beats ",), WORSE: ("but is beaten by ",)}
    if not any(told.values()):
        return (*start, *untold, " apart from the others.")
    said: list[Text] = [(*links[word], *listed(each)) for word, each in told.items() if each]
    open_ones = [refs[other] for other, pair in pairs.items() if _word(pair) == UNDECIDED]
    rest: Text = ("; not told apart from ", *listed(open_ones)) if open_ones else ()
    return (*start, *joined(said), *rest, ".")


def _word(pair: AcrossPair) -> str:
    """What the first arm of a pair, the one with the better mean rank, is; older runs leave which way to the ranks."""
    return pair["verdict"] or (BETTER if pair["p_holm"] < LEVEL else UNDECIDED)


def _score(pair: AcrossPair) -> str:
    p = "p < 0.001" if pair["p_holm"] < 0.001 else f"p = {pair['p_holm']:.3f}"
    return f"{pair['win']} won, {pair['tie']} tied, {pair['loss']} lost; Holm's {p}"


def _table(found: Across, order: Sequence[AcrossArm], refs: dict[str, ArmRef]) -> Table:
    """Each arm; against the best one, in how many comparisons the best wins, the test, and what is probable."""
    best, rows = order[0]["name"], order[:MAX_ROWS]
    pairs = [None if arm["name"] == best else _seen_from(found, best, arm["name"]) for arm in rows]
    columns: list[tuple[Column, Sequence[Cell]]] = [
        (Column(("mean", "rank")), [f"{arm['mean_rank']:.2f}" for arm in rows]),
        (Column(("mean value", "[95% interval]")), [_mean(arm) for arm in rows]),
        (Column(("best one: won,", "tied, lost")), [pair and _counts(pair) for pair in pairs]),
        (Column(("Holm's", "p")), [pair and PValue(pair["p_holm"]) for pair in pairs]),
        (Column(("better,", "equivalent")), [pair and _probabilities(pair) for pair in pairs]),
    ]
    cells = zip(*(cells for _, cells in columns), strict=True)
    return Table(
        columns=(Column(("arm",), "left"), *(column for column, _ in columns)),
        rows=tuple((refs[arm["name"]], *row) for arm, row in zip(rows, cells, strict=True)),
        omitted=len(order) - len(rows),
    )


def _mean(arm: AcrossArm) -> Cell:
    if arm["mean"] is None or arm["low"] is None or arm["high"] is None:
        return None if arm["mean"] is None else number(arm["mean"])
    return MeanRange(arm["mean"], arm["low"], arm["high"])


def _counts(pair: AcrossPair) -> str:
    return f"{pair['win']}, {pair['tie']}, {pair['loss']}"


def _probabilities(pair: AcrossPair) -> str:
    return f"{pair['p_better']:.0%}, {pair['p_equivalent']:.0%}"


def _note(found: Across) -> Paragraph:
    """What the tests are, and over what."""
    p = found["friedman_p"]
    friedman = "" if p is None else f"Friedman's test that all rank alike: p = {p:.3g}. "
    better = "more" if direction(found["metric"]) == "higher" else "less"
    said = (
        f"{friedman}Wilcoxon's signed-rank test over comparisons; better, equivalent: Bayesian signed-rank "
        f"probabilities that the best one has over {found['margin']:g} {better}, or is within that."
    )
    return Paragraph((said,), "note")


def _seen_from(found: Across, best: str, other: str) -> AcrossPair:
    for pair in found["pairs"]:
        if (pair["a"], pair["b"]) == (best, other):
            return pair
        if (pair["a"], pair["b"]) == (other, best):
            return {
                **pair,
                "a": best,
                "b": other,
                "win": pair["loss"],
                "loss": pair["win"],
                "p_better": pair["p_worse"],
                "p_worse": pair["p_better"],
                "verdict": pair["verdict"] and REVERSED[pair["verdict"]],
            }
    raise KeyError((best, other))
