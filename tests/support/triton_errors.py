# SPDX-License-Identifier: Apache-2.0
"""Runs the Triton kernels beside their twins, on CUDA or in Triton's interpreter.

As a script it uses the interpreter and prints the errors as JSON. The interpreter is chosen by TRITON_INTERPRET=1
before Triton is imported, so this is a process of its own. It computes wrongly in bfloat16 unless values are widened
first, which the kernels do except in products; those are tested in float16.
"""

from __future__ import annotations

import json
import sys

import torch

from finesight.kernels import triton_ops, twins


class Errors(dict):
    """Relative errors by name, on one device."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device

    def randn(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.randn(shape).to(self.device, dtype)

    def compare(self, name: str, found: torch.Tensor, expected: torch.Tensor) -> None:
        """Note the error of a result; NaN and another shape or dtype count as infinite."""
        is_fine = found.shape == expected.shape and found.dtype == expected.dtype
        found, expected = found.double(), expected.double()
        is_fine = is_fine and bool(torch.isfinite(found).all())
        size = float(expected.norm()) or 1.0
        self[name] = float((found - expected).norm()) / size if is_fine else float("inf")

    def norms(self) -> None:
        for dtype in (torch.float32, torch.bfloat16):
            for rows, width in ((1, 64), (5, 100), (3, 2048)):
                states, update = self.randn(2, rows, width, dtype=dtype)
                weight = self.randn(width, dtype=dtype)
                name = f"rms_norm {dtype} {rows}x{width}"
                self.compare(
                    name,
                    triton_ops.rms_norm(states, weight, 1e-6),
                    twins.rms_norm(states, weight, 1e-6),
                )
                ours, theirs = states.clone(), states.clone()
                found = triton_ops.add_rms_norm_(ours, update, weight, 1e-6)
                expected = twins.add_rms_norm_(theirs, update, weight, 1e-6)
                self.compare(f"add_{name}", found, expected)
                self.compare(f"add_{name}, sum", ours, theirs)
        empty = torch.zeros(0, 64, device=self.device)
        self.compare("rms_norm without rows", triton_ops.rms_norm(empty, empty[:, 0], 1e-6), empty)

    def angles(self, rows: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines as `model.rope` makes them."""
        turns = self.randn(rows, size // 2)
        cos, sin = turns.cos(), turns.sin()
        return torch.cat((cos, cos), 1)[:, None], torch.cat((-sin, sin), 1)[:, None]

    def rotations(self) -> None:
        for dtype in (torch.float32, torch.bfloat16):
            for rows, heads, size in ((1, 3, 32), (4, 2, 80), (7, 5, 64)):
                cos, sin = self.angles(rows, size)
                q = self.randn(rows, 3, heads, size, dtype=dtype)[:, 1]  # as in the vision tower
                name = f"rotary {dtype} {rows}x{heads}x{size}"
                expected = twins.rotary(q, cos, sin)
                self.compare(name, triton_ops.rotary(q, cos, sin), expected)
                turned = q.transpose(1, 2).contiguous().transpose(1, 2)  # heads are interleaved
                found = triton_ops.rotary(turned, cos, sin)
                self.compare(f"{name}, interleaved", found, expected)

    def stores(self) -> None:
        for dtype, cache_dtype in (
            (torch.float32, torch.float32),
            (torch.bfloat16, torch.bfloat16),
            (torch.bfloat16, torch.float32),
        ):
            for rows, heads, kv_heads, size in ((1, 4, 2, 32), (6, 3, 1, 80)):
                cos, sin = self.angles(rows, size)
                joined = self.randn(rows, heads + 2 * kv_heads, size, dtype=dtype)
                q, k, v = joined.split((heads, kv_heads, kv_heads), dim=1)
                slots = torch.randperm(24)[:rows].int().to(self.device)
                ours = torch.zeros(2, 6, 4, kv_heads, size, dtype=cache_dtype, device=self.device)
                theirs = ours.clone()
                found, expected = (
                    run(q, k, v, cos, sin, keys=cached[0], values=cached[1], slots=slots)
                    for run, cached in (
                        (triton_ops.rotary_store, ours),
                        (twins.rotary_store, theirs),
                    )
                )
                name = f"rotary_store {dtype} in {cache_dtype} {rows}x{heads}x{size}"
                self.compare(f"{name}, queries", found, expected)
                self.compare(f"{name}, keys", ours[0], theirs[0])
                self.compare(f"{name}, values", ours[1], theirs[1])

    def gates(self) -> None:
        for dtype in (torch.float32, torch.bfloat16):
            for rows, width in ((1, 16), (3, 100), (2, 1500)):
                joined = 4 * self.randn(rows, 2 * width, dtype=dtype)
                gate, up = joined.chunk(2, 1)
                expected = twins.swiglu(gate, up)
                name = f"swiglu {dtype} {rows}x{width}"
                self.compare(f"{name}, joined", triton_ops.swiglu(joined, None), expected)
                self.compare(f"{name}, apart", triton_ops.swiglu(gate.contiguous(), up), expected)

    def attention(self) -> None:
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
            keys, values = torch.full((2, num_blocks, slots, kv_heads, size), float("nan"))
            table = torch.randperm(num_blocks).view(rows, width).int()
            for row, length in enumerate(lengths.tolist()):
                for token in range(length):
                    place = int(table[row, token // slots]), token % slots
                    keys[place], values[place] = torch.randn(2, kv_heads, size)
            cached = [each.to(self.device, dtype) for each in (keys, values)]
            q = self.randn(rows, heads, size, dtype=dtype)
            given = (q, *cached, table.to(self.device), lengths.to(self.device))
            expected = twins.decode_attention(*given)
            widens = dtype != torch.float16 if self.device == "cpu" else None
            for parts in (1, 2, 8):
                found = triton_ops.decode_attention(*given, parts=parts, widens=widens)
                name = f"decode_attention {dtype} {heads}/{kv_heads}x{size}, {parts} parts"
                self.compare(name, found, expected)


def errors_on(device: str) -> Errors:
    """Errors of all kernels: relative norms of the differences from their twins."""
    torch.manual_seed(0)
    found = Errors(device)
    for check in (found.norms, found.rotations, found.stores, found.gates, found.attention):
        check()
    return found


if __name__ == "__main__":
    json.dump(errors_on("cpu"), sys.stdout)
