# SPDX-License-Identifier: Apache-2.0
"""Reads `ProcessorConfig` from the files of a checkpoint folder, and writes it.

Three layouts are in circulation: `preprocessor_config.json` with `min_pixels` and `max_pixels`; the
same with `size: {shortest_edge, longest_edge}`, or `size: {min_pixels, max_pixels}` as transformers
4.45 to 4.48 saved it, and perhaps a `video_preprocessor_config.json`; and
one `processor_config.json` that contains both. All are read. Without values for video, the
budgets of qwen-vl-utils apply.

Every key is either read, checked against the fixed behaviour of this processor, or on the list of keys that
do not affect pixels. Any other key is an error, because an ignored option could change the model's input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from finesight.config.model import VisionConfig
from finesight.config.processor import ProcessorConfig
from finesight.errors import ConfigError

_HARMLESS = frozenset(
    {
        "auto_map",
        "crop_size",
        "data_format",
        "default_to_square",
        "device",
        "disable_grouping",
        "do_sample_frames",
        "feature_extractor_type",
        "image_processor_type",
        "input_data_format",
        "pad_size",
        "processor_class",
        "return_metadata",
        "return_tensors",
        "video_metadata",
        "video_processor_type",
    }
)
"""Keys about tensor formats, or about size steps whose own switch is checked."""

_VALUE_KEYS = ("image_mean", "image_std", "min_frames", "max_frames", "min_pixels", "max_pixels")

_PIXEL_KEYS = ("min_pixels", "max_pixels")

_EDGES = {"shortest_edge": "min_pixels", "longest_edge": "max_pixels"}
"""Names inside `size`; all are areas in pixels."""

RECORD = "finesight.json"
"""File beside weights that a training of this program made; see `finesight.checkpoints.pixels`."""

_Section = tuple[Path, Mapping[str, Any]]


def read_processor_config(folder: str | Path, vision: VisionConfig) -> ProcessorConfig:
    """Read the pixel budgets and the normalisation of a checkpoint folder.

    Args:
        folder: the checkpoint folder.
        vision: patch and merge sizes the files must agree with.

    Raises:
        ConfigError: no file exists, it is broken, or a key requests another processing.
    """
    images, videos = _sections(Path(folder))
    values = {
        key: value
        for key, value in _read_section(images, vision).items()
        if key in ("image_mean", "image_std", "min_pixels", "max_pixels")
    }
    if videos is not None:
        values |= _video_values(videos, values, vision)
    try:
        return ProcessorConfig(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = f"{where} of the processor" if where else "the processor's values"
        files = " and ".join(dict.fromkeys(str(path) for path, _ in filter(None, (images, videos))))
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{files}: {said}: {reason}") from error


def read_trained_pixels(folder: Path) -> tuple[int, int] | None:
    """Least and largest area of the pictures that weights were trained with; None if their folder does not say.

    Raises:
        ConfigError: the file is broken.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    budget = read_json(path).get("pixels")
    if budget is None:
        return None
    try:
        return int(budget["min_pixels"]), int(budget["max_pixels"])
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{path}: pixels = {budget!r} has no min_pixels and max_pixels",
            hint="copy the file again, or delete it",
        ) from error


def write_processor_config(config: ProcessorConfig, vision: VisionConfig) -> dict[str, Any]:
    """The content of a `preprocessor_config.json` in the layout that other programs read.

    It has no keys for the video budgets, which other programs take from qwen-vl-utils.
    """
    return {
        "min_pixels": config.min_pixels,
        "max_pixels": config.max_pixels,
        "patch_size": vision.patch_size,
        "temporal_patch_size": vision.temporal_patch_size,
        "merge_size": vision.spatial_merge_size,
        "image_mean": list(config.image_mean),
        "image_std": list(config.image_std),
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }


def _sections(folder: Path) -> tuple[_Section, _Section | None]:
    """The dictionaries for pictures and for video, each with its file."""
    both = folder / "processor_config.json"
    if both.is_file():
        content = read_json(both)
        if isinstance(content.get("image_processor"), Mapping):
            video = content.get("video_processor")
            return (both, content["image_processor"]), ((both, video) if video else None)
    picture = folder / "preprocessor_config.json"
    if not picture.is_file():
        raise ConfigError(
            f"{folder} has no preprocessor_config.json",
            hint="it holds the pixel budget the checkpoint was trained with; copy it from there",
        )
    video = folder / "video_preprocessor_config.json"
    found = (video, read_json(video)) if video.is_file() else None
    return (picture, read_json(picture)), found


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object; raises `ConfigError` with the file name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} contains a {type(content).__name__}, expected an object")
    return content


def _read_section(section: _Section, vision: VisionConfig) -> dict[str, Any]:
    """The values of one section; all other keys are checked."""
    path, keys = section
    expected = _expected(vision)
    values: dict[str, Any] = {}
    for key, value in keys.items():
        if value is None or key in _HARMLESS:
            continue
        if key == "size":
            values |= _pixels_of_size(value, path)
        elif key in _VALUE_KEYS or key in ("fps", "max_video_tokens"):
            values[key] = tuple(value) if isinstance(value, list) else value
        elif key not in expected:
            raise ConfigError(
                f"{path}: unknown key {key} = {value!r}",
                hint="it may change what the model sees; remove it if it does not",
            )
        elif not expected[key](value):
            raise ConfigError(
                f"{path}: {key} = {value!r} is not how this processor works",
                hint="only the published Qwen2.5-VL processing is implemented",
            )
    # The older names take precedence: `size` is then only the class default.
    return values | {key: keys[key] for key in _PIXEL_KEYS if keys.get(key) is not None}


def _pixels_of_size(size: Any, path: Path) -> dict[str, Any]:
    """The pixel budget inside `size`, under any of its names; two names of one value must agree."""
    given = dict(size) if isinstance(size, Mapping) else {}
    pairs = [(_EDGES.get(key, key), value) for key, value in given.items() if value is not None]
    values = dict(pairs)
    agree = all(values[name] == value for name, value in pairs)
    if set(values) != set(_PIXEL_KEYS) or not agree:
        raise ConfigError(
            f"{path}: size = {size!r}",
            hint="expected shortest_edge and longest_edge, or min_pixels and max_pixels: areas in pixels",
        )
    return values


def _expected(vision: VisionConfig) -> dict[str, Callable[[Any], bool]]:
    """The required value of each fixed key."""

    def equals(wanted: Any) -> Callable[[Any], bool]:
        return lambda value: bool(value == wanted)

    return {
        "do_resize": equals(True),
        "do_rescale": equals(True),
        "do_normalize": equals(True),
        "do_convert_rgb": equals(True),
        "do_center_crop": equals(False),
        "do_pad": equals(False),
        "cap_pixels_per_frame": equals(True),
        "rescale_factor": lambda value: abs(value * 255 - 1) < 1e-6,
        "resample": equals(3),  # bicubic
        "patch_size": equals(vision.patch_size),
        "merge_size": equals(vision.spatial_merge_size),
        "temporal_patch_size": equals(vision.temporal_patch_size),
    }


def _video_values(
    section: _Section, pictures: Mapping[str, Any], vision: VisionConfig
) -> dict[str, Any]:
    """The values of a video section, under our names."""
    path, _ = section
    found = _read_section(section, vision)
    for key in ("image_mean", "image_std"):
        if key in found and found[key] != pictures.get(key, found[key]):
            raise ConfigError(
                f"{path}: {key} of video is {found[key]}, of pictures {pictures[key]}",
                hint="both kinds of media go through one vision tower and share it",
            )
    names = {"min_pixels": "video_min_pixels", "max_pixels": "video_max_pixels"}
    kept = ("min_pixels", "max_pixels", "min_frames", "max_frames", "fps")
    values = {names.get(key, key): found[key] for key in kept if key in found}
    if "max_video_tokens" in found:
        values["video_total_pixels"] = int(
            found["max_video_tokens"] * vision.resize_factor**2 * 0.9
        )
    return values
