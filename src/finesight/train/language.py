# SPDX-License-Identifier: Apache-2.0
"""Keeps the language of an adapted decoder: on text without pictures, it must predict as it did without adapters.

The loss is the Kullback-Leibler divergence of the adapted decoder from the same decoder without adapters, at every
token of the samples without pictures and without targets of next-token prediction (sources with `learn = false`). A
text that were both would be pulled two ways. The target is the whole distribution, so the texts need not be better than
the decoder's own.

Legend: R tokens of these samples, D decoder width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from finesight.data.loader import TrainBatch
from finesight.model.head import OutputHead
from finesight.train.objective import ForwardPass, Losses

_ROWS_PER_CHUNK = 128
"""Rows whose logits are in memory at a time: 25 MB of float32 for a vocabulary of 49,152."""


class KeepLanguage:
    """Divergence from the decoder without adapters, on text.

    Args:
        weight: weight of the loss.
    """

    name = "language"

    def __init__(self, weight: float) -> None:
        self.parts = {"language": weight}

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """Number of tokens of samples without pictures and targets."""
        return {"language": 0.0 if pack.text_only is None else float(len(pack.text_only.rows))}

    def __call__(self, forward: ForwardPass) -> Losses:
        """Loss `language`, in nats a token."""
        text = forward.text_only
        if text is None:
            return Losses({})
        hidden = forward.hidden()[text.rows]
        reference = forward.hidden_without_lora(text.batch)[: len(text.rows)]
        return Losses({"language": divergence(forward.head, hidden, reference)})


def divergence(head: OutputHead, rows: Tensor, reference: Tensor) -> Tensor:
    """Sum over the rows of KL(reference || rows), a scalar with a gradient for `rows`.

    Args:
        head: the output head.
        rows: `[R, D]`, hidden states.
        reference: `[R, D]`, hidden states whose predictions are the target.
    """

    def of_chunk(one: Tensor, wanted: Tensor) -> Tensor:
        with torch.no_grad():
            target = head(wanted).float().log_softmax(-1)
        found = head(one).float().log_softmax(-1)
        return functional.kl_div(found, target, reduction="sum", log_target=True)

    parts = [
        checkpoint(of_chunk, one, wanted, use_reentrant=False)
        for one, wanted in zip(
            rows.split(_ROWS_PER_CHUNK), reference.split(_ROWS_PER_CHUNK), strict=True
        )
    ]
    total: Tensor = torch.stack(parts).sum()
    return total
