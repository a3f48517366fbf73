"""Expectations: what is understood, what is refused and how, and when one is met."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.analysis.expectations import Expectation, Measure, VerdictOn, check_names, evaluate, parse
from clsbench.training.metrics import METRICS

COMPARISONS = [["cross_entropy", "mse_softmax lr=0.3"], ["cross_entropy dataset=b"]]
METRIC_NAMES = (*METRICS, "seconds")


def records(arm, values, metric="test_accuracy"):
    """`values` by seed, then by epoch; None is the record of a divergence."""
    return [
        {"arm": arm, "seed": seed, "epoch": epoch, metric: value, "test_nll": None}
        for seed, curve in enumerate(values)
        for epoch, value in enumerate(curve)
    ]


def evaluated(text, rows=(), arms=None, verdicts=()):
    """Evaluate over arms of three seeds, or of those given as `{name: (seeds, diverged)}`."""
    arms = arms or dict.fromkeys("ab", (3, 0))
    listed = [{"name": name, "seeds": list(range(n)), "diverged": lost} for name, (n, lost) in arms.items()]
    result = evaluate(parse(text), rows, {"arms": listed, "verdicts": verdicts})
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert ["text", "met", "left", "right", "slack"] == list(result)
    assert text == result["text"]
    return result


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
A = records("a", [[0.1, 0.9, 0.8], [0.1, 0.7, 0.9], [0.1, 0.5, 0.7]])
B = records("b", [[0.1, 0.5, 0.7], [0.1, 0.5, 0.7], [0.1, 0.5, 0.7]])


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
        ("verdict ( v1.2,'b lr=1',m )!='no difference'", VerdictOn("v1.2", "b lr=1", "m"), "!=", "no difference"),
        ('"too few seeds" != verdict(a,b,m)', "too few seeds", "!=", VerdictOn("a", "b", "m")),
        ("verdict.m > 0", Measure("verdict", "m"), ">", 0.0),
    ],
)
def test_understood(text, left, operator, right):
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
        ("a > 3", 1, "expected a number, ARM.METRIC or a verdict, got 'a'"),
        (".m > 3", 1, "ARM.METRIC"),
        ("a. > 3", 1, "ARM.METRIC"),
        ("mse lr=0.3.m > 1", 1, "a name with blanks is quoted"),
        ("'mse.m > 1", 1, "no closing quote"),
        (r"'a\b'.m > 1", 1, "no closing quote; in quotes, \\ stands before a quote or \\"),
        ("a.m > nan", 7, "got 'nan'"),
        ("a.m > 1e999", 7, "too large"),
        ("a.m > ٣", 7, "expected a number"),
        ("1 < 2", 3, "two numbers say nothing of a run"),
        ("a.m@x > 2", 5, "a whole number from 0, or best"),
        ("a.m@-1 > 2", 5, "a whole number from 0, or best"),
        ("a.m@ > 2", 6, "expected an epoch"),
        (f"a.m@{'9' * 5000} > 2", 5, "expected an epoch"),
        ("a.m == better", 5, "a verdict stands against one of its words"),
        ("verdict(a, b, m) == 1", 18, "a verdict stands against one of its words"),
        ("verdict(a, b, m) == verdict(a, c, m)", 18, "a verdict stands against one of its words"),
        ("verdict(a, b, m) > worse", 18, "use == or !="),
        ("verdict(a, b, m) == beter", 21, "verdicts are better, worse"),
        ("verdict(a, b, m) == no difference", 21, "'no difference'"),
        ("verdict(a, b) == better", 13, "expected ',', got ')'; a verdict is written verdict(ARM, ARM, METRIC)"),
        ("verdict(a, b, m, m) == better", 16, "expected ')'"),
        ("verdict(", 9, "expected a name, got the end"),
        ("mean(a.m) > 2", 1, "'mean' cannot be called"),
    ],
)
def test_refused(text, column, said):
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
def test_no_code_is_run(text, tmp_path, monkeypatch):
    """Python in an expectation is a mistake like any other, and does nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="column"):
        parse(text)
    assert [] == list(tmp_path.iterdir())


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_is_understood_or_refused_in_one_line(text):
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
def test_any_arm_can_be_named(name, quote):
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
        ("cross_entropy.divergd > 1", ["unknown metric 'divergd'; did you mean 'diverged'?"]),
        ("mse.nll > 1", ["unknown arm 'mse'; ", "unknown metric 'nll'; "]),
        ("x.test_nll > x.test_nll@3", ["unknown arm 'x'; one of cross_entropy, mse_softmax lr=0.3, "]),
        ("cross_entropy.test_nll@21 > 1", ["there is no epoch 21; the last is 20"]),
        ("cross_entropy.diverged@2 > 1", ["diverged is counted over the whole run; leave out @2"]),
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
def test_names_are_checked_before_training(text, mistakes):
    """Arms, metrics, epochs and pairs that the run will not have are told at once, each with the nearest right name."""
    found = check_names(parse(text), COMPARISONS, METRIC_NAMES, epochs=20)
    assert len(mistakes) == len(found)
    assert all(actual.startswith(expected) for expected, actual in zip(mistakes, found, strict=True))


@pytest.mark.parametrize(
    ("text", "met", "left", "right", "slack"),
    [
        ("a.test_accuracy >= 0.75", True, 0.8, 0.75, 0.5),
        ("a.test_accuracy <= 0.75", False, 0.8, 0.75, -0.5),
        ("0.85 > a.test_accuracy", True, 0.85, 0.8, 0.5),
        ("0.85 < a.test_accuracy", False, 0.85, 0.8, -0.5),
        ("a.test_accuracy != 0.75", True, 0.8, 0.75, 0.5),
        ("a.test_accuracy == 0.75", False, 0.8, 0.75, None),
        ("a.test_accuracy > b.test_accuracy", True, 0.8, 0.7, 1.0),
        ("b.test_accuracy > a.test_accuracy", False, 0.7, 0.8, -1.0),
        ("b.test_accuracy < 0.8", True, 0.7, 0.8, None),
        ("a.test_accuracy@0 < 0.5", True, 0.1, 0.5, None),
        ("a.test_accuracy@1 == b.test_accuracy@2", True, 0.7, 0.7, None),
        ("a.test_accuracy > a.test_accuracy@1", True, 0.8, 0.7, 3**-0.5),
        ("a.test_accuracy@best > 0.75", True, 0.8, 0.75, 0.5),
        ("a.test_accuracy@3 > 0", False, None, 0.0, None),
        ("a.test_nll > 0", False, None, 0.0, None),
        ("a.diverged == 0", True, 0, 0.0, None),
    ],
)
def test_evaluated(text, met, left, right, slack):
    """Means over seeds at the last or a named epoch, compared; slack in deviations of the margin, paired by seed."""
    result = evaluated(text, A + B)
    assert met is result["met"]
    assert (left, right, slack) == tuple(
        value if value is None else pytest.approx(value) for value in (result["left"], result["right"], result["slack"])
    )


def test_best_epoch_is_one_for_all_seeds_by_the_metrics_direction():
    """Best is the best mean over seeds, not the mean of each seed's best; of a loss the lowest."""
    losses = records("a", [[1.0, 0.2, 0.5], [1.0, 0.9, 0.4]], "train_loss")
    assert 0.45 == pytest.approx(evaluated("a.train_loss@best < 0.5", losses, {"a": (2, 0)})["left"])
    accuracies = records("a", [[0.2, 0.9], [0.7, 0.1]], "val_accuracy")
    assert 0.5 == pytest.approx(evaluated("a.val_accuracy@best > 0.8", accuracies, {"a": (2, 0)})["left"])


def test_numbers_are_compared_exactly():
    """`==` and the strict signs leave no room: a mean that is off by rounding is another number."""
    rows = records("a", [[0.1 + 0.2], [0.1 + 0.2]])
    assert evaluated("a.test_accuracy > 0.3", rows, {"a": (2, 0)})["met"]
    assert not evaluated("a.test_accuracy == 0.3", rows, {"a": (2, 0)})["met"]
    assert evaluated("a.test_accuracy == 0.30000000000000004", rows, {"a": (2, 0)})["met"]


def test_one_seed_has_no_slack():
    """One seed can meet an expectation, and says nothing of by how many deviations."""
    result = evaluated("a.test_accuracy > 0.5", records("a", [[0.1, 0.9]]), {"a": (1, 0)})
    assert (True, 0.9, None) == (result["met"], result["left"], result["slack"])


def test_slack_of_values_apart_by_rounding_is_unknown():
    """A margin that no seed deviates from has no slack, not an enormous one."""
    rows = records("a", [[0.91], [0.12], [0.02]]) + records("b", [[0.9], [0.11], [0.01]])
    assert evaluated("a.test_accuracy > b.test_accuracy", rows)["slack"] is None


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("a.test_accuracy > 0.1", False),
        ("a.test_accuracy@0 > 0.1", False),
        ("a.test_accuracy@best > 0.1", False),
        ("b.test_accuracy < a.test_accuracy", False),
        ("verdict(a, b, test_accuracy) == better", False),
        ("verdict(b, a, test_accuracy) != better", False),
        ("b.test_accuracy < 0.9", True),
        ("a.diverged == 1", True),
        ("a.diverged > b.diverged", True),
        ("a.diverged == 0", False),
    ],
)
def test_divergence_fails_what_is_not_about_it(text, met):
    """A diverged seed of an arm it names fails an expectation, whatever the others came to."""
    rows = records("a", [[0.2, 0.9], [0.2, None]]) + records("b", [[0.2, 0.8], [0.2, 0.7]])
    row = {"a": "a", "b": "b", "metric": "test_accuracy", "verdict": "better"}
    result = evaluated(text, rows, {"a": (2, 1), "b": (2, 0)}, [row])
    assert met is result["met"]
    assert result["slack"] is None or met


def test_seed_without_a_number_fails_it_too():
    """A trial that failed is not made up for by its neighbours; their mean is shown."""
    result = evaluated("a.test_accuracy > 0.1", records("a", [[0.2, 0.9], [0.2]]), {"a": (2, 0)})
    assert (False, 0.9) == (result["met"], result["left"])


@pytest.mark.parametrize(
    ("text", "met", "left"),
    [
        ("verdict(a, b, test_nll) == better", True, "better"),
        ("verdict(b, a, test_nll) == worse", True, "worse"),
        ("verdict(b, a, test_nll) != better", True, "worse"),
        ("verdict(a, b, test_nll) == worse", False, "better"),
        ("verdict(b, a, test_brier) == 'no difference'", True, "no difference"),
        ("verdict(a, b, test_accuracy) != worse", False, None),
    ],
)
def test_verdicts_are_the_summarys(text, met, left):
    """The run's own word, turned round for the arms in the other order; without a row it is not met."""
    rows = [
        {"a": "a", "b": "b", "metric": "test_nll", "verdict": "better"},
        {"a": "a", "b": "b", "metric": "test_brier", "verdict": "no difference"},
    ]
    result = evaluated(text, verdicts=rows)
    assert (met, left, None) == (result["met"], result["left"], result["slack"])


def test_word_may_stand_first():
    """Sides may change places."""
    row = {"a": "a", "b": "b", "metric": "test_nll", "verdict": "too few seeds"}
    result = evaluated("'too few seeds' == verdict(a, b, test_nll)", verdicts=[row])
    assert (True, "too few seeds", "too few seeds") == (result["met"], result["left"], result["right"])
