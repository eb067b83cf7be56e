# SPDX-License-Identifier: Apache-2.0
"""The tensors in the file of an adapter."""

from __future__ import annotations

import warnings
from pathlib import Path

from finesight.model.shards import StoredTensor, read_header, some_of

__all__ = ["WEIGHTS", "stored_tensors"]

WEIGHTS = "adapter_model.safetensors"

_COPY = ".base_layer.weight"


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The tensors of an adapter's file by name; other safetensors beside it are not part of it.

    peft stores the weight of an adapted output head, too, which is the base model's and is left out with a warning.
    """
    found = read_header(folder / WEIGHTS)
    copies = [
        name
        for name in found
        if name.endswith(_COPY) and f"{name.removesuffix(_COPY)}.lora_A.weight" in found
    ]
    if copies:
        warnings.warn(
            f"{folder / WEIGHTS} has a copy of {some_of(copies)}, which is not read: that of the base model is used",
            stacklevel=2,
        )
    return {name: each for name, each in found.items() if name not in copies}
