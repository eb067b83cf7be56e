# SPDX-License-Identifier: Apache-2.0
"""Load the network and the processor of a checkpoint folder, as a user wants them: dtype, device, packed weights."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch

from finesight.checkpoints.packed import (
    is_packed_folder,
    load_packed,
    open_packed,
    read_receipt,
)
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.media.fetch import FetchPolicy
from finesight.model.packed import VisionWeights, Weights
from finesight.model.quantised_gpu import (
    GPU_WEIGHTS,
    GpuWeights,
    check_gpu_weights,
    packable,
    quantise_on_gpu,
)
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model
from finesight.processor.processor import Processor

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
    weights: GpuWeights | None,
    attention: str,
    *,
    vision_weights: VisionWeights | None = None,
) -> VisionLanguageModel:
    """Load the weights of a checkpoint folder, packed on request or as the folder has them.

    Args:
        folder: the checkpoint.
        device: torch's name of it.
        dtype: of the weights; None takes the checkpoint's.
        weights: format of packed weights, or on CUDA of quantised ones; None changes nothing.
        attention: back end of the attention.
        vision_weights: "int8" rounds those of the vision tower, and a warning states what that changes.

    Raises:
        WeightsError: a file of the weights is missing or wrong.
        ConfigError: the device cannot compute with such weights, dtype or attention, or an option has no effect.
    """
    if vision_weights is not None and device != "cpu":
        raise ConfigError(
            f"vision_weights {vision_weights} compute on the CPU, the device is {device!r}",
            hint='give device="cpu", or leave vision_weights out',
        )
    network = _load(folder, device, dtype, weights, attention)
    if vision_weights is not None:
        from finesight.api.rounding import round_tower

        round_tower(network, vision_weights)
    return network


def _load(
    folder: Path,
    device: str,
    dtype: torch.dtype | None,
    weights: GpuWeights | None,
    attention: str,
) -> VisionLanguageModel:
    kind = device.split(":")[0]
    _check_device(kind, dtype, attention)
    if kind == "cuda" and weights is not None and not is_packed_folder(folder):
        return _load_quantised(folder, torch.device(device), dtype, weights, attention)
    packed = packed_format(folder, device, dtype, weights)
    if packed is None:
        return load_model(folder, device=device, dtype=dtype, attention=attention)
    if is_packed_folder(folder):
        return open_packed(folder, packed, attention=attention)
    return load_packed(folder, packed, dtype=dtype, attention=attention)


def packed_format(
    folder: Path, device: str, dtype: torch.dtype | None, weights: GpuWeights | None
) -> Weights | None:
    """The format of the packed weights with which a folder is loaded; None if they are plain.

    Arguments and errors are those of `load_network`.
    """
    is_packed = is_packed_folder(folder)
    if weights is None and not is_packed:
        return None
    if device != "cpu":
        raise ConfigError(
            f"packed weights compute on the CPU, the device is {device!r}",
            hint='give device="cpu"' + ("" if is_packed else ", or leave weights out"),
        )
    packed = None if weights is None else packable(weights)
    if not is_packed:
        return packed
    if dtype is not None:
        raise ConfigError(
            f"dtype {dtype} has no effect on the packed weights in {folder}", hint="leave dtype out"
        )
    return read_receipt(folder, packed).weights


def _check_device(kind: str, dtype: torch.dtype | None, attention: str) -> None:
    """Refuse what a kind of device lacks, before the weights are read."""
    if attention == "varlen" and kind != "cuda":
        raise ConfigError(
            f"attention back end 'varlen' is a kernel of CUDA, the device is {kind!r}",
            hint='use attention="sdpa"',
        )
    if dtype == torch.float64 and kind == "mps":
        raise ConfigError("dtype float64 does not exist on device 'mps'", hint="use float32")


def _load_quantised(
    folder: Path,
    device: torch.device,
    dtype: torch.dtype | None,
    weights: GpuWeights,
    attention: str,
) -> VisionLanguageModel:
    check_gpu_weights(weights, device)
    model = load_model(folder, device=device, dtype=dtype or torch.bfloat16, attention=attention)
    quantise_on_gpu(model, weights)
    return model


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


def checked_weights(name: str | None) -> GpuWeights | None:
    """The format of packed or quantised weights with this name.

    Raises:
        ConfigError: there is none.
    """
    if name is None:
        return None
    if name == "fp8":
        return "fp8"
    for known in get_args(Weights):
        if name == known:
            return known  # type: ignore[no-any-return]  # get_args is untyped
    raise ConfigError(f"weights is {shown(name)}", hint=f"it is one of {', '.join(GPU_WEIGHTS)}")


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


def load_processor(folder: Path, fetch_policy: FetchPolicy | None = None) -> Processor:
    """Read the small files of a checkpoint folder.

    Raises:
        ConfigError: one of them is missing or wrong; names the folder.
    """
    try:
        return Processor.from_folder(folder, fetch_policy=fetch_policy)
    except ConfigError as error:
        if str(folder) in error.message:
            raise
        raise ConfigError(f"{folder}: {error.message}", hint=error.hint) from error
