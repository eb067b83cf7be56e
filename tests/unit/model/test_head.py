# SPDX-License-Identifier: Apache-2.0
"""The output head: one weight, one published name, and the same loss as torch's cross-entropy."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from finesight.model import head as head_module
from finesight.model.head import OutputHead
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import small_config


def head_of(weight: torch.Tensor) -> OutputHead:
    head = OutputHead(weight.shape[1], weight.shape[0], tied_to=None)
    head.weight = torch.nn.Parameter(weight.clone())
    return head


def chunks_of(monkeypatch, rows: int) -> None:
    monkeypatch.setattr(head_module, "_LOGITS_PER_CHUNK", 13 * rows)
    monkeypatch.setattr(head_module, "_MIN_CHUNK_ROWS", 1)


@pytest.mark.parametrize("rows_at_a_time", [1, 3, 100])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradients_against_torch(monkeypatch, rows_at_a_time: int, weighted: bool) -> None:
    chunks_of(monkeypatch, rows_at_a_time)
    torch.manual_seed(0)
    hidden, weight = torch.randn(7, 5, requires_grad=True), torch.randn(13, 5)
    targets, factors = torch.tensor([0, 3, 12, 2, 2, 7, 0]), torch.rand(7)
    head = head_of(weight)
    theirs = [hidden.detach().clone().requires_grad_(), weight.clone().requires_grad_()]

    loss, token_losses, is_right = head.loss(hidden, targets, factors if weighted else None)
    logits = theirs[0] @ theirs[1].T
    expected = F.cross_entropy(logits, targets, reduction="none")
    expected_sum = (expected * factors).sum() if weighted else expected.sum()
    torch.testing.assert_close(loss, expected_sum)
    torch.testing.assert_close(token_losses, expected.detach())
    assert torch.equal(is_right, logits.argmax(-1) == targets)
    assert not token_losses.requires_grad

    (3 * loss / 7).backward()
    (3 * expected_sum / 7).backward()
    torch.testing.assert_close(hidden.grad, theirs[0].grad)
    torch.testing.assert_close(head.weight.grad, theirs[1].grad)


def test_loss_of_no_row_is_nothing() -> None:
    loss, token_losses, is_right = head_of(torch.randn(13, 5)).loss(
        torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64)
    )
    assert (loss.item(), token_losses.numel(), is_right.numel()) == (0, 0, 0)


def test_loss_under_autocast_keeps_the_weights_dtype() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(6, 16, requires_grad=True)
    head = head_of(torch.randn(40, 16))
    targets = torch.arange(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _, _ = head.loss(hidden.bfloat16(), targets)
    loss.backward()
    assert head.weight.grad.dtype == torch.float32
    expected = F.cross_entropy(hidden.detach() @ head.weight.detach().T, targets, reduction="sum")
    torch.testing.assert_close(loss.detach(), expected, rtol=0.02, atol=0.02)


def test_cosines_are_torchs_and_teach_the_head_nothing() -> None:
    rows, head = torch.randn(3, 5, requires_grad=True), head_of(torch.randn(13, 5))
    found = head.cosines(rows)
    torch.testing.assert_close(
        found, torch.cosine_similarity(rows[:, None], head.weight[None], dim=2)
    )
    found.sum().backward()
    assert head.weight.grad is None
    assert rows.grad is not None


def test_a_head_of_its_own_has_the_published_name() -> None:
    model = VisionLanguageModel(small_config())
    assert [name for name in model.state_dict() if "head" in name] == ["lm_head.weight"]
    assert model.lm_head.weight.shape == (160, 64)


def test_a_tied_head_has_no_parameter_and_follows_the_embedding() -> None:
    """Also where the embedding's weight is replaced, as loading and moving do."""
    with torch.device("meta"):
        model = VisionLanguageModel(small_config(tie_word_embeddings=True))
    assert not any("head" in name for name in model.state_dict())
    assert not list(model.lm_head.parameters())
    model.to_empty(device="cpu")
    weight = torch.randn(160, 64)
    model.model.embed_tokens.load_state_dict({"weight": weight}, assign=True)
    rows = torch.randn(2, 64)
    torch.testing.assert_close(model.logits(rows), rows @ weight.T)
    copied = copy.deepcopy(model)
    copied.model.embed_tokens.weight.data.zero_()
    assert copied.logits(rows).abs().max() == 0
    assert model.logits(rows).abs().max() > 0


def test_a_tied_embedding_learns_from_both_ends() -> None:
    model = VisionLanguageModel(small_config(tie_word_embeddings=True))
    ids = torch.tensor([3])
    loss, _, _ = model.lm_head.loss(model.model.embed_tokens(ids), torch.tensor([5]))
    loss.backward()
    grad = model.model.embed_tokens.weight.grad
    assert grad[3].abs().max() > 0
    assert grad[5].abs().max() > 0
    assert sum(1 for _ in model.parameters()) == len(set(model.parameters()))


def test_a_frozen_weight_gets_no_gradient_and_the_rows_the_same_one() -> None:
    torch.manual_seed(4)
    targets = torch.randint(0, 9, (5,))
    slopes = []
    for trained in (True, False):
        head = OutputHead(6, 9, tied_to=None)
        with torch.no_grad():
            head.weight.copy_(torch.linspace(-1, 1, 54).view(9, 6))
        head.weight.requires_grad_(trained)
        rows = torch.linspace(-2, 2, 30).view(5, 6).requires_grad_()
        head.loss(rows, targets)[0].backward()
        assert (head.weight.grad is not None) == trained
        slopes.append(rows.grad)
    assert torch.equal(*slopes)
