# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from finesight.batch import EncodedSample, pack
from finesight.train.loss import answer_weights, target_rows


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
