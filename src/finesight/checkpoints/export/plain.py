# SPDX-License-Identifier: Apache-2.0
"""The network to export: plain weights, whatever format the checkpoint folder has.

Packed, AWQ and GPTQ weights become the values that their codes stand for, and an adapter is added. Packed weights of 8
and 4 bits are exact only in float32, so that is their dtype unless another is asked for. An adapter of the output head
gives a model whose head is tied to the embedding a head of its own: added to the shared weight, it would also change
what the tokens mean.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from finesight.checkpoints.adapters import merge_adapter, read_adapter
from finesight.checkpoints.decoder import load_tensors
from finesight.checkpoints.packed import is_packed_folder, open_packed
from finesight.errors import WeightsError
from finesight.kernels.formats import unpack
from finesight.model.packed import PackedHead, packed_as
from finesight.model.packed_linear import PackedLinear
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model

__all__ = ["adaptable", "plain_model", "unpacked", "without_adapters"]

_EMBEDDING, _HEAD = "model.embed_tokens", "lm_head"


def plain_model(
    folder: Path, *, adapter: Path | None = None, dtype: torch.dtype | None = None
) -> VisionLanguageModel:
    """Load a checkpoint folder with plain weights on the CPU.

    Args:
        folder: a checkpoint folder, also with packed or quantised weights.
        adapter: folder of a LoRA adapter that is added to the weights; None adds none.
        dtype: of the weights; None takes the checkpoint's, or float32 for packed weights of 8 and 4 bits.

    Raises:
        ConfigError: the folder is no checkpoint.
        WeightsError: a file is broken, the adapter does not fit, or a value is outside of `dtype`.
    """
    if is_packed_folder(folder):
        model = unpacked(open_packed(folder, None, attention="sdpa"))
    else:
        model = load_model(folder)
    if adapter is not None:
        model = adaptable(model, adapter)
        load_tensors(
            model,
            merge_adapter(model.state_dict(), adapter),
            what=f"the adapter in {adapter} does not fit {folder}",
        )
    return model if dtype is None else _converted(model, dtype)


def adaptable(model: VisionLanguageModel, adapter: Path) -> VisionLanguageModel:
    """The model, or one with a copy of the embedding as its output head if the adapter changes only one of both.

    Args:
        model: with plain weights; other tensors are shared with the result.
        adapter: folder of an adapter.

    Raises:
        WeightsError: the adapter is of another kind, or broken.
    """
    stored = read_adapter(adapter)
    embedding, head = (stored.replaced.get(f"{name}.weight") for name in (_EMBEDDING, _HEAD))
    if embedding is None or head is None:
        differ = embedding is not head
    else:
        differ = not torch.equal(embedding, head)
    differ |= (_HEAD in stored.layers) != (_EMBEDDING in stored.layers)
    if not differ or not model.config.text.tie_word_embeddings:
        return model
    text = model.config.text.model_copy(update={"tie_word_embeddings": False})
    with torch.device("meta"):
        free = VisionLanguageModel(
            model.config.model_copy(update={"text": text}), attention=model.attention
        )
    tensors = model.state_dict()
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    free.load_state_dict(tensors, strict=True, assign=True)
    return free.eval()


def unpacked(model: VisionLanguageModel) -> VisionLanguageModel:
    """A model with the values of another one's packed weights.

    Args:
        model: with packed weights.

    Returns:
        A model without packed layers: in float32 if the packed weights have 8 or 4 bits, else in bfloat16. A tied
        output head is the embedding, which is not packed.
    """
    dtype = torch.bfloat16 if packed_as(model) == "bf16" else torch.float32
    plain = VisionLanguageModel.without_memory(model.config, attention=model.attention)
    named = dict(model.named_modules())
    tensors = {
        name: _values(named, name, value).to(dtype)
        for name, value in plain.state_dict(keep_vars=True).items()
    }
    plain.load_state_dict(tensors, strict=True, assign=True)
    return plain.eval()


def without_adapters(model: VisionLanguageModel) -> VisionLanguageModel:
    """A model with the weights that the adapters of another one are added to; the tensors are shared."""
    plain = VisionLanguageModel.without_memory(model.config, attention=model.attention)
    tensors = {name: value for name, value in model.state_dict().items() if ".lora_" not in name}
    plain.load_state_dict(tensors, strict=True, assign=True)
    return plain.eval()


def _values(named: dict[str, nn.Module], name: str, wanted: Tensor) -> Tensor:
    """Values of one parameter, by its name in a plain model."""
    parent, _, own = name.rpartition(".")
    module = named[parent]
    if isinstance(module, PackedHead):
        module = module.packed
    if isinstance(module, PackedLinear) and own == "weight":
        return unpack(module.weight, module.out_features, module.in_features)
    found: Tensor = getattr(module, own).detach()
    if found.shape != wanted.shape:
        raise WeightsError(
            f"the packed model has {name} of shape {tuple(found.shape)}, expected {tuple(wanted.shape)}"
        )
    return found


def _converted(model: VisionLanguageModel, dtype: torch.dtype) -> VisionLanguageModel:
    """The model in another dtype; raises `WeightsError` for a weight that becomes infinite in it."""
    largest = torch.finfo(dtype).max
    for name, value in model.state_dict().items():
        if (peak := float(value.abs().max())) > largest:
            raise WeightsError(
                f"weight {name} has a value of {peak:g}, the largest of {dtype} is {largest:g}",
                hint="export to bfloat16 or float32",
            )
    return model.to(dtype)
