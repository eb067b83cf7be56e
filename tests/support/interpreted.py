# SPDX-License-Identifier: Apache-2.0
"""Runs the Triton kernels in Triton's interpreter beside their twins, and prints the errors as JSON.

The interpreter is chosen by TRITON_INTERPRET=1 before Triton is imported, so this is a process of its own. It
computes wrongly in bfloat16 unless values are widened first, which the kernels do except in products; those are tested
in float16.
"""

from __future__ import annotations

import json
import sys

import torch

from finesight.kernels import triton_ops, twins

ERRORS: dict[str, float] = {}


def compare(name: str, found: torch.Tensor, expected: torch.Tensor) -> None:
    """Record the relative error of a result; NaN and wrong shapes count as infinite."""
    is_fine = found.shape == expected.shape and found.dtype == expected.dtype
    found, expected = found.double(), expected.double()
    is_fine = is_fine and bool(torch.isfinite(found).all())
    size = float(expected.norm()) or 1.0
    ERRORS[name] = float((found - expected).norm()) / size if is_fine else float("inf")


def norms() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        for rows, width in ((1, 64), (5, 100), (3, 2048)):
            states, update = torch.randn(2, rows, width).to(dtype)
            weight = torch.randn(width).to(dtype)
            name = f"rms_norm {dtype} {rows}x{width}"
            compare(
                name,
                triton_ops.rms_norm(states, weight, 1e-6),
                twins.rms_norm(states, weight, 1e-6),
            )
            ours, theirs = states.clone(), states.clone()
            found = triton_ops.add_rms_norm_(ours, update, weight, 1e-6)
            expected = twins.add_rms_norm_(theirs, update, weight, 1e-6)
            compare(f"add_{name}", found, expected)
            compare(f"add_{name}, sum", ours, theirs)
    compare(
        "rms_norm without rows",
        triton_ops.rms_norm(states[:0], weight, 1e-6),
        twins.rms_norm(states[:0], weight, 1e-6),
    )


def angles(rows: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines as `model.rope` makes them."""
    turns = torch.randn(rows, size // 2)
    cos, sin = turns.cos(), turns.sin()
    return torch.cat((cos, cos), 1)[:, None], torch.cat((-sin, sin), 1)[:, None]


def rotations() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        for rows, heads, size in ((1, 3, 32), (4, 2, 80), (7, 5, 64)):
            cos, sin = angles(rows, size)
            whole = torch.randn(rows, 3, heads, size).to(dtype)
            q = whole[:, 1]  # rows are apart, as in the vision tower
            name = f"rotary {dtype} {rows}x{heads}x{size}"
            compare(name, triton_ops.rotary(q, cos, sin), twins.rotary(q, cos, sin))
            turned = q.transpose(1, 2).contiguous().transpose(1, 2)  # heads are interleaved
            compare(
                f"{name}, interleaved",
                triton_ops.rotary(turned, cos, sin),
                twins.rotary(q, cos, sin),
            )


def stores() -> None:
    for dtype, cache_dtype in (
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (torch.bfloat16, torch.float32),
    ):
        for rows, heads, kv_heads, size in ((1, 4, 2, 32), (6, 3, 1, 80)):
            cos, sin = angles(rows, size)
            width = (heads + 2 * kv_heads) * size
            joined = torch.randn(rows, width).to(dtype).unflatten(1, (-1, size))
            q, k, v = joined.split((heads, kv_heads, kv_heads), dim=1)
            slots = torch.randperm(24)[:rows].int()
            ours = torch.zeros(2, 6, 4, kv_heads, size, dtype=cache_dtype)
            theirs = ours.clone()
            found = triton_ops.rotary_store(
                q, k, v, cos, sin, keys=ours[0], values=ours[1], slots=slots
            )
            expected = twins.rotary_store(
                q, k, v, cos, sin, keys=theirs[0], values=theirs[1], slots=slots
            )
            name = f"rotary_store {dtype} in {cache_dtype} {rows}x{heads}x{size}"
            compare(f"{name}, queries", found, expected)
            compare(f"{name}, keys", ours[0], theirs[0])
            compare(f"{name}, values", ours[1], theirs[1])


def gates() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        for rows, width in ((1, 16), (3, 100), (2, 1500)):
            joined = (4 * torch.randn(rows, 2 * width)).to(dtype)
            gate, up = joined.chunk(2, 1)
            expected = twins.swiglu(gate, up)
            name = f"swiglu {dtype} {rows}x{width}"
            compare(f"{name}, joined", triton_ops.swiglu(joined, None), expected)
            compare(f"{name}, apart", triton_ops.swiglu(gate.contiguous(), up), expected)


def attention() -> None:
    lengths = torch.tensor([1, 0, 37, 64, 65, 150, 12], dtype=torch.int32)
    rows, slots, width = len(lengths), 16, 10
    for dtype, heads, kv_heads, size in (
        (torch.float32, 4, 2, 32),
        (torch.float32, 9, 3, 64),
        (torch.float32, 7, 1, 80),
        (torch.bfloat16, 16, 2, 128),
        (torch.float16, 8, 2, 64),
    ):
        num_blocks = rows * width
        # Slots that no row has written hold NaN: a kernel that reads them shows it.
        keys, values = torch.full((2, num_blocks, slots, kv_heads, size), float("nan")).to(dtype)
        table = torch.randperm(num_blocks).view(rows, width).int()
        for row, length in enumerate(lengths.tolist()):
            for token in range(length):
                place = int(table[row, token // slots]), token % slots
                keys[place], values[place] = torch.randn(2, kv_heads, size).to(dtype)
        q = torch.randn(rows, heads, size).to(dtype)
        expected = twins.decode_attention(q, keys, values, table, lengths)
        for parts in (1, 2, 8):
            found = triton_ops.decode_attention(
                q, keys, values, table, lengths, parts=parts, widens=dtype != torch.float16
            )
            compare(
                f"decode_attention {dtype} {heads}/{kv_heads}x{size}, {parts} parts",
                found,
                expected,
            )


def main() -> int:
    torch.manual_seed(0)
    for check in (norms, rotations, stores, gates, attention):
        check()
    json.dump(ERRORS, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
