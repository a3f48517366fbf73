"""`KEY=VALUE` of the command line: what it replaces, and how its mistakes are told."""

from __future__ import annotations

from tests.config.reading import mistakes, read


def test_override_mends_one_entry_of_a_list() -> None:
    """The entry at a place, counted from 0, keeps its other keys, and so do the others, of a default list too."""
    mended = read("loss: [hinge, {name: focal, label: f}]", "loss.1.gamma=3", "loss.0.weight=2")
    assert ["hinge", "focal"] == [loss.name for loss in mended.loss]
    assert (3, "f", 2) == (mended.loss[1].options["gamma"], mended.loss[1].label, mended.loss[0].weight)
    assert ["mse_softmax", "bce"] == [loss.name for loss in read("{}", "loss.1=bce").loss]
    assert [
        "command line:1:1: loss.2.gamma: loss is a list of 2, counted from 0: 0 mse_softmax, 1 cross_entropy",
        "command line:2:1: loss.focal.gamma: loss is a list of 2, counted from 0: 0 mse_softmax, 1 cross_entropy",
        "command line:3:1: loss.label_smooth: unknown key; did you mean 'label_smoothing'?",
        "command line:4:1: model.0.hidden: model is one entry, not a list; leave out .0",
    ] == mistakes("{}", "loss.2.gamma=3", "loss.focal.gamma=3", "loss.1.label_smooth=0.1", "model.0.hidden=[3]")


def test_overrides_replace_what_the_file_says() -> None:
    """Dotted keys reach into sections, also into one that is given as a plain name or not at all."""
    experiment = read(
        "model: mlp\noptimizer: {lr: 1.0}\n",
        *(
            "optimizer.lr=[0.1, 0.3]",
            "train.seeds=20",
            "loss=[bce,mse_sigmoid]",
            "model.hidden=[7]",
            "model.init.scale=2",
        ),
        *("dataset.noise=.5", "optimizer.schedule.name=cosine", "name=other"),
    )
    assert ("other", (0.1, 0.3), 20) == (experiment.name, experiment.optimizer.lr, experiment.train.seeds)
    assert ["bce", "mse_sigmoid"] == [loss.name for loss in experiment.loss]
    assert ([7], (2,)) == (experiment.model[0].options["hidden"], experiment.model[0].init.scale)
    assert ("moons", 0.5) == (experiment.dataset[0].name, experiment.dataset[0].options["noise"])
    assert "cosine" == experiment.optimizer.schedule.name


def test_override_replaces_a_list_whole() -> None:
    """A list given on the command line is not joined to the file's, and the mistakes of the old one are gone."""
    experiment = read("loss: [cros_entropy, {name: focal, gama: 1}]\n", "loss=[hinge]")
    assert ["hinge"] == [loss.name for loss in experiment.loss]


def test_later_override_wins() -> None:
    """Of two overrides of one key the last one counts."""
    assert 3 == read("{}", "train.epochs=2", "train.epochs=3").train.epochs


def test_mistakes_of_the_command_line_name_argument_and_column() -> None:
    """The line is the argument's number, the column counts from the argument's first character."""
    assert [
        "command line:1:14: optimizer.lr: must be a number above 0, got '0.3x'",
        "command line:2:11: loss: unknown loss 'mse_sigmoi'; did you mean 'mse_sigmoid'?",
        "command line:3:1: 'optimizer.momentum' is not KEY=VALUE",
        "command line:4:1: '=3' is not KEY=VALUE",
        "command line:5:1: 'a..b=1' is not KEY=VALUE",
        "command line:6:1: optimizer.lrr: unknown key; did you mean 'lr'?",
        "command line:7:1: name.x: name has no keys of its own",
        "command line:8:8: model: not valid YAML: expected the node content, but found '<stream end>'",
        "command line:9:13: train.seeds: '012' is octal in YAML 1.1 and decimal in 1.2; "
        "quote it if it is text, else write it out",
        "command line:10:15: train.epochs: the character '\\x07' is not allowed in YAML",
    ] == mistakes(
        "name: a",
        *("optimizer.lr=0.3x", "loss=[bce,mse_sigmoi]", "optimizer.momentum", "=3", "a..b=1", "optimizer.lrr=1"),
        *("name.x=2", "model=[", "train.seeds=012", "train.epochs=3\x07"),
    )
