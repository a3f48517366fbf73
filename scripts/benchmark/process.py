"""Whole commands, imports, measuring, figures and all, against what a user would write instead.

Graphs are compiled into a cache of the part's own: cold is the first run with an empty one, warm any later run. A
script that takes minutes is timed in the first turn alone, and every turn's ratio is to that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmark import contenders, mnist, own
from benchmark.figures import Options, Outcome, Race, Result, Spread, Target, race
from benchmark.small import TOLERANCE

SCRIPT, JAX, IMPORTS = "plain script", "script in JAX", "import torch, sklearn.datasets"
AUTO, ON, OFF = (f"clsbench, compile={mode}" for mode in ("auto", "on", "off"))
COLD, MANY, FIRST_LINE = "clsbench, compile=on, cold", "clsbench, 1,000 trials", "clsbench, first line of the answer"
MODES = {AUTO: "auto", ON: "on", OFF: "off"}
# After three epochs, of few seeds or samples, accuracies are as far from each other as this.
ROUGH = 0.15
WHOLE, QUICK_LIMIT = 60_000, 600  # training images

Turns = dict[str, Callable[[], Outcome]]


def measure(options: Options) -> Result:
    """Quickstart; moons with few and many seeds and steps; MNIST; a thousand trials."""
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(options, Path(folder))
        bench.quickstart()
        bench.moons("b", seeds=1, epochs=50, of_script=0.6)
        if not options.quick:  # without compiling, and with few seeds, the same as (b)
            bench.moons("c", seeds=100, epochs=50, of_script=1 / 20, with_jax=True)
            bench.moons("d", seeds=10, epochs=400, of_script=1 / 40, of_jax=0.6, cold=1 / 15, with_jax=True)
        if reason := mnist.missing(options.data_dir):
            bench.notes.append(f"MNIST {reason}")
        else:
            bench.mnist("mnist_mlp", epochs=10, of_script=0.4, modes=MODES)
            # One of its networks may end with an output that is always wrong, ten points lower.
            bench.mnist("nielsen", epochs=10, of_script=0.25, modes={AUTO: "auto"}, tolerance=0.05)
        bench.thousand()
    return Result(bench.races, bench.targets, bench.notes)


class _Bench:
    """The races of the part; `folder` holds its caches."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._warm = folder / "warm"
        self.races: dict[str, Race] = {}
        self.targets: list[Target] = []
        self.notes: list[str] = []

    def quickstart(self) -> None:
        seeds, epochs = (2, 3) if self._options.quick else (5, 30)
        config = ["quickstart", f"train.seeds={seeds}", f"train.epochs={epochs}"]
        run = self._race(
            f"(a) quickstart, {4 * seeds} trials x {epochs} epochs",
            {SCRIPT: partial(_script, "plain_digits", seeds, epochs), **self._modes(config, {AUTO: "auto"})},
        )
        self.targets += run.target(AUTO, SCRIPT, 0.5)
        command = [*config, *self._mode("auto")]
        turns: Turns = {IMPORTS: _imports, FIRST_LINE: partial(_first_line, command, self._warm)}
        self.races["(a) quickstart, until the answer is read"] = run = race(turns, self._options.repeats, unit="s")
        self.targets += run.target(FIRST_LINE, IMPORTS, 1.5)

    def moons(
        self,
        letter: str,
        *,
        seeds: int,
        epochs: int,
        of_script: float,
        of_jax: float | None = None,
        cold: float | None = None,
        with_jax: bool = False,
    ) -> None:
        if self._options.quick:
            seeds, epochs = min(seeds, 2), 3
        script = partial(_script, "plain_script", seeds, epochs)
        turns: Turns = {SCRIPT: script if seeds == 1 else cache(script)}  # the cache times it once
        if with_jax and contenders.installed({JAX: contenders.jax}):
            turns[JAX] = partial(_script, "jax_script", seeds, epochs)
        config = self._written(f"moons-{letter}", own.moons(seeds=seeds, epochs=epochs))
        if cold is not None:
            turns[COLD] = partial(self._cold, config)
        turns |= self._modes(config, MODES)
        run = self._race(f"({letter}) moons, 2 losses x {seeds} seeds x {epochs} epochs", turns)
        self.targets += run.target(AUTO, SCRIPT, of_script)
        self.targets += [] if of_jax is None else run.target(AUTO, JAX, of_jax)
        self.targets += [] if cold is None else run.target(COLD, SCRIPT, cold)
        self.targets += _chosen_well(run)

    def mnist(
        self, name: str, *, epochs: int, of_script: float, modes: dict[str, str], tolerance: float = TOLERANCE
    ) -> None:
        data_dir, limit = str(self._options.data_dir), WHOLE
        if self._options.quick:
            epochs, limit = 2, QUICK_LIMIT
        settings = {"dataset.data_dir": data_dir, "train.epochs": epochs, "expect": []}
        settings |= {} if limit == WHOLE else {"dataset.limit": limit}
        file = next(own.ROOT.glob(f"configs/**/{name}.yaml"))
        config = [str(file), *(f"{key}={value}" for key, value in settings.items())]
        script = cache(partial(_script, "plain_mnist", name, epochs, limit, data_dir))
        run = self._race(f"(e) {name}.yaml, {epochs} epochs", {SCRIPT: script, **self._modes(config, modes)}, tolerance)
        self.targets += run.target(AUTO, SCRIPT, of_script)
        self.targets += _chosen_well(run)

    def thousand(self) -> None:
        few, many, epochs = (1, 2, 3) if self._options.quick else (100, 500, 50)
        turns: Turns = {}
        for name, seeds in ((AUTO, few), (MANY, many)):
            config = self._written(f"moons-f-{seeds}", own.moons(seeds=seeds, epochs=epochs))
            turns[name] = partial(_clsbench, [*config, *self._mode("auto")], self._warm, per_trial=2 * seeds)
        run = self._race(f"(f) moons, {2 * few} and {2 * many} trials, seconds of each", turns)
        self.targets += run.target(MANY, AUTO, 1.0)

    def _race(self, title: str, turns: Turns, tolerance: float = TOLERANCE) -> Race:
        """Of contenders that do the same work."""
        within = ROUGH if self._options.quick else tolerance
        self.races[title] = run = race(turns, self._options.repeats, unit="s", tolerance=within)
        return run

    def _modes(self, config: Sequence[str], modes: dict[str, str]) -> Turns:
        """Warm runs: each mode was run before."""
        turns: Turns = {}
        for name, mode in modes.items():
            if self._options.quick and name != AUTO:  # the same
                continue
            command = [*config, *self._mode(mode)]
            if mode != "off" and not self._options.quick:
                _clsbench([*command, "report=off"], self._warm)
            turns[name] = partial(_clsbench, command, self._warm)
        return turns

    def _cold(self, config: Sequence[str]) -> Outcome:
        with tempfile.TemporaryDirectory(dir=self._folder) as cache_folder:
            return _clsbench([*config, *self._mode("on")], Path(cache_folder))

    def _mode(self, mode: str) -> list[str]:
        """Overrides; a quick part compiles and draws nothing."""
        return ["train.compile=off", "report=off"] if self._options.quick else [f"train.compile={mode}"]

    def _written(self, name: str, config: dict[str, Any]) -> list[str]:
        path = self._folder / f"{name}.json"  # JSON is YAML
        path.write_text(json.dumps(config))
        return [str(path)]


def _chosen_well(run: Race) -> list[Target]:
    """`auto` beside the better of the other two, turn by turn; nothing where they did not take part."""
    if ON not in run.outcomes:
        return []
    turns = zip(*(run.outcomes[name] for name in (AUTO, ON, OFF)), strict=True)
    ratios = tuple(auto.value / min(on.value, off.value) for auto, on, off in turns)
    return [Target(f"{AUTO} / the better of on and off", Spread(ratios), 1.1)]


def _script(name: str, *arguments: object) -> Outcome:
    script = Path(__file__).with_name(f"{name}.py")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, str(script), *map(str, arguments), folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return Outcome(time.perf_counter() - started, float(done.stdout))


def _clsbench(config: Sequence[str], graphs: Path, per_trial: int = 1) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [*_run(config, folder), "--json", "-q"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=own.ROOT, env=_with(graphs))
        seconds = time.perf_counter() - started
    arms = json.loads(done.stdout)["arms"]
    accuracy = sum(arm["metrics"]["test_accuracy"]["mean"] for arm in arms) / len(arms)
    return Outcome(seconds / per_trial, accuracy)


def _first_line(config: Sequence[str], graphs: Path) -> Outcome:
    """Until the first line on stdout."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [*_run(config, folder), "-q"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=own.ROOT, env=_with(graphs)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds = time.perf_counter() - started
            process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Outcome(seconds)


def _run(config: Sequence[str], folder: str) -> list[str]:
    return [sys.executable, "-m", "clsbench", "run", *config, "--output", folder]


def _with(graphs: Path) -> dict[str, str]:
    return {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(graphs)}


def _imports() -> Outcome:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return Outcome(time.perf_counter() - started)
