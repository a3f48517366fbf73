"""Reading configs in tests: the experiment of a text, the mistakes of one, and the defaults."""

from __future__ import annotations

import pytest

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config.reader import read_text
from clsbench.config.schema import Experiment
from clsbench.errors import ConfigError

DEFAULTS = {
    "name": "moons",
    "dataset": {
        "name": "moons",
        "label": None,
        "val_fraction": 0.2,
        "test_fraction": 0.2,
        "split_seed": "per_seed",
        "normalize": "standard",
        "label_noise": 0.0,
        "label_noise_kind": "symmetric",
        "limit": None,
        "only_classes": None,
        "imbalance": None,
        "problem": "auto",
        "samples": 1000,
        "noise": 0.2,
    },
    "model": {
        "name": "mlp",
        "label": None,
        "init": {"weights": "default", "scale": 1.0, "bias": "default"},
        "hidden": [32, 32],
        "activation": "relu",
        "batch_norm": False,
        "dropout": 0.0,
    },
    "loss": [
        {"name": "mse_softmax", "label": None, "lr": None, "weight": 1.0, "class_weight": None, "reduction": "sum"},
        {
            "name": "cross_entropy",
            "label": None,
            "lr": None,
            "weight": 1.0,
            "class_weight": None,
            "label_smoothing": 0.0,
            "temperature": 1.0,
            "logit_adjustment": None,
        },
    ],
    "optimizer": {
        "name": "sgd",
        "lr": 0.1,
        "momentum": 0.0,
        "nesterov": False,
        "weight_decay": 0.0,
        "decay_biases": True,
        "clip_norm": None,
        "schedule": {"name": "constant", "warmup": 0, "step": 10, "gamma": 0.1},
    },
    "train": {
        "epochs": 20,
        "batch_size": 32,
        "seeds": 5,
        "device": "auto",
        "precision": "float32",
        "threads": "auto",
        "compile": "auto",
        "stack": "auto",
        "warm_start": None,
    },
    "tune": None,
    "verdict": {
        "margin": {"accuracy": 0.005, "nll": 0.02, "brier": 0.01},
        "family": "comparison",
        "baseline": None,
    },
    "stop": None,
    "report": {"figures": True, "html": True},
    "expect": [],
    "silence": [],
}


def read(text: str, *overrides: str) -> Experiment:
    return read_text(text, "f", overrides)


def mistakes(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, *overrides)
    assert 2 == caught.value.exit_code
    assert not any(char in mistake for mistake in caught.value.mistakes for char in "\n\x1b\x00")
    return list(caught.value.mistakes)
