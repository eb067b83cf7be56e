# SPDX-License-Identifier: Apache-2.0
"""Opens GGUF files and reads their values and tensors; whatever is broken is an error that names the file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, ReaderTensor

from finesight.errors import ConfigError, WeightsError

__all__ = ["INCOMPLETE", "dequantised", "find_value", "open_gguf"]

INCOMPLETE = "the file is incomplete, or of another kind of model: download it again"
"""Hint for a file that lacks something."""

_BROKEN = (OSError, ValueError, IndexError, KeyError, OverflowError, MemoryError, struct.error)


def open_gguf(path: Path) -> GGUFReader:
    """Open a file.

    Raises:
        WeightsError: it cannot be read, or is truncated.
        ConfigError: it is one part of several.
    """
    try:
        reader = GGUFReader(path)
    except _BROKEN as error:
        size = path.stat().st_size if path.exists() else 0
        raise WeightsError(
            f"{path} is not a complete GGUF file: it has {size:,} bytes ({error})",
            hint="download it again",
        ) from error
    if (find_value(reader, path, "split.count") or 0) > 1:
        raise ConfigError(
            f"{path} is one of {find_value(reader, path, 'split.count')} parts of a GGUF file",
            hint="join them with llama.cpp: llama-gguf-split --merge FIRST-PART whole.gguf",
        )
    return reader


def find_value(reader: GGUFReader, path: Path, key: str) -> Any:
    """A value of the metadata; None if there is none.

    Raises:
        WeightsError: it cannot be read.
    """
    field = reader.fields.get(key)
    if field is None:
        return None
    try:
        return field.contents()
    except (ValueError, IndexError) as error:
        raise WeightsError(
            f"the value {key!r} of {path} cannot be read: {error}", hint="download the file again"
        ) from error


def dequantised(tensor: ReaderTensor, path: Path) -> npt.NDArray[np.float32]:
    """The values of a tensor, in the shape of the published checkpoints.

    Raises:
        WeightsError: its quantisation cannot be read, or a value is not finite.
    """
    try:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
    except (RuntimeError, ValueError) as error:  # of its kind for what it does not have
        raise WeightsError(
            f"tensor {tensor.name} in {path} is stored as {tensor.tensor_type.name}, "
            "which the gguf package does not dequantise",
            hint="use a file of another quantisation, such as Q8_0 or F16",
        ) from error
    if not np.isfinite(values).all():
        raise WeightsError(
            f"tensor {tensor.name} in {path} has numbers that are NaN or infinite",
            hint="download the file again",
        )
    shape = tuple(int(side) for side in reversed(tensor.shape))
    return np.array(values, dtype=np.float32).reshape(shape)
