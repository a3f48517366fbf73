"""A run as one HTML file: self-contained, without network, moved by the scripts and styled by the sheet beside this."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from clsbench.config.dump import as_yaml
from clsbench.report.document import Text
from clsbench.report.page import Page, PageComparison
from clsbench.report.renderers.markup import safe
from clsbench.report.renderers.page.blocks import block, text

SCRIPTS = ("base.js", "chart.js", "forest.js", "terrain.js", "relief.js", "own.js", "seen.js", "page.js")
STYLE = "page.css"
MOST_CONFIG = 50_000  # characters of the config


def as_page(page: Page) -> bytes:
    """The page as UTF-8: the same bytes for the same run."""
    style, script = _shipped(STYLE), "\n".join(map(_shipped, SCRIPTS))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{safe(page.title)} - clsbench</title>\n<style>{style}</style>\n</head>\n"
    )
    data = f'<script type="application/json" id="page-data">{_json(_data(page))}</script>'
    body = "".join(_body(page))
    return f"{head}<body>\n{body}{data}\n<script>{script}</script>\n</body>\n</html>\n".encode()


def _body(page: Page) -> Iterator[str]:
    yield '<a class="skip" href="#main">Skip to the result</a>\n'
    yield f"<header><h1>{safe(page.title)}</h1>"
    if len(page.comparisons) > 1:
        choices = "".join(
            f'<button type="button" class="choice" aria-pressed="{str(place == page.first).lower()}">{safe(each.name)}'
            f"{_small(each.word)}</button> "
            for place, each in enumerate(page.comparisons)
        )
        yield f'<nav aria-label="comparisons">{choices}</nav>'
    yield '</header>\n<main id="main">\n'
    if page.over_all:
        inner = "".join(html for section in page.over_all for html in block(section, f"page-{section.name}"))
        yield f'<section class="over-all">\n{inner}</section>\n'
    for place, comparison in enumerate(page.comparisons):
        yield from _comparison(comparison, place)
    for section in page.sections:
        yield from block(section, f"page-{section.name}")
    yield from _kept(page)
    yield "</main>\n"
    yield f"<footer>{''.join(f'<p>{safe(note)}</p>' for note in page.notes)}<p>Made by clsbench.</p></footer>\n"


def _small(word: Text) -> str:
    return f' <small class="faint">{text(word)}</small>' if word else ""


def _comparison(comparison: PageComparison, place: int) -> Iterator[str]:
    yield f'<section class="comparison" aria-labelledby="name-{place}">\n'
    yield f'<h2 id="name-{place}">{safe(comparison.name)} <small class="faint">{safe(comparison.shared)}</small></h2>\n'
    first, *more = comparison.verdict or (("",),)
    yield f'<p class="verdict">{text(first)}</p>\n'
    yield "".join(f'<p class="more">{text(sentence)}</p>\n' for sentence in more)
    yield f'<div class="stage" id="stage-{place}"></div>\n'
    yield "<noscript><p>The charts need JavaScript; every number is in the tables below.</p></noscript>\n"
    for section in comparison.sections:
        yield from block(section, f"part-{place}-{section.name}")
    yield "</section>\n"


def _kept(page: Page) -> Iterator[str]:
    config = as_yaml(dict(page.config))
    if len(config) > MOST_CONFIG:
        config = f"{config[:MOST_CONFIG]}\n... the rest is in config.yaml\n"
    lines = "\n".join(safe(line) for line in config.split("\n"))
    yield f'<details><summary>Config</summary><pre tabindex="0">{lines}</pre></details>\n'
    rows = "".join(f"<dt>{safe(key)}</dt><dd>{safe(value)}</dd>" for key, value in _flat("", page.environment))
    yield f"<details><summary>Environment</summary><dl>{rows}</dl></details>\n"


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), each)
    elif value is not None and value != []:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _data(page: Page) -> dict[str, Any]:
    return {
        "first": page.first,
        "comparisons": [comparison.charts for comparison in page.comparisons],
        "pictures": {name: base64.b64encode(content).decode() for name, content in page.pictures.items()},
    }


def _json(value: Any) -> str:
    """JSON that no text can end early: a data block ends at `</script`, and `<!--` changes how it is read."""
    written = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _shipped(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
