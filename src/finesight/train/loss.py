# SPDX-License-Identifier: Apache-2.0
"""Next-token cross-entropy, computed only where there is something to learn.

A vocabulary-wide row of logits is the widest thing a small model computes, and most tokens of a sample (the picture,
the question) have no target. So rows are chosen first and logits are made for those alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
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


def token_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy, and how many of the tokens were the best guess.

    Args:
        logits: float[R, V].
        targets: int64[R].

    Returns:
        Scalar float32 loss, and scalar share of right tokens.
    """
    logits = logits.float()
    right = (logits.detach().argmax(dim=-1) == targets).float().mean()
    return F.cross_entropy(logits, targets), right
