# SPDX-License-Identifier: Apache-2.0
"""Writes GGUF files as llama.cpp's converter does, from random models of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import torch

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
}
"""Shape of the random models; the head size is 16."""


def random_decoder(architecture: str, vocab_size: int):
    """A random decoder of transformers with biases that are not zero where there are biases."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    config_class, model_class = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    }[architecture]
    torch.manual_seed(3)
    config = config_class(
        **SHAPE,
        vocab_size=vocab_size,
        tie_word_embeddings=architecture == "llama",
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )
    model = model_class(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    return model


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k in the order in which llama.cpp stores them for llama models."""
    split = rows.reshape(heads, 2, -1, rows.shape[-1])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(rows.shape)


def write_gguf(
    path: Path, model, backend, architecture: str, *, kind=gguf.GGMLQuantizationType.F32, **changed
) -> None:
    """Write a model and its byte-level tokenizer.

    Args:
        path: the file.
        model: of `random_decoder`.
        backend: `tokenizers.Tokenizer`.
        architecture: "llama" or "qwen2".
        kind: quantisation of matrices.
        changed: `written_as`, `pre`, `tokenizer_model`, `num_heads`: other values; `tokens`, `types`, `merges`: more of
            them; `extra_tensor`, `extra_value`: another tensor; `without`: ending of the names of tensors that are left
            out; `with_value`: matrix that replaces the token embedding.
    """
    written = changed.get("written_as", architecture)
    writer = gguf.GGUFWriter(path, written)
    writer.add_context_length(512)
    writer.add_embedding_length(SHAPE["hidden_size"])
    writer.add_block_count(SHAPE["num_hidden_layers"])
    writer.add_feed_forward_length(SHAPE["intermediate_size"])
    writer.add_head_count(changed.get("num_heads", SHAPE["num_attention_heads"]))
    writer.add_head_count_kv(SHAPE["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(SHAPE["rms_norm_eps"])
    writer.add_rope_freq_base(10_000.0)
    _write_tokenizer(writer, backend, changed)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        data = value.float().numpy()
        ours = _gguf_name(name)
        if ours.endswith(changed.get("without", ".none")):
            continue
        if ours == "token_embd.weight":
            data = changed.get("with_value", data)
        heads = {"attn_q.weight": 4, "attn_k.weight": 2}.get(ours.split(".", 2)[-1])
        if architecture == "llama" and heads:
            data = interleaved(data, heads)
        if data.ndim == 2 and kind != gguf.GGMLQuantizationType.F32:
            writer.add_tensor(ours, gguf.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(ours, data)
    if "extra_tensor" in changed:
        writer.add_tensor(
            changed["extra_tensor"], changed.get("extra_value", np.zeros(4, np.float32))
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    others = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if name in others:
        return others[name]
    _, _, layer, rest = name.split(".", 3)
    module, _, ending = rest.rpartition(".")
    return f"blk.{layer}.{NAMES[module]}.{ending}"


def _write_tokenizer(writer, backend, changed) -> None:
    added = backend.get_added_tokens_decoder()
    size = backend.get_vocab_size(with_added_tokens=True)
    types = [1 if index not in added else 3 if added[index].special else 4 for index in range(size)]
    merges = json.loads(backend.to_str())["model"]["merges"]
    writer.add_tokenizer_model(changed.get("tokenizer_model", "gpt2"))
    writer.add_tokenizer_pre(changed.get("pre", "qwen2"))
    tokens = [backend.id_to_token(index) for index in range(size)]
    merges = [each if isinstance(each, str) else " ".join(each) for each in merges]
    writer.add_token_list(tokens + changed.get("tokens", []))
    writer.add_token_types(types + changed.get("types", []))
    writer.add_token_merges(merges + changed.get("merges", []))
