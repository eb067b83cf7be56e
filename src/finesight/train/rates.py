# SPDX-License-Identifier: Apache-2.0
"""Speed of a run for the log: tokens per second, use of the device, fill of the packs, waiting for data.

Model FLOPs are those of the matrix products of the forward pass, times the passes that training needs: three where
weights are trained (forward, gradient of the input, gradient of the weights), two where gradients only pass through,
one where none do. Recomputed activations do not count, nor does a decoder that no objective runs. MFU relates them to
a large matrix product on the same device in the same dtype, measured at the start: it is the speed that the device
reaches, not one of a data sheet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from finesight.data.loader import TrainBatch
from finesight.model.flops import prefill_flops, vision_flops
from finesight.model.vl import VisionLanguageModel

_WIDTH = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the measured product."""

_TRIES = 5


class Rates:
    """Counts the packs of a run and the time between them.

    Args:
        model: the trained network.
        pack_tokens: tokens of a full pack.
        dtype: of the products.
        num_packs: packs that all ranks compute at the same time, about as large as those of this rank.
        num_ranks: number of ranks.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        *,
        pack_tokens: int,
        dtype: torch.dtype,
        num_packs: int = 1,
        num_ranks: int = 1,
    ) -> None:
        self._num_packs = num_packs
        self._packs_per_rank = num_packs / num_ranks
        self._config = model.config
        self._pack_tokens = pack_tokens
        device = next(model.parameters()).device
        self._peak = peak_flops(device, dtype)
        self._vision_passes = 3 if _is_trained(model.visual) else 1
        decoder = _is_trained(model.model)
        own = any(
            value.requires_grad
            for name, value in model.model.named_parameters()
            if "lora_" not in name
        )
        self._text_passes = 3 if own else 2 if decoder or self._vision_passes == 3 else 1
        model.model.register_forward_pre_hook(self._note_decoder)
        self._reset()

    def _reset(self) -> None:
        self._began = time.monotonic()
        self._waited = 0.0
        self._tokens = self._visual = self._packs = 0
        self._text_flops = self._vision_flops = 0.0
        self._decoder_ran = False

    def _note_decoder(self, *_: object) -> None:
        self._decoder_ran = True

    def watch(self, groups: Iterator[list[TrainBatch]]) -> Iterator[list[TrainBatch]]:
        """The groups of packs, counted, with the time that each is waited for."""
        while True:
            before = time.monotonic()
            group = next(groups, None)
            self._waited += time.monotonic() - before
            if group is None:
                return
            self._count(group)
            yield group

    def _count(self, group: Sequence[TrainBatch]) -> None:
        for pack in group:
            batch = pack.batch
            self._packs += 1
            self._tokens += batch.input_ids.numel()
            self._visual += batch.visual_index.numel()
            lengths = batch.attention.query_lengths
            learned = pack.next_tokens if pack.answers is None else pack.answers
            self._text_flops += self._text_passes * prefill_flops(
                self._config.text,
                lengths,
                logit_rows=len(learned.rows),
                repeated_rows=sum(lengths) - batch.attention.num_rows,
            )
            if batch.vision is not None:
                grids = [(t, h, w) for t, h, w in batch.vision.grid_thw.tolist()]
                self._vision_flops += self._vision_passes * vision_flops(self._config.vision, grids)

    def read(self) -> dict[str, float]:
        """Values since the last call.

        `tokens_per_second` and `visual_tokens_per_second`; `mfu`, share of the measured peak; `fill`, share of the
        tokens of full packs; `data_wait`, share of the time in which the training waited for data.
        """
        seconds = max(time.monotonic() - self._began, 1e-9)
        flops = self._vision_flops + self._decoder_ran * self._text_flops
        values = {
            "tokens_per_second": round(self._num_packs * self._tokens / seconds, 1),
            "visual_tokens_per_second": round(self._num_packs * self._visual / seconds, 1),
            "mfu": round(self._packs_per_rank * flops / seconds / self._peak, 4),
            "fill": round(self._tokens / max(self._packs * self._pack_tokens, 1), 4),
            "data_wait": round(self._waited / seconds, 4),
        }
        self._reset()
        return values


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product, the best of several."""
    width = _WIDTH.get(device.type, 4096)
    own = torch.Generator(device).manual_seed(0)  # a resumed run keeps the state of the others
    left, right = (
        torch.randn(width, width, device=device, dtype=dtype, generator=own) for _ in range(2)
    )
    seconds = float("inf")
    for _ in range(_TRIES):
        began = time.perf_counter()
        (left @ right)[0, 0].item()  # waits for the device
        seconds = min(seconds, time.perf_counter() - began)
    return 2 * width**3 / seconds


def _is_trained(module: nn.Module) -> bool:
    return any(value.requires_grad for value in module.parameters())
