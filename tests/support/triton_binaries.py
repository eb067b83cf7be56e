# SPDX-License-Identifier: Apache-2.0
"""Compiles the Triton kernels for compute capability 9.0, which needs no GPU, and prints their resources as JSON."""

from __future__ import annotations

import json
import sys

from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from finesight.kernels import triton_kernels

TARGET = GPUTarget("cuda", 90, 32)

HEADS = {"HEADS": 16, "KV_HEADS": 2, "SIZE": 128}
NORM = {"WIDTH": 2048, "BLOCK": 2048}
PART = {**HEADS, "SIZE_BLOCK": 128, "GROUP_BLOCK": 16, "SLOTS": 256, "TILE": 64}

VERSIONS: dict[str, tuple[str, dict[str, object], int]] = {
    "rms_norm": ("rms_norm", {**NORM, "ADDS": False}, 4),
    "add_rms_norm": ("rms_norm", {**NORM, "ADDS": True}, 4),
    "rotary": ("rotary", {"SIZE": 80, "BLOCK": 128}, 1),
    "rotary_store": ("rotary_store", {**HEADS, "BLOCK": 128}, 1),
    "swiglu": ("swiglu", {"WIDTH": 11_008, "BLOCK": 1024}, 4),
    "attend, one part": ("attend_part", {**PART, "PARTS": 1, "WIDENS": False}, 4),
    "attend, parts": ("attend_part", {**PART, "PARTS": 64, "WIDENS": False}, 4),
    "attend, float32": ("attend_part", {**PART, "PARTS": 1, "WIDENS": True}, 4),
    "join_parts": ("join_parts", {"SIZE": 128, "SIZE_BLOCK": 128, "PARTS": 64}, 4),
}
"""Kernel, constants of the 3B shape, and warps."""

NUMBERS = {"eps": "fp32", "scale": "fp32", "block_table": "*i32", "lengths": "*i32"}
NUMBERS |= dict.fromkeys(("cos", "sin", "weighted", "log_sums"), "*fp32")


def kind(name: str, element: str) -> str:
    """Type of an argument that is no constant."""
    if name == "slots":
        return "*i32"
    return "i32" if name.endswith("stride") else NUMBERS.get(name, f"*{element}")


def main() -> int:
    found = {}
    for label, (name, constants, warps) in VERSIONS.items():
        kernel = getattr(triton_kernels, name)
        element = "fp32" if constants.get("WIDENS") else "bf16"
        signature = {
            argument: "constexpr" if argument in constants else kind(argument, element)
            for argument in kernel.arg_names
        }
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        binary = compile_kernel(source, target=TARGET, options={"num_warps": warps})
        found[label] = {"bytes": len(binary.asm["cubin"]), "shared": binary.metadata.shared}
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
