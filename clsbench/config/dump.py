"""Plain data as YAML that reads back as itself."""

from __future__ import annotations

from typing import Any

import yaml

from clsbench.config.yaml_text import Surprise, scalar


def as_yaml(tree: dict[str, Any]) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes what this project's reader, or any other, would take for something else than text."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else '"')


def _is_plain(text: str) -> bool:
    if not text.isprintable():  # PyYAML would fold what Unicode calls a line's end
        return False
    try:
        return scalar(text) == text
    except Surprise:
        return False


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]
