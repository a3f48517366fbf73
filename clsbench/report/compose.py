"""The documents that a run is shown as: what is on the terminal, and what each figure draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from clsbench.analysis.across import FEWEST_BLOCKS
from clsbench.analysis.curves import STUCK_FROM, Comparison, comparisons
from clsbench.metrics.diagnostics import STUCK_SHARE
from clsbench.metrics.measures import label_of
from clsbench.report.document import Block, Document, Mark, Paragraph, Section, Text, joined
from clsbench.report.sections import metrics, run, verdicts
from clsbench.report.sections.across import across, by_comparison, ranks
from clsbench.report.sections.answer import answer
from clsbench.report.sections.arms import (
    MAX_DRAWN,
    MAX_ON_SCREEN,
    Refs,
    arms,
    own_legend,
    references,
    settings,
    shared,
    short_references,
)
from clsbench.report.sections.classes import by_class
from clsbench.report.sections.convergence import convergence
from clsbench.report.sections.cross import cross
from clsbench.report.sections.curves import by_epoch, curves
from clsbench.report.sections.data import brief_data, data
from clsbench.report.sections.outcome import diverged_at_once, outcome, stuck
from clsbench.report.sections.reliability import reliability
from clsbench.report.sections.standing import standing
from clsbench.report.sections.start import confident_start
from clsbench.report.sections.tuning import numeric_keys, sensitivity, tuning
from clsbench.report.sections.tuning_findings import seeds_of
from clsbench.report.sections.why import why
from clsbench.report.text import PROTOCOLS, count, count_of_each, first_few, warm_start_of
from clsbench.results import Across, DataSummary, Record, RunWarning, Summary, Tuning

MAX_COMPARISONS = 8  # of a figure
MOST_SECTIONS = 20  # of comparisons: what is beyond has a row in a table


def run_document(records: Iterable[Record], summary: Summary, files: Sequence[str] | None = ()) -> Document:
    """All that is said of a run: its data, a section for each comparison, then expectations, time and `files`.

    While these are drawn, None leaves the last section out: `end_document` has it.
    """
    compared = comparisons(records, summary)
    shown = compared[:MOST_SECTIONS]
    sections = [_comparison(each, summary, place, len(compared)) for place, each in enumerate(shown, start=1)]
    whole = over_all(compared, summary)
    read = filter(None, [data(summary["data"], summary["warnings"]), run.joined(summary), *whole])
    of_run = filter(None, (run.expectations(summary), _end(run.kept, summary, files)))
    return Document(summary["name"], (*read, *sections, *of_run))


def answer_document(records: Iterable[Record], summary: Summary, files: Sequence[str] | None = ()) -> Document:
    """The answer first: a screen for each comparison, expectations, and where the rest is; None as above."""
    compared = comparisons(records, summary)
    whole = list(over_all(compared, summary))
    shown = [] if whole else compared[:MOST_SECTIONS]
    screens = [_answer(each, summary, place, len(compared)) for place, each in enumerate(shown, start=1)]
    *before, last = [*whole, *screens]
    last = replace(last, blocks=(*last.blocks, *run.brief_expectations(summary)))
    read = filter(None, [brief_data(summary["data"], summary["warnings"]), run.joined(summary)])
    of_run = filter(None, [_end(run.brief_kept, summary, files)])
    return Document(summary["name"], (*read, *before, last, *of_run))


def over_all(compared: Sequence[Comparison], summary: Summary) -> Iterator[Section]:
    """Of several comparisons, which arm is better over all of them, and a row for each."""
    found = summary["across"]
    if found is not None and len(found["blocks"]) >= FEWEST_BLOCKS:
        yield across(found)
        yield by_comparison(compared, summary, found["blocks"])
    elif len(compared) > MOST_SECTIONS:
        yield by_comparison(compared, summary, [_ground(each) for each in compared])


def by_document(name: str, found: Mapping[str, Across]) -> Document:
    """The same over the comparisons at each value of a setting."""
    return Document(name, tuple(across(each, value) for value, each in found.items()))


def end_document(summary: Summary, files: Sequence[str], *, brief: bool) -> Document:
    """The last section of the brief document, or of the other."""
    return Document(summary["name"], (run.brief_kept(summary, files) if brief else run.kept(summary, files),))


def _end(
    section: Callable[[Summary, Sequence[str]], Section], summary: Summary, files: Sequence[str] | None
) -> Section | None:
    return None if files is None else section(summary, files)


def _answer(comparison: Comparison, summary: Summary, place: int, in_all: int) -> Section:
    """Verdict, curves of the headline metric, a row for each arm, why."""
    refs = short_references(comparison, MAX_ON_SCREEN)
    title = f"{_title(summary, place, in_all)}: {'; '.join([_ground(comparison), *of_losses(comparison)])}"
    found, reason = by_epoch(comparison, refs, comparison.headline), why(comparison, refs, summary, speeds=False)
    level = "" if found.level is None else f" (dashed: {found.level.label})"
    start = confident_start(comparison)
    blocks: list[Block] = [
        Paragraph((", ".join(conditions(comparison, summary)),), "note"),
        *([] if start is None else [Paragraph(start)]),
        Paragraph(
            joined([*answer(comparison, refs, summary), *verdicts.rescaled(comparison, refs, summary, brief=True)], " ")
        ),
    ]
    if any(line.x for line in found.series):
        blocks += [Paragraph((f"{label_of(comparison.headline)} by epoch{level}",), "note"), found]
    blocks.append(standing(comparison, refs, summary))
    own: list[Text] = [(Mark(ref), f" {setting}") for ref, setting in own_legend(comparison, refs).entries if setting]
    if own:
        blocks.append(Paragraph(joined(first_few(own, "more arms"), "; "), "note"))
    if reason is not None:
        blocks.append(Paragraph(reason))
    return Section("answer", (title,), tuple(blocks))


def of_losses(comparison: Comparison) -> Iterator[str]:
    """What arms are that differ by their loss."""
    labels = {arm["label"] for arm in comparison.arms}
    if len(labels) == len(comparison.arms) > 1:
        yield f"{len(labels)} losses train the same network"


def conditions(comparison: Comparison, summary: Summary) -> Iterator[str]:
    """What all arms of a comparison share, once."""
    yield from shared(comparison)
    yield f"{seeds_in(comparison)} on {_splits(comparison)}"
    yield epochs_of(comparison)
    if summary["tuning"]:
        yield PROTOCOLS[summary["tuning"]["protocol"]]
    if summary["warm_start"]:
        yield f"from {warm_start_of(summary['warm_start'])}"
    yield from _of_different_seeds(comparison)


def seeds_in(comparison: Comparison) -> str:
    """`5 seeds`, or `4 to 7 seeds` where arms, those of several runs, have different numbers of them."""
    return count_of_each([len(arm["seeds"]) for arm in comparison.arms], "seed")


def _of_different_seeds(comparison: Comparison) -> Iterator[str]:
    """What a verdict compares where arms, those of several runs, have different seeds."""
    if len({frozenset(arm["seeds"]) for arm in comparison.arms}) > 1:
        yield "each mean is over its arm's seeds, each verdict over the seeds that both arms share"


def _splits(comparison: Comparison) -> str:
    if comparison.tests_vary:
        return "a split each"
    return "a training split each and one test set" if comparison.splits_vary else "one split"


def epochs_of(comparison: Comparison) -> str:
    """`20 epochs`, or `up to 20 epochs` where trials stop at different ones."""
    return f"{'up to ' if comparison.stops else ''}{count(comparison.last_epoch, 'epoch')}"


def _title(summary: Summary, place: int, in_all: int) -> str:
    title = summary["name"] + (f" ({place} of {in_all})" if in_all > 1 else "")
    return title if summary["status"] == "finished" else f"{title} - {summary['status']}"


def data_document(name: str, datasets: Mapping[str, DataSummary], warnings: Sequence[RunWarning]) -> Document:
    """What was read, before anything is trained."""
    return Document(name, tuple(filter(None, [data(datasets, warnings)])))


def brief_document(records: Iterable[Record], summary: Summary) -> Document:
    """What a notebook shows under a cell: the outcome, curves, and the table of test metrics of each comparison."""
    compared = comparisons(records, summary)
    shown = [part for comparison in compared[:MAX_COMPARISONS] for part in _brief(comparison, summary)]
    notes = tuple(Paragraph((note,), "note") for note in _notes(compared))
    read = filter(None, [data(summary["data"], summary["warnings"])])
    return Document(summary["name"], (*read, *shown, Section("notes", (), notes)))


def _brief(comparison: Comparison, summary: Summary) -> Iterator[Section]:
    refs = references(comparison)
    said = tuple(map(Paragraph, _sentences(comparison, refs, summary)))
    yield Section("outcome", (), (*_conditions(comparison, summary), *said))
    yield Section("curves", (), tuple(by_epoch(comparison, refs, metric) for metric in _plotted(comparison)))
    yield arms(comparison, refs)
    yield metrics.test(comparison, refs)


def figure_documents(records: Iterable[Record], summary: Summary) -> dict[str, Document]:
    """What the figures of a run draw, by file name: its curves; tuning, reliability and mean ranks if it has them."""
    compared = comparisons(records, summary)
    figures = {"curves": _curves_figure(compared, summary)}
    if (tuned := summary["tuning"]) and any(numeric_keys(each, tuned) for each in compared):
        figures["tuning"] = _tuning_figure(compared, summary["name"], tuned)
    if any(arm["reliability"] for arm in summary["arms"]):
        figures["reliability"] = _reliability_figure(compared, summary)
    if (found := summary["across"]) is not None and len(found["blocks"]) >= FEWEST_BLOCKS:
        figures["ranks"] = Document(summary["name"], (ranks(found),))
    return figures


def _comparison(comparison: Comparison, summary: Summary, place: int, in_all: int) -> Section:
    refs = references(comparison)
    sections = filter(None, _sections(comparison, refs, summary))
    return Section("comparison", (_title(summary, place, in_all),), (*_conditions(comparison, summary), *sections))


def _conditions(comparison: Comparison, summary: Summary) -> Iterator[Paragraph]:
    """What all arms of a comparison have in common."""
    seeds, where = seeds_in(comparison), f"dataset {comparison.dataset}, model {comparison.model}"
    yield Paragraph((f"{where}, {seeds}, {epochs_of(comparison)}, on {summary['device']}",))
    yield from (Paragraph((told,)) for told in _of_different_seeds(comparison))
    if summary["warm_start"]:
        yield Paragraph((f"every trial starts from {warm_start_of(summary['warm_start'])}",))


def _sections(comparison: Comparison, refs: Refs, summary: Summary) -> Iterator[Section | None]:
    yield arms(comparison, refs)
    for metric in _plotted(comparison):
        yield curves(comparison, refs, metric)
    yield metrics.test(comparison, refs)
    yield metrics.robust(comparison, refs)
    yield by_class(comparison, refs)
    yield cross(comparison, refs)
    yield metrics.validation(comparison, refs)
    yield metrics.training(comparison, refs)
    yield metrics.gradients(comparison, refs)
    yield convergence(comparison, refs)
    yield tuning(comparison, refs, summary["tuning"])
    yield verdicts.verdicts(comparison, refs, summary)
    yield Section("outcome", (), tuple(map(Paragraph, _sentences(comparison, refs, summary))))


def _sentences(comparison: Comparison, refs: Refs, summary: Summary) -> Iterator[Text]:
    yield from filter(None, [confident_start(comparison)])
    yield from outcome(comparison, refs)
    yield from verdicts.conclusions(comparison, refs, summary)
    yield from verdicts.rescaled(comparison, refs, summary)
    yield from stuck(comparison, refs)
    yield from diverged_at_once(comparison, refs)


def _plotted(comparison: Comparison) -> tuple[str, ...]:
    """The fields that are drawn: the headline and the second metric on test data, the second on training data."""
    second = comparison.problem.second
    return (comparison.headline, f"test_{second}", f"train_{second}")


def _curves_figure(compared: Sequence[Comparison], summary: Summary) -> Document:
    shown = compared[:MAX_COMPARISONS]
    sections = []
    for comparison in shown:
        refs = short_references(comparison)
        diagnosed = [STUCK_SHARE] if _gets_stuck(comparison) else []
        panels = (by_epoch(comparison, refs, metric) for metric in [*_plotted(comparison), *diagnosed])
        sections.append(_row("curves", comparison, (*panels, own_legend(comparison, refs))))
    notes = tuple(Paragraph((note,), "note") for note in _notes(compared))
    return Document(summary["name"], (*sections, Section("notes", (), notes)))


def _notes(compared: Sequence[Comparison]) -> Iterator[str]:
    if any(comparison.num_seeds > 1 for comparison in compared):
        yield "Lines: mean over seeds. Bands: minimum to maximum."
    if any(comparison.classes for comparison in compared):
        yield "Dashed in grey: always answering the most frequent class of the training split."
    if len(compared) > MAX_COMPARISONS:
        yield f"The first {MAX_COMPARISONS} of {len(compared)} comparisons."
    if any(len(comparison.arms) > MAX_DRAWN for comparison in compared[:MAX_COMPARISONS]):
        yield f"At most {MAX_DRAWN} arms are shown, those with the best final {label_of(compared[0].headline)}."


def _gets_stuck(comparison: Comparison) -> bool:
    means = (mean for arm in comparison.arms for mean in comparison.curve(arm["name"], STUCK_SHARE).mean)
    return max(means, default=0.0) > STUCK_FROM


def _tuning_figure(compared: Sequence[Comparison], name: str, tuned: Tuning) -> Document:
    best = ", best over the other keys" if len(tuned["grid"]) > 1 else ""
    over = f"mean, minimum and maximum over {seeds_of(tuned)}{best}"
    sections = []
    for comparison in compared[:MAX_COMPARISONS]:
        refs = references(comparison)
        panels = (sensitivity(comparison, refs, tuned, key) for key in numeric_keys(comparison, tuned))
        blocks: tuple[Block, ...] = (Paragraph((over,)), *panels, settings(comparison, refs))
        sections.append(Section("tuning", (_ground(comparison),), blocks))
    return Document(name, tuple(sections))


def _reliability_figure(compared: Sequence[Comparison], summary: Summary) -> Document:
    sections = [
        _row("reliability", comparison, reliability(comparison, short_references(comparison)))
        for comparison in compared[:MAX_COMPARISONS]
    ]
    notes = (
        "Points: accuracy against mean confidence in each bin (larger for more samples); equal on the dashed line.",
        "Bars: the share of test samples in each bin, pooled over seeds.",
    )
    footer = Section("notes", (), tuple(Paragraph((note,), "note") for note in notes))
    return Document(summary["name"], (*sections, footer))


def _row(name: str, comparison: Comparison, blocks: Iterable[Block]) -> Section:
    """A row of a figure, under what all its arms share, so that their names need not say it."""
    title = f"{_ground(comparison)}, {seeds_in(comparison)}"
    common = [Paragraph((", ".join(said),))] if (said := shared(comparison)) else []
    return Section(name, (title,), (*common, *blocks))


def _ground(comparison: Comparison) -> str:
    return f"{comparison.dataset}, {comparison.model}"
