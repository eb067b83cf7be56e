# SPDX-License-Identifier: Apache-2.0
"""Reads text decoders of llama and qwen2 architecture from GGUF files.

A decoder of either architecture runs unchanged in `VisionLanguageModel`: it is the Qwen2.5 decoder, for llama with
zero biases of q, k and v. Text has equal positions on all three axes of M-RoPE, which is rotary embedding over one
axis, so logits of text are those of the decoder (test: tests/unit/checkpoints/test_gguf.py).

llama.cpp stores the rows of q and k of llama models in the order of interleaved rotary pairs; they are put back into
the order of split halves, by whole rows. `tensors` dequantises; `gguf_blocks` keeps blocks.

Source: the GGUF format and its tensor names, as the `gguf` package defines them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
import torch
from gguf import ReaderTensor
from pydantic import ValidationError
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from torch import Tensor

from finesight.checkpoints.gguf_file import INCOMPLETE, dequantised, find_value, open_gguf
from finesight.config.model import TextConfig
from finesight.errors import ConfigError, WeightsError

ARCHITECTURES = ("llama", "qwen2")

ONLY_PLAIN = "only plain llama and qwen2 decoders can be imported"
"""Hint for a decoder that needs another feature."""

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Modules of a layer: name in GGUF, name in the published checkpoints."""

_OTHER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}

_ROTATED = ("attn_q", "attn_k")
"""Modules whose rows llama.cpp reorders."""

_OF_TOWER = ("v.", "mm.")
"""Beginnings of names of a vision tower's tensors in the same file; `gguf_vision` reads them."""

_FREQUENCIES = "rope_freqs.weight"
"""Divisors of the rotary frequencies; of 1, they change nothing."""

_CONTROL, _USER_DEFINED = 3, 4
"""Token types of GGUF: control tokens, and added tokens that stay visible."""

_QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pre-tokenizer pattern in the published tokenizer.json of Qwen2."""


class GgufDecoder:
    """A text decoder in a GGUF file; tensors are read when asked for.

    Args:
        path: the file.

    Raises:
        WeightsError: the file cannot be read or is truncated.
        ConfigError: it holds another architecture.
    """

    architectures: tuple[str, ...] = ARCHITECTURES
    """Those that are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reader = open_gguf(path)
        self.architecture = str(self._value("general.architecture"))
        if self.architecture not in self.architectures:
            raise ConfigError(
                f"{path} holds a model of architecture {self.architecture!r}, expected "
                f"{' or '.join(self.architectures)}",
                hint=ONLY_PLAIN,
            )
        self._tensors = {
            tensor.name: tensor
            for tensor in self.reader.tensors
            if not tensor.name.startswith(_OF_TOWER)
        }

    def config(self) -> TextConfig:
        """Shape of the decoder, with the M-RoPE sections of the published models.

        Raises:
            ConfigError: a value is missing, or the decoder needs a feature that Qwen2.5 does not have.
        """
        of = f"{self.architecture}."
        divisors = self._tensors.get(_FREQUENCIES)
        is_scaled = divisors is not None and bool((self.values(divisors) != 1).any())
        if is_scaled or f"{of}rope.scaling.type" in self.reader.fields:
            raise ConfigError(
                f"{self.path} has scaled rotary frequencies, which the importer does not read",
                hint=ONLY_PLAIN,
            )
        rotary = f"{of}rope.dimension_count"
        return text_config(
            self.path,
            {
                "vocab_size": int(self._tensor("token_embd.weight").shape[-1]),
                "hidden_size": self._value(f"{of}embedding_length"),
                "intermediate_size": self._value(f"{of}feed_forward_length"),
                "num_hidden_layers": self._value(f"{of}block_count"),
                "num_attention_heads": self._value(f"{of}attention.head_count"),
                "num_key_value_heads": self._value(f"{of}attention.head_count_kv"),
                "tie_word_embeddings": "output.weight" not in self._tensors,
                "max_position_embeddings": self._value(f"{of}context_length"),
                "rms_norm_eps": _short(self._value(f"{of}attention.layer_norm_rms_epsilon")),
                "rope_theta": _short(self._value(f"{of}rope.freq_base")),
            },
            rotary_dim=self._value(rotary) if rotary in self.reader.fields else None,
        )

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Name in the published checkpoints and float32 values of each tensor of the decoder.

        Raises:
            WeightsError: a tensor has an unknown name, its quantisation cannot be read, or a value is not finite.
        """
        if self.architecture == "llama":
            yield from zero_biases(self.config())
        for ours, tensor, order in self.stored():
            values = torch.from_numpy(self.values(tensor))
            yield ours, values if order is None else values[order]

    def stored(self) -> Iterator[tuple[str, ReaderTensor, Tensor | None]]:
        """Name in the published checkpoints of each stored tensor, the tensor, and the order of its rows.

        Raises:
            WeightsError: a tensor has an unknown name, or rows that are no whole heads.
        """
        head_dim = self.config().head_dim
        for name, tensor in self._tensors.items():
            if name == _FREQUENCIES:
                continue
            order = None
            if self.architecture == "llama" and name.rpartition(".")[0].endswith(_ROTATED):
                num_rows = int(tensor.shape[-1])
                if num_rows % head_dim:
                    raise WeightsError(
                        f"tensor {name} in {self.path} has {num_rows} rows for heads of {head_dim}",
                        hint=INCOMPLETE,
                    )
                order = _split_halves(num_rows, head_dim)
            yield self._published(name), tensor, order

    def tokenizer(self, rename: Callable[[str], str] = str) -> tokenizers.Tokenizer:
        """The byte-level BPE tokenizer.

        Args:
            rename: new name of a control token.

        Raises:
            ConfigError: the tokenizer is of another kind, its pre-tokenizer is unknown, or its merges do not fit its
                tokens.
        """
        kind, pre = self._value("tokenizer.ggml.model"), str(self._value("tokenizer.ggml.pre"))
        if kind != "gpt2" or pre not in PRE_TOKENIZERS:
            raise ConfigError(
                f"{self.path} has a tokenizer of kind {kind!r} with the pre-tokenizer {pre!r}",
                hint=f"byte-level BPE (gpt2) with one of {', '.join(PRE_TOKENIZERS)} can be read",
            )
        texts, types = self._tokens()
        added = {
            index: kind for index, kind in enumerate(types) if kind in (_CONTROL, _USER_DEFINED)
        }
        texts = [rename(text) if index in added else text for index, text in enumerate(texts)]
        merges = [_pair(str(each)) for each in self._value("tokenizer.ggml.merges")]
        vocabulary = {text: index for index, text in enumerate(texts)}
        try:
            backend = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        except Exception as error:  # the library raises a bare Exception
            raise ConfigError(
                f"the merges in {self.path} do not fit its tokens: {error}", hint=INCOMPLETE
            ) from error
        normalizer, backend.pre_tokenizer = PRE_TOKENIZERS[pre]()
        if normalizer is not None:
            backend.normalizer = normalizer
        backend.decoder = decoders.ByteLevel()
        backend.add_tokens(
            [
                AddedToken(texts[index], special=kind == _CONTROL, normalized=False)
                for index, kind in added.items()
            ]
        )
        return backend

    def added_tokens(self) -> dict[str, bool]:
        """Added tokens in the order of their ids, and whether each is a control token."""
        return {
            text: kind == _CONTROL
            for text, kind in zip(*self._tokens(), strict=True)
            if kind in (_CONTROL, _USER_DEFINED)
        }

    def _tokens(self) -> tuple[list[str], list[int]]:
        """Texts and types of all tokens, by id."""
        texts, types = (self._value(f"tokenizer.ggml.{each}") for each in ("tokens", "token_type"))
        if not isinstance(texts, list) or not isinstance(types, list) or len(texts) != len(types):
            raise ConfigError(
                f"{self.path} has {len(texts)} tokens with {len(types)} types", hint=INCOMPLETE
            )
        if len(set(texts)) != len(texts):
            (twice, _), *_ = Counter(texts).most_common(1)
            raise ConfigError(f"{self.path} has the token {twice!r} twice", hint=INCOMPLETE)
        return [str(each) for each in texts], types

    def _value(self, key: str) -> Any:
        found = find_value(self.reader, self.path, key)
        if found is None:
            raise ConfigError(f"{self.path} has no value {key!r}", hint=INCOMPLETE)
        return found

    def _tensor(self, name: str) -> ReaderTensor:
        if name not in self._tensors:
            raise WeightsError(f"{self.path} has no tensor {name!r}", hint=INCOMPLETE)
        return self._tensors[name]

    def values(self, tensor: ReaderTensor) -> npt.NDArray[np.float32]:
        """The values of a tensor, in the shape of the published checkpoints.

        Raises:
            WeightsError: its quantisation cannot be read, or a value is not finite.
        """
        return dequantised(tensor, self.path)

    def _published(self, name: str) -> str:
        """Name of a tensor in the published checkpoints."""
        if name in _OTHER_NAMES:
            return _OTHER_NAMES[name]
        prefix, _, rest = name.partition(".")
        layer, _, rest = rest.partition(".")
        module, _, kind = rest.rpartition(".")
        if prefix != "blk" or module not in _LAYER_NAMES:
            raise WeightsError(
                f"tensor {name} in {self.path} has no place in a Qwen2.5 decoder",
                hint=ONLY_PLAIN,
            )
        return f"model.layers.{layer}.{_LAYER_NAMES[module]}.{kind}"


def text_config(path: Path, values: Mapping[str, Any], *, rotary_dim: Any = None) -> TextConfig:
    """Shape of a decoder, with the M-RoPE sections of the published models.

    Args:
        path: the decoder, for error messages.
        values: fields of the configuration, except `mrope_section`.
        rotary_dim: numbers of a head that are rotated; None if all are.

    Raises:
        ConfigError: a value is not a positive number, the values contradict each other, or rotation is partial.
    """
    for name, value in values.items():
        if not isinstance(value, int | float) or (value <= 0 and value is not False):
            raise ConfigError(
                f"{path} has {name} = {value!r}, expected a positive number", hint=INCOMPLETE
            )
    head_dim = values["hidden_size"] // values["num_attention_heads"]
    if rotary_dim not in (None, head_dim):
        raise ConfigError(
            f"{path} has heads of size {head_dim} of which {rotary_dim} numbers are rotated, expected all",
            hint=ONLY_PLAIN,
        )
    try:
        return TextConfig(mrope_section=mrope_sections(head_dim), raster_positions=True, **values)
    except ValidationError as error:
        reason = error.errors()[0]
        place = ": ".join(map(str, (path, *reason["loc"])))
        raise ConfigError(f"{place}: {reason['msg']}", hint=INCOMPLETE) from error


def mrope_sections(head_dim: int) -> tuple[int, int, int]:
    """Rotary pairs for time, height and width, in the proportions of the published models: 16, 24, 24 of 64."""
    half = head_dim // 2
    time = half // 4
    height = (half - time) // 2
    return time, height, half - time - height


def zero_biases(config: TextConfig) -> Iterator[tuple[str, Tensor]]:
    """Name and values of the biases of q, k and v that a llama decoder does not have."""
    kv_width = config.num_key_value_heads * config.head_dim
    widths = {"q_proj": config.hidden_size, "k_proj": kv_width, "v_proj": kv_width}
    for layer in range(config.num_hidden_layers):
        for module, width in widths.items():
            yield f"model.layers.{layer}.self_attn.{module}.bias", torch.zeros(width)


def _split_halves(num_rows: int, head_dim: int) -> Tensor:
    """int64[num_rows], the order of rows of q or k that brings interleaved rotary pairs to split halves.

    Worked example: rows 0, 1, 2, 3 of a head of size 4 hold the pairs (0, 1) and (2, 3); split halves are 0, 2, 1, 3.
    """
    heads = torch.arange(num_rows).view(-1, head_dim // 2, 2)
    return heads.transpose(1, 2).flatten()


def _pair(merge: str) -> tuple[str, str]:
    """The two tokens of a merge, as in "th e"."""
    left, _, right = merge.partition(" ")
    return left, right


def _short(value: Any) -> Any:
    """The shortest decimal of a float32: 1e-05 instead of 9.999999747378752e-06."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def _smollm() -> tuple[None, pre_tokenizers.PreTokenizer]:
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return None, pre_tokenizers.Sequence([digits, words])


def _qwen2() -> tuple[normalizers.Normalizer, pre_tokenizers.PreTokenizer]:
    words = pre_tokenizers.Split(Regex(_QWEN2_WORDS), behavior="isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return normalizers.NFC(), pre_tokenizers.Sequence([words, letters])


PRE_TOKENIZERS: dict[
    str, Callable[[], tuple[normalizers.Normalizer | None, pre_tokenizers.PreTokenizer]]
] = {"smollm": _smollm, "qwen2": _qwen2}
"""Normaliser and pre-tokenizer of byte-level vocabularies, by their names in GGUF files."""
