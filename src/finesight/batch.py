# SPDX-License-Identifier: Apache-2.0
"""Inputs of the model: one media item, one sample, one pack of samples.

There is no padding and no attention mask. A pack is one row of tokens and one row of patches; an `AttentionPlan` has
the limits of samples, frame pairs and windows. `pack` joins samples by shifting indices and makes the plans.

Legend: T tokens of a pack, L tokens of a sample, S samples, N patches, M = N / 4 visual tokens, I grids,
P values of a patch, W windows. All tensors of a batch live on one device.

Worked example: two samples of 7 and 5 tokens, a picture of 4 visual tokens in the first, in tokens 2..5:
`attention.cu_seqlens_q = [0, 7, 12]`, `visual_index = [2, 3, 4, 5]`, `sample_ids = [0]*7 + [1]*5`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from finesight.attention_plan import AttentionPlan, map_tensors
from finesight.conversation import MediaRecord
from finesight.errors import LayoutError

IGNORE_INDEX = -100
"""Label of a token that is not a target (the default `ignore_index` of torch's cross-entropy)."""

MERGE_AREA = 4
"""Patches per visual token: 2 x 2, in every published size."""

_HASHED_PATCHES = 4096
"""Patches that are hashed at once."""


@dataclass(frozen=True, slots=True)
class StreamedPatches:
    """Patches of a video that are decoded each time they are read, so that they need not be in memory together.

    Attributes:
        shape: N and P.
        read: returns float32[n, P] tensors of whole frame pairs, in order, with N rows together.
        dtype: of the tensors.
    """

    shape: tuple[int, int]
    read: Callable[[], Iterator[Tensor]]
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True, kw_only=True)
class VisionInput:
    """One picture or video, cut into patches.

    Attributes:
        patches: float32[N, P], in merge order (2 x 2 blocks of patches are neighbours); of a long video they may be
            streamed.
        grid_thw: frame pairs, patch rows, patch columns.
        position_hw: int64[N, 2], row and column of each patch, in the order of `patches`.
        window_order: int64[M], the visual token at each place of the order in which windows are contiguous.
        window_lengths: int64[W], visual tokens in each window; windows never cross a frame pair.
        position_seconds: seconds from the clip's start at which the position ids place each frame pair;
            empty for a picture.
        record: resize and clock of the item.
        shares_pairs: whether caches keep its frame pairs one by one, because other videos have the same ones (live
            video); its patches are a tensor.
    """

    patches: Tensor | StreamedPatches
    grid_thw: tuple[int, int, int]
    position_hw: Tensor
    window_order: Tensor
    window_lengths: Tensor
    position_seconds: tuple[float, ...]
    record: MediaRecord
    shares_pairs: bool = False

    @property
    def num_visual_tokens(self) -> int:
        """Number of visual tokens of this item (M)."""
        t, h, w = self.grid_thw
        return t * h * w // MERGE_AREA

    @cached_property
    def digest(self) -> str:
        """Hash of the model input of this item: equal for equal pixels, grid and clock.

        Computed on first use: hashing the patches takes over 3 % of the time of preparing them.
        """
        content = self._hash()
        for rows in self._rows(_HASHED_PATCHES):
            content.update(_bytes(rows))
        return content.hexdigest()

    @cached_property
    def pair_digests(self) -> tuple[str, ...]:
        """Hash of each frame pair: equal for equal pixels and grid, at whatever time."""
        pairs = (replace(pair, position_seconds=()) for pair in self.chunks(1))
        return tuple(pair.digest for pair in pairs)

    def whole_patches(self) -> Tensor:
        """float32[N, P]; those of a streamed video are read."""
        if isinstance(self.patches, Tensor):
            return self.patches
        return torch.cat([*self.patches.read()])

    def chunks(self, max_patches: int) -> Iterator[VisionInput]:
        """Items of consecutive frame pairs, which the vision tower does not mix.

        A streamed video is read once, one chunk at a time, and its digest is computed on the way.

        Args:
            max_patches: largest number of patches of a chunk, at least one frame pair.
        """
        per_pair = self.grid_thw[1] * self.grid_thw[2]
        content = self._hash()
        is_hashed = isinstance(self.patches, Tensor) or "digest" in self.__dict__
        first = 0
        for rows in self._rows(max(max_patches // per_pair, 1) * per_pair):
            if not is_hashed:
                content.update(_bytes(rows))
            last = first + rows.shape[0] // per_pair
            yield self._pairs(first, last, rows)
            first = last
        if not is_hashed:
            self.__dict__["digest"] = content.hexdigest()  # where `cached_property` keeps it

    def _hash(self) -> hashlib.blake2b:
        """A hash of everything but the patches."""
        content = hashlib.blake2b(digest_size=16)
        content.update(repr((self.patches.dtype, self.grid_thw, self.position_seconds)).encode())
        return content

    def _rows(self, most: int) -> Iterator[Tensor]:
        """Patches in order, at most that many at once unless a single tensor of a stream has more."""
        if isinstance(self.patches, Tensor):
            yield from self.patches.split(most)
            return
        held: list[Tensor] = []
        for rows in self.patches.read():
            if held and sum(map(len, held)) + len(rows) > most:
                joined = torch.cat(held)
                held.clear()
                yield joined
            held.append(rows)
        yield torch.cat(held)

    def _pairs(self, first: int, last: int, patches: Tensor) -> VisionInput:
        """The frame pairs from `first` up to `last` as an item."""
        t, h, w = self.grid_thw
        per_pair, windows = h * w, self.window_lengths.numel() // t
        start, end = first * per_pair // MERGE_AREA, last * per_pair // MERGE_AREA
        return replace(
            self,
            patches=patches,
            grid_thw=(last - first, h, w),
            position_hw=self.position_hw[first * per_pair : last * per_pair],
            window_order=self.window_order[start:end] - start,
            window_lengths=self.window_lengths[first * windows : last * windows],
            position_seconds=self.position_seconds[first:last],
        )

    def check(self) -> None:
        """Raise `LayoutError` if lengths are inconsistent."""
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
        labels: int64[L], the token itself if it is a target, else -100; not shifted.
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
        """Raise `LayoutError` if lengths are inconsistent."""
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
class VisionBatch:
    """The pictures and videos of a pack.

    Attributes:
        patches: float32[N, P], in merge order.
        grid_thw: int64[I, 3].
        position_hw: int64[N, 2], row and column of each patch, in merge order.
        window_index: int64[M], the visual token at each place of the window order, in which all blocks compute.
        window_restore: int64[M], inverse of `window_index`.
        window: attention inside windows, rows in window order.
        frame: attention inside frame pairs, rows in window order too: windows never leave their frame pair.
    """

    patches: Tensor
    grid_thw: Tensor
    position_hw: Tensor
    window_index: Tensor
    window_restore: Tensor
    window: AttentionPlan
    frame: AttentionPlan

    def check(self) -> None:
        """Raise `LayoutError` if lengths are inconsistent; synchronises with the device."""
        num_patches = self.patches.shape[0]
        _same(int(self.grid_thw.prod(dim=1).sum()), num_patches, "grids against patches")
        _same(self.position_hw.shape[0], num_patches, "patch positions against patches")
        _same(int(self.frame.cu_seqlens_q[-1]), num_patches, "frame pairs against patches")
        _same(int(self.window.cu_seqlens_q[-1]), num_patches, "windows against patches")
        _same(self.window_index.numel(), num_patches // MERGE_AREA, "window index against patches")
        _permutation(self.window_index, "window index")

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> VisionBatch:
        """Copy of the batch with every tensor on `device`."""
        return map_tensors(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBatch:
    """Several samples in one row.

    Attributes:
        input_ids: int64[T].
        labels: int64[T], not shifted; -100 is no target.
        position_ids: int64[3, T].
        attention: which tokens attend to which.
        sample_ids: int64[T], the sample each token belongs to.
        visual_index: int64[M], places of the visual tokens.
        vision: the pictures and videos, or None for text alone.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    attention: AttentionPlan
    sample_ids: Tensor
    visual_index: Tensor
    vision: VisionBatch | None = None

    @classmethod
    def from_tokens(
        cls,
        input_ids: Tensor,
        position_ids: Tensor,
        attention: AttentionPlan,
        visual_index: Tensor | None = None,
    ) -> PackedBatch:
        """Tokens of one inference step, without labels; visual tokens, if any, are encoded before.

        Args:
            input_ids: int64[T].
            position_ids: int64[3, T].
            attention: plan of the sequences of the tokens, which are one after the other.
            visual_index: int64[M], places of visual tokens among them.
        """
        device = input_ids.device
        return cls(
            input_ids=input_ids,
            labels=torch.full_like(input_ids, IGNORE_INDEX),
            position_ids=position_ids,
            attention=attention,
            sample_ids=_sample_ids(attention.query_lengths).to(device),
            visual_index=input_ids[:0] if visual_index is None else visual_index,
        )

    def check(self) -> None:
        """Raise `LayoutError` if lengths are inconsistent; synchronises with the device."""
        total = self.input_ids.numel()
        _same(self.labels.numel(), total, "labels against input_ids")
        _same(self.position_ids.shape[1], total, "position_ids against input_ids")
        _same(self.attention.num_rows, total, "rows of the attention plan against input_ids")
        _same(self.sample_ids.numel(), total, "sample_ids against input_ids")
        if self.vision is None:
            _same(self.visual_index.numel(), 0, "visual placeholders of a pack without patches")
            return
        self.vision.check()
        num_visual = self.vision.window_index.numel()
        _same(self.visual_index.numel(), num_visual, "visual placeholders against grids")

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> PackedBatch:
        """Copy of the batch with every tensor on `device`."""
        return map_tensors(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PackedBatch:
        """Copy of the batch in page-locked memory."""
        return map_tensors(self, lambda tensor: tensor.pin_memory())


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
        attention=AttentionPlan.from_lengths(lengths, causal=True),
        sample_ids=_sample_ids(lengths),
        visual_index=torch.cat(
            [sample.visual_index + start for sample, start in zip(samples, starts, strict=True)]
        ),
        vision=pack_vision(items) if items else None,
    )


def pack_vision(items: Sequence[VisionInput]) -> VisionBatch:
    """Join media items, in order; windows and frame pairs stay apart."""
    window_lengths = torch.cat([item.window_lengths for item in items]) * MERGE_AREA  # [W], patches
    frame_lengths = [h * w for t, h, w in (item.grid_thw for item in items) for _ in range(t)]
    starts = [0]
    for item in items:
        starts.append(starts[-1] + item.num_visual_tokens)
    window_index = torch.cat(
        [item.window_order + start for item, start in zip(items, starts[:-1], strict=True)]
    )
    return VisionBatch(
        patches=torch.cat([item.whole_patches() for item in items]),
        grid_thw=torch.tensor([item.grid_thw for item in items]),
        position_hw=torch.cat([item.position_hw for item in items]),
        window_index=window_index,
        window_restore=torch.argsort(window_index),
        window=AttentionPlan.from_lengths(window_lengths.tolist(), causal=False),
        frame=AttentionPlan.from_lengths(frame_lengths, causal=False),
    )


def _bytes(rows: Tensor) -> memoryview:
    return rows.contiguous().view(torch.uint8).numpy().data


def _sample_ids(lengths: Sequence[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def _same(got: int, expected: int, what: str) -> None:
    if got != expected:
        raise LayoutError(f"{what}: {got} instead of {expected}")


def _permutation(index: Tensor, what: str) -> None:
    if not torch.equal(index.sort().values, torch.arange(index.numel(), device=index.device)):
        raise LayoutError(f"{what} is not a permutation of 0..{index.numel() - 1}")
