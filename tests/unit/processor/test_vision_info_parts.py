# SPDX-License-Identifier: Apache-2.0
"""The helper for programs written for qwen-vl-utils: which parts it finds, and on which grid they come back."""

from __future__ import annotations

import pytest
from PIL import Image

from finesight.errors import ConfigError
from finesight.processor.vision_info import (
    extract_vision_info,
    fetch_image,
    fetch_video,
    process_vision_info,
)


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("wide") / "wide.png"
    Image.new("RGB", (450, 90), "red").save(path)
    return str(path)


def said(*parts):
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize("key", ["image", "image_url"])
def test_a_picture_is_found_under_either_key(wide, key):
    images, videos = process_vision_info(
        said({"type": key, key: wide}, {"type": "text", "text": "?"})
    )
    assert [image.size for image in images] == [(448, 84)]
    assert videos is None


def test_another_patch_size_is_another_grid(wide):
    part = {"type": "image", "image": wide}
    assert fetch_image(part).size == (448, 84)
    assert fetch_image(part, 16).size == (448, 96)
    images, _ = process_vision_info(said(part), image_patch_size=16)
    assert images[0].size == (448, 96)


def test_several_conversations_and_plain_texts(wide):
    part = {"type": "image", "image": wide}
    several = [said(part), [{"role": "user", "content": "text alone"}, *said(part, part)]]
    assert extract_vision_info(several) == [part] * 3
    assert process_vision_info([{"role": "user", "content": "text alone"}]) == (None, None)


def test_what_comes_back_unasked(wide, video_file):
    conversation = said({"type": "video", "video": str(video_file), "fps": 2})
    result = process_vision_info(conversation)
    assert len(result) == 2
    assert result[0] is None
    (video,) = result[1]
    assert video.shape[:2] == (4, 3)
    _, _, keywords = process_vision_info(conversation, return_video_kwargs=True)
    assert keywords == {"do_sample_frames": False, "fps": [2.0]}
    _, ((_, metadata),), bare = process_vision_info(conversation, True, True)
    assert metadata["frames_indices"]
    assert bare == {"do_sample_frames": False}


def test_frames_of_a_list_keep_their_own_budget():
    """They are fitted twice, first as pictures on a grid twice as wide, then as a video."""
    frames = [Image.new("RGB", (560, 560)) for _ in range(2)]
    budget = {"min_pixels": 56 * 56, "max_pixels": 112 * 112}
    video = fetch_video({"type": "video", "video": frames, **budget})
    assert tuple(video.shape) == (2, 3, 112, 112)
    small = [Image.new("RGB", (56, 56)) for _ in range(2)]
    grown = fetch_video({"type": "video", "video": small, "min_pixels": 448 * 448})
    assert tuple(grown.shape) == (2, 3, 448, 448)


@pytest.mark.parametrize(("fetch", "kind"), [(fetch_image, "video"), (fetch_video, "image")])
def test_a_part_of_the_other_kind_is_refused(fetch, kind, wide):
    with pytest.raises(ConfigError, match="is no"):
        fetch({"type": kind, kind: wide})
