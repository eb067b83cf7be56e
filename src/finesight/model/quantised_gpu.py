# SPDX-License-Identifier: Apache-2.0
"""Quantised weights of the language model on CUDA, by torchao.

The token embedding, the norms, the output head and the vision tower stay in bfloat16.

| format | what torchao does in a step |
|---|---|
| int8 | weights in 8 bits, one scale per row; converted to bfloat16 before the product, so it saves memory, not time |
| int4 | weights in 4 bits, a scale per 128 inputs; read as they are by a kernel for few rows |
| fp8 | weights and rows in float8, one scale per row; multiplied so by compute capability 8.9 or newer |
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, get_args

import torch
from torch import nn

from finesight.errors import ConfigError
from finesight.model.packed import Weights, packed_as
from finesight.model.vl import VisionLanguageModel

GpuWeights = Weights | Literal["fp8"]

GPU_WEIGHTS: tuple[str, ...] = (*get_args(Weights), "fp8")

_TORCHAO = "0.18"
"""The version whose names are used here."""

_FP8_CAPABILITY = (8, 9)

_MULTIPLES = {"int8": 1, "int4": 128, "fp8": 16}
"""Inputs of a layer must be a multiple of this."""


def check_gpu_weights(weights: GpuWeights, device: torch.device) -> None:
    """Check before loading that a format can be used on a CUDA device.

    Raises:
        ConfigError: torchao is not installed or too old, or the device cannot compute in the format.
    """
    if weights == "bf16":
        return
    if weights == "fp8":
        capability = torch.cuda.get_device_capability(device)
        if capability < _FP8_CAPABILITY:
            raise ConfigError(
                f"weights fp8 need compute capability {_dotted(_FP8_CAPABILITY)}, device {device} has "
                f"{_dotted(capability)}",
                hint="use int4, or int8",
            )
    _config(weights)


def quantise_on_gpu(model: VisionLanguageModel, weights: GpuWeights) -> None:
    """Round the linear layers of the language model, in place.

    Args:
        model: on CUDA, in bfloat16, without adapters.
        weights: the format; "bf16" changes nothing.

    Raises:
        ConfigError: as `check_gpu_weights`; the weights are not bfloat16, or a layer has the wrong size.
    """
    if weights == "bf16":
        return
    if model.dtype != torch.bfloat16:
        raise ConfigError(
            f"weights {weights} are made from bfloat16, the model has {model.dtype}",
            hint="leave dtype out, or give bfloat16",
        )
    config, multiple = _config(weights), _MULTIPLES[weights]
    for name, one in model.model.named_modules():
        if isinstance(one, nn.Linear) and one.in_features % multiple:
            raise ConfigError(
                f"model.{name} has {one.in_features} inputs; weights {weights} need a multiple of {multiple}",
                hint="use int8" if weights != "int8" else "",
            )
    from torchao.quantization import quantize_

    quantize_(model.model, config, filter_fn=lambda module, _: isinstance(module, nn.Linear))
    model.model.quantised_as = weights


def weights_format(model: VisionLanguageModel) -> str | None:
    """Format of the language model's packed or quantised weights; None if they are plain."""
    return packed_as(model) or model.model.quantised_as


def packable(weights: GpuWeights) -> Weights:
    """The format, if weights can be packed in it for a CPU.

    Raises:
        ConfigError: it is fp8.
    """
    if weights == "fp8":
        raise ConfigError(
            "weights fp8 run on CUDA only: CPUs have no products in float8, so they would save no time",
            hint="use int8 or int4 on a CPU",
        )
    return weights


def _config(weights: GpuWeights) -> Any:
    """The description of a format as torchao takes it."""
    try:
        installed = version("torchao")
        from torchao import quantization
    except (PackageNotFoundError, ImportError) as error:
        raise ConfigError(
            f"weights {weights} on CUDA need the package torchao, version {_TORCHAO} or newer: {error}",
            hint='pip install "finesight[gpu]"',
        ) from error
    try:
        if weights == "int8":
            return quantization.Int8WeightOnlyConfig(set_inductor_config=False)
        if weights == "int4":
            return quantization.Int4WeightOnlyConfig(
                group_size=_MULTIPLES["int4"],
                int4_packing_format="tile_packed_to_4d",
                set_inductor_config=False,
            )
        return quantization.Float8DynamicActivationFloat8WeightConfig(
            granularity=quantization.PerRow(), set_inductor_config=False
        )
    except (AttributeError, TypeError) as error:
        raise ConfigError(
            f"weights {weights} on CUDA need torchao {_TORCHAO} or newer, installed is {installed}: {error}",
            hint='pip install -U "finesight[gpu]"',
        ) from error


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))
