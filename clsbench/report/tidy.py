"""The results of runs as tables for other programs: tidy rows, one observation each, and LaTeX (booktabs) of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clsbench.analysis.by import settings_of
from clsbench.analysis.statistics import middle
from clsbench.analysis.summary import over_seeds
from clsbench.metrics.measures import direction, is_share, judged, label_of
from clsbench.report.sections.tuning_findings import at_chosen, spans_of
from clsbench.report.text import word_of
from clsbench.report.values import PValue
from clsbench.results import ArmSummary, ArmTuning, SeedChoice, SettingResult, Settings, Statistic, Summary
from clsbench.results.verdicts import OverTestSet, ScaledVerdict

if TYPE_CHECKING:
    from clsbench.config.arms import Arm

Row = dict[str, Any]
Cells = Sequence[str]

NESTED = {"scaled": ScaledVerdict, "test_set": OverTestSet}  # in a verdict

ESCAPED = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def tidy(summary: Summary, arms: Mapping[str, Arm]) -> dict[str, list[Row]]:
    """The tables of a summary by name: `arms`, `verdicts`, and `tuning`, `across`, `pairs` where there are some.

    Args:
        summary: of a run, or of several that are shown together.
        arms: by the names in the summary, the arms at the settings that were trained.
    """
    found = {
        "arms": [row for arm in summary["arms"] for row in _of_arm(arm, arms[arm["name"]])],
        "verdicts": [_flat(row) for row in summary["verdicts"]],
        "tuning": [*_of_tuning(summary)],
        "across": [],
        "pairs": [],
    }
    if (across := summary["across"]) is not None:
        shared = {"metric": across["metric"], "comparisons": len(across["blocks"])}
        best = min(across["arms"], key=lambda arm: arm["mean_rank"])["name"]
        found["across"] = [{"arm": arm["name"], **shared, **_flat(arm, "name")} for arm in across["arms"]]
        found["pairs"] = [{**_flat(pair), **shared, "best": best in (pair["a"], pair["b"])} for pair in across["pairs"]]
    return {name: rows for name, rows in found.items() if rows or name in ("arms", "verdicts")}


def latex(summary: Summary) -> dict[str, str]:
    """The same as LaTeX tables for `booktabs`, rounded, by the same names."""
    found = {"arms": _arms_in_latex(summary), "verdicts": _verdicts_in_latex(summary)}
    if tuning := summary["tuning"]:
        heads = ["arm", *map(_text, tuning["grid"]), _text(label_of(tuning["metric"]))]
        rows = [
            [
                _text(arm["name"]),
                *(_text(spans_of(arm).get(key, "-")) for key in tuning["grid"]),
                _number(at_chosen(arm)["mean"]),
            ]
            for arm in tuning["arms"]
        ]
        found["tuning"] = _tabular(heads, rows)
    if across := summary["across"]:
        order = sorted(across["arms"], key=lambda arm: arm["mean_rank"])
        heads = ["arm", "mean rank", f"mean {_text(label_of(across['metric']))}", r"95\% interval"]
        rows = [
            [
                _text(arm["name"]),
                f"{arm['mean_rank']:.2f}",
                _number(arm["mean"]),
                _interval(arm["low"], arm["high"]),
            ]
            for arm in order
        ]
        found["across"] = _tabular(heads, rows)
        heads = ["pair", "won", "tied", "lost", "Holm's $p$", "better", "equivalent", "worse"]
        rows = [
            [
                _text(f"{pair['a']} - {pair['b']}"),
                *(str(pair[key]) for key in ("win", "tie", "loss")),
                _p(pair["p_holm"]),
                *(f"{pair[key]:.2f}" for key in ("p_better", "p_equivalent", "p_worse")),
            ]
            for pair in across["pairs"]
        ]
        found["pairs"] = _tabular(heads, rows)
    return found


def _of_arm(arm: ArmSummary, asked: Arm) -> Iterator[Row]:
    """A row for each metric: what the arm is, every setting in a column, and the metric over seeds."""
    facts: Mapping[str, Any] = arm
    named: Row = {"arm": arm["name"], "label": arm["label"]}
    named |= {key: facts[key] for key in ("loss", "dataset", "model", "batch_size", "split_seed")}
    named |= {"seeds": len(arm["seeds"]), "diverged": arm["diverged"], "failed": len(arm["failures"] or ())}
    named |= {key: _plain(value) for key, value in settings_of(asked).items()}
    for metric, statistic in arm["metrics"].items():
        yield {**named, "metric": metric, "better": direction(metric), **_over_seeds(statistic)}


def _over_seeds(statistic: Statistic) -> Row:
    median, iqm = middle(statistic["values"])
    return {"mean": statistic["mean"], "std": statistic["std"], "median": median, "iqm": iqm, "n": statistic["n"]}


def _of_tuning(summary: Summary) -> Iterator[Row]:
    """A row for each arm and setting; where each seed was tuned by itself, for each arm, seed and setting."""
    if (tuning := summary["tuning"]) is None:
        return
    labels = {arm["name"]: arm["label"] for arm in summary["arms"]}
    for arm in tuning["arms"]:
        named = {"arm": arm["name"], "label": labels[arm["name"]]}
        for seed, chosen, rows in _by_seed(arm):
            for row in rows:
                settings = {key: _plain(row["settings"].get(key)) for key in tuning["grid"]}
                measured = {"metric": tuning["metric"], **_over_seeds(row), "diverged": row["diverged"]}
                yield {**named, "seed": seed, **settings, **measured, "chosen": row["settings"] == chosen}


def _by_seed(arm: ArmTuning) -> Iterator[tuple[int | None, Settings | None, list[SettingResult]]]:
    """An arm's rows as they chose: those of each seed with its choice, or all at once, of no seed."""
    if (choices := arm["by_seed"]) is None:
        yield None, arm["chosen"], arm["sensitivity"]
        return
    for place, choice in enumerate(choices):
        rows: list[SettingResult] = []
        for row in arm["sensitivity"]:
            if not _was_tried(row["settings"], arm, choice):
                continue
            each = len(row["values"]) // len(choices)
            values = row["values"][place * each : (place + 1) * each]
            rows.append({**row, **over_seeds(values), "diverged": values.count(None), "second": None})
        yield choice["seed"], choice["chosen"], rows


def _was_tried(settings: Settings, arm: ArmTuning, choice: SeedChoice) -> bool:
    """Whether the seed of a choice tried the settings: those beyond the grid only where it extended that so far."""
    own = choice["extended"] or {}
    new = {
        key: [value for value in values if value not in own.get(key, ())]
        for key, values in (arm["extended"] or {}).items()
    }
    return all(value not in new.get(key, ()) for key, value in settings.items())


def _flat(row: Mapping[str, Any], *left_out: str) -> Row:
    """A row without nesting: `scaled` becomes `scaled_verdict` and so on."""
    found: Row = {}
    for key, value in row.items():
        if key in NESTED:
            found |= {f"{key}_{name}": None if value is None else value[name] for name in NESTED[key].__annotations__}
        elif key not in left_out:
            found[key] = value
    return found


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else json.dumps(value)


def _arms_in_latex(summary: Summary) -> str:
    """Each arm with the metrics that verdicts compare, mean and standard deviation over seeds."""
    columns = [name for name in judged() if any(_has(arm, name) for arm in summary["arms"])]
    rows = [
        [_text(arm["name"]), *(_mean_std(name, arm["metrics"].get(name)) for name in columns)]
        for arm in summary["arms"]
    ]
    return _tabular(["arm", *(_text(label_of(name)) for name in columns)], rows)


def _has(arm: ArmSummary, metric: str) -> bool:
    return metric in arm["metrics"] and arm["metrics"][metric]["mean"] is not None


def _verdicts_in_latex(summary: Summary) -> str:
    rows = [
        [
            _text(f"{row['a']} - {row['b']}"),
            _text(label_of(row["metric"])),
            _number(row["difference"]),
            _interval(row["low"], row["high"]),
            _p(row["p_holm"]),
            word_of(row),
        ]
        for row in summary["verdicts"]
    ]
    return _tabular(["pair", "metric", "difference", "interval", "Holm's $p$", "first is"], rows)


def _mean_std(metric: str, statistic: Statistic | None) -> str:
    if statistic is None or statistic["mean"] is None:
        return "-"
    share, std = is_share(metric), statistic["std"]
    scale, digits, unit = (100, 1, r"\%") if share else (1, 3, "")
    spread = "" if std is None else rf" $\pm$ {scale * std:.{digits}f}"
    return f"{scale * statistic['mean']:.{digits}f}{unit}{spread}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"[{_number(low)}, {_number(high)}]"


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else _text(str(value))


def _p(value: float | None) -> str:
    return "-" if value is None else f"${PValue(value)}$"


def _tabular(heads: Sequence[str], rows: Sequence[Cells]) -> str:
    """A `tabular` with the rules of booktabs, of cells in LaTeX; the first column is text."""
    lines = ["% clsbench; \\usepackage{booktabs}", rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}", r"\toprule"]
    lines += [" & ".join(heads) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _text(text: str) -> str:
    """A text with what LaTeX takes for commands escaped."""
    return "".join(ESCAPED.get(char, char) for char in text)
