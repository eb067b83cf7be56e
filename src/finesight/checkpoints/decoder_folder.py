# SPDX-License-Identifier: Apache-2.0
"""Reads text decoders of llama and qwen2 architecture from a folder of transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import tokenizers
import torch
from torch import Tensor

from finesight.checkpoints.gguf import ARCHITECTURES, mrope_sections, zero_biases
from finesight.config.model import TextConfig
from finesight.errors import ConfigError
from finesight.model.shards import list_tensors, read_tensors
from finesight.processor.from_hf import read_json

__all__ = ["DecoderFolder"]


class DecoderFolder:
    """A text decoder in a folder with `config.json`, `tokenizer.json` and safetensors; as `GgufDecoder`.

    Args:
        path: the folder.

    Raises:
        ConfigError: a file is missing, or the folder holds another architecture.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._config = read_json(path / "config.json")
        self.architecture = str(self._config.get("model_type"))
        if self.architecture not in ARCHITECTURES:
            raise ConfigError(
                f"{path} holds a model of architecture {self.architecture!r}, expected {' or '.join(ARCHITECTURES)}"
            )
        file = path / "tokenizer.json"
        if not file.is_file():
            raise ConfigError(f"{path} has no tokenizer.json")
        self._tokenizer_json = file.read_text(encoding="utf-8")

    def config(self) -> TextConfig:
        """Shape of the decoder, with the M-RoPE sections of the published models.

        Raises:
            ConfigError: a value is missing, or the decoder needs a feature that Qwen2.5 does not have.
        """
        found = self._config
        rope = found.get("rope_parameters") or {}
        scaling = found.get("rope_scaling") or {}
        kind = rope.get("rope_type", scaling.get("rope_type", scaling.get("type", "default")))
        if kind != "default":
            raise ConfigError(
                f"{self.path} has rotary frequencies of kind {kind!r}, which the importer does not read"
            )
        try:
            heads, width = int(found["num_attention_heads"]), int(found["hidden_size"])
            return TextConfig(
                vocab_size=found["vocab_size"],
                hidden_size=width,
                intermediate_size=found["intermediate_size"],
                num_hidden_layers=found["num_hidden_layers"],
                num_attention_heads=heads,
                num_key_value_heads=found.get("num_key_value_heads", heads),
                tie_word_embeddings=found.get("tie_word_embeddings", False),
                mrope_section=mrope_sections(width // heads),
                max_position_embeddings=found["max_position_embeddings"],
                rms_norm_eps=found["rms_norm_eps"],
                rope_theta=rope.get("rope_theta", found.get("rope_theta", 10_000.0)),
            )
        except KeyError as error:
            raise ConfigError(f"{self.path / 'config.json'} has no value {error}") from error

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Published name and float32 values of each tensor of the decoder.

        Raises:
            WeightsError: a file is broken.
        """
        config = self.config()
        stored = list_tensors(self.path)
        if config.tie_word_embeddings:
            stored.pop("lm_head.weight", None)
        yield from read_tensors(stored, stored, torch.device("cpu"), torch.float32)
        if self.architecture == "llama":
            yield from zero_biases(config)

    def tokenizer(self, rename: Callable[[str], str] = str) -> tokenizers.Tokenizer:
        """The tokenizer.

        Args:
            rename: new name of an added token.
        """
        content = json.loads(self._tokenizer_json)
        vocabulary = content["model"]["vocab"]
        for token in content.get("added_tokens", []):
            old, new = token["content"], rename(token["content"])
            token["content"] = new
            if old in vocabulary:
                vocabulary[new] = vocabulary.pop(old)
        return tokenizers.Tokenizer.from_str(json.dumps(content))

    def added_tokens(self) -> dict[str, bool]:
        """Added tokens in the order of their ids, and whether each is a control token."""
        added = tokenizers.Tokenizer.from_str(self._tokenizer_json).get_added_tokens_decoder()
        return {token.content: token.special for _, token in sorted(added.items())}
