# SPDX-License-Identifier: Apache-2.0
"""Operations on many rows in bfloat16 by the compiled library: norm, gate, rotary and attention inside segments.

torch needs several passes over memory and a new tensor for each of them; these read and write every value once. They
compute what the model's modules compute by torch, with float32 inside: `RMSNorm`, `SwiGLU`, `apply_rotary` and
`attention_cpu` are their twins, which tests compare them with. `fits` tells whether they can run.

Legend: R rows, D width, F inner width, H query heads, G key-value heads, E head size, T query rows, U key rows,
S segments.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from finesight.errors import LayoutError
from finesight.kernels.library import (
    HEAD_MULTIPLE,
    MAX_HEAD_SIZE,
    Library,
    SegmentsStruct,
    library,
)


def fits(*states: Tensor) -> bool:
    """Whether the kernels can read these tensors: bfloat16 on the CPU, without gradients.

    Rows may be parts of longer rows; the values of a row, all its heads included, must be contiguous.
    """
    return (
        not torch.is_grad_enabled()
        and all(one.dtype == torch.bfloat16 and one.device.type == "cpu" for one in states)
        and all(map(_has_whole_rows, states))
        and library() is not None
    )


def attention_fits(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """As `fits`, for the arguments of `attend_segments`."""
    return q.shape[2] % HEAD_MULTIPLE == 0 and q.shape[2] <= MAX_HEAD_SIZE and fits(q, k, v)


def rms_norm(states: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Each row divided by its root mean square, times `weight`.

    Args:
        states: bfloat16[R, D].
        weight: `[D]`.
        eps: added to the mean square.

    Returns:
        bfloat16[R, D].

    Raises:
        LayoutError: shapes, dtypes or strides do not fit.
    """
    is_fitting = states.ndim == 2 and weight.shape == states.shape[1:] and states.is_contiguous()
    _check(is_fitting, "rms_norm", states, others=(weight,))
    wide, out = weight.float().contiguous(), torch.empty_like(states)
    _library().rms_norm(
        states.data_ptr(), wide.data_ptr(), eps, *states.shape, out.data_ptr(), _threads()
    )
    return out


def swiglu_(gate: Tensor, up: Tensor) -> Tensor:
    """`silu(gate) * up`, written to `gate`.

    Args:
        gate: bfloat16[R, F].
        up: bfloat16[R, F].

    Returns:
        `gate`.

    Raises:
        LayoutError: shapes, dtypes or strides do not fit.
    """
    is_fitting = gate.ndim == 2 and gate.shape == up.shape
    _check(is_fitting and gate.is_contiguous() and up.is_contiguous(), "swiglu_", gate, up)
    _library().gate(gate.data_ptr(), up.data_ptr(), *gate.shape, _threads())
    return gate


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Heads rotated by the angles of their rows.

    Args:
        x: bfloat16[R, H, E]; rows may be parts of longer rows.
        cos: float32[R, 1, E].
        sin: float32[R, 1, E], the first half negated.

    Returns:
        bfloat16[R, H, E], contiguous.

    Raises:
        LayoutError: shapes, dtypes or strides do not fit.
    """
    is_fitting = x.ndim == 3 and x.shape[2] % 2 == 0 and _has_whole_rows(x)
    for angles in (cos, sin):
        is_fitting &= angles.shape == (x.shape[0], 1, x.shape[-1]) and angles.is_contiguous()
        is_fitting &= angles.dtype == torch.float32
    _check(is_fitting, "rotary", x, others=(cos, sin))
    out = torch.empty(x.shape, dtype=x.dtype)
    angles_of = (cos.data_ptr(), sin.data_ptr(), out.data_ptr(), _threads())
    _library().rotate(x.data_ptr(), x.stride(0), *x.shape, *angles_of)
    return out


def attend_segments(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, *, causal: bool
) -> Tensor:
    """Scaled dot-product attention inside each segment.

    A row's result depends on its keys only, not on the other query rows.

    Args:
        q: bfloat16[T, H, E]; rows may be parts of longer rows, also of `k` and `v`.
        k: bfloat16[U, G, E]; query head h uses key-value head h // (H / G).
        v: bfloat16[U, G, E].
        starts_q: int32[S+1], query rows before each segment.
        starts_k: int32[S+1], key rows before each segment.
        causal: the queries of a segment are its last rows, and attend to themselves and to earlier rows.

    Returns:
        bfloat16[T, H, E].

    Raises:
        LayoutError: shapes, dtypes or strides do not fit, or a query row has no key.
    """
    is_fitting = q.ndim == k.ndim == 3 and k.shape == v.shape and q.shape[2] == k.shape[2]
    _check(is_fitting and q.shape[1] % k.shape[1] == 0, "attend_segments", q, k, v)
    is_size = q.shape[2] % HEAD_MULTIPLE == 0 and q.shape[2] <= MAX_HEAD_SIZE
    _check(is_size and all(map(_has_whole_rows, (q, k, v))), "attend_segments", q, k, v)
    _check_starts(starts_q, starts_k, q.shape[0], k.shape[0], causal)
    out = torch.empty(q.shape, dtype=q.dtype)
    struct = SegmentsStruct(
        *(each.data_ptr() for each in (q, k, v, out)),
        *(each.stride(0) for each in (q, k, v)),
        q.shape[1],
        *k.shape[1:],
        causal,
        len(starts_q) - 1,
        starts_q.data_ptr(),
        starts_k.data_ptr(),
    )
    _library().attend_segments(ctypes.addressof(struct), _threads())
    return out


def _check_starts(
    starts_q: Tensor, starts_k: Tensor, queries: int, keys: int, causal: bool
) -> None:
    for starts, rows, name in ((starts_q, queries, "query"), (starts_k, keys, "key")):
        counts = starts.diff()
        is_whole = starts.dtype == torch.int32 and starts.is_contiguous() and starts.ndim == 1
        if not is_whole or starts[0] != 0 or starts[-1] != rows or bool((counts < 0).any()):
            raise LayoutError(
                f"segments of {name} rows start at {starts.tolist()[:9]} of {starts.dtype}, expected int32 "
                f"from 0 to {rows}, never less than before"
            )
    found, known = starts_q.diff(), starts_k.diff()
    if found.shape != known.shape or bool((found > 0).logical_and(known < 1).any()):
        raise LayoutError(
            f"{len(found)} segments of query rows and {len(known)} of key rows do not fit",
            hint="as many segments on both sides, and keys in each that has queries",
        )
    if causal and bool((found > known).any()):
        raise LayoutError("a causal segment has more query rows than keys, so some have no key")


def _has_whole_rows(states: Tensor) -> bool:
    """Whether the values of each row are contiguous, and the heads of a row follow one another."""
    if states.numel() == 0 or states.ndim < 2:
        return False
    return states[0].is_contiguous() and states.stride(0) >= states[0].numel()


def _check(fitting: bool, name: str, *states: Tensor, others: tuple[Tensor, ...] = ()) -> None:
    """Raise `LayoutError` unless shapes and strides are fitting and the states bfloat16 on the CPU."""
    if fitting and all(
        each.dtype == torch.bfloat16 and each.device.type == "cpu" for each in states
    ):
        return
    found = ", ".join(
        f"{each.dtype}{list(each.shape)} with strides {each.stride()}" for each in states + others
    )
    raise LayoutError(
        f"the kernel {name} cannot read {found}",
        hint="bfloat16 on the CPU in the shapes of its description, rows contiguous",
    )


def _library() -> Library:
    found = library()
    if found is None:
        raise LayoutError("there are no compiled kernels", hint="ask `fits` first")
    return found


def _threads() -> int:
    return torch.get_num_threads()
