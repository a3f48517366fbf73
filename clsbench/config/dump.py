"""Plain data as YAML that reads back as itself."""

from __future__ import annotations

from typing import Any

import yaml

from clsbench.config.schema import Experiment
from clsbench.config.yaml_text import MAX_CHARACTERS, Surprise, scalar


def length_mistake(experiment: Experiment) -> str | None:
    """Why the config file that a run keeps could not be read back; None if it can be."""
    # YAML takes less than 16 times the characters of JSON, for indentation and escapes.
    if len(experiment.model_dump_json()) * 16 <= MAX_CHARACTERS:
        return None
    length = len(as_yaml(experiment.to_dict()))
    if length <= MAX_CHARACTERS:
        return None
    what = f"with every default filled in, the experiment has {length:,} characters, and {MAX_CHARACTERS:,} can be read"
    return f"{what}; split it into several"


def as_yaml(tree: dict[str, Any]) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes text that this project's reader, or any other, would not read as text."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else '"')


def _is_plain(text: str) -> bool:
    if not text.isprintable():  # PyYAML would fold Unicode line breaks
        return False
    try:
        return scalar(text) == text
    except Surprise:
        return False


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]
