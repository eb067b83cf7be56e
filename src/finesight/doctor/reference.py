# SPDX-License-Identifier: Apache-2.0
"""transformers' Qwen2.5-VL, where it is installed: the only place of the package that imports it."""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from finesight.errors import ConfigError


def missing_reference() -> str:
    """Why no comparison is possible here; empty if it is."""
    if find_spec("transformers") is None:
        return "transformers is not installed: pip install transformers"
    return ""


def load_reference(folder: Path, dtype: torch.dtype) -> Any:
    """Load a checkpoint with transformers, on the CPU, ready to answer.

    Raises:
        ConfigError: transformers is missing, or does not take the folder.
    """
    reason = missing_reference()
    if reason:
        raise ConfigError("there is no reference to compare with", hint=reason)
    _declare_torchvision_operators()
    try:
        from transformers import Qwen2_5_VLForConditionalGeneration
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # untyped there
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", local_files_only=True
        )
    except Exception as error:  # whatever transformers says about the folder is the finding
        raise ConfigError(
            f"transformers cannot load {folder}: {type(error).__name__}: {error}",
            hint="transformers 5 with Qwen2_5_VLForConditionalGeneration is needed",
        ) from error
    model.requires_grad_(False)
    return model


@lru_cache(maxsize=1)
def _declare_torchvision_operators() -> torch.library.Library | None:
    """Let torchvision be imported where its compiled part does not load, as with CPU-only torch.

    transformers imports torchvision if it is there, and that import fails on two operators which
    nothing here runs. They are declared only if the compiled part cannot define them. The library
    object must stay alive, so it is kept.
    """
    found = find_spec("torchvision")
    is_known = "torchvision::nms" in torch._C._dispatch_get_all_op_names()
    if found is None or found.origin is None or is_known:
        return None
    try:
        for compiled in Path(found.origin).parent.glob("_C*.so"):
            torch.ops.load_library(str(compiled))
            return None
    except OSError as error:  # built for another torch
        warnings.warn(f"torchvision without its operators: {error}", stacklevel=2)
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
