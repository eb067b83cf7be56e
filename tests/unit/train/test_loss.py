# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F

from finesight.train import loss as loss_module
from finesight.train.loss import token_loss


@pytest.mark.parametrize("rows_at_a_time", [1, 3, 100])
def test_loss_and_gradients_against_torch(monkeypatch, rows_at_a_time: int) -> None:
    monkeypatch.setattr(loss_module, "_SCORES_AT_A_TIME", 13 * rows_at_a_time)
    monkeypatch.setattr(loss_module, "_FEWEST_ROWS", 1)
    torch.manual_seed(0)
    hidden, weight = torch.randn(7, 5), torch.randn(13, 5)
    targets = torch.tensor([0, 3, 12, 2, 2, 7, 0])
    ours = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    theirs = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]

    loss, right = token_loss(*ours, targets)
    expected = F.cross_entropy(theirs[0] @ theirs[1].T, targets, reduction="sum")
    torch.testing.assert_close(loss, expected)
    assert right == ((hidden @ weight.T).argmax(-1) == targets).sum()

    (3 * loss).backward()
    (3 * expected).backward()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.grad, their.grad)


def test_weighted_loss_and_gradients_against_torch(monkeypatch) -> None:
    monkeypatch.setattr(loss_module, "_SCORES_AT_A_TIME", 13 * 3)
    monkeypatch.setattr(loss_module, "_FEWEST_ROWS", 1)
    torch.manual_seed(1)
    hidden, weight, factors = torch.randn(7, 5), torch.randn(13, 5), torch.rand(7)
    targets = torch.tensor([0, 3, 12, 2, 2, 7, 0])
    ours = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    theirs = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]

    loss, _ = token_loss(*ours, targets, factors)
    rows = F.cross_entropy(theirs[0] @ theirs[1].T, targets, reduction="none")
    torch.testing.assert_close(loss, (rows * factors).sum())

    loss.backward()
    (rows * factors).sum().backward()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.grad, their.grad)


def test_loss_under_autocast_keeps_the_weights_dtype() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(6, 16, requires_grad=True)
    weight = torch.randn(40, 16, requires_grad=True)
    targets = torch.arange(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = token_loss(hidden.bfloat16(), weight, targets)
    loss.backward()
    assert weight.grad.dtype == torch.float32
    expected = F.cross_entropy(hidden.detach() @ weight.detach().T, targets, reduction="sum")
    torch.testing.assert_close(loss.detach(), expected, rtol=0.02, atol=0.02)
