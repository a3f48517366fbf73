"""What a run did to its folder, call by call, and every state in which a crash could leave that folder.

The model of the disk is that of ALICE (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014), at its
most hostile:

- The data of a file are durable once a later fsync of that file has returned. Of each write since then, independently
  of the others, nothing, all, a beginning, or a beginning followed by zeros is on the disk. Where a later write is
  there and an earlier one is not, the file has zeros in its place.
- A name (of a file or folder made, renamed, linked or removed) is durable once a later fsync of its folder has
  returned; for a rename that is the folder of the new name. Of the changes of names since then any subset has
  happened, in whatever order their folder says: a fsync of a file does not make its name durable, nor the other way
  round. A rename itself is atomic: it happened, or it did not.
- A process that is killed leaves everything it did: the state with all of them.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faulting.disk import Operation, WatchedDisk

Tree = Mapping[str, bytes | None]  # by relative path, what a file holds; None for a folder
ROOT = "."

# How much of a change that is not durable is on the disk.
ABSENT, PRESENT, BEGINNING, ZERO_TAIL = range(4)


class RecordingDisk(WatchedDisk):
    """Notes each call in a file of JSON lines, among them what the program reports by `report`."""

    def __init__(self, folder: Path, log: Path) -> None:
        super().__init__(folder)
        self._log = open(log, "w", encoding="utf-8")  # noqa: SIM115 - open until the process ends

    def after(self, operation: Operation) -> None:
        self._note(asdict(operation) | {"data": operation.data.hex()})

    def report(self, what: Any) -> None:
        """Something that holds from here on, whatever happens."""
        self._note({"kind": "report", "what": what})

    def _note(self, line: dict[str, Any]) -> None:
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()


@dataclass(frozen=True)
class Recording:
    """The calls of a run, in order, from `start` on; `reports` pairs each report with the number of calls before."""

    start: Tree
    operations: list[Operation]
    reports: list[tuple[int, Any]]

    @classmethod
    def read(cls, log: Path, start: Tree) -> Recording:
        operations: list[Operation] = []
        reports = []
        for line in log.read_text(encoding="utf-8").splitlines():
            noted = json.loads(line)
            if noted["kind"] == "report":
                reports.append((len(operations), noted["what"]))
            else:
                operations.append(Operation(**{**noted, "data": bytes.fromhex(noted["data"])}))
        return cls(start, operations, reports)

    def require_whole(self, folder: Path) -> None:
        """Check that no call was missed: what was noted makes the watched folder as it is.

        Raises:
            AssertionError: the folder holds something else.
        """
        noted, there = self.disk(len(self.operations)).state(), tree_of(folder)
        different = [path for path in {**noted, **there} if noted.get(path, 0) != there.get(path, 0)]
        assert not different, f"a call that changed {different[0]} was not recorded"

    def disk(self, calls: int) -> Disk:
        """The disk after so many calls."""
        disk = Disk(self.start)
        for operation in self.operations[:calls]:
            disk.apply(operation)
        return disk

    def states(self, chance: random.Random, step: int = 1) -> Iterator[tuple[int, str, Tree]]:
        """Crash states without end: the calls made, what became of those not durable, and what the folder holds.

        First, after each `step` calls, everything and nothing of what is not durable. Then drawn ones, after a call
        drawn: one change that is missing, alone there, or half there; or chance decides about each.
        """
        disk = Disk(self.start)
        for made in range(len(self.operations) + 1):
            if made % step == 0 or made == len(self.operations):
                yield made, "all", disk.state()
                yield made, "none", disk.state(lambda change: ABSENT)
            if made < len(self.operations):
                disk.apply(self.operations[made])
        while True:
            made = chance.randrange(len(self.operations) + 1)
            disk = self.disk(made)
            pending = disk.pending()
            if not pending:
                continue
            one = chance.choice(pending)
            what = f"{one.operation.kind} of {one.operation.path}"
            yield made, f"without {what}", disk.state(_only(one, ABSENT, PRESENT))
            yield made, f"with only {what}", disk.state(_only(one, PRESENT, ABSENT))
            if one.operation.kind == "write":
                yield made, f"beginning of {what}", disk.state(_only(one, BEGINNING, PRESENT), chance)
                yield made, f"zeros in {what}", disk.state(_only(one, ZERO_TAIL, PRESENT), chance)
            for _ in range(2):
                yield made, "by chance", disk.state(_drawn(chance), chance)


def _only(one: Change, how: int, others: int) -> Callable[[Change], int]:
    return lambda change: how if change is one else others


def _drawn(chance: random.Random) -> Callable[[Change], int]:
    """A decision about each change, the same whenever it is asked."""
    share, decided = chance.random(), dict[Change, int]()

    def drawn(change: Change) -> int:
        ways = [ABSENT, BEGINNING, ZERO_TAIL] if change.operation.kind == "write" else [ABSENT]
        return decided.setdefault(change, PRESENT if chance.random() < share else chance.choice(ways))

    return drawn


@dataclass(eq=False)
class Change:
    """A call, the node that it is about, and whether it is durable."""

    operation: Operation
    node: Node
    places: tuple[tuple[Node, str], ...] = ()  # of a name: the folder and name it has now, and had before
    durable: bool = False


@dataclass(eq=False)
class Node:
    """A file or a folder; what it held at the start, and the changes of a file's data."""

    is_folder: bool
    start: bytes = b""
    changes: list[Change] = field(default_factory=list)


Names = dict[Node, dict[str, Node]]


class Disk:
    """Folders and files with the changes that are durable, and those that are not."""

    def __init__(self, start: Tree) -> None:
        self.root = Node(is_folder=True)
        self._names: list[Change] = []  # all changes of names, in the order in which they were made
        self._start: Names = {self.root: {}}
        for path, content in sorted(start.items()):  # a folder before what it holds
            node = Node(content is None, content or b"")
            folder, name = self._place(path, self._start)
            self._start[folder][name] = node
            if node.is_folder:
                self._start[node] = {}
        self._live = self._named(lambda change: PRESENT)

    def apply(self, operation: Operation) -> None:
        """A call of a process that sees all calls before."""
        kind, path = operation.kind, operation.path
        if kind in ("write", "truncate"):
            node = self._node(path)
            node.changes.append(Change(operation, node))
        elif kind == "fsync":
            node = self._node(path)
            for change in (*node.changes, *(each for each in self._names if each.places[0][0] is node)):
                change.durable = True
        else:
            new = Node(is_folder=kind == "mkdir") if kind in ("create", "mkdir") else None
            node = new or self._node(operation.source or path)
            places = [self._place(each, self._live) for each in (path, operation.source) if each]
            change = Change(operation, node, tuple(places))
            self._names.append(change)
            _rename(self._live, change)

    def pending(self) -> list[Change]:
        """What is not durable: changes of names, then of the data of files that have a name."""
        files = [node for names in self._live.values() for node in names.values()]
        changes = [*self._names, *(change for node in dict.fromkeys(files) for change in node.changes)]
        return [change for change in changes if not change.durable]

    def state(
        self, kept: Callable[[Change], int] = lambda change: PRESENT, chance: random.Random | None = None
    ) -> Tree:
        """What the folder holds when of each change that is not durable so much was `kept`."""
        names = self._named(kept)
        found: dict[str, bytes | None] = {}

        def walk(folder: Node, before: str) -> None:
            for name, node in sorted(names.get(folder, {}).items()):
                found[before + name] = None if node.is_folder else _content(node, kept, chance)
                if node.is_folder:
                    walk(node, f"{before}{name}/")

        walk(self.root, "")
        return found

    def _named(self, kept: Callable[[Change], int]) -> Names:
        names = {folder: dict(inside) for folder, inside in self._start.items()}
        for change in self._names:
            if change.durable or kept(change) == PRESENT:
                _rename(names, change)
        return names

    def _node(self, path: str) -> Node:
        if path == ROOT:
            return self.root
        folder, name = self._place(path, self._live)
        return self._live[folder][name]

    def _place(self, path: str, names: Names) -> tuple[Node, str]:
        *folders, name = path.split("/")
        folder = self.root
        for each in folders:
            folder = names[folder][each]
        return folder, name


def _rename(names: Names, change: Change) -> None:
    """Make, move or remove a name."""
    folder, name = change.places[0]
    inside = names.setdefault(folder, {})
    if change.operation.kind == "remove":
        if inside.get(name) is change.node:
            del inside[name]
        return
    inside[name] = change.node
    if change.operation.kind == "rename":
        source, old = change.places[1]
        if names.get(source, {}).get(old) is change.node:
            del names[source][old]


def _content(node: Node, kept: Callable[[Change], int], chance: random.Random | None) -> bytes:
    content = bytearray(node.start)
    for change in node.changes:
        how = PRESENT if change.durable else kept(change)
        offset, data = change.operation.offset, change.operation.data
        if how == ABSENT:
            continue
        if change.operation.kind == "truncate":
            del content[offset:]
            content.extend(bytes(offset - len(content)))
            continue
        if how != PRESENT:
            end = chance.randrange(len(data) + 1) if chance else len(data) // 2
            data = data[:end] + bytes(len(data) - end if how == ZERO_TAIL else 0)
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data
    return bytes(content)


def tree_of(folder: Path) -> Tree:
    """A folder and what it holds, by paths relative to its parent."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return {str(path.relative_to(folder.parent)): None if path.is_dir() else path.read_bytes() for path in paths}


def make(tree: Tree, folder: Path) -> None:
    """Put such a tree into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in tree.items():
        if content is None:
            os.mkdir(folder / path)
        else:
            (folder / path).write_bytes(content)
