"""The verb that looks at losses without training: `explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from clsbench.cli.parameters import numbers
from clsbench.errors import ConfigError
from clsbench.report.streams import whole_page


def explain(
    logits: Annotated[str, typer.Option(metavar="Z0,Z1,...", help="One logit per class.", show_default=False)],
    target: Annotated[int, typer.Option(metavar="N", help="The true class, numbered from 0.", show_default=False)],
) -> None:
    """Show one sample under every loss, with gradients."""
    values = numbers("--logits", logits)
    if not 0 <= target < len(values):
        raise ConfigError(f"--target: must be a class number from 0 to {len(values) - 1}, got {target}")
    import clsbench.losses  # noqa: F401 - registers the losses
    from clsbench.analysis.explanation import explain as explained
    from clsbench.report.renderers.listing import show_explanation

    with whole_page() as console:
        show_explanation(console, explained(values, target))
