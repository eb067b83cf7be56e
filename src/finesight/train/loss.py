# SPDX-License-Identifier: Apache-2.0
"""Which rows of a pack have a target, and how much each of them counts.

A vocabulary-wide row of logits is the largest tensor a small model computes, and most tokens of a sample (the picture,
the question) have no target. So rows are chosen first, and the output head scores those alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX, PackedBatch


def target_rows(batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Rows whose next token is learned, and those tokens.

    Works on CPU tensors before they move to a device, so that the choice costs no synchronisation.

    Returns:
        `int64[R]` rows of the hidden states, and `int64[R]` targets.

    Worked example: labels `[-100, -100, 7, 9]` of one sample give rows `[1, 2]` and targets `[7, 9]`; the first token
    of a sample is never a target of the sample before it.
    """
    following = batch.labels[1:]
    same_sample = batch.sample_ids[1:] == batch.sample_ids[:-1]
    rows = torch.nonzero((following != IGNORE_INDEX) & same_sample).squeeze(1)
    return rows, following[rows]


def answer_weights(rows: Tensor, balance: float) -> Tensor:
    """Weights that keep long answers from ruling over short ones.

    A number says in one token what a list of boxes says in a hundred. With a plain mean over tokens the number is a
    hundredth of the lesson; "square averaging" (`balance` 0.5) makes it a tenth (InternVL 2.5, arXiv 2412.05271).

    Args:
        rows: int64[R], ascending, as `target_rows` gives them; rows without a gap are one answer.
        balance: a token weighs as the length of its answer to the power `-balance`: 0 weighs tokens alike, 1 answers.

    Returns:
        float32[R], with a mean of 1.

    Worked example: answers of 1 and 4 tokens with balance 0.5 weigh `1` and `4 x 0.5` before they are scaled to
    `5/3` and `4 x 5/6`.
    """
    begins = torch.ones_like(rows, dtype=torch.bool)
    begins[1:] = rows.diff() > 1
    answer = begins.cumsum(0) - 1
    lengths = answer.bincount()[answer]
    weights = lengths.float() ** -balance
    return weights / weights.mean()
