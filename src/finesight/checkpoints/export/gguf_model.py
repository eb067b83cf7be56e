# SPDX-License-Identifier: Apache-2.0
"""Writes a model as two GGUF files: the language model, and the vision tower with its merger ("mmproj").

llama.cpp runs them as architecture `qwen2vl` with the projector `qwen2.5vl_merger`. Its limits:

- Full attention must be in every n-th block of the tower, the last block included (`n_wa_pattern`).
- A picture of 8 to 4,096 visual tokens keeps its size if its sides are multiples of 28; smaller and larger ones are
  scaled there. The options `--image-min-tokens` and `--image-max-tokens` set other limits; those of the model are
  stored in the file, but llama.cpp does not read them.
- The GELU of the merger is its approximation by tanh, and activations are rounded to float16 before a product with
  float16 weights. So logits are close, not equal.

Source: llama.cpp `src/models/qwen2vl.cpp`, `tools/mtmd/clip.cpp` and its converter for the keys and the order of
tensors; the `gguf` package for names.
"""

from __future__ import annotations

from pathlib import Path

import gguf
from gguf import GGUFType, GGUFWriter, VisionProjectorType
from torch import Tensor

from finesight.checkpoints.export.folder import read_chat_template
from finesight.checkpoints.export.gguf_file import GgufWeights, OnTensor, write_file
from finesight.checkpoints.export.gguf_tokenizer import add_tokenizer
from finesight.config.model import ModelConfig, TextConfig, VisionConfig
from finesight.config.processor import ProcessorConfig
from finesight.errors import ConfigError
from finesight.model.vl import VisionLanguageModel
from finesight.processor.from_hf import read_processor_config

LANGUAGE_FILE, VISION_FILE = "model-{}.gguf", "mmproj-{}.gguf"

_NOMINAL_IMAGE_SIZE = 560
"""Side in pixels for which llama.cpp reserves memory; pictures of any size are taken."""

_ENDINGS = (".weight", ".bias")


def write_language_model(
    model: VisionLanguageModel,
    source: Path,
    path: Path,
    weights: GgufWeights,
    *,
    name: str,
    license_name: str,
    on_tensor: OnTensor,
) -> None:
    """Write the text decoder, its tokenizer and its chat template.

    Args:
        model: with plain weights.
        source: checkpoint folder with `tokenizer.json`.
        path: the file.
        weights: format of the matrices.
        name: of the model, for display.
        license_name: of the weights; empty if unknown.
        on_tensor: progress.

    Raises:
        ConfigError: the tokenizer or the context extension has no counterpart in llama.cpp.
        WeightsError: a value is beyond the range of float16.
        OSError: the file cannot be written.
    """
    text = model.config.text
    writer = GGUFWriter(None, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.QWEN2VL])
    writer.add_type(GGUFType.MODEL)
    writer.add_name(name)
    if license_name:
        writer.add_license(license_name)
    _add_shape(writer, text)
    add_tokenizer(writer, source / "tokenizer.json", model.config, read_chat_template(source))
    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2VL, text.num_hidden_layers)
    tensors = {
        _named(known, each): value
        for each, value in model.state_dict().items()
        if not each.startswith("visual.")
    }
    write_file(writer, path, tensors, weights, on_tensor)


def write_vision_tower(
    model: VisionLanguageModel,
    source: Path,
    path: Path,
    weights: GgufWeights,
    *,
    name: str,
    on_tensor: OnTensor,
) -> None:
    """Write the vision tower and its merger; arguments and errors as of `write_language_model`.

    Raises:
        ConfigError: llama.cpp cannot compute a tower of this shape.
    """
    vision = model.config.vision
    writer = GGUFWriter(None, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.MMPROJ])
    writer.add_type(GGUFType.MMPROJ)
    writer.add_name(name)
    _add_tower_shape(writer, vision)
    _add_pixels(writer, read_processor_config(source, vision))
    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, vision.depth)
    tensors: dict[str, Tensor] = {}
    for each, value in model.visual.state_dict().items():
        tensors |= _tower_tensors(known, f"visual.{each}", value)
    write_file(writer, path, tensors, weights, on_tensor)


def _add_shape(writer: GGUFWriter, text: TextConfig) -> None:
    if text.raster_positions:
        raise ConfigError(
            "the model has raster positions, and llama.cpp computes those of Qwen2.5-VL",
            hint="use it with finesight only: GGUF export takes models with the positions of Qwen2.5-VL, such as tiny",
        )
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_block_count(text.num_hidden_layers)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_rope_freq_base(text.rope_theta)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_dimension_count(text.head_dim)
    writer.add_rope_dimension_sections([*text.mrope_section, 0])
    writer.add_vocab_size(text.vocab_size)
    if text.yarn is None:
        return
    if text.yarn.attention_factor is not None:
        raise ConfigError(
            f"config.json: YaRN has attention_factor {text.yarn.attention_factor}, which llama.cpp computes itself",
            hint="remove attention_factor from rope_scaling if it is the one of the paper",
        )
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(text.yarn.factor)
    writer.add_rope_scaling_orig_ctx_len(text.yarn.original_max_position_embeddings)
    writer.add_rope_scaling_yarn_beta_fast(text.yarn.beta_fast)
    writer.add_rope_scaling_yarn_beta_slow(text.yarn.beta_slow)


def _add_tower_shape(writer: GGUFWriter, vision: VisionConfig) -> None:
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(VisionProjectorType.QWEN25VL)
    writer.add_vision_use_silu(True)
    writer.add_vision_projection_dim(vision.out_hidden_size)
    writer.add_vision_image_size(_NOMINAL_IMAGE_SIZE)
    writer.add_vision_patch_size(vision.patch_size)
    writer.add_vision_embedding_length(vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.intermediate_size)
    writer.add_vision_block_count(vision.depth)
    writer.add_vision_head_count(vision.num_heads)
    writer.add_vision_attention_layernorm_eps(vision.rms_norm_eps)
    writer.add_vision_spatial_merge_size(vision.spatial_merge_size)
    writer.add_vision_n_wa_pattern(_window_pattern(vision))


_FIXED = {"temporal_patch_size": 2, "in_channels": 3, "window_size": 112, "rope_theta": 10_000.0}
"""Values that llama.cpp has built in."""


def _window_pattern(vision: VisionConfig) -> int:
    """The distance of the blocks with full attention; raises `ConfigError` for a tower outside of llama.cpp."""
    for key, fixed in _FIXED.items():
        if (found := getattr(vision, key)) != fixed:
            raise ConfigError(
                f"vision.{key} is {found}, llama.cpp computes with {fixed}",
                hint="such a tower can be exported with --to hf or --to onnx",
            )
    full = vision.full_attention_layers
    every = full[0] + 1 if full else 0
    if not full or full != tuple(range(every - 1, vision.depth, every)):
        raise ConfigError(
            f"the tower has full attention in blocks {full} of {vision.depth}; llama.cpp computes it in every n-th one",
            hint="such a tower can be exported with --to hf or --to onnx",
        )
    return every


def _add_pixels(writer: GGUFWriter, processor: ProcessorConfig) -> None:
    writer.add_vision_image_mean(list(processor.image_mean))
    writer.add_vision_image_std(list(processor.image_std))
    writer.add_vision_min_pixels(processor.min_pixels)
    writer.add_vision_max_pixels(processor.max_pixels)


def _named(known: gguf.TensorNameMap, name: str) -> str:
    """Name in a GGUF file of a tensor of the published checkpoints."""
    found = known.get_name(name, try_suffixes=_ENDINGS)
    assert found is not None, name  # the package knows every name of the architecture
    return found


def _tower_tensors(known: gguf.TensorNameMap, name: str, value: Tensor) -> dict[str, Tensor]:
    """The tensors that are stored for one of the tower: q, k and v apart, and the patch embedding of each frame."""
    if ".qkv." in name:
        thirds = zip("qkv", value.chunk(3), strict=True)
        return {_named(known, name.replace("qkv", each)): part for each, part in thirds}
    if value.ndim == 5:
        own = _named(known, name)
        return {own: value[:, :, 0], f"{own}.1": value[:, :, 1]}
    return {_named(known, name): value}


def token_limits(source: Path, config: ModelConfig) -> tuple[int, int]:
    """Least and most visual tokens of a picture of the model, for the options of llama.cpp."""
    processor = read_processor_config(source, config.vision)
    area = config.vision.resize_factor**2
    return -(-processor.min_pixels // area), processor.max_pixels // area
