# SPDX-License-Identifier: Apache-2.0
"""Keys of published processor files, one by one: read, checked, or refused."""

from __future__ import annotations

import json

import pytest

from finesight.config.processor import ProcessorConfig
from finesight.config.sizes import named_config
from finesight.errors import ConfigError
from finesight.processor.from_hf import read_json, read_processor_config, write_processor_config

VISION = named_config("3b").vision
PICTURES = {"min_pixels": 3136, "max_pixels": 1_000_000}
VIDEO = {"size": {"shortest_edge": 50_176, "longest_edge": 500_000}}


def read(folder, pictures=PICTURES, video=None, vision=VISION) -> ProcessorConfig:
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    if video is not None:
        (folder / "video_preprocessor_config.json").write_text(json.dumps(video))
    return read_processor_config(folder, vision)


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("do_resize", True, False),
        ("do_rescale", True, False),
        ("do_normalize", True, False),
        ("do_convert_rgb", True, False),
        ("do_center_crop", False, True),
        ("do_pad", False, True),
        ("cap_pixels_per_frame", True, False),
        ("rescale_factor", 1 / 255, 1 / 256),
        ("resample", 3, 2),
        ("patch_size", 14, 16),
        ("merge_size", 2, 1),
        ("temporal_patch_size", 2, 1),
    ],
)
def test_a_fixed_key_says_what_is_done_or_is_refused(tmp_path, key, right, wrong):
    assert read(tmp_path, PICTURES | {key: right}).max_pixels == 1_000_000
    with pytest.raises(ConfigError, match=key):
        read(tmp_path, PICTURES | {key: wrong})


@pytest.mark.parametrize(
    "size",
    [
        {"shortest_edge": 3136},
        {"longest_edge": 1_000_000},
        {"shortest_edge": 3136, "longest_edge": 1_000_000, "height": 9},
        [3136, 1_000_000],
    ],
)
def test_a_size_of_another_kind_is_refused(tmp_path, size):
    with pytest.raises(ConfigError, match="size = "):
        read(tmp_path, {"size": size})


def test_a_size_may_carry_the_older_names_beside_its_own(tmp_path):
    size = {"shortest_edge": 3136, "longest_edge": 784_000}
    config = read(tmp_path, {"size": size | {"min_pixels": 3136, "max_pixels": 784_000}})
    assert (config.min_pixels, config.max_pixels) == (3136, 784_000)
    with pytest.raises(ConfigError, match="size = "):
        read(tmp_path, {"size": size | {"min_pixels": 1, "max_pixels": 2}})


def test_each_older_name_wins_over_the_size(tmp_path):
    size = {"shortest_edge": 3136, "longest_edge": 784_000}
    lower = read(tmp_path, {"size": size, "min_pixels": 12_544, "max_pixels": None})
    assert (lower.min_pixels, lower.max_pixels) == (12_544, 784_000)
    upper = read(tmp_path, {"size": size, "max_pixels": 500_000})
    assert (upper.min_pixels, upper.max_pixels) == (3136, 500_000)
    swapped = read(tmp_path, {"min_pixels": 12_544, "size": size})
    assert swapped.min_pixels == 12_544


def test_the_video_file_sets_rate_frames_and_budgets(tmp_path):
    keys = {"fps": 4.0, "min_frames": 8, "max_frames": 64, "max_video_tokens": 10_000}
    config = read(tmp_path, video=VIDEO | keys)
    assert (config.fps, config.min_frames, config.max_frames) == (4.0, 8, 64)
    assert (config.video_min_pixels, config.video_max_pixels) == (50_176, 500_000)
    assert config.video_total_pixels == 9_000 * 784
    assert (config.min_pixels, config.max_pixels) == (3136, 1_000_000)


@pytest.mark.parametrize("key", ["image_mean", "image_std"])
def test_video_and_pictures_share_their_normalisation(tmp_path, key):
    values = [0.5, 0.25, 0.125]
    config = read(tmp_path, PICTURES | {key: values}, VIDEO | {key: values})
    assert getattr(config, key) == (0.5, 0.25, 0.125)
    with pytest.raises(ConfigError, match=f"{key} of video is"):
        read(tmp_path, PICTURES | {key: values}, VIDEO | {key: [0.5, 0.5, 0.5]})


@pytest.mark.parametrize("key", ["image_mean", "image_std"])
def test_a_normalisation_that_only_the_video_file_gives(tmp_path, key):
    """Pictures that say nothing contradict nothing."""
    config = read(tmp_path, PICTURES, VIDEO | {key: [0.5, 0.25, 0.125]})
    assert config.video_max_pixels == 500_000


def test_one_file_for_pictures_alone(tmp_path):
    both = {"image_processor": PICTURES, "processor_class": "x"}
    (tmp_path / "processor_config.json").write_text(json.dumps(both))
    config = read_processor_config(tmp_path, VISION)
    assert config.max_pixels == 1_000_000
    assert config.video_max_pixels == ProcessorConfig().video_max_pixels


def test_a_processor_file_without_pictures_gives_way_to_the_older_one(tmp_path):
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "x"}))
    assert read(tmp_path).max_pixels == 1_000_000


def test_a_wrong_value_is_named_with_its_place(tmp_path):
    with pytest.raises(ConfigError, match=r"image_mean\.1 of the processor"):
        read(tmp_path, PICTURES | {"image_mean": [0.5, "x", 0.5]})


def test_a_file_is_read_as_utf_8(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes('{"größe": "é"}'.encode())
    assert read_json(path) == {"größe": "é"}


def test_what_is_written_for_peers():
    config = ProcessorConfig(min_pixels=784, max_pixels=50_176, image_std=(0.1, 0.2, 0.3))
    assert write_processor_config(config, VISION) == {
        "min_pixels": 784,
        "max_pixels": 50_176,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": list(ProcessorConfig().image_mean),
        "image_std": [0.1, 0.2, 0.3],
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }
