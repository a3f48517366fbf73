"""README, CONTRIBUTING and docs/: their links, their tree of files, their configs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from clsbench.config.reader import read_text

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def fenced(language: str) -> Iterator[tuple[str, str]]:
    """The blocks in `language` of all pages, each with the name of its page."""
    for page in PAGES:
        for found, text in FENCED.findall(page.read_text(encoding="utf-8")):
            if found == language:
                yield page.name, text


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def tree() -> list[str]:
    """The files of `clsbench/` that docs/architecture.md lists, by path relative to it."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms: list[str] = []
    listed = []
    for line in page.partition("```\nclsbench/\n")[2].partition("```")[0].splitlines():
        name, comment = line.split(maxsplit=1)
        assert "" != comment
        rooms = rooms[: (len(line) - len(line.lstrip())) // 2 - 1]
        if name.endswith("/"):
            rooms.append(name)
        else:
            listed.append("".join([*rooms, name]))
    return listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    """Each relative link of a page leads to a file of the repository, and to a heading where it names one."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        linked = page.parent / path if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert [] == broken


def test_every_page_is_reached_from_the_readme() -> None:
    """README links to each page of docs/."""
    linked = set(re.findall(r"\]\((docs/[^)\s#]+\.md)", prose(ROOT / "README.md")))
    assert {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md")} == linked


def test_the_tree_is_the_package() -> None:
    """docs/architecture.md lists each file of the package once, and no other."""
    package = ROOT / "clsbench"
    files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert sorted(path.relative_to(package).as_posix() for path in files) == sorted(tree())


def test_the_table_of_changes_names_files_and_constants_that_exist() -> None:
    """Each path in `where to change what` exists, and each constant beside it stands in that file."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Where to change what")[2].partition("## ")[0]
    source, missing = "", []
    for name in re.findall(r"`([\w/]+(?:\.py|/)|[A-Z][A-Z_]+)`", table):
        if "/" not in name and not name.endswith(".py"):
            missing += [name] if not re.search(rf"^{name}\b", source, re.MULTILINE) else []
            continue
        path = ROOT / "clsbench" / name
        missing += [name] if not path.exists() else []
        source = path.read_text(encoding="utf-8") if path.is_file() else ""
    assert [] == missing


@pytest.mark.parametrize(("page", "text"), list(fenced("yaml")))
def test_configs_are_read(page: str, text: str) -> None:
    """Each YAML block of a page is a config, or sections of one, that the reader accepts."""
    read = read_text(text, page, ()).to_dict()
    assert set() == set(yaml.safe_load(text)) - set(read)
