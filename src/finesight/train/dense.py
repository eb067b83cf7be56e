# SPDX-License-Identifier: Apache-2.0
"""Temporary heads on visual tokens: what is written in a cell, and which object covers it.

They stand on the merger's output, the very vectors that the language model reads, and give the vision tower a signal at
each cell from the first step. They are no part of the model: checkpoints keep them in a file of their own, exports
leave them out.

Legend: M visual tokens, D hidden, K character slots, C character classes, O object classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.data.dense import BLANK, CHAR_SLOTS, DenseTargets


class DenseHeads(nn.Module):
    """Linear classifiers over visual tokens.

    Args:
        hidden_size: width of a visual token (D).
        num_characters: character classes, blank and other included (C).
        num_objects: object classes, background included (O).
    """

    def __init__(self, hidden_size: int, num_characters: int, num_objects: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.characters = nn.Linear(hidden_size, CHAR_SLOTS * num_characters)
        self.objects = nn.Linear(hidden_size, num_objects)
        self.boxes = nn.Linear(hidden_size, 4)

    def forward(self, visual_tokens: Tensor, targets: DenseTargets) -> dict[str, Tensor]:
        """Losses of all heads that have targets in the pack.

        Args:
            visual_tokens: float[M, D], in row-major order of each picture.
            targets: targets of the same M cells.

        Returns:
            Scalars by name: `characters`, `objects`, `boxes` (losses) and `char_acc`, `object_acc` (shares of right
            classes among cells that hold something, for the log).
        """
        states = self.norm(visual_tokens)
        results: dict[str, Tensor] = {}
        rows = torch.nonzero(targets.characters[:, 0] != -100).squeeze(1)
        if rows.numel():
            results |= self._character_losses(states[rows], targets.characters[rows])
        rows = torch.nonzero(targets.objects != -100).squeeze(1)
        if rows.numel():
            results |= self._object_losses(states[rows], targets.objects[rows], targets.boxes[rows])
        return results

    def _character_losses(self, states: Tensor, characters: Tensor) -> dict[str, Tensor]:
        logits = self.characters(states).float().unflatten(1, (CHAR_SLOTS, -1))  # [R, K, C]
        # Most slots are blank; only the first blank of a cell says something new (how many letters there are).
        first_blank = (characters == BLANK).long().cumsum(1) == 1
        used = (characters != BLANK) | first_blank
        loss = F.cross_entropy(logits[used], characters[used])
        letters = characters != BLANK
        right = (logits.detach()[letters].argmax(-1) == characters[letters]).float()
        return {"characters": loss, "char_acc": right.mean() if right.numel() else right.sum()}

    def _object_losses(self, states: Tensor, objects: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        logits = self.objects(states).float()
        covered = objects > 0
        right = (logits.detach()[covered].argmax(-1) == objects[covered]).float()
        results = {"objects": F.cross_entropy(logits, objects)}
        if covered.any():
            results["object_acc"] = right.mean()
            results["boxes"] = F.smooth_l1_loss(
                self.boxes(states[covered]).float(), boxes[covered], beta=0.1
            )
        return results
