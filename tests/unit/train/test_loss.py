# SPDX-License-Identifier: Apache-2.0
import torch

from finesight.batch import EncodedSample, pack
from finesight.train.loss import target_rows, token_loss


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


def test_loss_against_torch() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 11), torch.tensor([0, 3, 10, 2, 2])
    loss, right = token_loss(logits, targets)
    expected = -logits.log_softmax(-1)[torch.arange(5), targets].mean()
    assert torch.allclose(loss, expected)
    assert right == (logits.argmax(-1) == targets).float().mean()
