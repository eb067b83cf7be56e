# SPDX-License-Identifier: Apache-2.0
"""The decoder's layers on a GPU with a paged KV cache: fewer and larger operations than in `TextDecoder.forward`.

Projections that read the same rows become one product, and what lies between the products becomes one kernel each
(`finesight.kernels.ops`): norm with the residual sum, rotary with the write to the cache, SwiGLU, attention. At a batch
of one a layer of 3 billion parameters reads its weights in 35 microseconds, so each further kernel costs some percent.
A step of one row per sequence reads nothing back to the host, so it can be captured as a CUDA graph.

`TextDecoder.forward` is the definition; tests compare both. On a CPU the same code runs with torch's operations.

Legend: T rows, D width, H query heads, G key-value heads, E head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from finesight.attention_plan import AttentionPlan
from finesight.config.model import TextConfig
from finesight.kernels import ops
from finesight.model.attention import Backend, attend_paged
from finesight.model.cache import KVCache
from finesight.model.low_rank import LowRank
from finesight.model.rope import Rotary

_DTYPES = (torch.bfloat16, torch.float16, torch.float32)


class GpuDecoder:
    """The layers of a text decoder, for inference over a paged KV cache.

    Weights of projections that read the same rows are moved next to each other, once. The layers keep them as views, so
    they can still be saved, moved or trained.

    Args:
        layers: `TextLayer`s.
        norm: the final norm.
        config: the decoder's shape.
        attention: back end for steps with several rows per sequence.
    """

    def __init__(
        self, layers: nn.ModuleList, norm: nn.Module, config: TextConfig, attention: Backend
    ) -> None:
        self._layers, self._norm, self._config = layers, norm, config
        self._attention: Backend = attention
        self._joined: list[_JoinedLayer] = []
        self._revision = 0
        self.revision()

    def fits(self, states: Tensor, plan: AttentionPlan, kv: KVCache | None) -> bool:
        """Whether a step can run here: a paged cache in the dtype of the states, and no adapters."""
        return (
            kv is not None
            and plan.block_table is not None
            and states.dtype in _DTYPES
            and kv.keys.dtype == states.dtype
            and not torch.is_grad_enabled()
            and self.revision() is not None
        )

    def revision(self) -> int | None:
        """A number that changes when weights were replaced; None while the layers have adapters.

        Values that change in place need no new number.
        """
        if self._joined and all(layer.is_current() for layer in self._joined):
            return self._revision
        self._joined = []
        linears = [one for layer in self._layers for one in _linears(layer)]
        if any(isinstance(one, LowRank) for one in linears):
            return None
        with torch.inference_mode(False), torch.no_grad():
            self._joined = [_JoinedLayer(layer) for layer in self._layers]
        self._revision += 1
        return self._revision

    def __call__(self, states: Tensor, rotary: Rotary, plan: AttentionPlan, kv: KVCache) -> Tensor:
        """Run all layers and the final norm; new keys and values are written to the cache.

        Args:
            states: `[T, D]`, overwritten.
            rotary: the angles of the rows.
            plan: the sequences and their blocks. If each has one row, only its tensors are read.
            kv: the cache.

        Returns:
            `[T, D]`, normalised.
        """
        assert plan.slot_mapping is not None
        eps, size = self._config.rms_norm_eps, self._config.head_dim
        norms = [layer.input_norm.weight for layer in self._joined[1:]] + [self._norm.weight]
        normed = ops.rms_norm(states, self._joined[0].input_norm.weight, eps)
        for index, (layer, next_norm) in enumerate(zip(self._joined, norms, strict=True)):
            q, k, v = (rows.unflatten(-1, (-1, size)) for rows in layer.qkv(normed))
            keys, values = kv.keys[index], kv.values[index]
            q = ops.rotary_store(
                q,
                k,
                v,
                rotary.cos,
                rotary.sin,
                keys=keys,
                values=values,
                slots=plan.slot_mapping,
            )
            attended = layer.o(self._attend(q, keys, values, plan).flatten(1))
            normed = ops.add_rms_norm_(states, attended, layer.post_norm.weight, eps)
            inner = ops.swiglu(*layer.gate_up(normed))
            normed = ops.add_rms_norm_(states, layer.down(inner), next_norm, eps)
        return normed

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, plan: AttentionPlan) -> Tensor:
        if plan.max_seqlen_q > 1:
            return attend_paged(q, keys, values, plan, self._attention)
        assert plan.block_table is not None
        assert plan.seqused_k is not None
        return ops.decode_attention(q, keys, values, plan.block_table, plan.seqused_k)

    def __deepcopy__(self, memo: dict[int, Any]) -> GpuDecoder:
        """A copy that joins the copied weights."""
        layers, norm = deepcopy(self._layers, memo), deepcopy(self._norm, memo)
        return GpuDecoder(layers, norm, self._config, self._attention)


class _JoinedLayer:
    """The products and norms of a `TextLayer`."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.input_norm, self.post_norm = layer.input_layernorm, layer.post_attention_layernorm
        self.qkv = _Joined((attention.q_proj, attention.k_proj, attention.v_proj))
        self.gate_up = _Joined((mlp.gate_proj, mlp.up_proj))
        self.o, self.down = attention.o_proj, mlp.down_proj
        # Looked up in torch's own tables, since attributes of modules take ten times as long.
        self._members = [
            (table, name, one)
            for module in layer.modules()
            for table in (module._modules, module._parameters)
            for name, one in table.items()
        ]
        self._addresses = [
            (one, one.data_ptr()) for one in layer.parameters() if type(one) is nn.Parameter
        ]

    def is_current(self) -> bool:
        """Whether modules and tensors are those that were joined."""
        return all(table.get(name) is one for table, name, one in self._members) and all(
            one.data_ptr() == address for one, address in self._addresses
        )


class _Joined:
    """Linear layers that read the same rows, as one product if their weights are plain tensors of one dtype.

    Others, such as torchao's quantised weights, are multiplied one by one.
    """

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        self._linears = linears
        self._sizes = [one.out_features for one in linears]
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None
        if all(_is_plain(one) for one in linears):
            self._weight = _as_views([one.weight for one in linears])
            if linears[0].bias is not None:
                self._bias = _as_views([one.bias for one in linears])

    def __call__(self, rows: Tensor) -> Sequence[Tensor]:
        """The results of the layers; views of one tensor if the weights are joined."""
        if self._weight is None:
            return [one(rows) for one in self._linears]
        joined = functional.linear(rows, self._weight, self._bias)
        return joined.split(self._sizes, dim=-1)  # type: ignore[no-any-return]  # Tensor.split is untyped


def _as_views(parameters: Sequence[Tensor]) -> Tensor:
    """The parameters side by side in one tensor, of which each becomes a view."""
    joined = torch.cat([one.data for one in parameters])
    for one, view in zip(parameters, joined.split([len(each) for each in parameters]), strict=True):
        one.data = view
    return joined


def _linears(layer: Any) -> tuple[nn.Linear, ...]:
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    return (*projections, mlp.gate_proj, mlp.up_proj, mlp.down_proj)


def _is_plain(linear: nn.Linear) -> bool:
    return type(linear) is nn.Linear and type(linear.weight) is nn.Parameter
