"""The dialect of YAML: what a bare word means, what is refused, and where everything stands."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clsbench.config.dump import as_yaml
from clsbench.config.yaml_text import MAX_CHARACTERS, Document, parse, scalar, shown

NASTY = [
    *("", "~", "null", "no", "off", "Y", "true", "012", "0x1f", "1:30", "1_000", "2024-01-01", "2024-13-45", "<<", "="),
    *("1e3", "1e-3", ".5", "5.", ".inf", ".NaN", "-", "- a", "a: b", "a #b", "#", "&a", "*a", "!!int", "%", "@", "`"),
    *(
        "'",
        '"',
        "\\",
        "\n",
        "a\nb",
        "\t",
        " a ",
        "\x00",
        "\x07",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\xa0",
        "\u2028",
        "\ufeff",
    ),
    *("\ufeff", "é", "交叉熵", "🙂", "{", "[a]", "a,b", "?", "? a", "---", "...", "x" * 300, "a b " * 60),
]


def mistakes_of(document: Document) -> list[str]:
    return [f"{position.line}:{position.column}: {text}" for position, _, text in document.mistakes]


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        *(("1e-3", 1e-3), ("1e3", 1e3), ("1.5e3", 1500.0), (".5", 0.5), ("5.", 5.0), ("-1E+2", -100.0), ("+.5e1", 5.0)),
        *(("0", 0), ("-7", -7), ("+7", 7), ("10", 10), ("0.10", 0.1), ("007.5", 7.5)),
        *(("true", True), ("False", False), ("null", None), ("~", None), ("", None)),
        *((".inf", math.inf), ("-.INF", -math.inf), ("tRue", "tRue"), ("1e", "1e"), ("e3", "e3"), ("1.2.3", "1.2.3")),
        *(("--1", "--1"), (".", "."), ("none", "none"), ("nan", "nan"), ("inf", "inf")),
    ],
)
def test_bare_words_mean_what_they_look_like(word: str, meaning: Any) -> None:
    """`1e-3` is a number, a whole number stays whole, and what only resembles a number is text."""
    assert (type(meaning), meaning) == (type(scalar(word)), scalar(word))


def test_nan_is_read() -> None:
    """`.nan` is a number of YAML; what it is good for is the schema's question."""
    assert math.isnan(float(scalar(".nan") or 0))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        *((word, "truth value") for word in ("no", "NO", "yes", "on", "Off", "y", "N")),
        *(("012", "octal"), ("-01", "octal"), ("0x1F", "number in one version"), ("0o17", "number in one version")),
        *(("1:30", "base-60"), ("1_000", "number in YAML 1.1"), ("2024-01-01", "date"), ("2024-13-45", "date")),
        ("1" * 5000, "too long for a number"),
    ],
)
def test_words_that_readers_disagree_on_are_refused_until_quoted(word: str, reason: str) -> None:
    """A word that YAML 1.1 and 1.2 read differently is no guess; quoted it is text."""
    (mistake,) = mistakes_of(parse(f"a: {word}", "f"))
    assert mistake.startswith("1:4: ")
    assert reason in mistake
    assert "quote it" in mistake
    for quoted in (f"a: '{word}'", f'a: "{word}"'):
        assert ({"a": word}, []) == (parse(quoted, "f").value, mistakes_of(parse(quoted, "f")))


def test_every_key_and_value_has_its_place() -> None:
    """Positions count lines and columns from 1, characters and not bytes."""
    document = parse('a:\n  - é: 1\n    "b c": [x, {d: 2}]\n', "f")
    assert {"a": [{"é": 1, "b c": ["x", {"d": 2}]}]} == document.value
    assert "f:2:5" == str(document.keys["a", 0, "é"])
    assert "f:2:8" == str(document.values["a", 0, "é"])
    assert "f:3:5" == str(document.keys["a", 0, "b c"])
    assert "f:3:17" == str(document.keys["a", 0, "b c", 1, "d"])
    assert "f:3:20" == str(document.values["a", 0, "b c", 1, "d"])


def test_text_of_the_command_line_starts_where_it_stands() -> None:
    """The first line of an override is counted from its place in the argument."""
    document = parse("[a, b]", "command line", line=3, column=6)
    assert "command line:3:10" == str(document.values[(1,)])


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1: given twice; first on line 1"),
        ("a: &x 1\n", "1:4: anchors and aliases are not allowed"),
        ("a: *x\n", "1:4: anchors and aliases are not allowed"),
        ("&x a: 1\n", "1:1: a key must be a plain word"),
        ("a: 1\n<<: {b: 2}\n", "2:1: merge keys are not allowed"),
        ("a: !!python/object/apply:os.system [ls]\n", "1:4: the tag"),
        ('a: !!int ""\n', "1:4: the tag"),
        ("a: !x 1\n", "1:4: the tag"),
        ("? [a, b]\n: 1\n", "1:3: a key must be a plain word"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document"),
        ("a: [1, 2\n", "2:1: not valid YAML"),
        ("a:\n\tb: 1\n", "2:1: not valid YAML: found character '\\t'"),
        ("a: 'b\n", "2:1: not valid YAML"),
        ("a: b: c\n", "1:5: not valid YAML"),
        ("a: 1\nb: x\x00y\n", "2:5: the character '\\x00' is not allowed"),
        ("a: \x1b\n", "1:4: the character '\\x1b' is not allowed"),
        ('a: "\\ud800"\n', "1:4: '\\ud800' contains an unpaired surrogate"),
        ("a: " + "[" * 5000, "1:15: nested more than 12 levels deep"),
        ("{a: " * 5000, "1:49: nested more than 12 levels deep"),
        ("- " * 5000 + "a", "1:25: nested more than 12 levels deep"),
        ("a" * (MAX_CHARACTERS + 1), "1:1: longer than 1,000,000 characters"),
    ],
)
def test_what_is_refused_is_refused_with_its_place(text: str, mistake: str) -> None:
    """Nothing is expanded, constructed or guessed, and the one mistake says where."""
    (found,) = mistakes_of(parse(text, "f"))
    assert found.startswith(mistake)


def test_third_copy_of_a_key_is_told_of_the_first() -> None:
    """However often a key is repeated, each repetition names the line of the first."""
    text = "a: 1\na: 2\na: 3\n"
    assert ["2:1: given twice; first on line 1", "3:1: given twice; first on line 1"] == mistakes_of(parse(text, "f"))


def test_billion_laughs_cost_nothing() -> None:
    """Aliases of aliases are refused at the first anchor, before anything is expanded."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    started = time.process_time()
    assert 1 == len(parse("\n".join(lines), "f").mistakes)
    assert time.process_time() - started < 1.0


def test_shown_is_short_and_harmless() -> None:
    """A value in a message is cut to a line, its control characters escaped."""
    assert "'\\x1b[31m\\n'" == shown("\x1b[31m\n")
    assert 60 == len(shown("x" * 1000))
    assert ("null", "true", "a very large number") == (shown(None), shown(True), shown(10**5000))


words = st.sampled_from([*NASTY, "a", "name", "train", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ", ", "'", '"', "1"])


@settings(max_examples=300)
@given(st.one_of(st.text(), st.lists(words, max_size=30).map("".join)))
@example("\ud800")
@example("%TAG ! tag:x\n---\na")
@example('"\\U00110000"')
@example('"\\UFFFFFFFF"')
@example("%YAML " + "1" * 5000 + ".1\n---\na")
@example("? ")
def test_any_text_gives_data_or_a_mistake(text: str) -> None:
    """Whatever the text, the reader never raises, and every mistake has a place in it."""
    document = parse(text, "f")
    assert all(position.line >= 1 and position.column >= 1 and text_ for position, _, text_ in document.mistakes)


texts = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"])))
numbers = st.one_of(st.integers(-(10**15), 10**15), st.floats(allow_nan=False), st.booleans(), st.none())
keys = texts.filter(lambda key: key != "<<")
trees = st.recursive(
    st.one_of(texts, numbers),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(["a", "b"]), trees, max_size=2))
@example({"a": NASTY})
def test_what_is_written_reads_back_as_itself(tree: dict[str, Any]) -> None:
    """Plain data goes through YAML unchanged, types and nasty strings included."""
    document = parse(as_yaml(tree), "f")
    assert [] == mistakes_of(document)
    assert repr(tree) == repr(document.value)
