# SPDX-License-Identifier: Apache-2.0
"""The loss that tells an attention head where to look, against attention written out token by token."""

import math

import pytest
import torch
from torch import Tensor

from finesight.config.model import TextConfig
from finesight.data.look_targets import LookTargets
from finesight.model.language import TextAttention
from finesight.model.rope import Rotary, apply_rotary, text_rotary
from finesight.train.looks import look_loss

LENGTHS = (5, 7)
CONFIG = TextConfig(
    vocab_size=8,
    hidden_size=32,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=4,
    num_key_value_heads=2,
    tie_word_embeddings=True,
    mrope_section=(2, 1, 1),
)


@pytest.fixture
def case() -> tuple[TextAttention, Tensor, Rotary]:
    """Two samples in one row, positions starting over."""
    torch.manual_seed(0)
    positions = torch.cat([torch.arange(length) for length in LENGTHS]).expand(3, -1)
    return (
        TextAttention(CONFIG, 0, "sdpa"),
        torch.randn(sum(LENGTHS), 32),
        text_rotary(positions, CONFIG),
    )


def _targets(rows: list[int], which: list[int], wanted: list[list[int]]) -> LookTargets:
    """Targets of the second sample."""
    mask = torch.zeros(1, len(wanted), LENGTHS[1], dtype=torch.bool)
    for row, places in enumerate(wanted):
        mask[0, row, places] = True
    boxes = torch.full((1, len(wanted), 4), torch.nan)
    return LookTargets(
        torch.tensor([rows]), torch.tensor([which]), mask, boxes, torch.tensor([LENGTHS[0]])
    )


def _shares(case: tuple[TextAttention, Tensor, Rotary], row: int, head: int = 0) -> Tensor:
    """Attention of a head from a row of the second sample to the tokens before it; two heads share a key."""
    attention, states, rotary = case
    first = LENGTHS[0]
    q = apply_rotary(attention.q_proj(states).unflatten(-1, (4, 8)), rotary)[first + row, head]
    k = apply_rotary(attention.k_proj(states).unflatten(-1, (2, 8)), rotary)
    scores = [(q @ k[first + place, head // 2]).item() / math.sqrt(8) for place in range(row + 1)]
    return torch.tensor(scores).softmax(0)


def _fit(case, loss_of, targets: LookTargets, *, lr: float, steps: int) -> None:
    attention, states, rotary = case
    optimizer = torch.optim.Adam(attention.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(attention, states, rotary, targets)[0].backward()
        optimizer.step()


def test_loss_is_what_the_first_head_gives_to_the_wanted_tokens(case):
    attention, states, rotary = case
    targets = _targets([4, 6], [1, 0], [[2], [0, 3]])
    loss, share = look_loss(attention, states, rotary, targets)
    shares = [_shares(case, 4)[[0, 3]].sum(), _shares(case, 6)[2]]
    assert loss.item() == pytest.approx(-sum(share.log().item() for share in shares) / 2, rel=1e-5)
    assert share.item() == pytest.approx(sum(map(float, shares)) / 2, rel=1e-5)


@pytest.mark.parametrize(("head", "number"), [(1, 1), (2, 2), (-1, 3)])
def test_each_head_has_its_own_query_and_shares_a_key(case, head, number):
    _, share = look_loss(*case, _targets([4], [0], [[2]]), head=head)
    assert share.item() == pytest.approx(_shares(case, 4, head=number)[2].item(), rel=1e-5)


def test_samples_of_a_pack_do_not_mix(case):
    """Both samples in one call, the shorter filled up, are the mean of each on its own."""
    attention, states, rotary = case
    second = _targets([4, 6], [1, 0], [[2], [0, 3]])
    first = LookTargets(
        torch.tensor([[3]]),
        torch.tensor([[0]]),
        torch.tensor([[[False, True, False, False, False]]]),
        torch.full((1, 1, 4), torch.nan),
        torch.tensor([0]),
    )
    own = [look_loss(attention, states, rotary, part)[0].item() for part in (first, second)]
    joined = LookTargets.join([first, second], [0, LENGTHS[0]])
    loss, _ = look_loss(attention, states, rotary, joined)
    assert loss.item() == pytest.approx((own[0] + 2 * own[1]) / 3, rel=1e-5)
    loss.backward()
    assert attention.k_proj.weight.grad.isfinite().all()


def test_a_head_learns_to_look(case):
    attention, states, rotary = case
    targets = _targets([3, 6], [0, 1], [[1], [4, 5]])
    _fit(case, look_loss, targets, lr=0.03, steps=60)
    assert look_loss(attention, states, rotary, targets)[1].item() > 0.95
