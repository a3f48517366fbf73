"""Listings: registered components, keys of a config, and one sample under every loss."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clsbench import problems
from clsbench.config.entries import ENTRY_TYPES
from clsbench.config.json_schema import Key, as_yaml, in_words
from clsbench.problems import Problem
from clsbench.registry import (
    KINDS,
    PROBLEMS,
    Kind,
    LinkName,
    LossSpec,
    MetricSpec,
    Option,
    PathOption,
    ProblemName,
    Spec,
    catalogue,
)
from clsbench.report.text import printable

if TYPE_CHECKING:
    from clsbench.analysis.explanation import Explanation, LossAtPoint
    from clsbench.analysis.samples import SampleSeen

Listed = Kind | Literal["problem"]
LISTED: tuple[Listed, ...] = ("problem", *KINDS)
ACTIVATIONS: Mapping[LinkName, str] = {"softmax": "softmax", "sigmoid": "sigmoid", "identity": "none"}


def show_kinds(console: Console, kinds: Sequence[Listed]) -> None:
    """Every problem or spec of the kinds, a line each."""
    for kind in kinds:
        print_folded(console, plural(kind), bold=True)
        table = columns()
        for name, summary in _lines(kind):
            table.add_row(f"  {name}", Text(summary))
        console.print(table)
        if kind == "loss":
            _show_pairs(console, PROBLEMS)
        if kind in ("problem", "metric"):
            _show_metrics(console)
    print_folded(console, "`clsbench list NAME` shows one with its options")


def _lines(kind: Listed) -> dict[tuple[str, str], None]:
    """Names and what each is, once where one metric serves several problems."""
    if kind == "problem":
        return dict.fromkeys((each.kind, each.meaning) for each in problems.KINDS.values())
    return dict.fromkeys((spec.name, spec.summary) for spec in catalogue.all(kind))


def _show_pairs(console: Console, kinds: Sequence[ProblemName]) -> None:
    """Which last activation and which losses serve each kind of problem: the lecture's closing table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("  problem", "last activation", "losses"):
        table.add_column(head, overflow="fold")
    for kind in kinds:
        for link, names in _losses_of(kind).items():
            table.add_row(f"  {kind}", ACTIVATIONS[link], Text(", ".join(names)))
    console.print(table)


def _losses_of(kind: ProblemName) -> dict[LinkName, list[str]]:
    """The losses that serve a kind of problem, by their link."""
    found: dict[LinkName, list[str]] = {}
    for spec in catalogue.losses():
        if kind in spec.problems:
            found.setdefault(spec.link, []).append(spec.name)
    return found


def _show_metrics(console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("  problem", "metrics, the headline first"):
        table.add_column(head, overflow="fold")
    for kind in problems.KINDS.values():
        table.add_row(f"  {kind.kind}", Text(", ".join(_metrics_of(kind))))
    console.print(table)


def _metrics_of(kind: type[Problem]) -> list[str]:
    """The metrics of a kind of problem, its headline the first."""
    names = [spec.name for spec in catalogue.metrics() if kind.kind in spec.problems]
    return sorted(names, key=lambda name: name != kind.headline)


def show_problem(console: Console, kind: type[Problem]) -> None:
    """A kind of problem: its targets, its losses by last activation, its metrics."""
    print_folded(console, f"problem {kind.kind}", bold=True)
    print_folded(console, f"{kind.meaning}.\n")
    _show_pairs(console, [kind.kind])
    print_folded(console, f"\nmetrics, the headline first: {', '.join(_metrics_of(kind))}")


def problems_data(kinds: Sequence[type[Problem]]) -> list[dict[str, Any]]:
    """Kinds of problems as plain data, for `--json`."""
    return [
        {
            "kind": "problem",
            "name": kind.kind,
            "aliases": [],
            "summary": kind.meaning,
            "options": {},
            "losses": _losses_of(kind.kind),
            "metrics": _metrics_of(kind),
        }
        for kind in kinds
    ]


def show_spec(console: Console, spec: Spec) -> None:
    """A spec's help and options."""
    also = f" (also {', '.join(spec.aliases)})" if spec.aliases else ""
    print_folded(console, f"{spec.kind} {spec.name}{also}", bold=True)
    print_folded(console, spec.help)
    if isinstance(spec, LossSpec):
        print_folded(console, f"\nproblems {', '.join(spec.problems)}; last activation {ACTIVATIONS[spec.link]}")
    if isinstance(spec, MetricSpec):
        print_folded(console, f"\nproblems {', '.join(spec.problems)}")
    if spec.options:
        print_folded(console, "\noptions", bold=True)
        table = columns(3)
        for option in spec.options.values():
            default = "required" if option.required else f"default {_yaml(option.default)}"
            table.add_row(f"  {option.name}", Text(allowed(option)), Text(default))
        console.print(table)
    if spec.kind in ENTRY_TYPES:
        keys = [key for key in ENTRY_TYPES[spec.kind].model_fields if key != "name"]
        print_folded(console, f"\nevery {spec.kind} also takes {', '.join(keys)}; `clsbench list KEY` shows one")


def show_keys(console: Console, keys: Sequence[Key]) -> None:
    """Keys of a config: what each takes, its default, its meaning."""
    for key in keys:
        default = "must be given" if key.required else f"default {as_yaml(key.default)}"
        if "$ref" in key.schema:
            default = f"`clsbench list {key.name}` shows them"
        print_folded(console, key.name, bold=True)
        console.print(Padding(Text(f"{in_words(key.schema)}; {default}"), (0, 0, 0, 2)))
        if key.meaning:
            console.print(Padding(Text(key.meaning), (0, 0, 0, 2)))


def keys_data(keys: Sequence[Key]) -> list[dict[str, Any]]:
    """Keys as plain data, for `--json`."""
    return [
        {"key": key.name, "type": in_words(key.schema), "required": key.required, "meaning": key.meaning}
        | ({} if key.required else {"default": key.default})
        for key in keys
    ]


def show_shipped(console: Console, titles: Mapping[str, str]) -> None:
    """The shipped configs, a line each."""
    table = columns()
    for name, title in titles.items():
        table.add_row(Text(name), Text(title))
    console.print(table)
    print_folded(console, "`clsbench run NAME` trains one, `clsbench init --from NAME` copies it")


def catalogue_data(specs: Sequence[Spec]) -> list[dict[str, Any]]:
    """Components as plain data, for `--json`."""
    return [
        {
            "kind": spec.kind,
            "name": spec.name,
            "aliases": list(spec.aliases),
            "summary": spec.summary,
            "options": {
                name: {"type": allowed(option), "required": option.required}
                | ({} if option.required else {"default": option.default})
                for name, option in spec.options.items()
            },
        }
        | ({"problems": list(spec.problems)} if isinstance(spec, LossSpec | MetricSpec) else {})
        | ({"link": spec.link} if isinstance(spec, LossSpec) else {})
        for spec in specs
    ]


def kind_named(text: str) -> Listed | None:
    """The kind that a user calls `losses`, `loss`, `dataset`, ...; None where there is none."""
    return next((kind for kind in LISTED if text in (kind, plural(kind))), None)


def allowed(option: Option) -> str:
    """What an option takes, in words: `a whole number, at least 1`."""
    return _in_words(option.annotation)


def show_explanation(console: Console, explanation: Explanation) -> None:
    """Probabilities, margin, and each loss with its gradient on every logit."""
    classes = [f"{n}*" if n == explanation.target else str(n) for n in range(len(explanation.logits))]
    sample = _figures("class", classes)
    sample.add_row("logit", *(f"{value:g}" for value in explanation.logits))
    sample.add_row("softmax", *(f"{value:.4f}" for value in explanation.softmax))
    sample.add_row("sigmoid", *(f"{value:.4f}" for value in explanation.sigmoid))
    console.print(sample)
    verdict = "right" if explanation.margin > 0 else "wrong"
    print_folded(console, f"* the target; margin {explanation.margin:+.4g}, so the prediction is {verdict}")
    print_folded(console, f"likelihood {explanation.likelihood:.4g}, log-odds {explanation.log_odds:+.4g}\n")
    show_losses(console, explanation.losses)
    print_folded(console, "\nNorm of the gradient if the largest wrong logit is greater by", bold=True)
    growing = _figures("loss", [f"{added:g}" for added in explanation.growing])
    for loss in explanation.losses:
        growing.add_row(named(loss), *(f"{norms[loss.name]:.3g}" for norms in explanation.growing.values()))
    console.print(growing)


def show_sample(console: Console, sample: SampleSeen) -> None:
    """One sample of a run under each arm: what its network answers, its loss, and the gradient that it gets."""
    print_folded(console, f"Test sample {sample.number} of {sample.run}, class {sample.target}", bold=True)
    table = _figures("arm", ["answer", "p of target", "log-odds", "loss", "gradient"])
    for arm in sample.arms:
        numbers = (arm.likelihood, arm.log_odds, arm.value, arm.norm)
        shown = ("-" if number is None else f"{number:.3g}" for number in numbers)
        table.add_row(printable(arm.name, console.encoding), printable(arm.prediction, console.encoding), *shown)
    console.print(table)
    print_folded(console, "The first trial of each arm; the gradient is the norm on the logits of the arm's own loss.")


def show_losses(console: Console, losses: Sequence[LossAtPoint]) -> None:
    """Each loss at some logits, with its gradient on every logit."""
    table = _figures("loss", ["value", *(f"d/dz{n}" for n in range(len(losses[0].gradient)))])
    for loss in losses:
        table.add_row(named(loss), f"{loss.value:.4g}", *(f"{value:+.3g}" for value in loss.gradient))
    console.print(table)


def named(loss: LossAtPoint) -> str:
    """A loss and its reduction."""
    reduction = loss.options.get("reduction")
    return loss.name if reduction is None else f"{loss.name} ({reduction})"


def _figures(name: str, columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(name, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")  # if the console is narrow: never shortened
    return table


def columns(number: int = 2) -> Table:
    """A table without heads, whose cells are folded."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(number):
        table.add_column(overflow="fold")
    return table


def print_folded(console: Console, text: str, *, bold: bool = False) -> None:
    """Paragraphs of a text, each folded to the width of the console."""
    # The console folds paragraphs to its own width, not to the docstring's.
    unfolded = re.sub(r"(?<=[^\n])\n(?=[^\n])", " ", text)
    shown = "\n".join(printable(line, console.encoding) for line in unfolded.split("\n"))
    console.print(Text(shown, "bold" if bold else ""))


def plural(kind: Listed) -> str:
    """What a user calls a kind: `losses`."""
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _yaml(value: Any) -> str:
    words = {"None": "null", "True": "true", "False": "false"}
    return words.get(str(value), str(value))


def _in_words(annotation: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    if annotation in words:
        return words[annotation]
    arguments = get_args(annotation)
    if annotation == PathOption:
        return "a path"
    if hasattr(annotation, "__metadata__"):
        bounds = [bound for constraint in annotation.__metadata__ for bound in _bounds(constraint)]
        return ", ".join([_in_words(arguments[0]), *bounds])
    if get_origin(annotation) is list:
        return f"a list, each {_in_words(arguments[0])}"
    if all(not isinstance(argument, type) and get_origin(argument) is None for argument in arguments):
        return " or ".join(_yaml(argument) for argument in arguments)
    return " or ".join(_in_words(argument) for argument in arguments)


def _bounds(constraint: Any) -> list[str]:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = {text: getattr(constraint, name, None) for name, text in words.items()}
    return [f"{text} {bound}" for text, bound in found.items() if bound is not None]
