# SPDX-License-Identifier: Apache-2.0
"""Finds the first module whose output contains NaN or infinity.

Used only after the logits of a token were not finite: the forward pass is repeated with a forward hook on
every module. Inner modules finish before outer ones, so the first module with a broken output is the
innermost one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from finesight.batch import PackedBatch
from finesight.model.head import OutputHead
from finesight.model.vl import VisionLanguageModel


class _FoundError(Exception):
    """Stops the forward pass at the first broken output."""


@torch.inference_mode()
def first_nonfinite(model: VisionLanguageModel, batch: PackedBatch) -> str:
    """Name the first module whose output is not finite, and the number of non-finite weights in it.

    Args:
        model: the network.
        batch: prompt and answer so far, with their patches; on any device.

    Returns:
        For example `visual.blocks.0.attn.qkv (its weight holds 3 such values)`.
    """
    batch = batch.to(model.device)
    if batch.vision is not None and not bool(torch.isfinite(batch.vision.patches).all()):
        return "none: the patches of the pictures already hold such values"
    found: list[str] = []
    handles = [
        module.register_forward_hook(_watch(name, found)) for name, module in model.named_modules()
    ]
    try:
        if not bool(torch.isfinite(model.logits(model(batch))).all()):
            found.append(_described("lm_head", model.lm_head))
    except _FoundError:
        return found[0]
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "not found again in a second run without the cache"


def _watch(name: str, found: list[str]) -> Callable[[nn.Module, object, object], None]:
    """A forward hook that stops the pass if the output of its module is not finite."""

    def hook(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
            found.append(_described(name or "the output", module))
            raise _FoundError

    return hook


def _described(name: str, module: nn.Module) -> str:
    """Name of a module, with the count of broken values in its own weights."""
    owner = module.weight_owner if isinstance(module, OutputHead) else module
    for kind, parameter in owner.named_parameters(recurse=False):
        broken = int((~torch.isfinite(parameter)).sum())
        if broken:
            return f"{name} (its {kind} holds {broken} such values)"
    return name
