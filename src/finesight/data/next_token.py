# SPDX-License-Identifier: Apache-2.0
"""Targets of next-token prediction: the rows of a pack with a target, and the length of each one's answer.

They are computed by the loader's workers on the CPU, so that their number is known without a device synchronisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX, PackedBatch


@dataclass(frozen=True, slots=True)
class NextTokenTargets:
    """Next-token targets of a pack.

    Attributes:
        rows: int64[R], ascending rows of the hidden states that predict a target.
        targets: int64[R], the next token of each row.
        lengths: float32[R], number of targets in the answer of each row.
    """

    rows: Tensor
    targets: Tensor
    lengths: Tensor


def next_token_targets(batch: PackedBatch) -> NextTokenTargets:
    """Targets of a pack; contiguous rows are one answer.

    Worked example: labels `[-100, -100, 7, 9]` of one sample give rows `[1, 2]` and targets `[7, 9]`, both of an answer
    of length 2; the first token of a sample is never a target of the sample before it.
    """
    following = batch.labels[1:]
    same_sample = batch.sample_ids[1:] == batch.sample_ids[:-1]
    rows = torch.nonzero((following != IGNORE_INDEX) & same_sample).squeeze(1)
    begins = torch.ones_like(rows, dtype=torch.bool)
    begins[1:] = rows.diff() > 1
    answer = begins.cumsum(0) - 1
    return NextTokenTargets(rows, following[rows], answer.bincount()[answer].float())
