# SPDX-License-Identifier: Apache-2.0
"""Packed weights: linear layers in the formats of the CPU kernels.

A decoding step multiplies one row per sequence, so its speed is that of reading the weights; fewer bits per weight read
faster. A prompt of many rows uses oneDNN in bfloat16; integers use the kernels for it too, whose products are faster.
The vision tower always has many rows; it is rounded to 8 bits only on request (`pack_vision`).

The layers themselves are in `model.packed_linear`.

Legend: R rows, K inputs, N outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from finesight.errors import ConfigError, WeightsError
from finesight.kernels import ops
from finesight.kernels.formats import Format, format_of, packed_shape, unpack
from finesight.model.fused import FusedDecoder
from finesight.model.head import OutputHead
from finesight.model.low_rank import LowRank
from finesight.model.packed_linear import PackedLinear
from finesight.model.quantised import Blocks
from finesight.model.vl import VisionLanguageModel

Weights = Literal["bf16", "int8", "int4"]

VisionWeights = Literal["int8"]

_COMPARED_ROWS = 256
"""Rows by which the formats with 4 bits are compared."""

_SENSITIVE = ("k_proj", "v_proj")
"""Layers that keep 8 bits in int4: 1 % of the weights of the 3B shape, and boxes of the embedded model move less."""

_KEPT_ERROR = 0.01
"""Relative error below which weights were stored with 4 bits before; for other weights it is about 0.09."""

_EXACT_RATIO = 0.5
"""Ratio of rounding errors below which values count as repeated; for other weights it is about 0.9."""


class PackedHead(OutputHead):
    """An output head with a packed weight.

    Args:
        head: the head; a tied embedding is left as it is.
        packed: its weight.
    """

    def __init__(self, head: OutputHead, packed: PackedLinear) -> None:
        nn.Module.__init__(self)
        self._tied_to = (
            (head.weight_owner,) if isinstance(head.weight_owner, nn.Embedding) else None
        )
        self.packed = packed

    def forward(self, rows: Tensor) -> Tensor:
        """Logits `[R, V]` of hidden states `[R, D]`, in their dtype."""
        return self.packed(rows)  # type: ignore[no-any-return]  # nn.Module call

    def _vocabulary(self) -> Tensor:
        if self._tied_to is not None:
            return self._tied_to[0].weight
        raise ConfigError(
            "the output head is packed, its weight has no values to train or compare with",
            hint="load the model again without packed weights",
        )


def pack_weights(
    model: VisionLanguageModel,
    weights: Weights,
    *,
    codes: Iterable[tuple[str, Blocks]] = (),
) -> None:
    """Replace the linear layers of the language model by packed ones, in place.

    Each weight is released as soon as it is packed. The token embedding and the norms stay as they are.

    Args:
        model: on the CPU, without adapters.
        weights: "bf16" rounds only weights of a higher precision; "int8" and "int4" round to 8 and 4 bits in
            groups of 32 columns.
        codes: codes of layers that are stored quantised, by the name of their weight; they are not rounded again.

    Raises:
        ConfigError: an unknown format, a model on another device, with adapters, or packed already.
    """
    _check(model, model, weights, get_args(Weights))
    with torch.inference_mode(False), torch.no_grad():
        for name, blocks in codes:
            parent, _, own = name.removesuffix(".weight").rpartition(".")
            linear = getattr(model.get_submodule(parent), own)
            setattr(model.get_submodule(parent), own, PackedLinear.of_codes(linear, blocks))
        _replace_linears(model.model, weights)
        model.lm_head = PackedHead(model.lm_head, _packed_head(model.lm_head, weights))
    _fuse(model)


def pack_vision(model: VisionLanguageModel, weights: VisionWeights) -> None:
    """Replace the linear layers of the vision tower by packed ones, in place; the patch embedding stays as it is.

    Args:
        model: on the CPU; its language model may be packed.
        weights: "int8", the only format: fewer bits are less exact and not faster for many rows.

    Raises:
        ConfigError: another format, a model on another device, or a tower with adapters or packed already.
    """
    _check(model, model.visual, weights, get_args(VisionWeights))
    with torch.inference_mode(False), torch.no_grad():
        _replace_linears(model.visual, weights)


def packed_tensors(model: VisionLanguageModel) -> dict[str, Tensor]:
    """Every tensor of a packed model by its name; a tensor that two modules share is named once."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            found[name] = tensor.detach()
    return found


def from_packed(model: VisionLanguageModel, tensors: Mapping[str, Tensor]) -> None:
    """Give a model without memory the tensors of a packed one, in place and without a copy.

    Args:
        model: of the same configuration, on the device "meta".
        tensors: from `packed_tensors`.

    Raises:
        WeightsError: a tensor is missing, or has another shape.
    """
    packed = {name: one for name, one in model.model.named_modules() if isinstance(one, nn.Linear)}
    named = {f"model.{name}": one for name, one in packed.items()}
    for name, one in model.visual.named_modules():
        if isinstance(one, nn.Linear) and _tensor(tensors, f"visual.{name}.weight").ndim == 3:
            named[f"visual.{name}"] = one
    plain = {
        name: _shaped(_tensor(tensors, name), tuple(parameter.shape), name)
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[0] not in named and not name.startswith("lm_head.")
    }
    model.load_state_dict(plain, strict=False, assign=True)
    for name, linear in named.items():
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, _packed_like(linear, tensors, name))
    width, rows = model.config.text.hidden_size, model.config.text.vocab_size
    like = nn.Linear(width, rows, bias=False, device="meta")
    shared = {"lm_head.packed.weight": model.model.embed_tokens.weight.detach()}
    model.lm_head = PackedHead(
        model.lm_head, _packed_like(like, {**shared, **tensors}, "lm_head.packed")
    )
    _fuse(model)


def _packed_like(linear: nn.Linear, tensors: Mapping[str, Tensor], name: str) -> PackedLinear:
    """The packed layer of this name, for a layer of that shape."""
    weight = _tensor(tensors, f"{name}.weight")
    shape = packed_shape(linear.out_features, linear.in_features, format_of(weight))
    bias = None if linear.bias is None else _tensor(tensors, f"{name}.bias")
    return PackedLinear(
        _shaped(weight, shape, f"{name}.weight"),
        None if bias is None else _shaped(bias, (linear.out_features,), f"{name}.bias"),
        in_features=linear.in_features,
        out_features=linear.out_features,
    )


def _tensor(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise WeightsError(f"the packed weights lack {name}, out of {len(tensors)} tensors")
    return tensors[name]


def _shaped(tensor: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    if tuple(tensor.shape) != shape:
        raise WeightsError(
            f"the packed tensor {name} has shape {tuple(tensor.shape)}, config.json asks for {shape}"
        )
    return tensor


def _fuse(model: VisionLanguageModel) -> None:
    model.model.fused = FusedDecoder(model.model.layers, model.model.norm, model.config.text)


def packed_as(model: VisionLanguageModel) -> Format | None:
    """Format of the language model's packed weights; None if they are not packed."""
    return _format_in(model.model)


def _format_in(part: nn.Module) -> Format | None:
    layers = (one for one in part.modules() if isinstance(one, PackedLinear))
    first = next(layers, None)
    return None if first is None else format_of(first.weight)


def _check(
    model: VisionLanguageModel, part: nn.Module, weights: str, known: tuple[str, ...]
) -> None:
    if weights not in known:
        raise ConfigError(f"weights is {weights!r}, expected one of {', '.join(known)}")
    if model.device.type != "cpu":
        raise ConfigError(
            f"weights can be packed on the CPU, the model is on {model.device}",
            hint='load it with device="cpu"',
        )
    if _format_in(part) is not None:
        raise ConfigError("the weights are packed already", hint="load the model again")
    adapted = next((name for name, one in part.named_modules() if isinstance(one, LowRank)), "")
    if adapted:
        raise ConfigError(
            f"{adapted} has an adapter, which cannot be packed", hint="merge adapters first"
        )


def _replace_linears(module: nn.Module, weights: Weights) -> None:
    for name, linear in list(module.named_modules()):
        if isinstance(linear, nn.Linear):
            parent, _, own = name.rpartition(".")
            name = _format_for(linear.weight, weights, is_sensitive=own in _SENSITIVE)
            packed = PackedLinear.of(linear, name)
            setattr(module.get_submodule(parent), own, packed)


def _format_for(weight: Tensor, weights: Weights, *, is_sensitive: bool) -> Format:
    """The format of a weight; of the two with 4 bits the smaller one, unless the other one nearly repeats the values.

    That is so for weights that were stored in the format Q4_1 before.
    """
    if weights != "int4":
        return weights
    some = weight.detach()[:_COMPARED_ROWS]
    small, large = (_error(some, name) for name in ("int4", "int4_min"))
    if is_sensitive and min(small, large) > _KEPT_ERROR * float(some.float().norm()):
        return "int8"
    return "int4_min" if large < _EXACT_RATIO * small else "int4"


def _error(weight: Tensor, name: Format) -> float:
    rounded = unpack(ops.quantise(weight, name), *weight.shape)
    return float((rounded - weight.float()).norm())


def _packed_head(head: OutputHead, weights: Weights) -> PackedLinear:
    """The head in the same format, except that 4 bits cost it more accuracy than they save time: it gets 8."""
    values = head._vocabulary().detach()
    name: Format = "int8" if weights == "int4" else weights
    return PackedLinear(
        ops.quantise(values, name), None, in_features=values.shape[1], out_features=values.shape[0]
    )
