"""The answer of a comparison in a sentence or two: which arm is better by the headline metric, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clsbench.analysis.curves import Comparison, final_mean, ranked
from clsbench.analysis.test_set import may_be_reversed
from clsbench.analysis.verdicts import seen_from
from clsbench.metrics.measures import is_share, label_of
from clsbench.report.document import Mark, Text, joined, listed
from clsbench.report.sections.arms import Refs
from clsbench.report.sections.outcome import lead, outcome, shown
from clsbench.report.text import first_few, number
from clsbench.results import Summary, Verdict
from clsbench.results.verdicts import BETTER, EQUIVALENT, UNDECIDED, WORSE


def answer(comparison: Comparison, refs: Refs, summary: Summary) -> Iterator[Text]:
    """The verdict on the headline metric, then where the other metrics say something else."""
    best = next((arm["name"] for arm in ranked(comparison)), None)
    rows = [] if best is None else verdicts_on(best, comparison, summary)
    told, *caveat = outcome(comparison, refs)
    if best is None or not rows:
        yield from (told, *caveat)
        return
    yield from _verdict(comparison, refs, best, rows, told)
    yield from caveat
    yield from _other_metrics(comparison, refs, best, summary)


def in_a_word(comparison: Comparison, refs: Refs, summary: Summary) -> Text:
    """The same in a word or two: the best arm, or that none is; empty without verdicts."""
    best = next((arm["name"] for arm in ranked(comparison)), None)
    words = [] if best is None else [row["verdict"] for row in verdicts_on(best, comparison, summary)]
    if best is not None and BETTER in words:
        return (refs[best], " best")
    return (UNDECIDED if UNDECIDED in words else EQUIVALENT,) if words else ()


def verdicts_on(best: str, comparison: Comparison, summary: Summary, metric: str | None = None) -> list[Verdict]:
    """The verdicts on the best arm against each other one, by a metric, in the order of their means."""
    by = metric or comparison.headline
    found = [row for row in summary["verdicts"] if row["metric"] == by and best in (row["a"], row["b"])]
    rows = {row["b"]: row for row in (seen_from(row, best) for row in found)}
    order = [arm["name"] for arm in ranked(comparison)]
    return [rows[name] for name in order if name in rows]


def _verdict(comparison: Comparison, refs: Refs, best: str, rows: Sequence[Verdict], told: Text) -> Iterator[Text]:
    better = [row for row in rows if row["verdict"] == BETTER]
    if better:
        yield _better(comparison, refs, best, rows)
        yield from _few_samples(refs, better)
    elif all(row["low"] is None for row in rows):
        yield told
        yield ("One seed gives no verdict: train more (train.seeds).",)
    elif all(row["verdict"] == EQUIVALENT for row in rows):
        yield (f"Equivalent in {label_of(comparison.headline)}: ", *_values(comparison, refs, best, rows), ".")
    else:
        yield _open(comparison, refs, best, rows)


def _better(comparison: Comparison, refs: Refs, best: str, rows: Sequence[Verdict]) -> Text:
    """`B is better than A: test accuracy 85.7% against 23.5%, ...`; of many arms the values in brackets."""
    label, top = label_of(comparison.headline), shown(comparison.headline, _mean(comparison, best))
    if len(rows) == 1:
        (row,) = rows
        other = shown(comparison.headline, _mean(comparison, row["b"]))
        found = f": {label} {top} against {other}, {_difference(row)}."
        relation = " is better, but negligibly, than " if row["negligible"] else " is better than "
        return (refs[best], relation, refs[row["b"]], found)
    relations = {
        BETTER: "better than",
        EQUIVALENT: "equivalent to",
        UNDECIDED: "not separated by the seeds from",
    }
    parts: list[Text] = []
    for word, relation in relations.items():
        named = [row["b"] for row in rows if row["verdict"] == word]
        if named:
            parts.append((f"{relation} ", *_named(comparison, refs, named)))
    return (refs[best], f" has the best {label}, {top}: ", *joined(parts, "; "), ".")


def _few_samples(refs: Refs, better: Sequence[Verdict]) -> Iterator[Text]:
    """Which arms the best one may be better than on these test samples alone."""
    if unsure := [row for row in better if may_be_reversed(row)]:
        number = max(row["test_set"]["n"] for row in unsure if row["test_set"] is not None)
        against = listed(first_few([Mark(refs[row["b"]]) for row in unsure], "more arms"))
        yield (f"Its {number:,} test samples are too few to be sure of that against ", *against, ".")


def _open(comparison: Comparison, refs: Refs, best: str, rows: Sequence[Verdict]) -> Text:
    needed = [row["seeds_needed"] for row in rows if row["verdict"] == UNDECIDED]
    known = [each for each in needed if each is not None]
    settle = f"; about {max(known):,} seeds in all would settle it" if known and None not in needed else ""
    lost = any(row["n"] < comparison.num_shared_seeds(row["a"], row["b"]) for row in rows)
    why = "; the seeds that are left after a divergence do not speak for an arm" if lost and not settle else ""
    values = _values(comparison, refs, best, rows)
    return (f"Undecided in {label_of(comparison.headline)}: ", *values, f"{settle}{why}.")


def _values(comparison: Comparison, refs: Refs, best: str, rows: Sequence[Verdict]) -> Text:
    """Each arm with its value: `A 96.1% and B 96.0%`."""
    names = [best, *(row["b"] for row in rows)]
    valued: list[Text] = [(refs[name], f" {shown(comparison.headline, _mean(comparison, name))}") for name in names]
    return listed(first_few(valued, "more arms"))


def _named(comparison: Comparison, refs: Refs, names: Sequence[str]) -> Text:
    marked: list[Text] = [
        (Mark(refs[name]), f" ({shown(comparison.headline, _mean(comparison, name))})") for name in names
    ]
    return listed(first_few(marked, "more arms"))


def _difference(row: Verdict) -> str:
    """`62.2 percentage points higher (95% interval 53.7 to 70.8)`."""
    found = lead(row["metric"], abs(row["difference"]), "higher", "lower")
    if row["low"] is None or row["high"] is None:
        return found
    # Seen from the better arm; an end below 0 is on the other's side.
    low, high = (row["low"], row["high"]) if row["difference"] >= 0 else (-row["high"], -row["low"])
    ends = (f"{100 * low:.1f}", f"{100 * high:.1f}") if is_share(row["metric"]) else (number(low), number(high))
    return f"{found} (95% interval {ends[0]} to {ends[1]})"


def _other_metrics(comparison: Comparison, refs: Refs, best: str, summary: Summary) -> Iterator[Text]:
    """Where another metric decides otherwise than the headline, and not negligibly: the arms that it finds better."""
    headline = {row["b"]: row["verdict"] for row in verdicts_on(best, comparison, summary)}
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for metric in dict.fromkeys(row["metric"] for row in summary["verdicts"]):
        rows = verdicts_on(best, comparison, summary, metric)
        decided = [row for row in rows if headline.get(row["b"]) != row["verdict"] and not row["negligible"]]
        for word in (BETTER, WORSE):
            others = tuple(row["b"] for row in decided if row["verdict"] == word)
            if others and metric != comparison.headline:
                found.setdefault((word, others), []).append(label_of(metric))
    for (word, others), metrics in found.items():
        arms = listed(first_few([Mark(refs[name]) for name in others], "more arms"))
        relation = "better than" if word == BETTER else "worse than"
        yield (f"By {''.join(map(str, listed(metrics)))} ", Mark(refs[best]), f" is {relation} ", *arms, ".")


def _mean(comparison: Comparison, name: str) -> float:
    arm = next(arm for arm in comparison.arms if arm["name"] == name)
    return final_mean(arm, comparison.headline) or 0.0
