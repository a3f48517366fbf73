"""The verb that shows one sample under every loss, or under the arms of a run: `explain`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from clsbench.cli.parameters import AsJson, Plugins, load_plugins, numbers
from clsbench.errors import ConfigError
from clsbench.report.streams import whole_page, write_json

if TYPE_CHECKING:
    from rich.console import Console


class _Explanation(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


Found = TypeVar("Found", bound=_Explanation)


def explain(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run directory, whose arms see --sample.", show_default=False),
    ] = None,
    logits: Annotated[
        str | None, typer.Option(metavar="Z0,Z1,...", help="One logit per class.", show_default=False)
    ] = None,
    target: Annotated[
        int | None, typer.Option(metavar="N", help="The true class, numbered from 0.", show_default=False)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(metavar="N", help="A test sample of RUN, numbered from 0.", show_default=False)
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Show one sample under every loss, or under each arm of a run."""
    if run is not None:
        if sample is None or logits is not None or target is not None:
            raise ConfigError("a RUN is explained by --sample N alone; without a RUN give --logits and --target")
        load_plugins(plugin)
        _explain_run(run, sample, as_json)
        return
    if sample is not None or logits is None or target is None:
        missing = "--sample needs a RUN" if sample is not None else _missing(logits)
        raise ConfigError(f"{missing}; see clsbench explain --help")
    values = numbers("--logits", logits)
    if not 0 <= target < len(values):
        raise ConfigError(f"--target: must be a class number from 0 to {len(values) - 1}, got {target}")
    load_plugins(plugin)
    from clsbench.analysis.explanation import explain as explained
    from clsbench.report.renderers.listing import show_explanation

    _show(explained(values, target), show_explanation, as_json)


def _missing(logits: str | None) -> str:
    return f"Missing option {'--logits' if logits is None else '--target'!r}"


def _explain_run(run: Path, sample: int, as_json: bool) -> None:
    from clsbench.report.renderers.listing import show_sample
    from clsbench.sample import sample_seen

    _show(sample_seen(run, sample), show_sample, as_json)


def _show(found: Found, show: "Callable[[Console, Found], None]", as_json: bool) -> None:
    if as_json:
        write_json(found.to_dict())
        return
    with whole_page() as console:
        show(console, found)
