"""The catalogue: names, aliases, options from signatures, plugins."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Ge

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config import registration
from clsbench.errors import ConfigError
from clsbench.registry import (
    KINDS,
    LossSpec,
    ModelSpec,
    Registry,
    UnknownName,
    catalogue,
    load_plugin,
    loss,
    nearest,
    suggestion,
)
from clsbench.report.renderers.listing import allowed


def some_loss(logits: Any, targets: Any, *, gamma: Annotated[float, Ge(0)] = 2.0, needed: int) -> None:
    """One line.

    More.
    """


def test_options_are_the_keyword_only_parameters() -> None:
    """What stands after the `*` is an option, with its type and default; help is the docstring."""
    component = LossSpec("some", some_loss)
    assert ["gamma", "needed"] == list(component.options)
    assert (2.0, False) == (component.options["gamma"].default, component.options["gamma"].required)
    assert component.options["needed"].required
    assert "a number, at least 0" == allowed(component.options["gamma"])
    assert ("One line", "One line.\n\nMore.") == (component.summary, component.help)


def defined(file: str, name: str = "mine", *, module: str = "plugin", names: dict[str, Any] | None = None) -> Any:
    """A loss as a file defines it, in an execution of its own or in that of `names`."""
    names = {"__name__": module} if names is None else names
    exec(compile(f"def {name}(logits, targets): ...", file, "exec"), names)
    return names[name]


def test_name_registered_twice_raises() -> None:
    """A name or an alias is given once, by one file; another kind may have it too."""
    registry, other = Registry(), defined("other.py")
    registry.add(LossSpec("a", some_loss, ("b",)))
    registry.add(ModelSpec("a", some_loss))
    for name, aliases in (("a", ()), ("b", ()), ("c", ("b",)), ("d", ("a",))):
        with pytest.raises(ValueError, match="is registered twice"):
            registry.add(LossSpec(name, other, aliases))
    assert ["a"] == [component.name for component in registry.all("loss")]


def test_a_file_or_a_notebook_registers_again() -> None:
    """What is edited and run again takes the place of what it was, aliases included; a copied decorator does not."""
    registry, notebook = Registry(), {"__name__": "__main__"}
    registry.add(LossSpec("a", defined("mine.py"), ("b",)))
    registry.add(LossSpec("a", edited := defined("mine.py", "renamed")))
    assert (edited, "a") == (registry.get("loss", "a").factory, registry.get("loss", "a").name)
    with pytest.raises(UnknownName):
        registry.get("loss", "b")
    registry.add(LossSpec("c", defined("/tmp/ipykernel_1/123.py", names=notebook)))
    registry.add(LossSpec("c", edited := defined("/tmp/ipykernel_1/456.py", "renamed", names=notebook)))
    assert edited is registry.get("loss", "c").factory
    with pytest.raises(ValueError, match="loss 'c' is registered twice"):  # in one cell
        registry.add(LossSpec("c", defined("/tmp/ipykernel_1/456.py", "another", names=notebook)))


def test_alias_finds_the_component() -> None:
    """A component is found by its name and by every alias."""
    assert catalogue.get("loss", "CrossEntropyLoss") is catalogue.get("loss", "cross_entropy")
    assert catalogue.get("loss", "binary_crossentropy") is catalogue.get("loss", "bce")
    assert catalogue.get("dataset", "MNIST") is catalogue.get("dataset", "mnist")


def test_unknown_name_gets_the_nearest_or_the_list() -> None:
    """Case, hyphens and a few letters are forgiven in the hint; what is far from all gets the names, no aliases."""
    with pytest.raises(UnknownName, match=r"^unknown loss 'cros-Entropy'; did you mean 'cross_entropy'\?$"):
        catalogue.get("loss", "cros-Entropy")
    with pytest.raises(UnknownName, match=r"^unknown optimizer 'qqq'; one of sgd, adam, adamw, rmsprop$"):
        catalogue.get("optimizer", "qqq")
    assert None is nearest("qqq", ["abc"])
    assert "one of abc, abd" == suggestion("qqq", ["abc", "abd"])
    with pytest.raises(UnknownName) as caught:
        catalogue.get("loss", "zzz")
    assert "CrossEntropyLoss" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_registered_explains_itself(kind: Any) -> None:
    """Each component has a first line of help, and options that can be put in words."""
    assert catalogue.all(kind)
    for component in catalogue.all(kind):
        assert component.summary, component.name
        assert all(allowed(option) for option in component.options.values())


def test_catalogue_needs_no_torch() -> None:
    """Registering all that there is imports none of the heavy libraries."""
    code = "import sys, clsbench.experiment; print({'torch', 'numpy', 'sklearn', 'matplotlib'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=600)
    assert "set()\n" == answer.stdout


def test_plugin_registers_what_it_decorates(tmp_path: Path) -> None:
    """A plugin's loss is in the catalogue with its options, also where annotations are postponed."""
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\nimport clsbench\nfrom typing import Literal\n"
        "@clsbench.loss('my_loss', link='sigmoid')\n"
        "def my_loss(logits, targets, *, way: Literal['a', 'b'] = 'a'):\n    'Mine.'\n"
    )
    load_plugin(path)
    component = catalogue.get("loss", "my_loss")
    assert ("Mine", "sigmoid", "a or b") == (
        component.summary,
        component.link,
        allowed(component.options["way"]),
    )


def test_plugins_of_one_file_name_keep_their_own_types(tmp_path: Path) -> None:
    """Two files called alike in two folders do not see each other's annotations."""
    for folder, kind in (("a", "int"), ("b", "float")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text(
            f"from __future__ import annotations\nimport clsbench\nMine = {kind}\n"
            f"@clsbench.loss('of_{folder}')\ndef of(logits, targets, *, x: Mine = 1):\n    'Of.'\n"
        )
        load_plugin(tmp_path / folder / "plugin.py")
    assert int is catalogue.get("loss", "of_a").options["x"].annotation
    assert float is catalogue.get("loss", "of_b").options["x"].annotation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nraise ValueError('a\\nb')", r"mine\.py:2: ValueError: a b; correct the file"),
        ("x = (", r"mine\.py:1: SyntaxError: "),
        ("import no_such_module", r"mine\.py:1: ModuleNotFoundError: "),
        ("import sys\nsys.exit(0)", r"mine\.py:2: SystemExit: 0"),
        ("open('/nowhere/at/all')", r"mine\.py:1: FileNotFoundError: "),
        (
            "import clsbench\n@clsbench.loss('bce')\ndef bce(z, y): ...",
            r"mine\.py:2: loss 'bce' is registered twice; choose another name$",
        ),
        *(
            (
                f"import clsbench\n@clsbench.loss('new')\ndef new(z, y, *, cap: int = 1, low: float = {default}): ...",
                r"mine\.py:2: loss 'new': the default of low, .* cannot be in a config; use plain,",
            )
            for default in ("float('inf')", "float('nan')", "object()", "1j", "{1}")
        ),
    ],
)
def test_plugin_that_fails_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """Whatever a plugin does wrong while it is read is a ConfigError of one line."""
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_plugin(path)
    assert "\n" not in str(caught.value)


LOSS = "from __future__ import annotations\nimport clsbench, torch\n@clsbench.loss('mine')\ndef mine({}): ...\n"
OPTION = "logits, targets, *, "
RENAME = "rename the option"


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (OPTION + "x=1", "option x has no type; write x: int"),
        (OPTION + "x: Undefined = 1", "option x: its type 'Undefined' cannot be evaluated: NameError: .*; import or "),
        (OPTION + "x: 1 / 0 = 1", "option x: its type '1 / 0' cannot be evaluated: ZeroDivisionError: "),
        (OPTION + "x: torch.Tensor = None", "option x: a config cannot hold its type Tensor; use bool, int, "),
        (OPTION + "x: 'torch.Tensor' = None", "option x: a config cannot hold its type Tensor; use bool, int, "),
        (OPTION + "x: int = 1.5", "option x: its default 1.5 does not fit its type int: .*; change one of them"),
        (OPTION + "x: int = None", "option x: its default None does not fit its type int: "),
        (OPTION + "lr: float = 5.0", f"option lr: every loss has a key of this name; {RENAME}"),
        (OPTION + "weight: float = 5.0", f"option weight: every loss has a key of this name; {RENAME}"),
        (OPTION + "name: str = 'a'", f"option name: every loss has a key of this name; {RENAME}"),
        (OPTION + "title: str = 'a'", f"option title: this name is reserved; {RENAME}"),
        (OPTION + "model_dump: int = 3", f"option model_dump: this name is reserved; {RENAME}"),
        (OPTION + "model_config: float = 1.0", f"option model_config: this name is reserved; {RENAME}"),
        (OPTION + "_x: int = 3", f"option _x: this name is reserved; {RENAME}"),
        ("logits", r"takes \(logits\) by position and is given 2 arguments; write \(logits, targets, \*, options\)"),
        ("logits, targets, gamma", r"takes \(logits, targets, gamma\) by position and is given 2 arguments; write "),
        ("*logits", r"\*logits does not show what it takes; write "),
        (OPTION + "x: int = 1, **more", r"\*\*more does not show what it takes; write "),
    ],
)
def test_mistake_in_a_signature_is_told_with_its_line(tmp_path: Path, signature: str, message: str) -> None:
    """Whatever a loss could not be called with, or a config could not give, is refused when it is registered."""
    (tmp_path / "mine.py").write_text(LOSS.format(signature))
    with pytest.raises(ConfigError, match=rf"^plugin \S*mine\.py:3: loss 'mine':? {message}"):
        load_plugin(tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("decorated", "message"),
    [
        ("@clsbench.loss\ndef mine(logits, targets): ...", r"loss <function mine at .*> has no name; give it a name"),
        ("@clsbench.loss('')\ndef mine(logits, targets): ...", "loss '' cannot be its name; use up to 100 letters, "),
        ("@clsbench.loss('a b')\ndef mine(logits, targets): ...", "loss 'a b' cannot be its name; use up to 100 "),
        ("@clsbench.loss('a', aliases='bc')\ndef mine(logits, targets): ...", "aliases is 'bc'; give a tuple of names"),
        ("@clsbench.loss('a', aliases=('bce',))\ndef mine(logits, targets): ...", "loss 'bce' is registered twice; "),
        ("clsbench.loss('a')(3)", "loss 'a' is a int; register a function"),
        ("@clsbench.dataset('a')\ndef mine(): ...", r"dataset 'a' takes \(\) by position and is given 1 arguments"),
        ("@clsbench.dataset('a')\ndef mine(seed, *, limit: int = 3): ...", "option limit: every dataset has a key of"),
        ("@clsbench.model('a')\ndef mine(shape, num_outputs, *, init: int = 3): ...", "option init: every model has a"),
    ],
)
def test_mistake_in_a_decorator_is_told_with_its_line(tmp_path: Path, decorated: str, message: str) -> None:
    """A name that is none, aliases that clash, and what is no function are refused when they are registered."""
    (tmp_path / "mine.py").write_text(f"import clsbench\n{decorated}\n")
    with pytest.raises(ConfigError, match=rf"^plugin \S*mine\.py:2: .*{message}"):
        load_plugin(tmp_path / "mine.py")


def test_a_class_registers_with_its_options(tmp_path: Path) -> None:
    """A module's class is a factory, its options those of its constructor, also where annotations are postponed."""
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\nimport clsbench\nfrom torch import nn\n@clsbench.model('mine')\n"
        "class Mine(nn.Module):\n    def __init__(self, shape, num_outputs, *, width: int = 3): ...\n"
    )
    load_plugin(tmp_path / "mine.py")
    assert int is catalogue.get("model", "mine").options["width"].annotation


@pytest.mark.parametrize("kind", KINDS)
def test_what_clsbench_brings_passes_the_checks_of_plugins(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every type and default of a built-in component can stand in a config."""
    monkeypatch.setattr(registration, "is_own", lambda factory: False)
    for component in catalogue.all(kind):
        registration.require_options(component)


def test_plugin_leaves_the_process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Working directory, warning filters, PyTorch's settings are put back; a fork that comes back ends."""
    import torch

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import os, torch, warnings\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\n"
        "torch.set_default_device('meta')\nwarnings.simplefilter('error')\nos.chdir('/')\nos.fork()\n"
    )
    filters = list(warnings.filters)
    load_plugin(tmp_path / "mine.py")
    assert (tmp_path, filters) == (Path.cwd(), warnings.filters)
    assert (torch.float32, True, torch.device("cpu")) == (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_default_device(),
    )
    assert 0 == os.waitpid(-1, 0)[1]


def test_error_whose_text_cannot_be_had_is_told(tmp_path: Path) -> None:
    """An exception with a broken `__str__` is named by its type."""
    (tmp_path / "mine.py").write_text(
        "class Broken(Exception):\n    def __str__(self): raise RuntimeError\nraise Broken\n"
    )
    with pytest.raises(
        ConfigError, match=r"mine\.py:3: Broken: its text cannot be shown, RuntimeError; correct the file$"
    ):
        load_plugin(tmp_path / "mine.py")


def test_missing_plugin_is_told(tmp_path: Path) -> None:
    """A plugin that is not there is no mystery."""
    with pytest.raises(ConfigError, match=r"plugin .*none\.py: no such file; give a Python file"):
        load_plugin(tmp_path / "none.py")


def test_installed_plugin_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point that raises is told by its name."""

    class Broken:
        name = "theirs"

        def load(self) -> None:
            raise RuntimeError("boom")

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Broken()])
    from clsbench.registry import load_installed_plugins

    with pytest.raises(ConfigError, match=r"^plugin 'theirs': RuntimeError: boom; correct or uninstall it$"):
        load_installed_plugins()


def test_decorated_function_stays_a_function() -> None:
    """The decorator registers and hands the function back, so that it can be called and tested."""
    decorate: Callable[[Any], Any] = loss("just_mine")
    assert some_loss is decorate(some_loss)
    assert some_loss is catalogue.get("loss", "just_mine").factory
