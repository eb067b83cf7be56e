# SPDX-License-Identifier: Apache-2.0
"""All decoder layers of a step with few rows as one call of the CPU kernels.

At 135 M parameters a layer takes 0.3 ms, and the small operations of torch would take as long again. The call
computes what `TextDecoder.forward` computes, with float32 between the products; tests compare both.

Legend: T rows, D width, B blocks of the longest sequence.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from finesight.attention_plan import AttentionPlan
from finesight.config.model import TextConfig
from finesight.kernels.library import (
    HEAD_MULTIPLE,
    MAX_ROWS,
    DecoderStruct,
    KeyValuesStruct,
    LayerStruct,
    LinearStruct,
    StepStruct,
    library,
)
from finesight.model.cache import KVCache
from finesight.model.rope import Rotary


class FusedDecoder:
    """The layers of a text decoder with packed weights, as one operation.

    Args:
        layers: `TextLayer`s whose linear layers are packed.
        norm: the final norm.
        config: the decoder's shape.
    """

    def __init__(self, layers: nn.ModuleList, norm: nn.Module, config: TextConfig) -> None:
        self._layers, self._norm, self._config = layers, norm, config
        self._struct: DecoderStruct | None = None
        self._kept: list[Any] = []
        """What the structure points to."""

    def fits(self, states: Tensor, plan: AttentionPlan, kv: KVCache | None) -> bool:
        """Whether a step can run here: few rows over a paged cache that the kernels can read."""
        return (
            kv is not None
            and plan.block_table is not None
            and states.shape[0] <= MAX_ROWS
            and states.device.type == "cpu"
            and not (torch.is_grad_enabled() and states.requires_grad)
            and self._config.head_dim % HEAD_MULTIPLE == 0
            and kv.keys.dtype in (torch.float32, torch.bfloat16)
            and kv.keys.is_contiguous()
            and kv.values.is_contiguous()
            and library() is not None
        )

    def __call__(self, states: Tensor, rotary: Rotary, plan: AttentionPlan, kv: KVCache) -> Tensor:
        """Run all layers and the final norm; new keys and values are written to the cache.

        Args:
            states: `[T, D]`.
            rotary: the angles of the rows.
            plan: the sequences and their blocks.
            kv: the cache.

        Returns:
            `[T, D]`, normalised, in the dtype of `states`.
        """
        found = library()
        assert found is not None
        assert plan.slot_mapping is not None
        wide = states.float().contiguous()
        table, lengths = _rows_of(plan)
        num_layers, _, block_size, kv_heads, head_size = kv.keys.shape
        step = StepStruct(
            wide.data_ptr(),
            rotary.cos.data_ptr(),
            rotary.sin.data_ptr(),
            plan.slot_mapping.data_ptr(),
            KeyValuesStruct(
                kv.keys.dtype == torch.bfloat16,
                block_size,
                kv_heads,
                head_size,
                kv.keys.data_ptr(),
                kv.values.data_ptr(),
                table.data_ptr(),
                table.shape[1],
                lengths.data_ptr(),
            ),
            kv.keys.nbytes // num_layers,
            wide.shape[0],
        )
        decoder = self._decoder()
        found.decode(ctypes.addressof(decoder), ctypes.addressof(step), torch.get_num_threads())
        return wide.to(states.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> FusedDecoder:
        """A copy that points to the copied weights."""
        from copy import deepcopy

        return FusedDecoder(deepcopy(self._layers, memo), deepcopy(self._norm, memo), self._config)

    def _decoder(self) -> DecoderStruct:
        if self._struct is None:
            layers = (LayerStruct * len(self._layers))(*map(self._layer, self._layers))
            self._kept.append(layers)
            config = self._config
            self._struct = DecoderStruct(
                layers,
                self._vector(self._norm),
                len(layers),
                config.hidden_size,
                config.intermediate_size,
                config.num_attention_heads,
                config.num_key_value_heads,
                config.head_dim,
                config.rms_norm_eps,
            )
        return self._struct

    def _layer(self, layer: Any) -> LayerStruct:
        attention, mlp = layer.self_attn, layer.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        linears = [
            LinearStruct.of(one.weight, one.bias, one.out_features, one.in_features)
            for one in (*projections, mlp.gate_proj, mlp.up_proj, mlp.down_proj)
        ]
        return LayerStruct(
            self._vector(layer.input_layernorm),
            *linears[:4],
            self._vector(layer.post_attention_layernorm),
            *linears[4:],
        )

    def _vector(self, norm: Any) -> int:
        """Address of the weights of a norm as float32."""
        values = norm.weight.detach().float().contiguous()
        self._kept.append(values)
        return int(values.data_ptr())


def _rows_of(plan: AttentionPlan) -> tuple[Tensor, Tensor]:
    """Blocks of the sequence of each row, int32[T, B], and the keys it attends to, int32[T]."""
    assert plan.block_table is not None
    assert plan.seqused_k is not None
    if plan.max_seqlen_q == 1:
        return plan.block_table, plan.seqused_k
    counts = torch.tensor(plan.query_lengths)
    lengths = [
        total - new + 1 + row
        for new, total in zip(plan.query_lengths, plan.key_lengths, strict=True)
        for row in range(new)
    ]
    return plan.block_table.repeat_interleave(counts, 0), torch.tensor(lengths, dtype=torch.int32)
