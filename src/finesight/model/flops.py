# SPDX-License-Identifier: Apache-2.0
"""Cost estimates of a forward pass: operations, weight bytes, cache bytes.

A multiply-add counts as two operations. Counted are the matrix products (linear layers, attention, output head);
norms, activations and rotations are below one percent of them and left out.

Legend: N patches, T tokens, D width, F feed-forward width, H heads, K key-value heads, E head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

from finesight.config.model import ModelConfig, TextConfig, VisionConfig


def vision_flops(config: VisionConfig, grids: Sequence[tuple[int, int, int]]) -> int:
    """Operations of encoding pictures and videos.

    Args:
        config: the tower.
        grids: frame pairs, patch rows and patch columns of each.
    """
    width, area = config.hidden_size, config.merge_area
    block = 2 * (4 * width * width + 3 * width * config.intermediate_size)  # per patch
    merged = width * area
    merger = 2 * merged * (merged + config.out_hidden_size) // area  # per patch
    linear = 2 * config.patch_values * width + config.depth * block + merger
    num_full = len(config.full_attention_layers)
    total = 0
    for pairs, rows, columns in grids:
        frame = rows * columns
        seen = num_full * frame**2 + (config.depth - num_full) * _window_pairs(
            config, rows, columns
        )
        total += pairs * (frame * linear + 4 * width * seen)
    return total


def prefill_flops(
    config: TextConfig, lengths: Sequence[int], *, logit_rows: int = 1, repeated_rows: int = 0
) -> int:
    """Operations of reading prompts.

    Args:
        config: the decoder.
        lengths: tokens of each prompt.
        logit_rows: rows for which logits are computed, over all prompts.
        repeated_rows: tokens of prompts that begin like an earlier one; only their attention is computed again.
    """
    linear = 2 * config.num_hidden_layers * layer_parameters(config)
    attention = 4 * config.num_hidden_layers * config.hidden_size
    seen = sum(length * (length + 1) // 2 for length in lengths)
    return (
        (sum(lengths) - repeated_rows) * linear
        + seen * attention
        + logit_rows * _head_flops(config)
    )


def decode_flops(config: TextConfig, context_tokens: int) -> int:
    """Operations of one more token after `context_tokens` others."""
    linear = 2 * config.num_hidden_layers * layer_parameters(config)
    attention = 4 * config.num_hidden_layers * config.hidden_size * (context_tokens + 1)
    return linear + attention + _head_flops(config)


def decode_bytes(config: TextConfig, context_tokens: int, *, bytes_per_number: int) -> int:
    """Bytes read to generate one token: every layer, the output head, all earlier keys and values."""
    weights = config.num_hidden_layers * layer_parameters(config) + _head_parameters(config)
    return bytes_per_number * weights + cache_bytes(
        config, context_tokens, bytes_per_number=bytes_per_number
    )


def cache_bytes(config: TextConfig, num_tokens: int, *, bytes_per_number: int) -> int:
    """Memory of keys and values, in bytes."""
    per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    return bytes_per_number * per_token * num_tokens


def weight_bytes(config: ModelConfig, *, bytes_per_number: int) -> int:
    """Memory of all weights."""
    return bytes_per_number * (vision_parameters(config.vision) + text_parameters(config.text))


def vision_parameters(config: VisionConfig) -> int:
    """Parameter count of vision tower and merger."""
    width, inner = config.hidden_size, config.intermediate_size
    attention = 4 * width * width + 4 * width
    feed_forward = 3 * width * inner + 2 * inner + width
    merged, out = width * config.merge_area, config.out_hidden_size
    merger = width + merged * merged + merged + merged * out + out
    return (
        config.patch_values * width + config.depth * (attention + feed_forward + 2 * width) + merger
    )


def text_parameters(config: TextConfig) -> int:
    """Parameter count of decoder and output head; a tied head counts once."""
    width = config.hidden_size
    small = 2 * width + width + 2 * config.num_key_value_heads * config.head_dim  # norms, biases
    layers = config.num_hidden_layers * (layer_parameters(config) + small)
    heads = 1 if config.tie_word_embeddings else 2
    return layers + heads * _head_parameters(config) + width


def layer_parameters(config: TextConfig) -> int:
    """Parameter count of the matrices of one decoder layer."""
    width, keys = config.hidden_size, config.num_key_value_heads * config.head_dim
    return 2 * width * width + 2 * width * keys + 3 * width * config.intermediate_size


def _window_pairs(config: VisionConfig, rows: int, columns: int) -> int:
    """Attention pairs of a windowed block: pairs of patches within a window, summed over one frame pair."""
    side = config.window_size // config.patch_size
    return _squares(rows, side) * _squares(columns, side)


def _squares(length: int, side: int) -> int:
    """Sum of squares of the pieces that `length` is split into; window areas are products of two such pieces."""
    whole, rest = divmod(length, side)
    return whole * side**2 + rest**2


def _head_parameters(config: TextConfig) -> int:
    return config.vocab_size * config.hidden_size


def _head_flops(config: TextConfig) -> int:
    return 2 * _head_parameters(config)
