# SPDX-License-Identifier: Apache-2.0
"""The pixel budget of a training, kept beside the weights that it made.

The budget is in the files that every program reads (`preprocessor_config.json` and its relatives). `finesight.json`
says besides that the weights were trained with it, so that another one can be noticed when the model answers: the
range of a published model is meant to be narrowed, that of a fine-tuned one is not.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from finesight import files
from finesight.config.model import ModelConfig
from finesight.processor.from_hf import RECORD, read_processor_config

__all__ = ["copy_budget", "mark_budget"]

_FILES = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")


def copy_budget(source: Path, target: Path) -> None:
    """Copy the files with the pixel budget, as far as a folder has them.

    Raises:
        OSError: a file cannot be written.
    """
    for name in _FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def mark_budget(source: Path, target: Path) -> None:
    """Note in a folder of weights that they were trained with the pixel budget of a model folder.

    Args:
        source: the model folder that the training read.
        target: folder of a model or adapter.

    Raises:
        ConfigError: the model folder is broken.
        OSError: the file cannot be written.
    """
    config = read_processor_config(source, ModelConfig.from_folder(source).vision)
    path = target / RECORD
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    budget = {"min_pixels": config.min_pixels, "max_pixels": config.max_pixels}
    files.write_json(path, {**content, "pixels": budget}, error=None)
