# SPDX-License-Identifier: Apache-2.0
"""The kernels as operators of torch, in the namespace `torch.ops.finesight`.

Each has a version that only computes shapes, for tracing, and none has a gradient. `linear`, `quantise` and
`decode_attention` are checked here and run in the compiled library on a CPU. `decode_attention` and the operations of a
GPU's decoder run in Triton on CUDA (`triton_ops`). Where there is no kernel they run by torch (`twins`).

Legend: R rows, N outputs, K inputs, S query rows, H query heads, G key-value heads, E head size, C slots of a
block, B blocks.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from finesight.errors import LayoutError
from finesight.kernels import formats, triton_ops, twins
from finesight.kernels.formats import Format, format_of, packed_shape
from finesight.kernels.library import (
    HEAD_MULTIPLE,
    KV_DTYPES,
    KeyValuesStruct,
    LinearStruct,
    library,
)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, rows: int) -> Tensor:
    """`x @ weight.T + bias` for a packed weight.

    A row's result does not depend on the other rows, nor on the number of threads.

    Args:
        x: float[R, K]; for quantised weights it is rounded to 8 bits in groups of 32 columns, otherwise to bfloat16.
        weight: packed, see `formats`.
        bias: float32[N].
        rows: N.

    Returns:
        `[R, N]`, in the dtype of `x`; sums are taken in float32.

    Raises:
        LayoutError: shapes do not fit.
    """
    return _ops().linear(x, weight, bias, rows)  # type: ignore[no-any-return]  # torch.ops is untyped


def linear_grad(grad: Tensor, weight: Tensor, columns: int) -> Tensor:
    """`grad @ weight`, the gradient of the input of `linear`; by torch, some columns of the weight at a time.

    Args:
        grad: float[R, N].
        weight: packed.
        columns: K.

    Returns:
        `[R, K]`, in the dtype of `grad`.
    """
    return _ops().linear_grad(grad, weight, columns)  # type: ignore[no-any-return]  # as above


def quantise(weight: Tensor, name: Format) -> Tensor:
    """Pack a weight, rounded to a format, as `formats.quantise` does.

    Args:
        weight: float[N, K].
        name: the format.
    """
    if name == "bf16":
        return formats.quantise(weight, name)
    return _ops().quantise(weight, name)  # type: ignore[no-any-return]  # as above


def decode_attention(
    q: Tensor, keys: Tensor, values: Tensor, block_table: Tensor, lengths: Tensor
) -> Tensor:
    """Attention of query rows over a paged KV cache; arguments as in `twins.decode_attention`.

    Several query rows of one sequence are rows with the same blocks and different lengths.

    Raises:
        LayoutError: shapes or dtypes do not fit, or a length exceeds its blocks.
    """
    return _ops().decode_attention(q, keys, values, block_table, lengths)  # type: ignore[no-any-return]  # as above


def rms_norm(states: Tensor, weight: Tensor, eps: float) -> Tensor:
    """As `twins.rms_norm`."""
    return _ops().rms_norm(states, weight, eps)  # type: ignore[no-any-return]  # as above


def add_rms_norm_(states: Tensor, update: Tensor, weight: Tensor, eps: float) -> Tensor:
    """As `twins.add_rms_norm_`; `states` must be contiguous."""
    return _ops().add_rms_norm_(states, update, weight, eps)  # type: ignore[no-any-return]  # as above


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """As `twins.rotary`."""
    return _ops().rotary(x, cos, sin)  # type: ignore[no-any-return]  # as above


def rotary_store(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cos: Tensor,
    sin: Tensor,
    *,
    keys: Tensor,
    values: Tensor,
    slots: Tensor,
) -> Tensor:
    """As `twins.rotary_store`; `keys` and `values` must be contiguous."""
    return _ops().rotary_store(q, k, v, cos, sin, keys=keys, values=values, slots=slots)  # type: ignore[no-any-return]  # as above


def swiglu(gate: Tensor, up: Tensor | None = None) -> Tensor:
    """As `twins.swiglu`."""
    return _ops().swiglu(gate, up)  # type: ignore[no-any-return]  # as above


def fuses(states: Tensor) -> bool:
    """Whether the element-wise operations on this tensor have a kernel: on CUDA with Triton, without gradients."""
    return (
        states.device.type == "cuda"
        and not torch.is_grad_enabled()
        and states.dtype in (torch.bfloat16, torch.float16, torch.float32)
        and triton_ops.kernels() is not None
    )


@cache
def _ops() -> Any:
    """Define the operators, once per process."""
    defined = torch.library.Library("finesight", "DEF")
    defined.define("linear(Tensor x, Tensor weight, Tensor? bias, int rows) -> Tensor")
    defined.define("linear_grad(Tensor grad, Tensor weight, int columns) -> Tensor")
    defined.impl("linear_grad", _linear_grad, "CompositeExplicitAutograd")
    torch.library.register_fake("finesight::linear_grad", _linear_grad_shape, lib=defined)
    defined.define("quantise(Tensor weight, str name) -> Tensor")
    defined.define(
        "decode_attention(Tensor q, Tensor keys, Tensor values, Tensor block_table, Tensor lengths) -> Tensor"
    )
    for name, on_cpu, only_shapes in (
        ("linear", _linear, _linear_shape),
        ("quantise", _quantise, _quantised_shape),
        ("decode_attention", _decode_attention, _attention_shape),
    ):
        defined.impl(name, on_cpu, "CPU")
        torch.library.register_fake(f"finesight::{name}", only_shapes, lib=defined)
    defined.impl("decode_attention", triton_ops.decode_attention, "CUDA")
    for name, (arguments, only_shapes) in _FUSED.items():
        defined.define(f"{name}({arguments}) -> Tensor")
        defined.impl(name, getattr(twins, name), "CPU")
        defined.impl(name, getattr(triton_ops, name), "CUDA")
        torch.library.register_fake(f"finesight::{name}", only_shapes, lib=defined)
    _KEPT.append(defined)  # torch forgets the operators of a library that is collected
    return torch.ops.finesight


_KEPT: list[torch.library.Library] = []


def _like_first(first: Tensor, *_others: Any, **_more: Any) -> Tensor:
    return first.new_empty(first.shape)


def _swiglu_shape(gate: Tensor, up: Tensor | None) -> Tensor:
    return gate.new_empty((gate.shape[0], gate.shape[1] // (2 if up is None else 1)))


_FUSED: dict[str, tuple[str, Callable[..., Tensor]]] = {
    "rms_norm": ("Tensor states, Tensor weight, float eps", _like_first),
    "add_rms_norm_": ("Tensor(a!) states, Tensor update, Tensor weight, float eps", _like_first),
    "rotary": ("Tensor x, Tensor cos, Tensor sin", _like_first),
    "rotary_store": (
        "Tensor q, Tensor k, Tensor v, Tensor cos, Tensor sin, *, Tensor(a!) keys, Tensor(b!) values, Tensor slots",
        _like_first,
    ),
    "swiglu": ("Tensor gate, Tensor? up", _swiglu_shape),
}
"""Arguments and shapes of the operations of a GPU's decoder; on a CPU they run by torch."""


def _linear_shape(x: Tensor, weight: Tensor, bias: Tensor | None, rows: int) -> Tensor:
    expected = packed_shape(rows, x.shape[-1], format_of(weight))
    if x.ndim != 2 or tuple(weight.shape) != expected:
        raise LayoutError(
            f"a packed weight of shape {tuple(weight.shape)} cannot multiply rows of shape {tuple(x.shape)} "
            f"to {rows} outputs: its shape must be {expected}"
        )
    if bias is not None and (bias.dtype != torch.float32 or tuple(bias.shape) != (rows,)):
        raise LayoutError(
            f"the bias of {rows} outputs is {bias.dtype} of shape {tuple(bias.shape)}, expected float32"
        )
    return x.new_empty((x.shape[0], rows))


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, rows: int) -> Tensor:
    out = _linear_shape(x, weight, bias, rows)
    found = library()
    if found is None:
        return twins.linear(x, weight, bias, rows)
    known = x.dtype if x.dtype == torch.bfloat16 else torch.float32
    x, weight = x.to(known).contiguous(), weight.contiguous()
    result = torch.empty(out.shape, dtype=known)
    struct = LinearStruct.of(weight, bias, rows, x.shape[1])
    found.linear(
        ctypes.addressof(struct),
        x.data_ptr(),
        x.shape[0],
        result.data_ptr(),
        known == torch.bfloat16,
        torch.get_num_threads(),
    )
    return result.to(out.dtype)


def _linear_grad_shape(grad: Tensor, weight: Tensor, columns: int) -> Tensor:
    expected = packed_shape(grad.shape[-1], columns, format_of(weight))
    if grad.ndim != 2 or tuple(weight.shape) != expected:
        raise LayoutError(
            f"a packed weight of shape {tuple(weight.shape)} has no gradient of shape {tuple(grad.shape)} for "
            f"{columns} inputs: its shape must be {expected}"
        )
    return grad.new_empty((grad.shape[0], columns))


def _linear_grad(grad: Tensor, weight: Tensor, columns: int) -> Tensor:
    out = _linear_grad_shape(grad, weight, columns)
    for some, values in formats.unpacked_columns(weight, grad.shape[1], columns):
        torch.mm(grad, values.to(grad.dtype), out=out[:, some])
    return out


def _quantised_shape(weight: Tensor, name: Format) -> Tensor:
    if weight.ndim != 2:
        raise LayoutError(
            f"a weight of shape {tuple(weight.shape)} cannot be packed, expected [N, K]"
        )
    rows, columns = weight.shape
    return weight.new_empty(formats.packed_shape(rows, columns, name), dtype=torch.uint8)


def _quantise(weight: Tensor, name: Format) -> Tensor:
    out = _quantised_shape(weight, name).zero_()
    found = library()
    if found is None:
        return formats.quantise(weight, name)
    number, first_tile = formats.FORMATS.index(name), 0
    for rows in weight.split(formats.ROWS_AT_ONCE):
        wide = rows.float().contiguous()
        tiles = out[first_tile : first_tile + -(-len(rows) // formats.TILE_ROWS)]
        first_tile += len(tiles)
        found.pack(wide.data_ptr(), *rows.shape, number, tiles.data_ptr(), torch.get_num_threads())
    return out


def _attention_shape(
    q: Tensor, keys: Tensor, values: Tensor, block_table: Tensor, lengths: Tensor
) -> Tensor:
    if (
        q.ndim != 3
        or keys.ndim != 4
        or keys.shape != values.shape
        or keys.shape[3] != q.shape[2]
        or q.shape[1] % keys.shape[2]
        or block_table.shape[:1] != lengths.shape
        or lengths.shape[0] != q.shape[0]
    ):
        shapes = [tuple(each.shape) for each in (q, keys, values, block_table, lengths)]
        raise LayoutError(
            f"shapes {shapes} of q, keys, values, block_table and lengths do not fit",
            hint="[S, H, E], [num_blocks, C, G, E] twice with H a multiple of G, [S, B] and [S]",
        )
    return torch.empty_like(q)


def _decode_attention(
    q: Tensor, keys: Tensor, values: Tensor, block_table: Tensor, lengths: Tensor
) -> Tensor:
    out = _attention_shape(q, keys, values, block_table, lengths)
    _check_table(keys, block_table, lengths)
    found = library()
    is_known = keys.dtype in (torch.bfloat16, torch.float32) and keys.dtype == values.dtype
    if found is None or not is_known or q.shape[2] % HEAD_MULTIPLE:
        return twins.decode_attention(q, keys, values, block_table, lengths)
    scaled = (q.float() * q.shape[2] ** -0.5).contiguous()
    keys, values, table = keys.contiguous(), values.contiguous(), block_table.int().contiguous()
    kept_lengths, result = lengths.int().contiguous(), torch.empty(out.shape)
    struct = KeyValuesStruct(
        KV_DTYPES.index(keys.dtype),
        *keys.shape[1:],
        keys.data_ptr(),
        values.data_ptr(),
        None,
        None,
        table.data_ptr(),
        table.shape[1],
        kept_lengths.data_ptr(),
    )
    found.attend(
        scaled.data_ptr(),
        *q.shape[:2],
        ctypes.addressof(struct),
        result.data_ptr(),
        torch.get_num_threads(),
    )
    return result.to(q.dtype)


def _check_table(keys: Tensor, block_table: Tensor, lengths: Tensor) -> None:
    """Raise `LayoutError` if a row would read outside of the cache."""
    room = block_table.shape[1] * keys.shape[1]
    longest = int(lengths.max()) if lengths.numel() else 0
    if longest > room or (lengths.numel() and int(lengths.min()) < 0):
        raise LayoutError(f"a row attends to {longest} keys, its blocks hold {room}")
    if block_table.numel() and not 0 <= int(block_table.min()) <= int(block_table.max()) < len(
        keys
    ):
        raise LayoutError(
            f"the block table names blocks {int(block_table.min())} to {int(block_table.max())} "
            f"of a cache of {len(keys)} blocks"
        )
