"""The verbs: what each prints, writes and leaves with."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.config.reader import read_mapping
from clsbench.runs.files import unwritable
from clsbench.runs.records import RecordFile

Fails = Callable[..., str]
Invoke = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
PLUGIN = """
import clsbench

@clsbench.loss("my_loss")
def my_loss(logits, targets):
    "Cross-entropy, as one number for the batch."
    import torch
    return torch.nn.functional.cross_entropy(logits, targets)

@clsbench.dataset("my_data")
def my_data(seed, *, samples: int = 40):
    "Two lines of points."
    rows = [[float(n % 2), float(n)] for n in range(samples)]
    return rows, [n % 2 for n in range(samples)]

@clsbench.model("my_model")
def my_model(shape, num_outputs, *, bias: bool = True):
    "One layer."
    import torch
    return torch.nn.Linear(shape[0], num_outputs, bias=bias)
"""


def test_run_trains_shows_and_keeps(here: Path, invoke: Invoke) -> None:
    """`run` ends with the arms, their metrics and the run directory on stdout, and nothing on stderr off a terminal."""
    answer = invoke("run", "tiny.yaml", "loss=[bce, hinge]")
    assert (0, "") == (answer.exit_code, answer.stderr)
    (directory,) = (here / "runs" / "moons").iterdir()
    for text in ("bce", "hinge", "test accuracy", f"runs/moons/{directory.name}/", "summary.json"):
        assert text in answer.stdout
    assert ["bce", "hinge"] == list(clsbench.load(directory).arms)


def test_json_is_the_summary_and_nothing_else(here: Path, invoke: Invoke) -> None:
    """`--json` prints what `summary.json` holds, in ASCII, whatever the labels."""
    answer = invoke("run", "tiny.yaml", "--json", "--output", "out", 'loss={name: bce, label: "é\\e[31m\\u2028"}')
    (directory,) = (here / "out" / "moons").iterdir()
    assert (0, json.loads((directory / "summary.json").read_text("utf-8"))) == (
        answer.exit_code,
        json.loads(answer.stdout),
    )
    assert answer.stdout.isascii()
    assert ["é\x1b[31m\u2028"] == [arm["label"] for arm in json.loads(answer.stdout)["arms"]]


def test_quiet_shows_results_without_progress(here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-q` takes the progress away, which without it has a line on stderr now and then."""
    monkeypatch.setattr("clsbench.report.progress.SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: {})
    assert "of 2 trial-epochs" in invoke("run", "tiny.yaml").stderr
    answer = invoke("run", "tiny.yaml", "-q")
    assert ("", True) == (answer.stderr, "test accuracy" in answer.stdout)


def test_check_prints_the_plan_and_opens_no_data(here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` says how many trials, arms and stacks there are, and each arm's setting; no data, no directory."""

    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("data was opened")

    monkeypatch.setattr("clsbench.data.toy.RawData", opened)
    answer = invoke("check", "tiny.yaml", "optimizer.lr=[0.1, 1]", "train.seeds=3", "loss=[bce, focal]")
    assert (0, "") == (answer.exit_code, answer.stderr)
    assert "moons: 12 trials = 4 arms x 3 seeds, 1 epoch each, in 2 stacks" in answer.stdout
    assert "focal lr=0.1" in answer.stdout
    assert "gamma=2.0, label_smoothing=0.0, weight=1.0, lr=0.1" in answer.stdout
    assert ["tiny.yaml"] == [path.name for path in here.iterdir()]


def test_check_of_a_large_plan_fits_a_screen_and_a_half(here: Path, invoke: Invoke) -> None:
    """Ten losses on twenty data sets with three models: the arms once, the rest by name, and what it takes."""
    losses = "cross_entropy, mse_softmax, focal, bce, mse_sigmoid, mse_logits, hinge, squentropy, hinge_ovr"
    sets = ", ".join(f"{{name: blobs, label: set {number}, classes: {2 + number}}}" for number in range(20))
    models = ", ".join(f"{{name: mlp, label: net {number}, hidden: [{number}]}}" for number in (1, 2, 3))
    Path("large.yaml").write_text(
        f"dataset: [{sets}]\nmodel: [{models}]\nloss: [{losses}, cross_entropy_on_softmax]\ntrain: {{seeds: 10}}\n"
    )
    answer = invoke("check", "large.yaml")
    assert 0 == answer.exit_code
    lines = answer.stdout.splitlines()
    assert len(lines) < 40
    said = " ".join(" ".join(lines).split())
    assert "6000 trials = 600 arms x 10 seeds" in said
    assert "60 comparisons of the same arms:" in said
    assert all(f"set {number}" in said for number in range(20))
    assert "of training on one core" in said
    assert 1 == said.count("cross_entropy_on_softmax")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_passes_and_names_its_command(config: Path, invoke: Invoke) -> None:
    """A config of the repository is valid and opens with a comment that holds the command to run it."""
    assert 0 == invoke("check", config).exit_code
    text = config.read_text(encoding="utf-8")
    opening = [line for line in text.splitlines() if line.startswith("#")]
    assert text.startswith("# ")
    assert any(line.startswith(f"#   clsbench run {config.relative_to(ROOT).as_posix()}") for line in opening)


def test_init_writes_a_config_that_passes(here: Path, invoke: Invoke, fails: Fails) -> None:
    """`init` writes an experiment to start from, and never over a file."""
    assert "wrote experiment.yaml; next: clsbench run experiment.yaml\n" == invoke("init").stdout
    assert 0 == invoke("check", "experiment.yaml").exit_code
    (here / "mine.yaml").write_text("mine")
    assert "mine.yaml exists already; give another name: clsbench init FILE" == fails(2, "init", "mine.yaml")
    assert "mine" == (here / "mine.yaml").read_text()
    assert fails(2, "init", "no/such/folder/a.yaml").startswith("no/such/folder/a.yaml cannot be written: ")


def test_download_refuses_what_cannot_be_downloaded(fails: Fails) -> None:
    """A misspelt dataset gets the nearest name, generated data the list of those that are downloaded."""
    assert "unknown dataset 'mnis'; did you mean 'mnist'?" == fails(2, "download", "mnis")
    assert fails(2, "download", "moons").startswith("dataset 'moons' needs no download; those that do are mnist, ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("run",), "CONFIG is missing; give a file"),
        (("check", "--bad", "a.yaml"), "No such option: --bad"),
        (("--bad",), "No such option: --bad"),
        (("run", "a.yaml", "--output"), "Option '--output' requires an argument"),
        (("init", "a", "b"), "Got unexpected extra argument"),
        (("check", "a\nb.yaml"), "a\\nb.yaml: no such file"),
        (("check", "a.yaml", "\x1b[31m=1"), "a.yaml: no such file"),
    ],
)
def test_wrong_command_line_is_one_line(arguments: tuple[str, ...], message: str, here: Path, fails: Fails) -> None:
    """An unknown verb or option, a missing or surplus argument: 2, one line, and where there is help."""
    assert fails(2, *arguments).startswith(message)


def test_help_and_version(invoke: Invoke) -> None:
    """`--help`, `-h` and nothing at all show the verbs; each verb has help of its own."""
    texts = [invoke(*arguments).stdout for arguments in (("--help",), ("-h",), ())]
    assert 1 == len(set(texts))
    for verb in ("run", "check", "report", "list", "explain", "surface", "demo", "init", "download", "compile"):
        assert f"  {verb} " in texts[0]
        assert (0, "") == (invoke(verb, "--help").exit_code, invoke(verb, "--help").stderr)
    assert "..." not in texts[0].replace("[ARGS]...", "")
    assert f"clsbench {clsbench.__version__}\n" == invoke("--version").stdout


def test_shipped_configs_are_found_by_name(here: Path, invoke: Invoke, fails: Fails) -> None:
    """Each runs by its name from anywhere and can be listed and copied; a file of that name comes first."""
    names = [path.relative_to(ROOT / "configs").with_suffix("").as_posix() for path in CONFIGS]
    listed = invoke("init", "--list").stdout.splitlines()
    assert sorted(names) == sorted(line.split()[0] for line in listed if line[0] not in " `")
    assert invoke("check", "papers/nielsen").stdout.startswith("nielsen: ")
    assert clsbench.experiment.read("moons") == clsbench.experiment.read(ROOT / "configs" / "moons.yaml")
    assert "wrote my.yaml; next: clsbench run my.yaml\n" == invoke("init", "--from", "mnist_mlp", "my.yaml").stdout
    assert invoke("check", "my").stdout == invoke("check", "mnist_mlp").stdout
    assert "clsbench run my.yaml " in (here / "my.yaml").read_text()
    (here / "circles.yaml").write_text("name: own")
    assert invoke("check", "circles").stdout.startswith("own: ")
    assert "--from: unknown config 'mnist_mpl'; did you mean 'mnist_mlp'?" == fails(2, "init", "--from", "mnist_mpl")
    assert "moon: no such file; clsbench brings one called 'moons'" == fails(2, "check", "moon")


def test_mistaken_command_line_names_the_help_of_its_verb(fails: Fails) -> None:
    """An unknown option of a verb is answered with that verb's help, an unknown verb with the help of all."""
    assert fails(2, "run", "--jbos", "2").endswith("; see clsbench run --help")
    assert fails(2, "rnu").endswith("; see clsbench --help")


def test_plugin_serves_a_config(here: Path, invoke: Invoke, fails: Fails) -> None:
    """A loss (one number for the batch), a dataset and a model of the user's own are used like any other."""
    (here / "mine.py").write_text(PLUGIN)
    overrides = ("dataset={name: my_data, samples: 30}", "model=my_model", "loss=[my_loss, cross_entropy]")
    assert "unknown dataset 'my_data'" in fails_first(invoke("check", "tiny.yaml", *overrides))
    answer = invoke("run", "tiny.yaml", "--plugin", "mine.py", "--json", *overrides)
    assert 0 == answer.exit_code, answer.stderr
    arms = {arm["name"]: arm["metrics"]["test_nll"] for arm in json.loads(answer.stdout)["arms"]}
    assert pytest.approx(arms["my_loss"]["values"]) == arms["cross_entropy"]["values"]
    assert "Cross-entropy, as one number" in invoke("list", "my_loss").stdout


def fails_first(answer: Any) -> str:
    """The first of several mistakes."""
    assert 2 == answer.exit_code
    return str(answer.stderr.splitlines()[0])


def test_plugin_that_raises_is_told(here: Path, fails: Fails) -> None:
    """A plugin that fails while it is read leaves with 2 and names its line."""
    (here / "mine.py").write_text("\nraise RuntimeError('not today')\n")
    assert "plugin mine.py:2: RuntimeError: not today; correct the file" == fails(2, "list", "--plugin", "mine.py")
    assert "plugin none.py: no such file; give a Python file" == fails(2, "check", "tiny.yaml", "--plugin", "none.py")


def test_bug_leaves_its_trace_in_the_log(here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception in a run is 1, one line that names the log, and the log has the trace."""

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("clsbench.analysis.judging.arm_summary", broken)
    line = fails(1, "run", "tiny.yaml")
    (directory,) = (here / "runs" / "moons").iterdir()
    log = Path("runs") / "moons" / directory.name / "run.log"
    assert f"a bug: ZeroDivisionError: a b; the trace is in {log}; please report it" == line
    assert "Traceback (most recent call last)" in log.read_text()


def test_bug_outside_a_run_shows_its_trace(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no log is kept, the trace goes to stderr, before the one line."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("clsbench.report.renderers.listing.show_kinds", broken)
    answer = invoke("list")
    assert 1 == answer.exit_code
    assert "Traceback (most recent call last)" in answer.stderr
    assert (
        "error: a bug: ZeroDivisionError: boom; the trace is above; please report it" == answer.stderr.splitlines()[-1]
    )


def test_full_disk_says_how_to_go_on(here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a run has begun, a file that cannot be written is 6, with the command that resumes it when there is room."""

    def full(self: Any, *_: Any) -> None:
        error = OSError(errno.ENOSPC, "No space left on device")
        raise unwritable(self.path, error) from error

    with monkeypatch.context() as disk:
        disk.setattr(RecordFile, "keep", full)
        line = fails(6, "run", "tiny.yaml", "loss=bce")
    (directory,) = (here / "runs" / "moons").iterdir()
    assert "metrics.jsonl cannot be written: disk full: no space left on device; " in line
    run = directory.relative_to(here)
    assert line.endswith(f"; the finished epochs are kept, resume it with clsbench run --resume {run}")


def test_interrupt_keeps_the_finished_epochs(here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is 130, says where the run is, and every epoch that was finished is on disk."""
    from clsbench.report import progress

    def interrupted(self: Any, trial_epochs: int, text: str) -> None:
        if self._done == 2:
            raise KeyboardInterrupt
        self._done += trial_epochs

    monkeypatch.setattr(progress.Progress, "advance", interrupted)
    line = fails(130, "run", "tiny.yaml", "train.epochs=5", "loss=bce")
    (directory,) = (here / "runs" / "moons").iterdir()
    assert line.startswith("interrupted; the finished epochs are kept, resume it with clsbench run --resume runs")
    assert line.endswith(directory.name)
    records = [json.loads(text) for text in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [0, 1, 2, 3] == [record["epoch"] for record in records]


def test_interrupt_outside_a_run_is_told(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C where there is nothing to keep promises nothing."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clsbench.report.renderers.listing.show_kinds", interrupted)
    assert "interrupted" == fails(130, "list")


def test_python_takes_path_dict_and_experiment(here: Path) -> None:
    """`clsbench.run` gives the same records for a path, a dict and an Experiment; `load` reads them back."""
    tree = {
        "dataset": {"name": "moons", "samples": 60},
        "model": "linear",
        "loss": "bce",
        "train": {"epochs": 1, "seeds": 1, "device": "cpu"},
    }
    results = [
        clsbench.run("tiny.yaml", ["loss=bce"]),
        clsbench.run(here / "tiny.yaml", ["loss=bce"], output=here / "other"),
        clsbench.run(tree),
        clsbench.run(read_mapping(tree)),
    ]
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in result.records] for result in results]
    assert [rows[0]] * 4 == rows
    loaded = clsbench.load(results[0].directory)
    assert (results[0].records, results[0].summary) == (loaded.records, loaded.summary)
    assert results[0].arms["bce"] == loaded.arms["bce"]


def test_light_commands_load_no_torch(here: Path) -> None:
    """`--help`, `check`, `list` and `init` answer without torch; importing clsbench loads not even pydantic."""
    code = """if True:
    import sys
    import clsbench
    assert not {'torch', 'pydantic', 'yaml', 'typer'} & set(sys.modules)
    from clsbench.cli import app
    for line in (["--help"], ["check", sys.argv[1]], ["list"], ["list", "focal"], ["init"], ["--version"]):
        try:
            app(line)
        except SystemExit as left:
            assert left.code == 0, (line, left.code)
        assert not {'torch', 'torchvision', 'sklearn', 'scipy', 'matplotlib', 'numpy'} & set(sys.modules), line
    """
    command = [sys.executable, "-c", code, str(ROOT / "configs" / "moons.yaml")]
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env={"PYTHONPATH": str(ROOT)}
    )
    assert (0, "") == (answer.returncode, answer.stderr)


def test_module_is_the_command(run_cli: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """`python -m clsbench` is the same command, and its exit codes are the process's."""
    assert f"clsbench {clsbench.__version__}\n" == run_cli("--version").stdout
    assert 2 == run_cli("check", "none.yaml").returncode


def test_missing_compiler_is_told_once(invoke: Invoke, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that would be compiled are not where nothing can compile them: one line on stderr says so, even with -q."""
    monkeypatch.setenv("PATH", str(here))
    asked = ("run", "tiny.yaml", "-q", "loss=[bce,hinge]", "train.compile=on")
    done = invoke(*asked)
    assert 0 == done.exit_code
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: long training is several times faster compiled")
    (summary,) = here.glob("runs/*/*/summary.json")
    assert "eager" == json.loads(summary.read_text())["engine"]["mode"]
    assert "" == invoke(*asked, "train.compile=off").stderr
