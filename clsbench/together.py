"""Several runs read back and shown as one, where they can be compared."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.analysis.joining import Joined, joined
from clsbench.analysis.obstacles import Part, obstacle
from clsbench.errors import ConfigError, RunError
from clsbench.result import Result, load, trained_plan
from clsbench.runs.directory import METRICS, RunDirectory
from clsbench.runs.evidence import Evidence
from clsbench.runs.resume import comparable

if TYPE_CHECKING:
    from clsbench.data.scene import Scene
    from clsbench.report.seen import Film
    from clsbench.runs.replay import Arrays


@dataclass(frozen=True)
class Runs:
    """Several runs as one: `result` has their arms, in the folder that holds them."""

    result: Result
    parts: Sequence[Part]
    joined: Joined

    def page(self) -> bytes:
        """`report.html` of them all."""
        from clsbench.report.page import page_of
        from clsbench.report.renderers.page import as_page

        directories = [RunDirectory(Path(part.where)) for part in self.parts]
        config = {part.where: each.experiment().to_dict() for part, each in zip(self.parts, directories, strict=True)}
        environment = {part.where: each.environment() for part, each in zip(self.parts, directories, strict=True)}
        return as_page(page_of(self.result.records, self.result.summary, config, environment, self._film(directories)))

    def _film(self, directories: Sequence[RunDirectory]) -> Film:
        """The frames of every arm whose run shows the same samples as the first one of its dataset."""
        from clsbench.report.seen import Film

        scenes: dict[str, Scene] = {}
        frames: dict[str, Arrays] = {}
        for place, (part, directory) in enumerate(zip(self.parts, directories, strict=True)):
            replay = directory.replay(list(part.summary["data"] or ()))
            kept = (
                {}
                if replay is None
                else {part.plan.trials[number].arm.name: of for number, of in replay.trials.items()}
            )
            for name, (of, arm) in self.joined.members.items():
                if replay is not None and of == place and arm.name in kept:
                    title = arm.dataset.title
                    if scenes.setdefault(title, replay.scenes[title]).is_like(replay.scenes[title]):
                        frames[name] = kept[arm.name]
        return Film({name: arm for name, (_, arm) in self.joined.members.items()}, frames, scenes)


def read_together(runs: Sequence[Path]) -> Runs:
    """Several finished runs on one ruler.

    Raises:
        ConfigError: they cannot be compared; the message says why.
        RunError: one cannot be read.
    """
    parts = [_part(load(run)) for run in runs]
    if reason := obstacle(parts):
        raise ConfigError(f"{reason}; show each by itself")
    found = joined(parts)
    folder = Path(os.path.commonpath([run.resolve() for run in runs]))
    return Runs(Result(found.records, found.summary, folder), parts, found)


def _part(result: Result) -> Part:
    directory = RunDirectory(result.directory)
    if directory.manifest.read() is None:
        raise RunError(
            f"{directory.path} was made by an earlier version of clsbench, which kept no hashes of its data to compare "
            "it by; show it by itself"
        )
    plan = trained_plan(result)
    evidence = Evidence()
    for each in directory.checkpoints(METRICS).newest():
        evidence.add(each.evidence)
    return Part(
        where=str(directory.path),
        records=result.records,
        summary=result.summary,
        plan=plan,
        data=directory.hashes(),
        evidence=evidence,
        settings=comparable(plan.experiment),
    )
