# SPDX-License-Identifier: Apache-2.0
"""The compiled library, and the C structures of its functions.

The structures mirror `csrc/formats.hpp` and `csrc/decoder.hpp`. Pointers are addresses of tensors: the caller keeps the
tensors alive, contiguous and on the CPU.
"""

from __future__ import annotations

import ctypes
import warnings
from ctypes import POINTER, Structure, c_float, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from finesight.errors import EngineError
from finesight.kernels.build import library_file
from finesight.kernels.formats import FORMATS, format_of

MAX_ROWS = 64
"""Rows of one decoding step."""

HEAD_MULTIPLE = 16
"""Attention needs a head size that is a multiple of this."""

MAX_HEAD_SIZE = 256
"""Largest head of the attention inside segments."""

KV_DTYPES = (torch.float32, torch.bfloat16, torch.int8)
"""Dtypes of keys and values, in the order of their numbers in the library; those in int8 have scales."""

PATHS = ("none", "avx2", "avx512")
"""Instruction sets, in the order of their numbers in the library."""


class LinearStruct(Structure):
    """A packed linear layer."""

    _fields_ = (
        ("format", c_int32),
        ("rows", c_int32),
        ("columns", c_int32),
        ("weight", c_void_p),
        ("bias", c_void_p),
    )

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, rows: int, columns: int) -> LinearStruct:
        """The structure of a weight in one of `FORMATS` and a float32 bias."""
        number = FORMATS.index(format_of(weight))
        return cls(
            number, rows, columns, weight.data_ptr(), None if bias is None else bias.data_ptr()
        )


class KeyValuesStruct(Structure):
    """Keys and values of one layer, and which of them each row attends to."""

    _fields_ = (
        ("format", c_int32),
        ("block_size", c_int32),
        ("kv_heads", c_int32),
        ("head_size", c_int32),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("key_scales", c_void_p),
        ("value_scales", c_void_p),
        ("block_table", c_void_p),
        ("table_width", c_int32),
        ("lengths", c_void_p),
    )


class SegmentsStruct(Structure):
    """Queries, keys and values of packed segments."""

    _fields_ = (
        *((name, c_void_p) for name in ("q", "k", "v", "out")),
        *((name, c_int64) for name in ("q_stride", "k_stride", "v_stride")),
        *((name, c_int32) for name in ("heads", "kv_heads", "head_size", "causal", "num_segments")),
        *((name, c_void_p) for name in ("q_starts", "k_starts")),
    )


class LayerStruct(Structure):
    """One layer of the text decoder."""

    _fields_ = (
        ("input_norm", c_void_p),
        *((name, LinearStruct) for name in ("q", "k", "v", "o")),
        ("post_attention_norm", c_void_p),
        *((name, LinearStruct) for name in ("gate", "up", "down")),
    )


class DecoderStruct(Structure):
    """All layers of the text decoder."""

    _fields_ = (
        ("layers", POINTER(LayerStruct)),
        ("norm", c_void_p),
        *(
            (name, c_int32)
            for name in ("num_layers", "width", "inner_width", "heads", "kv_heads", "head_size")
        ),
        ("eps", c_float),
    )


class StepStruct(Structure):
    """The rows of one step of the text decoder."""

    _fields_ = (
        ("states", c_void_p),
        ("cos", c_void_p),
        ("sin", c_void_p),
        ("slots", c_void_p),
        ("kv", KeyValuesStruct),
        ("layer_bytes", c_int64),
        ("rows", c_int32),
    )


class Library:
    """Functions of the compiled library; they release Python's lock while they run.

    Args:
        path: the file.

    Attributes:
        linear, pack, attend, attend_segments, rms_norm, gate, rotate, decode: the functions, as in `csrc/api.cpp`.

    Raises:
        EngineError: the file is no such library, or the processor has none of its instruction sets.
    """

    def __init__(self, path: Path) -> None:
        try:
            loaded = ctypes.CDLL(str(path))
            pointer, number = c_void_p, c_int32
            self.linear = _function(
                loaded, "linear", pointer, pointer, number, pointer, number, number
            )
            self.pack = _function(loaded, "pack", pointer, number, number, number, pointer, number)
            self.attend = _function(
                loaded, "attend", pointer, number, number, pointer, pointer, number
            )
            self.attend_segments = _function(loaded, "attend_segments", pointer, number)
            self.rms_norm = _function(
                loaded, "rms_norm", pointer, pointer, c_float, number, number, pointer, number
            )
            self.gate = _function(loaded, "gate", pointer, pointer, number, number, number)
            self.rotate = _function(
                loaded, "rotate", pointer, c_int64, *[number] * 3, *[pointer] * 3, number
            )
            self.decode = _function(loaded, "decode", pointer, pointer, number)
            self._use_path = _function(loaded, "use_path", number, result=number)
        except (OSError, AttributeError) as error:
            raise EngineError(f"the compiled CPU kernels cannot be loaded: {error}") from error
        if self.path == "none":
            raise EngineError(
                "the CPU kernels need a processor with AVX2, FMA and F16C, which this one is not"
            )

    @property
    def path(self) -> str:
        """The instruction set in use: "avx512" or "avx2"."""
        return PATHS[self._use_path(0)]

    def use_path(self, name: str) -> bool:
        """Use another instruction set, for tests; returns whether the processor has it."""
        return PATHS[self._use_path(PATHS.index(name))] == name


def _function(loaded: ctypes.CDLL, name: str, *arguments: Any, result: Any = None) -> Any:
    found = getattr(loaded, f"finesight_{name}")
    found.argtypes, found.restype = arguments, result
    return found


@cache
def library() -> Library | None:
    """The library of this process, or None, with a warning that states the reason, if there can be none."""
    try:
        return Library(library_file())
    except EngineError as error:
        hint = f" ({error.hint})" if error.hint else ""
        warnings.warn(
            f"models run on torch's own operations, which is much slower: {error.message}{hint}",
            stacklevel=2,
        )
        return None
