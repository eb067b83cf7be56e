# SPDX-License-Identifier: Apache-2.0
"""Load transformers' Qwen2.5-VL if it is installed; no other module of the package imports it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from finesight.config.model import ModelConfig
from finesight.config.quantisation import Quantisation
from finesight.doctor.torchvision_operators import declare_operators
from finesight.errors import ConfigError


def missing_reference(quantisation: Quantisation | None = None) -> str:
    """Why no comparison is possible; empty if it is possible.

    Args:
        quantisation: of the stored weights.
    """
    if find_spec("transformers") is None:
        return "transformers is not installed: pip install transformers"
    if quantisation is not None and find_spec("gptqmodel") is None:
        return (
            f"transformers loads {quantisation.method.upper()} weights only with gptqmodel, which is not installed; "
            "check the model that was quantised instead"
        )
    return ""


def load_reference(folder: Path, dtype: torch.dtype) -> Any:
    """Load a checkpoint with transformers on the CPU, in evaluation mode.

    Raises:
        ConfigError: transformers is missing or cannot load the folder.
    """
    reason = missing_reference()
    if reason:
        raise ConfigError("there is no reference to compare with", hint=reason)
    if ModelConfig.from_folder(folder).text.raster_positions:
        raise ConfigError(
            f"transformers cannot load {folder}: its model has raster positions",
            hint="only models with the positions of Qwen2.5-VL can be compared",
        )
    torchvision = find_spec("torchvision")
    if torchvision is not None and torchvision.origin is not None:
        declare_operators(Path(torchvision.origin).parent)
    try:
        from transformers import Qwen2_5_VLForConditionalGeneration
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # untyped there
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", local_files_only=True
        )
    except Exception as error:  # any error of transformers is part of the result
        raise ConfigError(
            f"transformers cannot load {folder}: {type(error).__name__}: {error}",
            hint="transformers 5 with Qwen2_5_VLForConditionalGeneration is needed",
        ) from error
    model.requires_grad_(False)
    return model
