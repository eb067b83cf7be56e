# SPDX-License-Identifier: Apache-2.0
"""The Triton kernels without a GPU: their results in Triton's interpreter, and that they compile for one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from finesight.kernels import ops, triton_ops, twins
from tests.support.triton_errors import errors_on

ROOT = Path(__file__).parents[3]
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed; it is there for Linux on x86-64"
)
LIMITS = {"bfloat16": 8e-3, "float16": 1e-3, "float32": 1e-6}
"""Relative error by dtype; the interpreter cuts values off where it should round them to bfloat16."""


def output_of(script: str, cache: Path, **environment: str) -> dict:
    """The JSON that a script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/support" / script)],
        env={**os.environ, "TRITON_CACHE_DIR": str(cache), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@needs_triton
def test_each_kernel_is_its_twin_in_the_interpreter(tmp_path):
    check(output_of("triton_errors.py", tmp_path, TRITON_INTERPRET="1"))


@pytest.mark.gpu
def test_each_kernel_is_its_twin_on_a_gpu():
    check(errors_on("cuda"), unit=10)


def check(errors: dict[str, float], *, unit: float = 1) -> None:
    names = {name.split()[0] for name in errors}
    assert names >= {"rms_norm", "add_rms_norm", "rotary", "rotary_store", "swiglu"}
    assert "decode_attention" in names
    for name, error in errors.items():
        limit = next(limit for dtype, limit in LIMITS.items() if dtype in name or "without" in name)
        assert error <= unit * limit, (name, error)


@needs_triton
def test_each_kernel_compiles_for_a_gpu(tmp_path):
    found = output_of("triton_binaries.py", tmp_path, TRITON_INTERPRET="0")
    assert len(found) == 9
    for name, resources in found.items():
        assert resources["bytes"] > 0, name
        assert resources["shared"] <= 227 * 1024, name  # what a block can have there


def test_without_triton_the_twins_run_and_one_note_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "finesight.kernels.triton_kernels", None)
    triton_ops.kernels.cache_clear()
    try:
        x, weight = torch.randn(3, 8), torch.randn(8)
        with pytest.warns(UserWarning, match="need Triton"):
            assert triton_ops.kernels() is None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = triton_ops.rms_norm(x, weight, 1e-6)
            assert torch.equal(found, twins.rms_norm(x, weight, 1e-6))
            ours, theirs = x.clone(), x.clone()
            found = triton_ops.add_rms_norm_(ours, x, weight, 1e-6)
            assert torch.equal(found, twins.add_rms_norm_(theirs, x, weight, 1e-6))
            assert torch.equal(triton_ops.swiglu(x, None), twins.swiglu(x, None))
            heads, angles = torch.randn(3, 2, 8), torch.randn(2, 3, 1, 8)
            assert torch.equal(triton_ops.rotary(heads, *angles), twins.rotary(heads, *angles))
            keys, values = torch.zeros(2, 2, 4, 2, 8)
            slots = torch.tensor([5, 0, 2])
            turned = triton_ops.rotary_store(
                heads, heads, heads, *angles, keys=keys, values=values, slots=slots
            )
            assert torch.equal(values.flatten(0, 1)[slots], heads)
            assert torch.equal(keys.flatten(0, 1)[slots], turned)
            table, lengths = torch.tensor([[0, 1]] * 3).int(), torch.tensor([3, 1, 6]).int()
            found = triton_ops.decode_attention(heads, keys, values, table, lengths)
            expected = twins.decode_attention(heads, keys, values, table, lengths)
            assert torch.equal(found, expected)
    finally:
        triton_ops.kernels.cache_clear()


def test_on_a_cpu_nothing_asks_for_triton(monkeypatch):
    monkeypatch.setattr(triton_ops, "kernels", lambda: pytest.fail("Triton was asked for"))
    with torch.inference_mode():
        assert not ops.fuses(torch.randn(2, 4))
        found = ops.rms_norm(torch.ones(1, 4), torch.ones(4), 0.0)
    assert torch.equal(found, torch.ones(1, 4))


def test_the_engine_starts_without_triton():
    code = "import sys, finesight.engine.engine; assert 'triton' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_shapes_are_known_without_values():
    x = torch.empty(3, 8, device="meta")
    assert ops.rms_norm(x, x[0], 1e-6).shape == (3, 8)
    assert ops.swiglu(x).shape == (3, 4)
    assert ops.swiglu(x, x).shape == (3, 8)


@pytest.mark.parametrize(
    ("groups", "keys", "parts"), [(2, 32_768, 64), (64, 32_768, 8), (2, 100, 2), (1000, 4096, 1)]
)
def test_keys_are_divided_to_fill_the_device(monkeypatch, groups, keys, parts):
    monkeypatch.setattr(triton_ops, "_num_processors", lambda device: 132)
    assert triton_ops._num_parts(groups, keys, torch.device("cuda")) == parts
