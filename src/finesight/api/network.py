# SPDX-License-Identifier: Apache-2.0
"""Load a network with the dtype, the device and the formats of packed weights that a user named."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch

from finesight.checkpoints.packed import is_packed_folder, load_packed, open_packed
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.model.packed import VisionWeights, Weights
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def load_network(
    folder: Path,
    device: str,
    dtype: torch.dtype | None,
    weights: Weights | None,
    attention: str,
    *,
    vision_weights: VisionWeights | None = None,
) -> VisionLanguageModel:
    """Load the weights of a checkpoint folder, packed on request or as the folder has them.

    Args:
        folder: the checkpoint.
        device: torch's name of it.
        dtype: of the weights; None takes the checkpoint's.
        weights: format of packed weights; None packs nothing.
        attention: back end of the attention.
        vision_weights: "int8" rounds those of the vision tower, and a warning states what that changes.

    Raises:
        WeightsError: a file of the weights is missing or wrong.
        ConfigError: packed weights on another device than the CPU, or an option without effect on them.
    """
    if vision_weights is not None and device != "cpu":
        raise ConfigError(
            f"vision_weights {vision_weights} compute on the CPU, the device is {device!r}",
            hint='give device="cpu", or leave vision_weights out',
        )
    network = _load_language(folder, device, dtype, weights, attention)
    if vision_weights is not None:
        from finesight.api.rounding import round_tower

        round_tower(network, vision_weights)
    return network


def _load_language(
    folder: Path, device: str, dtype: torch.dtype | None, weights: Weights | None, attention: str
) -> VisionLanguageModel:
    is_packed = is_packed_folder(folder)
    if weights is None and not is_packed:
        return load_model(folder, device=device, dtype=dtype, attention=attention)
    if device != "cpu":
        raise ConfigError(
            f"packed weights compute on the CPU, the device is {device!r}",
            hint='give device="cpu"' + ("" if is_packed else ", or leave weights out"),
        )
    if not is_packed and weights is not None:
        return load_packed(folder, weights, dtype=dtype, attention=attention)
    if dtype is not None:
        raise ConfigError(
            f"dtype {dtype} has no effect on the packed weights in {folder}", hint="leave dtype out"
        )
    return open_packed(folder, weights, attention=attention)


def checked_dtype(name: str | torch.dtype | None) -> torch.dtype | None:
    """The dtype of weights with this name.

    Raises:
        ConfigError: weights cannot have that dtype.
    """
    if name is None or isinstance(name, torch.dtype):
        return name
    if not isinstance(name, str) or name not in DTYPES:
        raise ConfigError(f"dtype is {shown(name)}", hint=f"it is one of {', '.join(DTYPES)}")
    return DTYPES[name]


def checked_weights(name: str | None) -> Weights | None:
    """The format of packed weights with this name.

    Raises:
        ConfigError: there is none.
    """
    for known in get_args(Weights):
        if name == known:
            return known  # type: ignore[no-any-return]  # get_args is untyped
    if name is None:
        return None
    raise ConfigError(
        f"weights is {shown(name)}", hint=f"it is one of {', '.join(get_args(Weights))}"
    )


def checked_vision_weights(name: str | None) -> VisionWeights | None:
    """The format of the vision tower's weights with this name.

    Raises:
        ConfigError: there is none.
    """
    if name is None:
        return None
    if name == "int8":
        return "int8"
    raise ConfigError(
        f"vision_weights is {shown(name)}",
        hint='it is "int8", or left out for the dtype of the checkpoint',
    )
