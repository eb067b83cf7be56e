# SPDX-License-Identifier: Apache-2.0
"""One forward pass that gives every loss of a pre-training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from finesight.data.loader import TrainBatch
from finesight.errors import DataError
from finesight.model.language import TextLayer
from finesight.model.vl import VisionLanguageModel
from finesight.train.dense import DenseHeads, NameHead, PlaceHead
from finesight.train.looks import look_loss
from finesight.train.loss import answer_weights, target_rows
from finesight.train.recipe import LossSection

LOSSES = {
    "tokens": "tokens",
    "characters": "characters",
    "objects": "objects",
    "boxes": "boxes",
    "places": "places",
    "cells": "places",
    "spoken": "places",
    "names": "names",
    "asked": "looks",
    "seen": "looks",
    "written": "looks",
    "read": "looks",
}
"""Results of a forward pass that are minimised, and which weight of the recipe each has; the others are for the log."""


@dataclass(frozen=True, slots=True)
class _Call:
    """What went into a module and came out."""

    inputs: tuple[Any, ...]
    output: Tensor


class Learner(nn.Module):
    """The model with its temporary heads.

    Args:
        model: the network.
        heads: heads on the visual tokens that the decoder reads.
        place_head: head on the visual tokens halfway through the decoder.
        name_head: another one there.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        heads: DenseHeads,
        place_head: PlaceHead,
        name_head: NameHead,
    ) -> None:
        super().__init__()
        self.model = model
        self.heads = heads
        self.place_head = place_head
        self.name_head = name_head

    def forward(self, train_batch: TrainBatch, weights: LossSection) -> dict[str, Tensor]:
        """Losses and shares of right guesses by name.

        Args:
            train_batch: one pack, on the device of the model.
            weights: weight of each loss; a part whose losses all weigh 0 is not computed.
        """
        batch = train_batch.batch
        results: dict[str, Tensor] = {}
        visual = None
        if batch.vision is not None:
            visual = self.model.encode_vision(batch.vision)
            if weights.characters or weights.objects or weights.boxes:
                results |= self.heads(visual, train_batch.dense)
            if not weights.reaches_vision:
                visual = visual.detach()
        if weights.tokens:
            results |= self._decoder_losses(train_batch, visual, weights)
        return results

    def _decoder_losses(
        self, train_batch: TrainBatch, visual: Tensor | None, weights: LossSection
    ) -> dict[str, Tensor]:
        batch = train_batch.batch
        results: dict[str, Tensor] = {}
        # Answers are put together from what the first half of the decoder knows of each cell.
        layers = self.model.model.layers
        half = len(layers) // 2
        first, second = cast(TextLayer, layers[half - 1]), cast(TextLayer, layers[half])
        with _calls_of(first, second, first.self_attn, second.self_attn) as calls:
            hidden = self.model(batch, vision_embeds=visual)
        if weights.names and visual is not None:
            states = calls[first].output[batch.visual_index]
            results |= self.name_head(states, self.model.lm_head, train_batch.dense)
        if weights.places and visual is not None:
            states = calls[first].output[batch.visual_index]
            results |= self.place_head(states, train_batch.dense)
            if train_batch.looks.seen:
                results |= self.place_head.of_answers(calls[second].output, train_batch.looks.seen)
        if weights.looks:
            for name, layer, head in (
                ("asked", first, 0),
                ("seen", second, 0),
                ("written", first, -1),
                ("read", second, -1),
            ):
                looks = getattr(train_batch.looks, name)
                if looks:
                    states, rotary = calls[layer.self_attn].inputs[:2]
                    loss, share = look_loss(layer.self_attn, states, rotary, looks, head)
                    results |= {name: loss, f"{name}_share": share}
        rows, targets = target_rows(batch)
        loss_sum, _, is_right = self.model.lm_head.loss(
            hidden[rows],
            targets,
            answer_weights(rows, weights.balance) if weights.balance else None,
        )
        results["tokens"] = loss_sum / len(rows)
        results["token_acc"] = is_right.float().mean()
        return results


@contextmanager
def _calls_of(*modules: nn.Module) -> Iterator[dict[nn.Module, _Call]]:
    """Keeps the newest call of each module while the block runs.

    What it keeps holds only where gradients are recorded: without, later layers write over the states of earlier ones.
    """
    calls: dict[nn.Module, _Call] = {}

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        calls[module] = _Call(inputs, output)

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def weighted(results: dict[str, Tensor], weights: LossSection) -> Tensor:
    """The sum that is minimised; parts without targets in the pack add nothing.

    Raises:
        DataError: no part has a target.
    """
    parts = [
        getattr(weights, weight) * results[name]
        for name, weight in LOSSES.items()
        if name in results
    ]
    if not parts:
        raise DataError(
            "a pack has no target for any loss of the recipe",
            hint="records without a picture teach the decoder alone: give loss.tokens a weight, or leave them out",
        )
    return torch.stack(parts).sum()


def moved(train_batch: TrainBatch, device: torch.device) -> TrainBatch:
    """The pack with its targets on `device`."""
    if device.type == "cpu":
        return train_batch
    dense: Any = replace(
        train_batch.dense,
        characters=train_batch.dense.characters.to(device),
        objects=train_batch.dense.objects.to(device),
        boxes=train_batch.dense.boxes.to(device),
        places=train_batch.dense.places.to(device),
    )
    looks = train_batch.looks.to(device)
    return replace(train_batch, batch=train_batch.batch.to(device), dense=dense, looks=looks)
