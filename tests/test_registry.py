"""The catalogue: names, aliases, options from signatures, plugins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Ge

import clsbench.experiment  # noqa: F401 - registers all that there is
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
from clsbench.report.listing import allowed


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


def test_name_registered_twice_raises() -> None:
    """A name or an alias is given once; another kind may have it too."""
    registry = Registry()
    registry.add(LossSpec("a", some_loss, ("b",)))
    registry.add(ModelSpec("a", some_loss))
    for name, aliases in (("a", ()), ("b", ()), ("c", ("b",)), ("d", ("a",))):
        with pytest.raises(ValueError, match="is registered twice"):
            registry.add(LossSpec(name, some_loss, aliases))
    assert ["a"] == [component.name for component in registry.all("loss")]


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
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60)
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
        ("x = 1\nraise ValueError('a\\nb')", r"mine\.py:2: ValueError: a b; mend the file"),
        ("x = (", r"mine\.py:1: SyntaxError: "),
        ("import no_such_module", r"mine\.py:1: ModuleNotFoundError: "),
        ("import sys\nsys.exit(0)", r"mine\.py:2: SystemExit: 0"),
        ("open('/nowhere/at/all')", r"mine\.py:1: FileNotFoundError: "),
        (
            "import clsbench\n@clsbench.loss('bce')\ndef bce(z, y): ...",
            r"mine\.py:3?2?: ValueError: loss 'bce' is registered",
        ),
        *(
            (
                f"import clsbench\n@clsbench.loss('new')\ndef new(z, y, *, cap=1, low={default}): ...",
                r"mine\.py:3?2?: ValueError: loss 'new': the default of low, .* cannot stand in a config; use plain,",
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

    with pytest.raises(ConfigError, match=r"^plugin 'theirs': RuntimeError: boom; mend or uninstall it$"):
        load_installed_plugins()


def test_decorated_function_stays_a_function() -> None:
    """The decorator registers and hands the function back, so that it can be called and tested."""
    decorate: Callable[[Any], Any] = loss("just_mine")
    assert some_loss is decorate(some_loss)
    assert some_loss is catalogue.get("loss", "just_mine").factory
