"""Two softmax outputs and one sigmoid output are one model, trained at different speeds."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from clsbench.losses.contract import build_loss
from clsbench.problems import SingleLabel
from clsbench.registry import catalogue
from clsbench.training.loop import train
from clsbench.training.settings import StackData, StackSettings, TrialSettings
from clsbench.training.stack import Stack

EPOCHS = 10


def samples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator)
    return x, (x @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + torch.randn(60, generator=generator) > 0).long()


def probability_curve(loss: str, softmax: nn.Linear, lr: float, *, outputs: int | None) -> Tensor:
    """`[EPOCHS + 1, N]`: the probability of class 1 by epoch, of a linear model under plain SGD.

    With one output its weights are the difference of those of the two, so that all start from the same probabilities.
    """
    model = deepcopy(softmax)
    if outputs == 1:
        model = nn.Linear(4, 1)
        with torch.no_grad():
            for one, two in zip(model.parameters(), softmax.parameters(), strict=True):
                one.copy_(two[1:] - two[:1])
    options = {name: option.default for name, option in catalogue.get("loss", loss).options.items()}
    bound = build_loss(loss, SingleLabel(2), options | ({"outputs": outputs} if outputs else {}))
    stack, data = Stack([model], stacked=False, device=torch.device("cpu")), samples()
    curve = []
    for _ in train(stack, [TrialSettings(seed=3, lr=lr)], bound, StackData(data), StackSettings(8, EPOCHS)):
        with torch.no_grad():
            log_p = bound.log_probabilities(stack.predictor(slice(0, 1))(data[0])[0])
        assert log_p is not None
        curve.append(log_p[:, 1].exp())
    return torch.stack(curve)


@pytest.mark.parametrize(
    ("pair", "factor"), [(("cross_entropy", "bce"), 2), (("mse_softmax", "mse_sigmoid"), 4)], ids=str
)
def test_one_sigmoid_output_is_two_softmax_outputs_at_another_rate(pair: tuple[str, str], factor: int) -> None:
    """The curves of the probabilities agree to 1e-5 if the sigmoid's learning rate is `factor` times the softmax's.

    With p = sigmoid(z_1 - z_0) both predict the same. Cross-entropy has the gradient p - y on z_1 and y - p on z_0: the
    two outputs move apart, so that their difference moves twice as far as a single output whose gradient is p - y. The
    summed squared error counts the error of each of the two classes, (p - y)^2 twice, and so gains a second factor
    of two. Hidden layers would get the same gradients in both, and be moved at another rate: so the model is linear.
    """
    two, one = pair
    torch.manual_seed(1)
    start = nn.Linear(4, 2)
    by_softmax = probability_curve(two, start, 0.1, outputs=None)
    torch.testing.assert_close(by_softmax, probability_curve(one, start, factor * 0.1, outputs=1), atol=1e-5, rtol=0)
    assert (by_softmax[-1] - by_softmax[0]).abs().max() > 0.2
    assert (by_softmax - probability_curve(one, start, 0.1, outputs=1)).abs().max() > 0.05
