# SPDX-License-Identifier: Apache-2.0
"""Dense supervision: predict the characters and the object in the cell of each visual token.

Linear heads on the merger's output give the vision tower a loss at every cell from the first step. The heads are
temporary: checkpoints contain them, exported models do not.

Legend: M visual tokens, D hidden, K character slots per cell, C character classes, N object classes (background
included); R, Q, O and B as in `finesight.data.dense`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.data.dense import BLANK, CHAR_SLOTS, DenseTargets
from finesight.data.loader import TrainBatch
from finesight.train.meters import Sum
from finesight.train.objective import ForwardPass, Losses


class DenseSupervision(nn.Module):
    """Predict characters, objects and boxes for pictures with truth.

    Args:
        hidden_size: width of a visual token (D).
        num_characters: character classes, including blank and other (C).
        num_objects: object classes, including background (N).
        parts: weights of the losses `characters`, `objects` and `boxes`; missing ones are not computed.
    """

    name = "dense"

    def __init__(
        self, hidden_size: int, num_characters: int, num_objects: int, parts: dict[str, float]
    ) -> None:
        super().__init__()
        self.parts = parts
        self.norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.characters = nn.Linear(hidden_size, CHAR_SLOTS * num_characters)
        self.objects = nn.Linear(hidden_size, num_objects)
        self.boxes = nn.Linear(hidden_size, 4)

    def num_targets(self, pack: TrainBatch) -> dict[str, float]:
        """Character slots with a target, cells with an object class, cells with a box."""
        targets = pack.dense
        counts = {
            "characters": len(targets.characters),
            "objects": len(targets.objects),
            "boxes": len(targets.box_cells),
        }
        return {part: float(counts[part]) for part in self.parts}

    def forward(self, forward: ForwardPass) -> Losses:
        """Losses of the parts that have targets in the pack.

        For the log, the accuracies `char_acc` of characters and `object_acc` of cells with an object.
        """
        visual, targets = forward.visual_tokens, forward.pack.dense
        found = Losses({}, {})
        if visual is None:
            return found
        states = self.norm(visual)
        if "characters" in self.parts and len(targets.characters):
            self._characters(states, targets, found)
        if "objects" in self.parts and len(targets.objects):
            self._objects(states, targets, found)
        if "boxes" in self.parts and len(targets.box_cells):
            edges = self.boxes(states[targets.box_cells]).float()
            distance = F.smooth_l1_loss(edges, targets.boxes, beta=0.1, reduction="sum")
            found.sums["boxes"] = distance / 4  # the mean over the four edges of a cell
        return found

    def _characters(self, states: Tensor, targets: DenseTargets, found: Losses) -> None:
        logits = self.characters(states[targets.text_cells])  # [R, K * C]
        logits = logits.reshape(len(targets.text_cells) * CHAR_SLOTS, -1)[targets.slots].float()
        found.sums["characters"] = F.cross_entropy(logits, targets.characters, reduction="sum")
        found.values["char_acc"] = _accuracy(logits, targets.characters, BLANK)

    def _objects(self, states: Tensor, targets: DenseTargets, found: Losses) -> None:
        logits = self.objects(states[targets.object_cells]).float()  # [O, N]
        found.sums["objects"] = F.cross_entropy(logits, targets.objects, reduction="sum")
        found.values["object_acc"] = _accuracy(logits, targets.objects, 0)


@torch.no_grad()
def _accuracy(logits: Tensor, classes: Tensor, ignored: int) -> Sum:
    """Correct predictions among targets of all classes but `ignored`."""
    counted = classes != ignored
    return Sum(((logits.argmax(-1) == classes) & counted).sum(), counted.sum())
