# SPDX-License-Identifier: Apache-2.0
"""Targets of next-token prediction: which rows of a pack are learned, and the length of the answer each stands in.

They are chosen by the loader's workers, on the CPU: how many there are is then known before the pack is on a device,
and choosing them costs no synchronisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX, PackedBatch


@dataclass(frozen=True, slots=True)
class NextTokenTargets:
    """What a pack teaches about next tokens.

    Attributes:
        rows: int64[R], ascending rows of the hidden states whose next token is learned.
        targets: int64[R], those tokens.
        lengths: float32[R], number of targets of the answer that each belongs to.
    """

    rows: Tensor
    targets: Tensor
    lengths: Tensor


def next_token_targets(batch: PackedBatch) -> NextTokenTargets:
    """Targets of a pack.

    Rows without a gap between them are one answer.

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
