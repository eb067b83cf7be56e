# SPDX-License-Identifier: Apache-2.0
"""Temporary heads on visual tokens: what is written in a cell, which object covers it, and where that is.

`DenseHeads` stand on the merger's output, the very vectors that the language model reads, and give the vision tower a
signal at each cell from the first step. `PlaceHead` stands inside the decoder: neither tower nor embedding knows where
in its picture a cell lies, only the decoder can tell, from the rotary distance to the picture's beginning. They are no
part of the model: checkpoints keep them in a file of their own, exports leave them out.

Legend: M visual tokens, T tokens of a pack, D hidden, K character slots, C character classes, O object classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finesight.data.dense import BLANK, CHAR_SLOTS, DenseTargets
from finesight.data.look_targets import LookTargets
from finesight.model.head import OutputHead

_CELLS = 8.0
"""Cells of one unit of `PlaceHead`: a middling picture's side, so that its numbers are of the size of 1."""

_SIDE = 48
"""Rows and columns that `PlaceHead` tells apart by name; what lies beyond is told by its distance alone."""

_SHARPNESS = 30.0
"""Factor of cosines before a softmax: the best of 12,000 tokens is sure of itself at a cosine of about .5."""


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


class PlaceHead(nn.Module):
    """What two states of the decoder know of places.

    Halfway, at a visual token: where it lies in its picture, and the edges of the object over it. Its row and its
    column are asked for as classes besides: from a class, "the row below" is one product away. One layer later, at a
    token of an answer: the edges of the object that it speaks of, which is what digits are made from.

    Args:
        hidden_size: width of a state (D).
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.places = nn.Linear(hidden_size, 2)
        self.cells = nn.Linear(hidden_size, 2 * _SIDE)
        self.edges = nn.Linear(hidden_size, 4)
        self.spoken_norm = nn.RMSNorm(hidden_size, eps=1e-6)
        self.spoken = nn.Linear(hidden_size, 4)

    def forward(self, states: Tensor, targets: DenseTargets) -> dict[str, Tensor]:
        """Losses of all cells, and of the objects' edges where cells are covered.

        Args:
            states: float[M, D], the decoder's states at the visual tokens.
            targets: targets of the same M cells.

        Returns:
            Scalars: `places`, `cells` (losses), `cell_acc` (share of rows and columns that are named right),
            `place_error` and, where there are objects, `edge_error` (mean distances, in cells).
        """
        states = self.norm(states)
        places = self.places(states).float() * _CELLS
        results = {
            "places": _distance_loss(places, targets.places),
            "place_error": (places.detach() - targets.places).abs().mean(),
        }
        results |= self._cell_losses(states, targets.places)
        rows = torch.nonzero(targets.objects > 0).squeeze(1)
        if rows.numel():
            middle, reach = targets.places[rows], targets.boxes[rows]
            wanted = torch.cat([middle - reach[:, :2], middle + reach[:, 2:]], dim=1)
            edges = self.edges(states[rows]).float() * _CELLS
            results["places"] = results["places"] + _distance_loss(edges, wanted)
            results["edge_error"] = (edges.detach() - wanted).abs().mean()
        return results

    def _cell_losses(self, states: Tensor, places: Tensor) -> dict[str, Tensor]:
        scores = self.cells(states).float().unflatten(1, (2, _SIDE))
        index = places.long()  # middles of cells: their whole part counts from 0
        known = index < _SIDE
        if not known.any():
            return {}
        scores, index = scores[known], index[known]
        right = (scores.detach().argmax(1) == index).float().mean()
        return {"cells": F.cross_entropy(scores, index), "cell_acc": right}

    def of_answers(self, states: Tensor, looks: LookTargets) -> dict[str, Tensor]:
        """Loss of the tokens that speak of one object.

        Args:
            states: float[T, D], the decoder's states at all tokens.
            looks: targets of the pack, with the objects' edges.

        Returns:
            Scalars: `spoken` (loss) and `spoken_error` (mean distance, in cells); nothing without such a token.
        """
        index = looks.which.clamp(min=0)[:, :, None].expand(-1, -1, 4)
        wanted = looks.boxes.gather(1, index)  # [S, R, 4]
        is_known = (looks.which >= 0) & ~wanted[:, :, 0].isnan()
        if not is_known.any():
            return {}
        rows = (looks.starts[:, None] + looks.rows)[is_known]
        found = self.spoken(self.spoken_norm(states[rows])).float() * _CELLS
        error = (found.detach() - wanted[is_known]).abs().mean()
        return {"spoken": _distance_loss(found, wanted[is_known]), "spoken_error": error}


class NameHead(nn.Module):
    """The name of the object over each visual token, in the decoder's own words: the scores of its output embedding.

    A question brings a name as embeddings of its tokens. When a cell's state, halfway, points the same way, one product
    of query and key finds it, for every name alike. Nothing but a norm is learned here.

    Args:
        hidden_size: width of a state (D).
        names: token ids of each object class, from class 1 on.
    """

    names: Tensor
    shares: Tensor

    def __init__(self, hidden_size: int, names: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(hidden_size, eps=1e-6)
        longest = max(map(len, names), default=0)
        table = torch.zeros(len(names) + 1, longest, dtype=torch.int64)
        shares = torch.zeros(len(names) + 1, longest)
        for index, ids in enumerate(names, start=1):
            table[index, : len(ids)] = torch.tensor(ids)
            shares[index, : len(ids)] = 1 / len(ids)
        self.register_buffer("names", table, persistent=False)
        self.register_buffer("shares", shares, persistent=False)

    def forward(
        self, states: Tensor, vocabulary: OutputHead, targets: DenseTargets
    ) -> dict[str, Tensor]:
        """Loss of the cells that an object covers.

        Args:
            states: float[M, D], the decoder's states at the visual tokens.
            vocabulary: the output head; it gets no gradient.
            targets: targets of the same M cells.

        Returns:
            Scalars: `names` (cross-entropy; a name of several tokens counts each in part) and `name_acc` (share of
            cells whose best token is one of their name's); nothing where no object covers a cell.
        """
        rows = torch.nonzero(targets.objects > 0).squeeze(1)
        if not rows.numel():
            return {}
        ids, shares = self.names[targets.objects[rows]], self.shares[targets.objects[rows]]
        cosines = vocabulary.cosines(self.norm(states[rows]))
        scores = (_SHARPNESS * cosines).float().log_softmax(1)
        best = scores.detach().argmax(1, keepdim=True)
        right = ((ids == best) & (shares > 0)).any(1).float()
        loss = -(scores.gather(1, ids) * shares).sum(1).mean()
        return {"names": loss, "name_acc": right.mean()}


def _distance_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Smooth absolute distance, in units of `_CELLS`; a few pixels off hardly count."""
    return F.smooth_l1_loss(found / _CELLS, wanted / _CELLS, beta=0.05)
