# SPDX-License-Identifier: Apache-2.0
"""Captions of a pack: the answers about its pictures, as a pack of texts that do not see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from finesight.batch import IGNORE_INDEX, EncodedSample, PackedBatch, pack

__all__ = ["Captions"]


@dataclass(frozen=True, slots=True)
class Captions:
    """One text for each sample of a pack that has pictures or videos and a target.

    Attributes:
        batch: the target tokens of these samples, in order; one segment for each.
        samples: int64[C], the sample of each text.
        picture_samples: int64[M], the text whose picture each visual token belongs to, -1 for none.
    """

    batch: PackedBatch
    samples: Tensor
    picture_samples: Tensor

    @classmethod
    def of(cls, batch: PackedBatch, samples: Sequence[EncodedSample]) -> Captions | None:
        """Captions of the `samples` of a pack; None if there is none.

        Worked example: samples with 4 visual tokens and targets, none of both, and 6 visual tokens and targets give
        `samples = [0, 2]` and `picture_samples = [0] * 4 + [1] * 6`.
        """
        texts = {
            index: one.input_ids[one.labels != IGNORE_INDEX]
            for index, one in enumerate(samples)
            if one.vision
        }
        chosen = [index for index, tokens in texts.items() if tokens.numel()]
        if not chosen:
            return None
        text_of = torch.full((len(samples),), -1)
        text_of[torch.tensor(chosen)] = torch.arange(len(chosen))
        return cls(
            batch=pack([_text(texts[index]) for index in chosen]),
            samples=torch.tensor(chosen),
            picture_samples=text_of[batch.sample_ids[batch.visual_index]],
        )

    def to(self, device: torch.device) -> Captions:
        """Copy with every tensor on `device`."""
        return Captions(
            self.batch.to(device), self.samples.to(device), self.picture_samples.to(device)
        )


def _text(tokens: Tensor) -> EncodedSample:
    """A sample of text alone, without targets."""
    return EncodedSample(
        input_ids=tokens,
        labels=torch.full_like(tokens, IGNORE_INDEX),
        position_ids=torch.arange(tokens.numel()).expand(3, -1),
        rope_delta=0,
        visual_index=tokens[:0],
    )
