# SPDX-License-Identifier: Apache-2.0
"""All decoder layers of a step with few rows as one call of the CPU kernels.

At 135 M parameters a layer takes 0.3 ms, and the small operations of torch would take as long again. The call
computes what `TextDecoder.forward` computes, with float32 between the products; tests compare both.

Legend: T rows, D width, B blocks of the longest sequence.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from finesight.attention_plan import AttentionPlan
from finesight.config.model import TextConfig
from finesight.kernels import triton_ops
from finesight.kernels.library import (
    HEAD_MULTIPLE,
    KV_DTYPES,
    MAX_ROWS,
    DecoderStruct,
    KeyValuesStruct,
    LayerStruct,
    LinearStruct,
    StepStruct,
    library,
)
from finesight.model.attention import check_backend
from finesight.model.cache import KVCache
from finesight.model.fused_gpu import GpuDecoder
from finesight.model.low_rank import LowRank
from finesight.model.rope import Rotary

if TYPE_CHECKING:
    from finesight.model.vl import VisionLanguageModel


class FusedDecoder:
    """The layers of a text decoder as one operation.

    Args:
        layers: `TextLayer`s whose linear layers are packed, or plain ones in bfloat16.
        norm: the final norm.
        config: the decoder's shape.
    """

    def __init__(self, layers: nn.ModuleList, norm: nn.Module, config: TextConfig) -> None:
        self._layers, self._norm, self._config = layers, norm, config
        self._struct: DecoderStruct | None = None
        self._kept: list[Any] = []
        """What the structure points to."""
        self._read: list[tuple[int, int]] = []
        """Address and version of the tensors that the structure was made from, and the layers by identity."""

    def fits(self, states: Tensor, plan: AttentionPlan, kv: KVCache | None) -> bool:
        """Whether a step can run here: few rows over a paged cache that the kernels can read."""
        return (
            kv is not None
            and plan.block_table is not None
            and states.shape[0] <= MAX_ROWS
            and states.device.type == "cpu"
            and not (torch.is_grad_enabled() and states.requires_grad)
            and self._config.head_dim % HEAD_MULTIPLE == 0
            and kv.keys.dtype in KV_DTYPES
            and kv.keys.is_contiguous()
            and kv.values.is_contiguous()
            and library() is not None
            and self._can_be_read()
        )

    def _can_be_read(self) -> bool:
        """Whether all weights are in a format of the kernels; weights that changed are looked up again."""
        linears = [one for layer in self._layers for one in _linears(layer)]
        norms = [one for layer in self._layers for one in _norms(layer)]
        biases = [one.bias for one in linears if one.bias is not None]
        tensors = [one.weight for one in (*linears, *norms, self._norm)] + biases
        found = [
            (one.data_ptr(), 0 if one.is_inference() else one._version)  # copies are made of some
            for one in tensors
        ]
        found += [
            (id(one), 0) for one in linears
        ]  # one with an adapter has the weight of the old one
        if found == self._read:
            return True
        self._struct, self._read = None, []
        self._kept.clear()
        if not all(_is_readable(one) for one in linears):
            return False
        self._read = found
        return True

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
                KV_DTYPES.index(kv.keys.dtype),
                block_size,
                kv_heads,
                head_size,
                kv.keys.data_ptr(),
                kv.values.data_ptr(),
                None if kv.key_scales is None else kv.key_scales.data_ptr(),
                None if kv.value_scales is None else kv.value_scales.data_ptr(),
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
        linears = [
            LinearStruct.of(one.weight, self._bias(one.bias), one.out_features, one.in_features)
            for one in _linears(layer)
        ]
        before, after = (self._vector(norm) for norm in _norms(layer))
        return LayerStruct(before, *linears[:4], after, *linears[4:])

    def _bias(self, bias: Tensor | None) -> Tensor | None:
        """A bias as float32."""
        if bias is None:
            return None
        self._kept.append(bias.detach().float().contiguous())
        return self._kept[-1]  # type: ignore[no-any-return]  # a list of several kinds

    def _vector(self, norm: Any) -> int:
        """Address of the weights of a norm as float32."""
        values = norm.weight.detach().float().contiguous()
        self._kept.append(values)
        return int(values.data_ptr())


def _linears(layer: Any) -> tuple[Any, ...]:
    """The linear layers of a `TextLayer`, in the order of the kernels."""
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    return (*projections, mlp.gate_proj, mlp.up_proj, mlp.down_proj)


def _norms(layer: Any) -> tuple[Any, Any]:
    return layer.input_layernorm, layer.post_attention_layernorm


def _is_readable(linear: Any) -> bool:
    """Whether the kernels can read a layer's weight as it is."""
    weight = linear.weight
    is_format = weight.dtype in (torch.bfloat16, torch.uint8) and weight.is_contiguous()
    return is_format and weight.device.type == "cpu" and not isinstance(linear, LowRank)


def use_kernels(model: VisionLanguageModel) -> bool:
    """Let steps over a KV cache be computed by our kernels, if there are any for its device.

    On a CPU these are steps of few rows with weights in bfloat16, on CUDA all of them. The values of the weights are
    not changed, so the model can still be saved, moved or trained. Without kernels nothing changes, because their
    twins would be slower than the layers.

    Returns:
        Whether the kernels are used.
    """
    if model.device.type == "cuda":
        return _use_gpu_kernels(model)
    if model.device.type != "cpu" or model.dtype != torch.bfloat16 or library() is None:
        return False
    if not isinstance(model.model.fused, FusedDecoder):
        model.model.fused = FusedDecoder(model.model.layers, model.model.norm, model.config.text)
        model.lm_head.uses_kernels = True
    return True


def _use_gpu_kernels(model: VisionLanguageModel) -> bool:
    if triton_ops.kernels() is None:
        return False
    if not isinstance(model.model.fused, GpuDecoder):
        model.model.fused = GpuDecoder(
            model.model.layers,
            model.model.norm,
            model.config.text,
            check_backend(model.attention),
        )
    return True


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
