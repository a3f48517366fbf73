"""The verdicts of a comparison: a table of pairs, and what they say of the best arm in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clsbench.analysis.curves import Comparison, ranked
from clsbench.analysis.pairs import references
from clsbench.analysis.test_set import may_be_reversed
from clsbench.analysis.verdicts import seen_from
from clsbench.metrics.measures import label_of
from clsbench.report.document import Block, Cell, Column, Mark, Paragraph, Section, Table, Text, joined, listed
from clsbench.report.sections.arms import Refs
from clsbench.report.text import PROTOCOLS, first_few, word_of
from clsbench.report.values import Difference, HalfWidth, Proportion, PValue
from clsbench.results import Summary, Verdict
from clsbench.results.verdicts import BETTER, EQUIVALENT, UNDECIDED, WORSE

MOST_ARMS = 6  # the pairs of more would fill screens
RESCALED = {EQUIVALENT: "these are equivalent", UNDECIDED: "it is open which is better"}
RELATIONS = {BETTER: "better than", EQUIVALENT: "equivalent to", WORSE: "worse than"}


def verdicts(comparison: Comparison, refs: Refs, summary: Summary) -> Section | None:
    """Every pair of arms by every metric that is judged; with many arms the pairs of the best one."""
    rows = _shown(comparison, refs, summary)
    in_all, unjudged = len(_of_comparison(comparison, summary)), tuple(map(Paragraph, _unjudged(summary)))
    if not rows:
        return Section("verdicts", (), unjudged) if unjudged else None
    blocks: list[Block] = [_table(comparison, refs, rows)]
    if len(rows) < in_all:
        blocks.append(
            Paragraph((f"Only pairs with the best arm are shown; summary.json holds all {in_all} verdicts.",))
        )
    rules = summary["rules"]
    title = "Verdicts: differences paired by seed, mean [95% confidence interval]"
    if rules is not None:
        title = f"Verdicts: mean difference over seeds [95% interval], family: {rules['family']}"
    return Section("verdicts", (title,), (*blocks, *map(Paragraph, _uncovered(comparison, refs, rows)), *unjudged))


def conclusions(comparison: Comparison, refs: Refs, summary: Summary) -> Iterator[Text]:
    """What the verdicts say of the arm with the best headline metric, and how many seeds the open ones need."""
    best = next((arm["name"] for arm in ranked(comparison)), None)
    rows = [seen_from(row, best) for row in _shown(comparison, refs, summary) if best in (row["a"], row["b"])]
    if best is None or not rows:
        return
    ground = _ground(comparison, summary)
    if all(row["low"] is None for row in rows):
        yield (f"{ground}, one seed gives no interval and no p-value: train more (train.seeds) for a verdict.",)
        return
    for number, sentence in enumerate(_found(refs, best, rows)):
        yield (*_capitalised(sentence), ".") if number else (f"{ground}, ", *sentence, ".")


def rescaled(comparison: Comparison, refs: Refs, summary: Summary, *, brief: bool = False) -> Iterator[Text]:
    """Which better and worse do not outlive temperature scaling; `brief`: only those whose word is the reverse."""
    reversed_ones: dict[tuple[str, str], list[str]] = {}
    others: dict[tuple[str, str, str], list[str]] = {}
    for row in _of_comparison(comparison, summary):
        after, metric = row["scaled"], label_of(row["metric"])
        if after is None or row["verdict"] not in (BETTER, WORSE) or after["verdict"] == row["verdict"]:
            continue
        if after["verdict"] in (BETTER, WORSE):
            winner, loser = (row["a"], row["b"]) if after["verdict"] == BETTER else (row["b"], row["a"])
            reversed_ones.setdefault((winner, loser), []).append(metric)
        else:
            others.setdefault((after["verdict"], row["a"], row["b"]), []).append(metric)
    if reversed_ones:
        told = [
            (Mark(refs[winner]), " is better than ", Mark(refs[loser]), " in ", *listed(metrics))
            for (winner, loser), metrics in reversed_ones.items()
        ]
        yield ("After temperature scaling the verdict is reversed: ", *joined(first_few(told, "more pairs"), "; "), ".")
    for word in () if brief else dict.fromkeys(word for word, _, _ in others):
        pairs = [
            (Mark(refs[a]), " and ", Mark(refs[b]), " in ", *listed(metrics))
            for (of, a, b), metrics in others.items()
            if of == word
        ]
        yield (f"After temperature scaling {RESCALED[word]}: ", *joined(first_few(pairs, "more pairs"), "; "), ".")


def _found(refs: Refs, best: str, rows: Sequence[Verdict]) -> Iterator[Text]:
    """What is decided, and what is open."""
    if decided := _decided(refs, rows):
        yield (refs[best], " is ", *decided)
    if still_open := [row for row in rows if row["verdict"] == UNDECIDED]:
        yield ("there are too few seeds to separate ", refs[best], " ", *listed(_open(refs, still_open)))


def _is_bounded(summary: Summary) -> bool:
    """Whether not all pairs of arms were judged: there is a baseline, or there were too many."""
    pairs = summary["pairs"]
    return pairs is not None and pairs["judged"] < pairs["all"]


def _unjudged(summary: Summary) -> Iterator[Text]:
    pairs = summary["pairs"]
    if pairs is not None and _is_bounded(summary):
        baseline = _baseline(summary)
        which = "each arm against the first of its comparison" if baseline is None else f"those with {baseline}"
        yield (
            f"Of {pairs['all']:,} pairs of arms {pairs['judged']:,} were judged: {which}, and the pairs whose verdict "
            "is expected (expect: verdict(A, B, METRIC)).",
        )


def _uncovered(comparison: Comparison, refs: Refs, rows: Sequence[Verdict]) -> Iterator[Text]:
    """Which samples all seeds share, so that nothing is known of others, and what the test samples leave open."""
    if comparison.arms[0]["own_test"]:
        shared = "the test set" if comparison.splits_vary else "one training split and the test set"
        yield (
            f"All seeds share {shared} that comes with the data: intervals and words hold for these samples, and do "
            "not cover what others would change.",
        )
    elif not comparison.splits_vary:
        yield (
            "All seeds share one split: intervals and words hold for these training and test samples, and do not cover "
            "what others would change; dataset.split_seed=per_seed draws a split for every seed.",
        )
    sizes = {row["test_set"]["n"] for row in rows if row["test_set"] is not None}
    if sizes:
        yield (
            f"Column 'test set': the same interval over the {max(sizes):,} test samples instead of seeds, as its reach "
            "to either side; what another test set as large would change.",
        )
    if reversible := [row for row in rows if may_be_reversed(row)]:
        told = [
            (Mark(refs[a]), " - ", Mark(refs[b]), " in ", *listed(metrics)) for (a, b), metrics in _by_pair(reversible)
        ]
        yield ("These test samples are too few to be sure of: ", *joined(first_few(told, "more pairs"), "; "), ".")


def _by_pair(rows: Sequence[Verdict]) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """The pairs of some verdicts, each with the labels of its metrics."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row["a"], row["b"]), []).append(label_of(row["metric"]))
    yield from found.items()


def _baseline(summary: Summary) -> str | None:
    return None if summary["rules"] is None else summary["rules"]["baseline"]


def _capitalised(text: Text) -> Text:
    first, *rest = text
    return (f"{first[0].upper()}{first[1:]}" if isinstance(first, str) else first, *rest)


def _shown(comparison: Comparison, refs: Refs, summary: Summary) -> list[Verdict]:
    rows = _of_comparison(comparison, summary)
    if len(comparison.arms) <= MOST_ARMS or not rows:
        return rows
    best = ranked(comparison)[0]["name"]
    shown = {name for name, ref in refs.items() if ref.mark is not None}
    if _is_bounded(summary):
        shown |= references(comparison.arms, _baseline(summary))
    return [seen_from(row, best) for row in rows if best in (row["a"], row["b"]) and {row["a"], row["b"]} <= shown]


def _of_comparison(comparison: Comparison, summary: Summary) -> list[Verdict]:
    names = {arm["name"] for arm in comparison.arms}
    return [row for row in summary["verdicts"] if row["a"] in names]


def _table(comparison: Comparison, refs: Refs, rows: Sequence[Verdict]) -> Table:
    seeds = [Proportion(row["n"], comparison.num_shared_seeds(row["a"], row["b"])) for row in rows]
    columns: list[tuple[Column, Sequence[Cell]]] = [
        (Column(("pair",), "left"), [(Mark(refs[row["a"]]), " - ", Mark(refs[row["b"]])) for row in rows]),
        (Column(("metric",), "left"), [label_of(row["metric"]) for row in rows]),
        (Column(("difference",)), [Difference(row["difference"], row["low"], row["high"]) for row in rows]),
        (Column(("Holm's p",)), [None if row["p_holm"] is None else PValue(row["p_holm"]) for row in rows]),
        (Column(("verdict",)), [_word(refs, row) for row in rows]),
    ]
    if any(each.part < each.whole for each in seeds) or len({each.whole for each in seeds}) > 1:
        columns.insert(3, (Column(("seeds",)), seeds))
    if any(row["test_set"] is not None for row in rows):
        columns.insert(3, (Column(("test set",)), [_reach(row) for row in rows]))
    cells = zip(*(cells for _, cells in columns), strict=True)
    return Table(tuple(column for column, _ in columns), tuple(cells), num_heads=2)


def _reach(row: Verdict) -> HalfWidth | None:
    found = row["test_set"]
    return None if found is None else HalfWidth((found["high"] - found["low"]) / 2)


def _word(refs: Refs, row: Verdict) -> Text:
    word, after = row["verdict"], row["scaled"]
    rescaled = f"; scaled: {after['verdict']}" if after is not None and after["verdict"] != word else ""
    if word in (BETTER, WORSE):
        return (Mark(refs[row["a"]]), f" {word_of(row)}{rescaled}")
    return (f"{word}{rescaled}",)


def _ground(comparison: Comparison, summary: Summary) -> str:
    """What the verdicts are conditional on."""
    split = "Over a different split for every seed" if comparison.tests_vary else "For this split"
    if comparison.splits_vary and not comparison.tests_vary:
        split = "Over a different training split for every seed and one test set"
    tuning = summary["tuning"]
    return split if tuning is None else f"{split}, with {PROTOCOLS[tuning['protocol']]}"


def _decided(refs: Refs, rows: Sequence[Verdict]) -> Text:
    """`better than A and C in test accuracy and test NLL; equivalent to A in test Brier`."""
    metrics: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for metric in dict.fromkeys(row["metric"] for row in rows):
        of_metric = [row for row in rows if row["metric"] == metric]
        for relation in dict.fromkeys(_relation(row) for row in sorted(of_metric, key=_place)):
            others = tuple(row["b"] for row in of_metric if relation and _relation(row) == relation)
            if others and relation:
                metrics.setdefault((relation, others), []).append(label_of(metric))
    found: list[Text] = [
        (f"{relation} ", *listed(Mark(refs[name]) for name in others), " in ", *listed(names))
        for (relation, others), names in metrics.items()
    ]
    return joined(found, "; ")


def _relation(row: Verdict) -> str | None:
    """What the first arm of a row is to the other; None while that is undecided."""
    relation = RELATIONS.get(row["verdict"])
    return f"negligibly {relation}" if relation and row["negligible"] else relation


def _place(row: Verdict) -> int:
    return [*RELATIONS, UNDECIDED].index(row["verdict"])


def _open(refs: Refs, rows: Sequence[Verdict]) -> Iterator[Text]:
    """By metric: `from A and C in test accuracy (about 34 and 12 seeds in all would settle it)`."""
    for metric in dict.fromkeys(row["metric"] for row in rows):
        found = [row for row in rows if row["metric"] == metric]
        needed = [row["seeds_needed"] for row in found]
        numbers = "".join(map(str, listed("?" if number is None else f"{number:,}" for number in needed)))
        settled = f" (about {numbers} seeds in all would settle it)" if any(needed) else ""
        yield ("from ", *listed(Mark(refs[row["b"]]) for row in found), f" in {label_of(metric)}{settled}")
