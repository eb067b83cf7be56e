# SPDX-License-Identifier: Apache-2.0
"""Packed layers compute with the values of their codes, and pass gradients to their input."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from finesight.errors import LayoutError
from finesight.kernels import formats, ops
from finesight.kernels.formats import unpack, unpacked_rows
from finesight.model.packed_linear import PackedLinear

FORMATS = ("bf16", "int8", "int4", "int4_min")


def layer_of(name: str, rows: int = 40, columns: int = 72) -> tuple[PackedLinear, torch.Tensor]:
    """A layer with partial tiles and groups, and the values of its weight."""
    torch.manual_seed(1)
    packed = PackedLinear.of(nn.Linear(columns, rows), name)
    return packed, unpack(packed.weight, rows, columns)


@pytest.fixture(autouse=True)
def several_parts(monkeypatch):
    """The weights of these tests are unpacked in several parts."""
    monkeypatch.setattr(formats, "VALUES_AT_ONCE", 40 * 32)


@pytest.mark.parametrize("name", FORMATS)
def test_an_exact_layer_and_its_gradient_are_those_of_the_values(name):
    layer, values = layer_of(name)
    layer.is_exact = True
    states = torch.randn(5, 72, requires_grad=True)
    weights = torch.randn(5, 40)
    out = layer(states)
    expected = functional.linear(states, values, layer.bias)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    (found,) = torch.autograd.grad((out * weights).sum(), states)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), states)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_the_kernels_are_used_with_and_without_gradients(name):
    """Their states are rounded; the gradient is that of the values, so rounding does not reach it."""
    layer, values = layer_of(name)
    states = torch.randn(50, 72)
    with torch.no_grad():
        alone = layer(states)
    states.requires_grad_(True)
    out = layer(states)
    assert torch.equal(out, alone)
    assert not torch.equal(out, functional.linear(states, values, layer.bias))
    weights = torch.randn(50, 40)
    (found,) = torch.autograd.grad((out * weights).sum(), states)
    torch.testing.assert_close(found, weights @ values, atol=1e-5, rtol=1e-5)


def test_autocast_and_checkpointing():
    layer, values = layer_of("int4")
    states = torch.randn(6, 72, requires_grad=True)
    grads = []
    for run in (layer, lambda rows: checkpoint(layer, rows, use_reentrant=False)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = run(states)
        assert out.dtype == torch.bfloat16
        grads.append(torch.autograd.grad(out.float().sum(), states)[0])
    assert torch.equal(*grads)
    torch.testing.assert_close(grads[0], values.sum(0).expand(6, -1), atol=0.05, rtol=0.02)


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_values(name):
    layer, values = layer_of(name)
    parts = list(unpacked_rows(layer.weight, 40, 72))
    assert len(parts) == 3
    assert torch.equal(torch.cat(parts), values)


def test_shapes_on_another_device():
    layer, _ = layer_of("int8")
    moved = layer.to("meta")
    assert moved(torch.empty(3, 72, device="meta")).shape == (3, 40)


def test_shapes_of_gradients_are_checked():
    layer, _ = layer_of("int4")
    with pytest.raises(LayoutError, match=r"has no gradient of shape \(3, 99\) for 72 inputs"):
        ops.linear_grad(torch.zeros(3, 99), layer.weight, 72)
