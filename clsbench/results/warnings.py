"""Warnings: what a user should look at before trusting a result. Each has a code that stays the same."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, with_config
from typing_extensions import TypedDict

from clsbench.results.reading import STRICT

WARNINGS: dict[str, str] = {
    "row-number": "a column counts the rows",
    "unique-column": "a column has another value in every row",
    "separating-column": "a single column separates the classes",
    "left-out-column": "a column without a name was left out",
    "left-out-files": "files that are not images were left out",
    "left-out-rows": "rows with missing values were left out",
    "repeated-samples": "identical samples are in several splits",
    "constant-images": "all pixels of an image are equal",
    "missing-class": "a class has no sample in a split",
    "unseen-category": "a category occurs outside the training split alone",
    "class-order": "a loss needs the order of the classes, which the data do not give",
    "majority": "an arm is no better than always answering the most frequent class",
    "one-class": "an arm predicts one class only",
    "best-on-test": "an expectation chooses an epoch on test data",
    "batch-loss": "a loss of a batch is not the mean over its samples",
    "other-machine": "trials were trained on another machine, and last bits may differ",
    "probabilities": "a model returns probabilities where logits are expected",
}


@with_config(STRICT)
class RunWarning(TypedDict):
    """`code` is one of `WARNINGS`; `where` the label of a dataset, model, loss or arm, or the run; `text` says why."""

    code: Annotated[str, Field(min_length=1)]
    where: str
    text: str
