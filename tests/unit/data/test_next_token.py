# SPDX-License-Identifier: Apache-2.0
import torch

from finesight.batch import EncodedSample, pack
from finesight.data.next_token import next_token_targets


def sample(labels: list[int]) -> EncodedSample:
    length = len(labels)
    return EncodedSample(
        input_ids=torch.arange(length),
        labels=torch.tensor(labels),
        position_ids=torch.arange(length).expand(3, length),
        rope_delta=0,
        visual_index=torch.zeros(0, dtype=torch.int64),
    )


def test_rows_of_targets() -> None:
    found = next_token_targets(pack([sample([-100, -100, 7, 9]), sample([-100, 5, -100])]))
    assert found.rows.tolist() == [1, 2, 4]
    assert found.targets.tolist() == [7, 9, 5]
    assert found.lengths.tolist() == [2, 2, 1]


def test_first_token_of_a_sample_is_no_target_of_the_one_before() -> None:
    assert next_token_targets(pack([sample([-100, 3]), sample([4, 6])])).rows.tolist() == [0, 2]


def test_answers_of_neighbouring_samples_are_two() -> None:
    found = next_token_targets(pack([sample([-100, 3, 5]), sample([-100, 6])]))
    assert found.lengths.tolist() == [2, 2, 1]


def test_two_answers_of_one_sample_are_two() -> None:
    found = next_token_targets(pack([sample([-100, 3, 5, -100, 6, 6, 6])]))
    assert found.lengths.tolist() == [2, 2, 3, 3, 3]


def test_no_answers_no_targets() -> None:
    found = next_token_targets(pack([sample([-100, -100])]))
    assert (found.rows.tolist(), found.lengths.tolist()) == ([], [])
