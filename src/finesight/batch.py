# SPDX-License-Identifier: Apache-2.0
"""What crosses from the processor to the model: one media item, one sample, one pack.

There is no padding and no attention mask. A pack is one row of tokens and one row of patches, with cumulative lengths
that say where samples, frames and windows end. `pack` joins samples by shifting indices; it computes nothing else.

Legend: T tokens of a pack, L tokens of a sample, S samples, N patches, M = N / 4 visual tokens, I grids,
P values of a patch, W windows, G frame pairs. All index tensors live where the batch lives.

Worked example: two samples of 7 and 5 tokens, a picture of 4 visual tokens in the first, in tokens 2..5:
`cu_seqlens_q = [0, 7, 12]`, `visual_index = [2, 3, 4, 5]`, `sample_ids = [0]*7 + [1]*5`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from finesight.conversation import MediaRecord
from finesight.errors import LayoutError

IGNORE_INDEX = -100
"""Label of a token that is not learned (the default `ignore_index` of torch's cross-entropy)."""

MERGE_AREA = 4
"""Patches per visual token: 2 x 2, in every published size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionInput:
    """One picture or video, cut into patches.

    Attributes:
        patches: float32[N, P], in merge order (2 x 2 blocks of patches are neighbours).
        grid_thw: frame pairs, patch rows, patch columns.
        position_hw: int64[N, 2], row and column of each patch, in the order of `patches`.
        window_order: int64[M], the visual token that stands at each place once windows are contiguous.
        window_lengths: int64[W], visual tokens in each window; windows never cross a frame pair.
        position_seconds: seconds from the clip's start at which the position ids place each frame pair;
            empty for a picture.
        record: what happened to the pixels and the clock.
    """

    patches: Tensor
    grid_thw: tuple[int, int, int]
    position_hw: Tensor
    window_order: Tensor
    window_lengths: Tensor
    position_seconds: tuple[float, ...]
    record: MediaRecord

    @property
    def num_visual_tokens(self) -> int:
        """Places this item takes in the token row (M)."""
        t, h, w = self.grid_thw
        return t * h * w // MERGE_AREA

    def check(self) -> None:
        """Raise `LayoutError` where two of the lengths disagree."""
        t, h, w = self.grid_thw
        where = f"{self.record.source}: grid {t} x {h} x {w}"
        _same(self.patches.shape[0], t * h * w, f"{where}, patches")
        _same(self.position_hw.shape[0], t * h * w, f"{where}, patch positions")
        _same(self.window_order.numel(), self.num_visual_tokens, f"{where}, window order")
        _same(
            int(self.window_lengths.sum()),
            self.num_visual_tokens,
            f"{where}, sum of window lengths",
        )
        _permutation(self.window_order, f"{where}, window order")
        if self.position_seconds:
            _same(len(self.position_seconds), t, f"{where}, position seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSample:
    """One conversation, ready to be packed.

    Attributes:
        input_ids: int64[L].
        labels: int64[L], the token itself where it is learned, else -100; not shifted.
        position_ids: int64[3, L], time, row and column.
        rope_delta: add to a token's index to get its position once generation starts.
        visual_index: int64[M], places of the visual tokens of all items, in order.
        vision: one entry per picture or video, in order of appearance.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    rope_delta: int
    visual_index: Tensor
    vision: tuple[VisionInput, ...] = ()

    @property
    def media(self) -> tuple[MediaRecord, ...]:
        """One record per picture or video, in order of appearance."""
        return tuple(item.record for item in self.vision)

    def check(self) -> None:
        """Raise `LayoutError` where two of the lengths disagree."""
        length = self.input_ids.numel()
        _same(self.labels.numel(), length, "labels against input_ids")
        _same(self.position_ids.shape[1], length, "position_ids against input_ids")
        needed = sum(item.num_visual_tokens for item in self.vision)
        if self.visual_index.numel() != needed:
            raise LayoutError(
                f"the text has {self.visual_index.numel()} visual placeholders but its {len(self.vision)} "
                f"pictures and videos give {needed} visual tokens",
                hint="encode text and media together with one Processor; never truncate inside a picture",
            )
        for item in self.vision:
            item.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionLayout:
    """How the patches of a pack are grouped.

    Attributes:
        grid_thw: int64[I, 3].
        position_hw: int64[N, 2], row and column of each patch, in merge order.
        cu_seqlens_frame: int32[G+1], patches before each frame pair: the groups of full-attention layers.
        cu_seqlens_window: int32[W+1], patches before each window: the groups of windowed layers.
        max_seqlen_frame: patches of the largest frame pair.
        max_seqlen_window: patches of the largest window.
        window_index: int64[M], visual token at each place of the window order.
        window_restore: int64[M], inverse of `window_index`.
    """

    grid_thw: Tensor
    position_hw: Tensor
    cu_seqlens_frame: Tensor
    cu_seqlens_window: Tensor
    max_seqlen_frame: int
    max_seqlen_window: int
    window_index: Tensor
    window_restore: Tensor

    def to(self, device: torch.device | str) -> VisionLayout:
        """Copy of the layout with every tensor on `device`."""
        return _map_tensors(self, lambda tensor: tensor.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLayout:
    """How the tokens of a pack are grouped.

    Attributes:
        cu_seqlens_q: int32[S+1], query tokens before each sample.
        cu_seqlens_k: int32[S+1], key tokens before each sample; equal to `cu_seqlens_q` without a cache.
        max_seqlen_q: query tokens of the longest sample.
        max_seqlen_k: key tokens of the longest sample.
        block_table: int32[S, B], cache blocks of each sample, for a paged cache.
        slot_mapping: int64[T], cache slot of each new token, for a paged cache.
    """

    cu_seqlens_q: Tensor
    cu_seqlens_k: Tensor
    max_seqlen_q: int
    max_seqlen_k: int
    block_table: Tensor | None = None
    slot_mapping: Tensor | None = None

    @classmethod
    def from_lengths(cls, lengths: Sequence[int]) -> TextLayout:
        """Layout of samples that stand one after the other, without a cache."""
        cu_seqlens = cumulative(torch.tensor(lengths, dtype=torch.int64))
        longest = max(lengths)
        return cls(
            cu_seqlens_q=cu_seqlens,
            cu_seqlens_k=cu_seqlens,
            max_seqlen_q=longest,
            max_seqlen_k=longest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBatch:
    """Several samples in one row.

    Attributes:
        input_ids: int64[T].
        labels: int64[T], not shifted; -100 is not learned.
        position_ids: int64[3, T].
        text: where samples end.
        sample_ids: int64[T], the sample each token belongs to.
        visual_index: int64[M], places of the visual tokens.
        patches: float32[N, P], or None for text alone.
        vision: how the patches are grouped, or None for text alone.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    text: TextLayout
    sample_ids: Tensor
    visual_index: Tensor
    patches: Tensor | None = None
    vision: VisionLayout | None = None

    def check(self) -> None:
        """Raise `LayoutError` where two of the lengths disagree; synchronises with the device."""
        total = self.input_ids.numel()
        _same(self.labels.numel(), total, "labels against input_ids")
        _same(self.position_ids.shape[1], total, "position_ids against input_ids")
        _same(int(self.text.cu_seqlens_q[-1]), total, "cu_seqlens_q[-1] against input_ids")
        _same(self.sample_ids.numel(), total, "sample_ids against input_ids")
        if self.vision is None or self.patches is None:
            _same(self.visual_index.numel(), 0, "visual placeholders of a pack without patches")
            return
        layout, num_patches = self.vision, self.patches.shape[0]
        _same(int(layout.grid_thw.prod(dim=1).sum()), num_patches, "grids against patches")
        _same(
            self.visual_index.numel(),
            num_patches // MERGE_AREA,
            "visual placeholders against grids",
        )
        _same(layout.position_hw.shape[0], num_patches, "patch positions against patches")
        _same(int(layout.cu_seqlens_frame[-1]), num_patches, "cu_seqlens_frame[-1] against patches")
        _same(
            int(layout.cu_seqlens_window[-1]), num_patches, "cu_seqlens_window[-1] against patches"
        )
        _permutation(layout.window_index, "window index")

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> PackedBatch:
        """Copy of the batch with every tensor on `device`."""
        return _map_tensors(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PackedBatch:
        """Copy of the batch in page-locked memory."""
        return _map_tensors(self, lambda tensor: tensor.pin_memory())


def pack(samples: Sequence[EncodedSample]) -> PackedBatch:
    """Join samples into one row, in order.

    Raises:
        LayoutError: there is no sample.
    """
    if not samples:
        raise LayoutError("cannot pack 0 samples")
    lengths = [sample.input_ids.numel() for sample in samples]
    starts = torch.tensor([0, *lengths[:-1]]).cumsum(0).tolist()
    items = [item for sample in samples for item in sample.vision]
    return PackedBatch(
        input_ids=torch.cat([sample.input_ids for sample in samples]),
        labels=torch.cat([sample.labels for sample in samples]),
        position_ids=torch.cat([sample.position_ids for sample in samples], dim=1),
        text=TextLayout.from_lengths(lengths),
        sample_ids=torch.repeat_interleave(torch.arange(len(samples)), torch.tensor(lengths)),
        visual_index=torch.cat(
            [sample.visual_index + start for sample, start in zip(samples, starts, strict=True)]
        ),
        patches=torch.cat([item.patches for item in items]) if items else None,
        vision=pack_vision(items) if items else None,
    )


def pack_vision(items: Sequence[VisionInput]) -> VisionLayout:
    """Join the layouts of media items, in order; windows and frame pairs stay apart."""
    grids = torch.tensor([item.grid_thw for item in items], dtype=torch.int64)  # [I, 3]
    num_tokens = torch.tensor([item.num_visual_tokens for item in items])
    shifts = (num_tokens.cumsum(0) - num_tokens).tolist()
    window_index = torch.cat(
        [item.window_order + shift for item, shift in zip(items, shifts, strict=True)]
    )
    frame_lengths = torch.repeat_interleave(
        grids[:, 1] * grids[:, 2], grids[:, 0]
    )  # [G], in patches
    window_lengths = (
        torch.cat([item.window_lengths for item in items]) * MERGE_AREA
    )  # [W], in patches
    return VisionLayout(
        grid_thw=grids,
        position_hw=torch.cat([item.position_hw for item in items]),
        cu_seqlens_frame=cumulative(frame_lengths),
        cu_seqlens_window=cumulative(window_lengths),
        max_seqlen_frame=int(frame_lengths.max()),
        max_seqlen_window=int(window_lengths.max()),
        window_index=window_index,
        window_restore=torch.argsort(window_index),
    )


def cumulative(lengths: Tensor) -> Tensor:
    """int32[n+1] sums of the first 0, 1, ..., n lengths."""
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)


RecordT = TypeVar("RecordT", bound="PackedBatch | TextLayout | VisionLayout")


def _map_tensors(record: RecordT, change: Callable[[Tensor], Tensor]) -> RecordT:
    """Copy of a frozen record, and of records inside it, with `change` applied to every tensor."""
    changed: dict[str, Any] = {}
    for entry in fields(record):
        value = getattr(record, entry.name)
        if isinstance(value, Tensor):
            changed[entry.name] = change(value)
        elif isinstance(value, (TextLayout, VisionLayout)):
            changed[entry.name] = _map_tensors(value, change)
    return replace(record, **changed)


def _same(got: int, expected: int, what: str) -> None:
    if got != expected:
        raise LayoutError(f"{what}: {got} instead of {expected}")


def _permutation(index: Tensor, what: str) -> None:
    if not torch.equal(index.sort().values, torch.arange(index.numel(), device=index.device)):
        raise LayoutError(f"{what} is not a permutation of 0..{index.numel() - 1}")
