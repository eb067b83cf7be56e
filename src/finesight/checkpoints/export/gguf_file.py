# SPDX-License-Identifier: Apache-2.0
"""Formats of tensors in GGUF files, and writing a file one tensor at a time.

=====  ==============================================================================================
f16    matrices in float16; a weight beyond its range is an error
bf16   matrices in bfloat16: exact for the releases
q8_0   matrices in blocks of 32 columns with codes of 8 bits and a float16 scale
q4_0   the same with 4 bits; the token embedding and the output head have 8
=====  ==============================================================================================

Vectors (norms and biases) and the patch embedding are float32 in every format. A matrix whose rows are no multiple of
32 columns is float16 in q8_0 and q4_0.

Source: the `gguf` package, and the formats that llama.cpp's `ggml` computes with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import gguf
import numpy as np
import numpy.typing as npt
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from torch import Tensor

from finesight.errors import ConfigError, WeightsError

GgufWeights = Literal["f16", "bf16", "q8_0", "q4_0"]

OnTensor: TypeAlias = Callable[[int, int], None]
"""Called with the number of tensors that are written, and of all."""

_KINDS = {
    "f16": GGMLQuantizationType.F16,
    "bf16": GGMLQuantizationType.BF16,
    "q8_0": GGMLQuantizationType.Q8_0,
    "q4_0": GGMLQuantizationType.Q4_0,
}

_FILE_TYPES = {
    "f16": LlamaFileType.MOSTLY_F16,
    "bf16": LlamaFileType.MOSTLY_BF16,
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
    "q4_0": LlamaFileType.MOSTLY_Q4_0,
}

_BLOCK = 32
"""Columns of a quantised block."""

_KEPT_AT_8_BITS = ("token_embd.weight", "output.weight")
"""Matrices of the vocabulary: 4 bits would cost them more accuracy than they save."""

_LARGEST_F16 = 65504.0


def checked_gguf_weights(name: str) -> GgufWeights:
    """The format of this name; raises `ConfigError` if there is none."""
    for known in get_args(GgufWeights):
        if name == known:
            return known  # type: ignore[no-any-return]  # get_args is untyped
    raise ConfigError(
        f"the weights of a GGUF file are {name!r}", hint=f"give {', '.join(get_args(GgufWeights))}"
    )


def kind_of(name: str, shape: Sequence[int], weights: GgufWeights) -> GGMLQuantizationType:
    """The type in which a tensor is stored.

    Args:
        name: in the GGUF file.
        shape: with the columns last.
        weights: format of the file.
    """
    if len(shape) != 2:
        return GGMLQuantizationType.F32
    if weights in ("q8_0", "q4_0"):
        if shape[-1] % _BLOCK:
            return GGMLQuantizationType.F16
        if name in _KEPT_AT_8_BITS:
            return GGMLQuantizationType.Q8_0
    return _KINDS[weights]


def encoded(name: str, values: Tensor, kind: GGMLQuantizationType) -> npt.NDArray[np.generic]:
    """The bytes of a tensor.

    Args:
        name: for messages.
        values: any float dtype.
        kind: the type to store.

    Returns:
        float32, float16, or uint8 with the bytes of a row in the last dimension.

    Raises:
        WeightsError: a value is beyond the range of float16.
    """
    wide = values.detach().float()
    if kind == GGMLQuantizationType.F32:
        return wide.contiguous().numpy()
    peak = float(wide.abs().max())
    if kind != GGMLQuantizationType.BF16 and peak > _LARGEST_F16:
        raise WeightsError(
            f"tensor {name} has a value of {peak:g}, the largest of float16 is {_LARGEST_F16:g}",
            hint="export with --weights bf16",
        )
    if kind == GGMLQuantizationType.F16:
        return wide.to(torch.float16).contiguous().numpy()
    found: npt.NDArray[np.generic] = gguf.quantize(wide.contiguous().numpy(), kind)
    return found


def write_file(
    writer: GGUFWriter,
    path: Path,
    tensors: Mapping[str, Tensor],
    weights: GgufWeights,
    on_tensor: OnTensor,
) -> None:
    """Write a GGUF file whose metadata a writer has; one tensor at a time is in memory.

    Args:
        writer: with all metadata but the file type.
        path: the file.
        tensors: by their names in the file.
        weights: format of the matrices.
        on_tensor: progress.

    Raises:
        WeightsError: a value is beyond the range of float16.
        OSError: the file cannot be written.
    """
    writer.add_file_type(_FILE_TYPES[weights])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    kinds = {name: kind_of(name, value.shape, weights) for name, value in tensors.items()}
    for name, value in tensors.items():
        shape, nbytes = tuple(value.shape), _num_bytes(value.shape, kinds[name])
        writer.add_tensor_info(name, shape, np.dtype(np.float32), nbytes, kinds[name])
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for done, (name, value) in enumerate(tensors.items()):
            on_tensor(done, len(tensors))
            writer.write_tensor_data(encoded(name, value, kinds[name]))
        on_tensor(len(tensors), len(tensors))
    finally:
        writer.close()


def _num_bytes(shape: Sequence[int], kind: GGMLQuantizationType) -> int:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return int(np.prod(shape)) // block * size
