# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F

from finesight.batch import EncodedSample, pack
from finesight.train import loss as loss_module
from finesight.train.loss import answer_weights, target_rows, token_loss


def _sample(labels: list[int]) -> EncodedSample:
    length = len(labels)
    return EncodedSample(
        input_ids=torch.arange(length),
        labels=torch.tensor(labels),
        position_ids=torch.arange(length).expand(3, length),
        rope_delta=0,
        visual_index=torch.zeros(0, dtype=torch.int64),
    )


def test_rows_of_targets() -> None:
    rows, targets = target_rows(pack([_sample([-100, -100, 7, 9]), _sample([-100, 5, -100])]))
    assert rows.tolist() == [1, 2, 4]
    assert targets.tolist() == [7, 9, 5]


def test_first_token_of_a_sample_is_no_target_of_the_one_before() -> None:
    rows, _ = target_rows(pack([_sample([-100, 3]), _sample([4, 6])]))
    assert rows.tolist() == [0, 2]


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
    expected = F.cross_entropy(theirs[0] @ theirs[1].T, targets)
    torch.testing.assert_close(loss, expected)
    assert right == ((hidden @ weight.T).argmax(-1) == targets).float().mean()

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
    torch.testing.assert_close(loss, (rows * factors).mean())

    loss.backward()
    (rows * factors).mean().backward()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our.grad, their.grad)


def test_square_averaging_of_an_answer_of_one_token_and_one_of_four() -> None:
    rows = torch.tensor([3, 10, 11, 12, 13])
    torch.testing.assert_close(
        answer_weights(rows, 0.5), torch.tensor([5 / 3, 5 / 6, 5 / 6, 5 / 6, 5 / 6])
    )


@pytest.mark.parametrize(("balance", "shares"), [(0.0, [0.2, 0.8]), (1.0, [0.5, 0.5])])
def test_ends_of_the_balance_weigh_tokens_or_answers_alike(
    balance: float, shares: list[float]
) -> None:
    weights = answer_weights(torch.tensor([3, 10, 11, 12, 13]), balance) / 5
    torch.testing.assert_close(torch.stack([weights[0], weights[1:].sum()]), torch.tensor(shares))


def test_answers_of_neighbouring_samples_are_two() -> None:
    rows, _ = target_rows(pack([_sample([-100, 3, 5]), _sample([-100, 6])]))
    assert answer_weights(rows, 1.0).tolist() == pytest.approx([0.75, 0.75, 1.5])


def test_no_answers_no_weights() -> None:
    assert answer_weights(torch.zeros(0, dtype=torch.int64), 0.5).tolist() == []


def test_loss_under_autocast_keeps_the_weights_dtype() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(6, 16, requires_grad=True)
    weight = torch.randn(40, 16, requires_grad=True)
    targets = torch.arange(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = token_loss(hidden.bfloat16(), weight, targets)
    loss.backward()
    assert weight.grad.dtype == torch.float32
    expected = F.cross_entropy(hidden.detach() @ weight.detach().T, targets)
    torch.testing.assert_close(loss.detach(), expected, rtol=0.02, atol=0.02)
