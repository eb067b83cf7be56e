# SPDX-License-Identifier: Apache-2.0
"""The three layouts of processor files, and options that would change the picture."""

from __future__ import annotations

import json

import pytest

from finesight.config.processor import ProcessorConfig
from finesight.config.sizes import named_config
from finesight.errors import ConfigError
from finesight.processor.from_hf import read_processor_config, write_processor_config

VISION = named_config("3b").vision
OLD = {
    "min_pixels": 3136,
    "max_pixels": 1_000_000,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}
NEW = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "Qwen2VLImageProcessor",
    "image_std": [0.25, 0.25, 0.25],
    "merge_size": 2,
    "patch_size": 14,
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"longest_edge": 1_000_000, "shortest_edge": 3136},
    "temporal_patch_size": 2,
}
VIDEO = NEW | {
    "size": {"longest_edge": 500_000, "shortest_edge": 50_176},
    "do_sample_frames": False,
    "min_frames": 6,
    "max_frames": 100,
    "max_video_tokens": 64_000,
    "return_metadata": False,
    "video_processor_type": "Qwen2VLVideoProcessor",
}


def write(folder, name, content):
    (folder / name).write_text(json.dumps(content))


SIZE = {"min_pixels": 3136, "max_pixels": 1_000_000}
"""What transformers 4.45 to 4.48 wrote under `size`, beside the same two keys."""

EDGES = {"shortest_edge": 3136, "longest_edge": 1_000_000}


@pytest.mark.parametrize(
    "content",
    [
        *(OLD, NEW, NEW | SIZE, OLD | {"size": SIZE}, NEW | {"size": SIZE}),
        *(NEW | {"size": SIZE | EDGES}, NEW | {"size": EDGES | dict.fromkeys(SIZE)}),
    ],
)
def test_picture_budget(tmp_path, content):
    write(tmp_path, "preprocessor_config.json", content)
    config = read_processor_config(tmp_path, VISION)
    assert (config.min_pixels, config.max_pixels) == (3136, 1_000_000)
    assert config.image_mean == (0.5, 0.5, 0.5)
    assert config.image_std == (0.25, 0.25, 0.25)
    assert config.video_max_pixels == ProcessorConfig().video_max_pixels


@pytest.mark.parametrize("in_one_file", [False, True])
@pytest.mark.parametrize("size", [VIDEO["size"], {"max_pixels": 500_000, "min_pixels": 50_176}])
def test_video_budget(tmp_path, in_one_file, size):
    video = VIDEO | {"size": size}
    if in_one_file:
        both = {"image_processor": NEW, "video_processor": video, "processor_class": "x"}
        write(tmp_path, "processor_config.json", both)
    else:
        write(tmp_path, "preprocessor_config.json", NEW)
        write(tmp_path, "video_preprocessor_config.json", video)
    config = read_processor_config(tmp_path, VISION)
    assert (config.min_pixels, config.max_pixels) == (3136, 1_000_000)
    assert (config.video_min_pixels, config.video_max_pixels) == (50_176, 500_000)
    assert (config.min_frames, config.max_frames) == (6, 100)
    assert config.video_total_pixels == int(64_000 * 784 * 0.9)


def test_older_names_win(tmp_path):
    """Files written by some versions carry both; the size is then a class default."""
    size = {"longest_edge": 1_003_520, "shortest_edge": 3136}
    write(tmp_path, "preprocessor_config.json", OLD | {"size": size})
    assert read_processor_config(tmp_path, VISION).max_pixels == 1_000_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("do_resize", False),
        ("do_normalize", False),
        ("do_center_crop", True),
        ("rescale_factor", 1.0),
        ("resample", 2),
        ("patch_size", 16),
        ("merge_size", 4),
        ("temporal_patch_size", 1),
        ("cap_pixels_per_frame", False),
        ("size", {"height": 224, "width": 224}),
        ("size", 224),
        ("size", {"min_pixels": 3136}),
        ("size", {"shortest_edge": 3136, "longest_edge": 9999, "max_pixels": 8888}),
        ("size", {"shortest_edge": 3136, "longest_edge": 9999, "width": 28}),
        ("sharpen", True),
    ],
)
def test_options_that_change_pixels_are_refused(tmp_path, key, value):
    write(tmp_path, "preprocessor_config.json", OLD | {key: value})
    with pytest.raises(ConfigError, match=rf"preprocessor_config\.json: .*{key}"):
        read_processor_config(tmp_path, VISION)


@pytest.mark.parametrize(
    ("key", "value"), [("crop_size", {"height": 9}), ("do_pad", None), ("do_center_crop", False)]
)
def test_options_that_change_nothing_are_taken(tmp_path, key, value):
    write(tmp_path, "preprocessor_config.json", OLD | {key: value})
    assert read_processor_config(tmp_path, VISION).max_pixels == 1_000_000


def test_values_of_a_wrong_type_are_named(tmp_path):
    write(tmp_path, "preprocessor_config.json", OLD | {"max_pixels": "large"})
    with pytest.raises(ConfigError, match="max_pixels of the processor"):
        read_processor_config(tmp_path, VISION)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("preprocessor_config.json", {"min_pixels": 10**9}, "min_pixels 1000000000 exceeds max_"),
        ("preprocessor_config.json", {"max_pixels": 0}, "max_pixels of the processor"),
        (
            "preprocessor_config.json",
            {"image_std": [0.2, 0, 0.2]},
            r"image_std \(0.2, 0.0, 0.2\) must be above 0",
        ),
        ("video_preprocessor_config.json", {"min_frames": 101}, "min_frames 101 exceeds max_frame"),
        (
            "video_preprocessor_config.json",
            {"size": {"min_pixels": 999, "max_pixels": 998}},
            "video_min_pixels 999 exceeds video_max_pixels 998",
        ),
    ],
)
def test_values_that_contradict_each_other_name_the_file(tmp_path, name, values, said):
    write(tmp_path, "preprocessor_config.json", OLD)
    write(tmp_path, name, (OLD if name == "preprocessor_config.json" else VIDEO) | values)
    with pytest.raises(ConfigError, match=said) as error:
        read_processor_config(tmp_path, VISION)
    assert str(tmp_path / name) in error.value.message


def test_video_with_another_normalisation_is_refused(tmp_path):
    write(tmp_path, "preprocessor_config.json", NEW)
    write(tmp_path, "video_preprocessor_config.json", VIDEO | {"image_mean": [0, 0, 0]})
    with pytest.raises(ConfigError, match="image_mean of video"):
        read_processor_config(tmp_path, VISION)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_broken_file_is_named(tmp_path, content):
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json"):
        read_processor_config(tmp_path, VISION)


def test_written_file_is_read_back(tmp_path):
    config = ProcessorConfig(min_pixels=784, max_pixels=50_176, image_mean=(0.1, 0.2, 0.3))
    write(tmp_path, "preprocessor_config.json", write_processor_config(config, VISION))
    assert read_processor_config(tmp_path, VISION) == config
