# SPDX-License-Identifier: Apache-2.0
"""Reads text decoders of llama and qwen2 architecture from a folder of transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import tokenizers
import torch
from torch import Tensor

from finesight.checkpoints.gguf import ARCHITECTURES, ONLY_PLAIN, text_config, zero_biases
from finesight.config.model import TextConfig
from finesight.errors import ConfigError
from finesight.model.shards import list_tensors, read_tensors
from finesight.processor.from_hf import read_json

__all__ = ["DecoderFolder"]

_PLAIN_VALUES = {"hidden_act": "silu", "use_sliding_window": False, "partial_rotary_factor": 1.0}
"""Options of another computation, with the values of a plain decoder."""


class DecoderFolder:
    """A text decoder in a folder with `config.json`, `tokenizer.json` and safetensors; as `GgufDecoder`.

    Args:
        path: the folder.

    Raises:
        ConfigError: a file is missing, or the folder holds another architecture.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("config.json", "tokenizer.json"):
            if not (path / name).is_file():
                raise ConfigError(
                    f"{path} has no {name}",
                    hint="a decoder's folder holds config.json, tokenizer.json and *.safetensors",
                )
        self._config = read_json(path / "config.json")
        self.architecture = str(self._config.get("model_type"))
        if self.architecture not in ARCHITECTURES:
            raise ConfigError(
                f"{path} holds a model of architecture {self.architecture!r}, expected {' or '.join(ARCHITECTURES)}",
                hint=ONLY_PLAIN,
            )
        self._tokenizer = read_json(path / "tokenizer.json")

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
                f"{self.path} has rotary frequencies of kind {kind!r}, which the importer does not read",
                hint=ONLY_PLAIN,
            )
        for key, plain in _PLAIN_VALUES.items():
            if (value := found.get(key, plain)) != plain:
                raise ConfigError(
                    f"{self.path / 'config.json'} has {key} = {value!r}, expected {plain!r}",
                    hint=ONLY_PLAIN,
                )
        try:
            return text_config(
                self.path / "config.json",
                {
                    "vocab_size": found["vocab_size"],
                    "hidden_size": found["hidden_size"],
                    "intermediate_size": found["intermediate_size"],
                    "num_hidden_layers": found["num_hidden_layers"],
                    "num_attention_heads": found["num_attention_heads"],
                    "num_key_value_heads": found.get(
                        "num_key_value_heads", found["num_attention_heads"]
                    ),
                    "tie_word_embeddings": found.get("tie_word_embeddings", False),
                    "max_position_embeddings": found["max_position_embeddings"],
                    "rms_norm_eps": found["rms_norm_eps"],
                    "rope_theta": rope.get("rope_theta", found.get("rope_theta", 10_000.0)),
                },
            )
        except KeyError as error:
            raise ConfigError(
                f"{self.path / 'config.json'} has no value {error}",
                hint="download the folder again",
            ) from error

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Published name and float32 values of each tensor of the decoder.

        Raises:
            WeightsError: a file is broken.
        """
        config = self.config()
        if self.architecture == "llama":
            yield from zero_biases(config)
        stored = list_tensors(self.path)
        if config.tie_word_embeddings:
            stored.pop("lm_head.weight", None)
        yield from read_tensors(stored, stored, torch.device("cpu"), torch.float32)

    def tokenizer(self, rename: Callable[[str], str] = str) -> tokenizers.Tokenizer:
        """The tokenizer.

        Args:
            rename: new name of an added token.

        Raises:
            ConfigError: it is not a BPE tokenizer.
        """
        content = deepcopy(self._tokenizer)
        try:
            vocabulary = content["model"]["vocab"]
            for token in content.get("added_tokens", []):
                old, new = token["content"], rename(token["content"])
                token["content"] = new
                if old in vocabulary:
                    vocabulary[new] = vocabulary.pop(old)
            return tokenizers.Tokenizer.from_str(json.dumps(content))
        except Exception as error:  # the library raises a bare Exception
            raise ConfigError(
                f"{self.path / 'tokenizer.json'} is not a BPE tokenizer: {error!r}",
                hint="the tokenizer must be byte-level BPE",
            ) from error

    def added_tokens(self) -> dict[str, bool]:
        """Added tokens in the order of their ids, and whether each is a control token."""
        added = self.tokenizer().get_added_tokens_decoder()
        return {token.content: token.special for _, token in sorted(added.items())}
