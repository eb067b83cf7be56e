# SPDX-License-Identifier: Apache-2.0
"""Writes a checkpoint folder as GGUF files: as llama.cpp's converter does (two files), and as Ollama's does (one)."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import tokenizers
import torch

from finesight.config.model import ModelConfig
from finesight.model.weights import load_model
from tests.support.gguf_files import _gguf_name

Kind = gguf.GGMLQuantizationType

_BLOCK = {
    "attn.proj": "attn_out",
    "norm1": "ln1",
    "norm2": "ln2",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_llama_cpp(
    base: Path, model: Path, mmproj: Path, *, kind=Kind.F32, tower=Kind.F32, **changed
) -> None:
    """Two files; `changed` are values that replace those of the metadata, None leaves one out."""
    state, config = _read(base)
    writer = gguf.GGUFWriter(model, "qwen2vl")
    writer.add_type("model")
    _language(writer, config, "qwen2vl", changed)
    writer.add_rope_dimension_sections([*config.text.mrope_section, 0])
    writer.add_license("apache-2.0")
    _tokenizer(writer, base, config, pad_type=5)
    _tensors(writer, _decoder(state, config), kind)
    writer = gguf.GGUFWriter(mmproj, "clip")
    vision = config.vision
    writer.add_type("mmproj")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(changed.get("projector", "qwen2.5vl_merger"))
    writer.add_vision_use_silu(True)
    writer.add_vision_projection_dim(vision.out_hidden_size)
    writer.add_vision_image_size(560)
    writer.add_vision_patch_size(vision.patch_size)
    writer.add_vision_embedding_length(vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.intermediate_size)
    writer.add_vision_block_count(vision.depth)
    writer.add_vision_head_count(vision.num_heads)
    writer.add_vision_attention_layernorm_eps(vision.rms_norm_eps)
    writer.add_vision_image_mean([0.48145466, 0.4578275, 0.40821073])
    writer.add_vision_image_std([0.26862954, 0.26130258, 0.27577711])
    if "n_wa_pattern" not in changed:
        writer.add_vision_n_wa_pattern(vision.full_attention_layers[0] + 1)
    _tensors(writer, _tower(state, ollama=False), tower, changed.get("without", ""))


def write_ollama(base: Path, path: Path, *, kind=Kind.F16, tower=Kind.F16) -> None:
    """One file with the names of Ollama's converter."""
    state, config = _read(base)
    vision = config.vision
    writer = gguf.GGUFWriter(path, "qwen25vl")
    _language(writer, config, "qwen25vl", {})
    writer.add_array("qwen25vl.rope.mrope_section", list(config.text.mrope_section))
    for name, value in {
        "block_count": vision.depth,
        "embedding_length": vision.hidden_size,
        "attention.head_count": vision.num_heads,
        "num_channels": 3,
        "patch_size": vision.patch_size,
        "spatial_merge_size": 2,
        "spatial_patch_size": vision.patch_size,
        "window_size": vision.window_size,
        "temporal_patch_size": 2,
    }.items():
        writer.add_uint32(f"qwen25vl.vision.{name}", value)
    writer.add_float32("qwen25vl.vision.attention.layer_norm_epsilon", vision.rms_norm_eps)
    writer.add_float32("qwen25vl.vision.rope.freq_base", vision.rope_theta)
    full = list(vision.full_attention_layers)
    writer.add_array("qwen25vl.vision.fullatt_block_indexes", full)
    _tokenizer(writer, base, config, pad_type=4)
    _tensors(writer, _decoder(state, config), kind, close=False)
    _tensors(writer, _tower(state, ollama=True), tower)


def _read(base: Path) -> tuple[dict[str, np.ndarray], ModelConfig]:
    model = load_model(base, dtype=torch.float32)
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    return state, model.config


def _language(writer, config: ModelConfig, architecture: str, changed) -> None:
    text = config.text
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(changed.get("width", text.hidden_size))
    writer.add_block_count(text.num_hidden_layers)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_freq_base(text.rope_theta)
    if changed.get("splits"):
        writer.add_uint16("split.count", changed["splits"])


def _tokenizer(writer, base: Path, config: ModelConfig, *, pad_type: int) -> None:
    """Every row of the embedding has a token; those without one are padding."""
    backend = tokenizers.Tokenizer.from_file(str(base / "tokenizer.json"))
    added = backend.get_added_tokens_decoder()
    size, rows = backend.get_vocab_size(with_added_tokens=True), config.text.vocab_size
    types = [1 if index not in added else 3 if added[index].special else 4 for index in range(size)]
    tokens = [backend.id_to_token(index) for index in range(size)]
    merges = json.loads(backend.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens + [f"[PAD{index}]" for index in range(size, rows)])
    writer.add_token_types(types + [pad_type] * (rows - size))
    writer.add_token_merges([each if isinstance(each, str) else " ".join(each) for each in merges])
    writer.add_eos_token_id(backend.token_to_id("<|im_end|>"))


def _decoder(state, config: ModelConfig) -> dict[str, np.ndarray]:
    tied = config.text.tie_word_embeddings
    return {
        _gguf_name(name): value
        for name, value in state.items()
        if not name.startswith("visual.") and not (tied and name == "lm_head.weight")
    }


def _tower(state, *, ollama: bool) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name, value in state.items():
        own = name.removeprefix("visual.")
        if own == name:
            continue
        if own == "patch_embed.proj.weight":
            names = (
                ("v.patch_embd_0.weight", "v.patch_embd_1.weight")
                if ollama
                else ("v.patch_embd.weight", "v.patch_embd.weight.1")
            )
            for frame, each in enumerate(names):
                found[each] = np.ascontiguousarray(value[:, :, frame])
        elif own.startswith("merger."):
            rest = own.removeprefix("merger.")
            theirs = rest.replace("ln_q", "v.post_ln").replace("mlp.", "mm.")
            found[f"v.merger.{rest}" if ollama else theirs] = value
        else:
            _, block, rest = own.split(".", 2)
            module, _, ending = rest.rpartition(".")
            if module == "attn.qkv":
                for part, each in zip(np.split(value, 3), "qkv", strict=True):
                    found[f"v.blk.{block}.attn_{each}.{ending}"] = part
            else:
                found[f"v.blk.{block}.{_BLOCK[module]}.{ending}"] = value
    return found


def _tensors(writer, tensors, kind, without: str = "", *, close: bool = True) -> None:
    """Matrices in a format, vectors and what it cannot hold in F32 or F16, as the converters do."""
    for name, value in tensors.items():
        if without and name.startswith(without):
            continue
        if value.ndim == 1 or kind == Kind.F32:
            writer.add_tensor(name, value.astype(np.float32))
            continue
        block, _ = gguf.GGML_QUANT_SIZES[kind]
        fits = value.ndim == 2 and value.shape[-1] % block == 0
        chosen = kind if fits else Kind.F16
        if chosen == Kind.F16:
            writer.add_tensor(name, value.astype(np.float16))
        else:
            writer.add_tensor(name, gguf.quantize(value, chosen), raw_dtype=chosen)
    if close:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
