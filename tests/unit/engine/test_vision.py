# SPDX-License-Identifier: Apache-2.0
"""A video is read and encoded chunk by chunk: the same visual tokens, digest and answer as at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from finesight.api import load
from finesight.batch import StreamedPatches, pack_vision
from finesight.conversation import Conversation, Message, Sampling, TextPart, VideoPart
from finesight.engine import vision
from finesight.engine.request import Request
from finesight.engine.vision import visual_tokens
from finesight.errors import MediaError
from finesight.processor import prepare


@pytest.fixture(scope="module")
def model(tiny_model_folder):
    return load(tiny_model_folder, device="cpu", dtype="float32")


@pytest.fixture
def small_chunks(monkeypatch):
    """Every video is streamed, and encoded one frame pair at a time."""
    monkeypatch.setattr(prepare, "STREAMED_ABOVE_PATCHES", 0)
    monkeypatch.setattr(vision, "MAX_PATCHES", 1)


def asking(source, **options):
    part = VideoPart(source=source, **options)
    return Conversation((Message("user", (part, TextPart("What moves?"))),))


def counted(item):
    """The item with a stream that notes how often and how far it is read."""
    reads = []

    def read():
        reads.append(0)
        for rows in item.patches.read():
            reads[-1] += len(rows)
            yield rows

    return replace(item, patches=replace(item.patches, read=read)), reads


@pytest.mark.parametrize("max_patches", [1, 96, 100, 200, 10**6])
@torch.inference_mode()
def test_visual_tokens_are_those_of_the_whole_video(model, video_file, monkeypatch, max_patches):
    monkeypatch.setattr(prepare, "STREAMED_ABOVE_PATCHES", 0)
    monkeypatch.setattr(vision, "MAX_PATCHES", max_patches)
    part = VideoPart(source=video_file, nframes=14)
    whole = model.processor.prepare(part)
    streamed = model.processor.prepare(part, streams=True)
    assert isinstance(streamed.patches, StreamedPatches)
    expected = model.network.encode_vision(pack_vision([whole]))
    for item in (whole, streamed):
        # Sums over fewer rows may be rounded differently.
        torch.testing.assert_close(visual_tokens(model.network, item), expected, atol=1e-5, rtol=0)


def test_chunks_are_items_of_their_own(model, video_file):
    item = model.processor.prepare(VideoPart(source=video_file, nframes=14))
    _, h, w = item.grid_thw
    chunks = [*item.chunks(3 * h * w)]
    for chunk in chunks:
        chunk.check()
    assert [chunk.grid_thw for chunk in chunks] == [(3, h, w), (3, h, w), (1, h, w)]
    seconds = [second for chunk in chunks for second in chunk.position_seconds]
    assert tuple(seconds) == item.position_seconds
    assert torch.equal(torch.cat([chunk.patches for chunk in chunks]), item.patches)


def test_a_streamed_video_has_the_patches_and_digest_of_the_whole(model, video_file, small_chunks):
    part = VideoPart(source=video_file, nframes=10)
    whole = model.processor.prepare(part)
    streamed = model.processor.prepare(part, streams=True)
    streamed.check()
    assert streamed.patches.shape == tuple(whole.patches.shape)
    assert torch.equal(streamed.whole_patches(), whole.patches)
    assert streamed.digest == whole.digest


def test_the_digest_comes_with_the_chunks(model, video_file, small_chunks):
    part = VideoPart(source=video_file, nframes=10)
    item, reads = counted(model.processor.prepare(part, streams=True))
    with torch.inference_mode():
        visual_tokens(model.network, item)
    assert reads == [item.patches.shape[0]]
    assert item.digest == model.processor.prepare(part).digest
    assert len(reads) == 1


def test_frames_are_decoded_as_the_tower_takes_them(model, video_file, small_chunks):
    part = VideoPart(source=video_file, nframes=10)
    item, reads = counted(model.processor.prepare(part, streams=True))
    per_pair = item.grid_thw[1] * item.grid_thw[2]
    for number, _ in enumerate(item.chunks(1), 1):
        assert reads[0] <= (number + 1) * per_pair  # one pair ahead, to know that a chunk is full


def test_short_videos_and_other_callers_get_their_patches_at_once(model, video_file):
    part = VideoPart(source=video_file, nframes=4)
    assert isinstance(model.processor.prepare(part, streams=True).patches, torch.Tensor)
    assert isinstance(model.processor.prepare(part).patches, torch.Tensor)


def test_answers_are_those_of_the_whole_video(model, video_file, monkeypatch):
    sampling = Sampling(max_new_tokens=12)
    conversation = asking(video_file, nframes=14)
    (expected,) = model.engine.respond([conversation], sampling)
    monkeypatch.setattr(prepare, "STREAMED_ABOVE_PATCHES", 0)
    monkeypatch.setattr(vision, "MAX_PATCHES", 1)
    fresh = load_again(model)
    (found,) = fresh.engine.respond([conversation], sampling)
    assert found == expected


def load_again(model):
    """The same network with a new engine."""
    from finesight.api.model import Model

    return Model("again", lambda: model.network, model.processor, model.generation)


def test_a_broken_frame_is_found_when_the_request_is_encoded(
    model, tmp_path, picture, small_chunks
):
    frames = []
    for index in range(6):
        picture.save(tmp_path / f"{index}.png")
        frames.append(tmp_path / f"{index}.png")
    whole = frames[4].read_bytes()
    frames[4].write_bytes(whole[: len(whole) // 2])
    request = Request(conversation=asking(tuple(frames), sample_fps=2.0))
    with pytest.raises(MediaError, match="frame 4 of 6"):
        request.encode(model.processor)


def test_a_list_of_frames_is_streamed_too(model, picture, small_chunks):
    frames = tuple(picture.rotate(10 * turn) for turn in range(6))
    assert all(isinstance(frame, Image.Image) for frame in frames)
    part = VideoPart(source=frames, sample_fps=2.0)
    streamed = model.processor.prepare(part, streams=True)
    assert isinstance(streamed.patches, StreamedPatches)
    assert streamed.digest == model.processor.prepare(part).digest
