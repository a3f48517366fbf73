"""Shell completion: the words that bash, zsh and fish are given, by the protocol of their scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsbench.config.shipped import shipped
from clsbench.registry import catalogue

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Complete:
    """`complete("run", "mo")`: what bash is given for the last word."""

    def words(*line: str) -> list[str]:
        monkeypatch.setenv("_CLSBENCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(("clsbench", *line)))
        monkeypatch.setenv("COMP_CWORD", str(len(line)))
        answer = invoke()
        assert (0, "") == (answer.exit_code, answer.stderr)
        return str(answer.stdout).split()

    return words


def names(kind: Any) -> list[str]:
    return [spec.name for spec in catalogue.all(kind)]


def test_verbs_and_options(complete: Complete) -> None:
    """A verb is completed, and its options."""
    assert ["report"] == complete("rep")
    assert {"--junit", "--jobs", "--json"} == {*complete("run", "--j")}


def test_configs(complete: Complete, here: Path) -> None:
    """A config is a shipped one by name, or a YAML file of the folder that is typed."""
    assert {*shipped(), "tiny.yaml"} == {*complete("run", "")}
    assert ["tiny.yaml"] == complete("check", "tin")
    assert ["./tiny.yaml"] == complete("check", "./")
    assert ["papers/nielsen"] == complete("init", "--from", "papers/ni")


def test_names(complete: Complete) -> None:
    """`list` completes kinds, names and keys; `download` the datasets that are downloaded."""
    assert {"losses", "logit_grad_norm", "loss.name"} <= {*complete("list", "lo")}
    assert ["fashion_mnist"] == complete("download", "f")
    assert [] == complete("download", "moons")


def test_names_of_the_lecture(complete: Complete) -> None:
    """`surface` completes the losses with an output for each class, after others too; `demo` its acts and claims."""
    assert ["mse_softmax", "mse_sigmoid", "mse_logits"] == complete("surface", "mse")
    assert ["hinge"] == [word for word in complete("surface", "focal", "hi") if word == "hinge"]
    assert ["softmax", "sigmoid"] == complete("demo", "s")


def test_keys_of_the_config_that_is_named(complete: Complete, here: Path) -> None:
    """The keys are those of the config's own dataset, model and losses, overrides before them considered."""
    (here / "two.yaml").write_text("{dataset: circles, loss: [focal, {name: bce, lr: 0.1}]}\n")
    assert ["dataset.samples=", "dataset.noise="] == [
        word for word in complete("run", "two.yaml", "dataset.") if word in ("dataset.samples=", "dataset.noise=")
    ]
    assert ["loss.0.gamma=2.0"] == complete("run", "two.yaml", "loss.0.g")
    assert ["loss.1.pos_weight="] == complete("run", "two.yaml", "loss.1.p")
    assert ["loss.gamma=2.0"] == complete("run", "two.yaml", "loss=focal", "loss.g")
    assert ["optimizer.betas="] == complete("run", "two.yaml", "optimizer.name=adam", "optimizer.b")


def test_values(complete: Complete) -> None:
    """Behind a key come names, the words of its type, or its default; bash makes three words of KEY=VALUE."""
    assert names("loss") == complete("run", "moons", "loss", "=")
    assert ["cross_entropy", "cross_entropy_on_softmax"] == complete("run", "moons", "loss", "=", "cr")
    assert [f"model.name={name}" for name in names("model")] == complete("run", "moons", "model.name=")
    assert ["optimizer.nesterov=true", "optimizer.nesterov=false"] == complete("run", "moons", "optimizer.nes")
    assert ["optimizer.lr=0.1"] == complete("run", "moons", "optimizer.lr")
    assert [] == complete("run", "moons", "no.such.key", "=", "1")


def test_damaged_configs_complete_the_keys_of_all(complete: Complete, here: Path) -> None:
    """A config that is missing or wrong hides no key, and no message is printed into the line."""
    (here / "bad.yaml").write_text("{loss: [")
    for config in ("bad.yaml", "none.yaml"):
        assert ["train.epochs=20"] == complete("run", config, "train.ep")


def test_zsh_and_fish_show_meanings_in_one_line(invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word comes with its meaning on one line; where there is none, the shell completes files."""
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "clsbench run moons ")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_CLSBENCH_COMPLETE", "complete_fish")
    lines = invoke().stdout.splitlines()
    assert [] == [line for line in lines if "=" not in line.split("\t")[0]]
    assert "train.epochs=\t" in "\n".join(lines)
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "clsbench report x")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "is-args")
    assert 1 == invoke().exit_code
    monkeypatch.setenv("_CLSBENCH_COMPLETE", "complete_zsh")
    assert "_files\n" == invoke().stdout
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "clsbench run moons optimizer.l")
    assert "optimizer.lr=0.1" in invoke().stdout


def test_completion_is_last_in_help_and_loads_no_torch(invoke: Callable[..., Any]) -> None:
    """The options that install completion come after the others; completing keys loads no torch."""
    shown = invoke("--help").stdout
    assert shown.index("--version") < shown.index("--help") < shown.index("--install-completion")
    code = """if True:
    import sys
    from clsbench.__main__ import main
    try:
        main()
    except SystemExit as left:
        assert left.code == 0
    assert not {'torch', 'torchvision', 'sklearn', 'scipy', 'matplotlib', 'numpy'} & set(sys.modules)
    """
    line = {"_CLSBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "clsbench run moons train.ep", "COMP_CWORD": "3"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **line}, capture_output=True, text=True, check=False
    )
    assert ("train.epochs=20\n", "") == (answer.stdout, answer.stderr)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_installed_script_completes_in_bash(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script that `--show-completion` prints makes bash offer the words, of KEY=VALUE too."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    script = invoke("--show-completion", "bash").stdout
    command = tmp_path / "clsbench"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m clsbench "$@"\n')
    command.chmod(0o755)
    asked = (
        'COMP_WORDS=(clsbench run moons loss = cr); COMP_CWORD=5; _clsbench_completion clsbench; echo "${COMPREPLY[@]}"'
    )
    answer = subprocess.run(
        ["bash", "-c", f"{script}\n{asked}"],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("cross_entropy cross_entropy_on_softmax\n", "") == (answer.stdout, answer.stderr)
