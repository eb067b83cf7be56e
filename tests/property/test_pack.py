# SPDX-License-Identifier: Apache-2.0
"""Packing joins and loses nothing: every sample can be cut out of the pack again."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finesight.attention_plan import cumulative
from finesight.batch import (
    IGNORE_INDEX,
    EncodedSample,
    VisionInput,
    pack,
    pack_vision,
)
from finesight.config.sizes import named_config
from finesight.conversation import MediaRecord
from finesight.errors import LayoutError
from finesight.geometry import Resize, Size
from finesight.processor.windows import patch_positions, window_order

VISION = named_config("tiny").vision
GRIDS = st.tuples(
    st.integers(1, 3),
    st.integers(1, 9).map(lambda n: 2 * n),
    st.integers(1, 9).map(lambda n: 2 * n),
)


def item(grid):
    order, lengths = window_order(grid, VISION)
    num_patches = grid[0] * grid[1] * grid[2]
    size = Size(grid[2] * 14, grid[1] * 14)
    return VisionInput(
        patches=torch.arange(num_patches, dtype=torch.float32)[:, None].expand(-1, 3),
        grid_thw=grid,
        position_hw=patch_positions(grid),
        window_order=order,
        window_lengths=lengths,
        position_seconds=tuple(float(pair) for pair in range(grid[0])) if grid[0] > 1 else (),
        record=MediaRecord(
            kind="image",
            source="drawn",
            resize=Resize(original=size, resized=size),
            visual_tokens=num_patches // 4,
        ),
    )


@st.composite
def encoded_samples(draw):
    items = [item(grid) for grid in draw(st.lists(GRIDS, max_size=3))]
    text = draw(st.integers(1, 12))
    visual = sum(entry.num_visual_tokens for entry in items)
    length = text + visual
    ids = torch.tensor(draw(st.lists(st.integers(0, 99), min_size=length, max_size=length)))
    return EncodedSample(
        input_ids=ids,
        labels=torch.where(ids % 3 == 0, ids, IGNORE_INDEX),
        position_ids=torch.arange(length).expand(3, -1).contiguous(),
        rope_delta=0,
        visual_index=torch.arange(visual) + draw(st.integers(0, text)),
        vision=tuple(items),
    )


@given(st.lists(encoded_samples(), min_size=1, max_size=4))
def test_every_sample_can_be_cut_out_of_the_pack(samples):
    for sample in samples:
        sample.check()
    batch = pack(samples)
    batch.check()
    borders = batch.attention.cu_seqlens_q.tolist()
    assert len(borders) == len(samples) + 1
    for number, sample in enumerate(samples):
        rows = slice(borders[number], borders[number + 1])
        assert torch.equal(batch.input_ids[rows], sample.input_ids)
        assert torch.equal(batch.labels[rows], sample.labels)
        assert torch.equal(batch.position_ids[:, rows], sample.position_ids)
        assert set(batch.sample_ids[rows].tolist()) == {number}
        inside = (batch.visual_index >= rows.start) & (batch.visual_index < rows.stop)
        assert torch.equal(batch.visual_index[inside] - rows.start, sample.visual_index)
    assert batch.attention.max_seqlen_q == max(sample.input_ids.numel() for sample in samples)


@given(st.lists(GRIDS, min_size=1, max_size=4))
def test_windows_and_frames_of_a_pack_cover_each_patch_once(grids):
    vision = pack_vision([item(grid) for grid in grids])
    num_patches = sum(t * h * w for t, h, w in grids)
    frames, windows = vision.frame.cu_seqlens_q, vision.window.cu_seqlens_q
    assert frames.tolist()[-1] == num_patches
    assert windows.tolist()[-1] == num_patches
    assert frames.numel() == 1 + sum(t for t, _, _ in grids)
    assert int(windows.diff().min()) > 0  # no empty window
    assert int(windows.diff().max()) == vision.window.max_seqlen_q <= 64
    order = vision.window_index
    assert torch.equal(order[vision.window_restore], torch.arange(num_patches // 4))
    # A window never leaves its frame pair: borders of frames are borders of windows.
    assert set(frames.tolist()) <= set(windows.tolist())


@given(st.lists(st.integers(0, 50), max_size=20))
def test_cumulative_lengths_begin_at_zero_and_end_at_the_sum(lengths):
    sums = cumulative(lengths)
    assert sums.dtype == torch.int32
    assert sums[0] == 0
    assert sums[-1] == sum(lengths)


def test_nothing_cannot_be_packed():
    with pytest.raises(LayoutError, match="0 samples"):
        pack([])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "labels against input_ids"),
        ({"position_ids": torch.zeros(3, 4, dtype=torch.int64)}, "position_ids against"),
        ({"visual_index": torch.zeros(2, dtype=torch.int64)}, "2 visual placeholders"),
    ],
)
def test_a_sample_whose_lengths_disagree_is_refused(change, said):
    fields = {
        "input_ids": torch.zeros(5, dtype=torch.int64),
        "labels": torch.zeros(5, dtype=torch.int64),
        "position_ids": torch.zeros(3, 5, dtype=torch.int64),
        "visual_index": torch.zeros(1, dtype=torch.int64),
    }
    sample = EncodedSample(**{**fields, **change}, rope_delta=0, vision=(item((1, 2, 2)),))
    with pytest.raises(LayoutError, match=said):
        sample.check()


def test_a_window_order_that_names_a_token_twice_is_refused():
    from dataclasses import replace

    entry = item((1, 4, 4))
    with pytest.raises(LayoutError, match="not a permutation"):
        replace(entry, window_order=torch.zeros(4, dtype=torch.int64)).check()
