"""The grammar of expectations: what is understood, what is refused and how, which names a run will not have."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clsbench.training  # noqa: F401 - registers the metrics
from clsbench.config.dump import as_yaml
from clsbench.config.expectations import Expectation, Measure, VerdictOn, chosen_on, parse
from clsbench.config.expected_names import check_names
from clsbench.config.reader import read_mapping
from clsbench.metrics.measures import measured
from tests.config.reading import mistakes, read

COMPARISONS = [["cross_entropy", "mse_softmax lr=0.3"], ["cross_entropy dataset=b"]]
METRICS = {**{name: each.better for name, each in measured().items()}, "seconds": None}
PIECES = [
    "a.m",
    "'b c'.m",
    "0.5",
    "verdict",
    "(",
    ")",
    ",",
    "@",
    "best",
    "==",
    "<",
    "'",
    '"',
    "\\",
    " ",
    "better",
    "\n",
]


@pytest.mark.parametrize(
    ("text", "left", "operator", "right"),
    [
        ("cross_entropy.test_accuracy >= 0.95", Measure("cross_entropy", "test_accuracy"), ">=", 0.95),
        ("0.5<a.val_nll", 0.5, "<", Measure("a", "val_nll")),
        ("a.train_nll <= b.train_nll", Measure("a", "train_nll"), "<=", Measure("b", "train_nll")),
        ("a.m>-2", Measure("a", "m"), ">", -2.0),
        ("a.m > 1e-3", Measure("a", "m"), ">", 0.001),
        ("a.m != .5", Measure("a", "m"), "!=", 0.5),
        ("a.m == +5.E+2", Measure("a", "m"), "==", 500.0),
        ("mse.diverged == 0", Measure("mse", "diverged"), "==", 0.0),
        ("a.m@0 < a.m@12", Measure("a", "m", 0), "<", Measure("a", "m", 12)),
        (" a.m @ best<\t1\n", Measure("a", "m", "best"), "<", 1.0),
        ("a.m@val_best < 1", Measure("a", "m", "val_best"), "<", 1.0),
        ("mlp-v1.2.m > 0", Measure("mlp-v1.2", "m"), ">", 0.0),
        ("0.5.m > 0", Measure("0.5", "m"), ">", 0.0),
        ("better.m > 0", Measure("better", "m"), ">", 0.0),
        ("Verlust-für-1.m > 0", Measure("Verlust-für-1", "m"), ">", 0.0),
        ("'mse lr=0.3'.m > 0", Measure("mse lr=0.3", "m"), ">", 0.0),
        ('"mse lr=0.3".m > 0', Measure("mse lr=0.3", "m"), ">", 0.0),
        ("'mse lr=0.3.m' > 0", Measure("mse lr=0.3", "m"), ">", 0.0),
        ("mse' lr='0.3.m@best > 0", Measure("mse lr=0.3", "m", "best"), ">", 0.0),
        (r"""'it\'s \"1\\2"'.m > 0""", Measure("""it's "1\\2\"""", "m"), ">", 0.0),
        ("verdict(a, b, test_nll) == better", VerdictOn("a", "b", "test_nll"), "==", "better"),
        ("verdict ( v1.2,'b lr=1',m )!='no difference'", VerdictOn("v1.2", "b lr=1", "m"), "!=", "equivalent"),
        ('"too few seeds" != verdict(a,b,m)', "undecided", "!=", VerdictOn("a", "b", "m")),
        ("verdict.m > 0", Measure("verdict", "m"), ">", 0.0),
        ("a.m[yes]>=0.8", Measure("a", "m[yes]"), ">=", 0.8),
        ("a.m[upper moon]@best > 0", Measure("a", "m[upper moon]", "best"), ">", 0.0),
        ("'mse lr=0.3'.m[f[0] <= 1.5] > 0", Measure("mse lr=0.3", "m[f[0] <= 1.5]"), ">", 0.0),
        (r"""a.m['it\'s ]'] > 0""", Measure("a", "m[it's ]]"), ">", 0.0),
        ("a[1].m > 0", Measure("a[1]", "m"), ">", 0.0),
        ("a[1.5].m[yes] > 0", Measure("a[1.5]", "m[yes]"), ">", 0.0),
        ("'b c.m[yes]' > 0", Measure("b c", "m[yes]"), ">", 0.0),
    ],
)
def test_understood(text: Any, left: Any, operator: Any, right: Any) -> None:
    """Numbers, names split at the last dot, quotes, epochs and verdicts mean what the grammar says."""
    assert Expectation(text, left, operator, right) == parse(text)


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 1, "got the end"),
        ("a.m", 4, "expected one of < <= > >= == !=, got the end"),
        ("a.m >=", 7, "got the end"),
        ("a.m = 3", 5, "got '='"),
        ("a.m ! 3", 5, "got '!'"),
        ("a.m < 2 < 3", 9, "an expectation is one comparison"),
        ("a > 3", 1, "expected a number, ARM.METRIC, a verdict or warnings, got 'a'"),
        (".m > 3", 1, "ARM.METRIC"),
        ("a. > 3", 1, "ARM.METRIC"),
        ("mse lr=0.3.m > 1", 1, "quote a name that has blanks"),
        ("'mse.m > 1", 1, "no closing quote"),
        (r"'a\b'.m > 1", 1, "no closing quote; inside quotes, write \\ before a quote or a \\"),
        ("a.m > nan", 7, "got 'nan'"),
        ("a.m > 1e999", 7, "too large"),
        ("a.m > ٣", 7, "expected a number"),
        ("1 < 2", 3, "two numbers say nothing about a run"),
        ("a.m@x > 2", 5, "a whole number from 0, best or val_best"),
        ("a.m@-1 > 2", 5, "a whole number from 0, best or val_best"),
        ("a.m@ > 2", 6, "expected an epoch"),
        (f"a.m@{'9' * 5000} > 2", 5, "expected an epoch"),
        ("a.m == better", 5, "compare a verdict with one of its words"),
        ("verdict(a, b, m) == 1", 18, "compare a verdict with one of its words"),
        ("verdict(a, b, m) == verdict(a, c, m)", 18, "compare a verdict with one of its words"),
        ("verdict(a, b, m) > worse", 18, "use == or !="),
        ("verdict(a, b, m) == beter", 21, "verdicts are better, worse"),
        ("verdict(a, b, m) == no difference", 21, "equivalent"),
        ("verdict(a, b) == better", 13, "expected ',', got ')'; a verdict is written verdict(ARM, ARM, METRIC)"),
        ("verdict(a, b, m, m) == better", 16, "expected ')'"),
        ("verdict(", 9, "expected a name, got the end"),
        ("mean(a.m) > 2", 1, "'mean' cannot be called"),
    ],
)
def test_refused(text: Any, column: Any, said: Any) -> None:
    """What cannot be understood is told with its column, what is wrong, and a hint."""
    with pytest.raises(ValueError, match=rf"^column {column}: .*; .+") as error:
        parse(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "__import__('os').system('touch ran') == 0",
        "open('ran', 'w') == 1",
        "(open)('ran', 'w').closed == 1",
        "[open('ran', 'w')][0].x > 1",
        "a.m > open('ran','w').write('1')",
        "verdict(open('ran', 'w'), b, m) == better",
        "{open('ran','w')} > a.m",
        "f'{open(1)}' > a.m",
    ],
)
def test_no_code_is_run(text: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python in an expectation is a mistake like any other, and does nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="column"):
        parse(text)
    assert [] == list(tmp_path.iterdir())


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_is_understood_or_refused_in_one_line(text: Any) -> None:
    """Whatever is written, the answer is an expectation or a ValueError of one line, with a column in the text."""
    try:
        assert text == parse(text).text
    except ValueError as error:
        message = str(error)
    else:
        return
    column, what = re.fullmatch(r"column (\d+): (.+; .+)", message).groups()
    assert 1 <= int(column) <= len(text) + 1
    assert [what] == what.splitlines()


@given(st.text(min_size=1), st.sampled_from("'\""))
def test_any_arm_can_be_named(name: Any, quote: Any) -> None:
    """Labels are any text; between quotes, with backslashes before quotes and backslashes, each can be written."""
    quoted = quote + re.sub(r"(['\"\\])", r"\\\1", name) + quote
    assert Measure(name, "test_nll") == parse(f"{quoted}.test_nll > 0").left


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("cross_entropy.test_accuracy >= 0.95", []),
        ("'mse_softmax lr=0.3'.diverged == 0", []),
        ("cross_entropy.train_loss@best < cross_entropy.train_loss@20", []),
        ("verdict(cross_entropy, 'mse_softmax lr=0.3', test_brier) == better", []),
        ("cros_entropy.test_nll > 1", ["unknown arm 'cros_entropy'; did you mean 'cross_entropy'?"]),
        ("cross_entropy.test_acuracy > 1", ["unknown metric 'test_acuracy'; did you mean 'test_accuracy'?"]),
        ("cross_entropy.test_recall[no matter which] >= 0.8", []),
        ("cross_entropy.test_recall >= 0.8", ["test_recall has a number for each class; name one: test_recall[CLASS]"]),
        (
            "cross_entropy.test_accuracy[yes] > 0",
            ["test_accuracy is one number, not one for each class; leave out '[yes]'"],
        ),
        ("cross_entropy.test_recal[yes] > 0", ["unknown metric 'test_recal'; did you mean 'test_recall'?"]),
        ("cross_entropy.divergd > 1", ["unknown metric 'divergd'; did you mean 'diverged'?"]),
        ("mse.nll > 1", ["unknown arm 'mse'; ", "unknown metric 'nll'; "]),
        ("x.test_nll > x.test_nll@3", ["unknown arm 'x'; one of cross_entropy, mse_softmax lr=0.3, "]),
        ("cross_entropy.test_nll@21 > 1", ["there is no epoch 21; the last is 20"]),
        ("cross_entropy.diverged@2 > 1", ["diverged is counted over the whole run; leave out @2"]),
        ("cross_entropy.logit_grad_norm@val_best < cross_entropy.seconds@val_best", []),
        ("cross_entropy.diverged@val_best > 1", ["diverged is counted over the whole run; leave out @val_best"]),
        ("cross_entropy.diverged@best > 1", ["diverged is counted over the whole run; leave out @best"]),
        ("cross_entropy.logit_grad_norm@best > 1", ["logit_grad_norm has no best: "]),
        ("verdict(cross_entropy, mse, val_nll) == better", ["unknown arm 'mse'; ", "unknown metric of a verdict 'val"]),
        (
            "verdict(cross_entropy, cross_entropy, test_nll) == better",
            ["a verdict needs two arms, got 'cross_entropy'"],
        ),
        (
            "verdict(cross_entropy, 'cross_entropy dataset=b', test_nll) == better",
            ["there is no verdict on 'cross_entropy' and 'cross_entropy dataset=b': they differ in dataset, model or"],
        ),
    ],
)
def test_names_are_checked_before_training(text: Any, mistakes: Any) -> None:
    """Arms, metrics, epochs and pairs that the run will not have are told at once, each with the nearest right name."""
    found = check_names(parse(text), COMPARISONS, METRICS, epochs=20)
    assert len(mistakes) == len(found)
    assert all(actual.startswith(expected) for expected, actual in zip(mistakes, found, strict=True))


def test_every_mistaken_expectation_is_told_in_place() -> None:
    """What cannot be read, and what names what the run will not have, each at its text, with the nearest right name."""
    text = """\
loss: [bce, {name: hinge, label: hinge a}]
train: {epochs: 3}
expect:
  - bce.test_accuracy >= 0.9
  - bce.tst_accuracy >= 0.9
  - "'hinge b'.test_accuracy > bce.test_nll@4"
  - bce.test_accuracy = 0.9
  - __import__('os').system('true') == 0
  - [3]
"""
    assert [
        "f:5:5: expect: unknown metric 'tst_accuracy'; did you mean 'test_accuracy'?",
        "f:6:5: expect: unknown arm 'hinge b'; did you mean 'hinge a'?",
        "f:6:5: expect: there is no epoch 4; the last is 3",
        "f:7:5: expect: column 19: expected one of < <= > >= == !=, got '='; quote a name that has blanks or signs",
        "f:8:5: expect: column 1: '__import__' cannot be called; only verdict(ARM, ARM, METRIC) can",
        "f:9:5: expect: must be text such as 'hinge.test_accuracy > 0.9', got [3]",
        "command line:1:8: expect: must be a list of expectations, got 'bce.test_nll < 1'; as in "
        "[hinge.test_accuracy > 0.9]",
    ] == [*mistakes(text), *mistakes("loss: bce", "expect=bce.test_nll < 1")]


def test_grammar_is_checked_though_the_plan_cannot_be_made() -> None:
    """With a mistake elsewhere the arms are unknown, so names wait; what cannot be read is told at once."""
    first, second = mistakes('loss: bc\nexpect: ["x.test_nll >", y.test_nll > 1]')
    assert "f:1:7: loss: unknown loss 'bc'; did you mean 'bce'?" == first
    assert second.startswith(
        "f:2:10: expect: column 13: expected a number, ARM.METRIC, a verdict or warnings, got the end"
    )


def test_expectations_survive_the_round_trip() -> None:
    """A config writes its expectations back as they were, quotes and all."""
    texts = ["'mse \"x\" lr=0.1'.test_accuracy@best >= 0.5", "verdict(bce, 'mse \"x\" lr=0.1', test_nll) != worse"]
    losses = [{"name": "mse_softmax", "label": 'mse "x" lr=0.1'}, "bce"]
    experiment = read_mapping({"loss": losses, "expect": texts})
    assert texts == experiment.to_dict()["expect"]
    assert experiment == read(as_yaml(experiment.to_dict()))


@pytest.mark.parametrize(
    ("metric", "chooses"),
    [
        ("test_nll", "val_nll"),
        ("train_accuracy", "val_accuracy"),
        ("val_ece", "val_ece"),
        ("test_nll_ts", "val_nll_ts"),
        ("test_recall[upper moon]", "val_recall[upper moon]"),
        ("train_loss", "val_accuracy"),
        ("logit_grad_norm", "val_accuracy"),
        ("seconds", "val_accuracy"),
    ],
)
def test_an_epoch_is_chosen_by_the_same_metric_on_validation_data(metric: str, chooses: str) -> None:
    """By the headline metric where validation data have no such metric, or neither direction of it is better."""
    assert chooses == chosen_on(metric, "val_accuracy")


def test_validation_data_that_choose_an_epoch_must_be_there() -> None:
    """Without any, `@val_best` is refused, and `@best` is not."""
    (text,) = mistakes(
        "dataset: {name: moons, val_fraction: 0}\nexpect: [hinge.test_accuracy@val_best > 0]\nloss: hinge"
    )
    assert text.endswith("hinge has no validation data for @val_best; give dataset.val_fraction above 0")
    read("dataset: {name: moons, val_fraction: 0}\nexpect: [hinge.test_accuracy@best > 0]\nloss: hinge")
