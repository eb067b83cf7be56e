# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of a GGUF file: tokens with their types, merges, and the name of the pre-tokenizer.

llama.cpp has the pre-tokenizers built in and knows them by name, so a tokenizer with another one cannot be exported.
It does not normalise text: a text that is not in Unicode's form NFC gets other tokens there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from gguf import GGUFWriter, TokenType

from finesight.checkpoints.gguf import PRE_TOKENIZERS
from finesight.config.model import ModelConfig
from finesight.errors import ConfigError
from finesight.text import special_tokens as names

__all__ = ["add_tokenizer", "pre_tokenizer_name"]


def add_tokenizer(writer: GGUFWriter, path: Path, config: ModelConfig, chat_template: str) -> None:
    """Add the tokenizer of a checkpoint folder to the metadata of a GGUF file.

    Args:
        writer: of the language model.
        path: the `tokenizer.json`.
        config: the rows of the embedding, and the ids of special tokens.
        chat_template: in Jinja.

    Raises:
        ConfigError: the tokenizer is of another kind than byte-level BPE, its pre-tokenizer has no name in llama.cpp,
            or it has more tokens than the model has embeddings.
    """
    content = _read(path)
    rows = config.text.vocab_size
    texts, types = _tokens(content, path, rows)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_name(content, path))
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.add_token_merges([_merge(each) for each in content["model"]["merges"]])
    writer.add_eos_token_id(texts.index(names.IM_END))
    writer.add_pad_token_id(config.special_tokens.pad)
    writer.add_bos_token_id(config.special_tokens.pad)
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template)


def pre_tokenizer_name(content: dict[str, Any], path: Path) -> str:
    """The name in llama.cpp of the pre-tokenizer in a `tokenizer.json`.

    Raises:
        ConfigError: it has none.
    """
    for name, make in PRE_TOKENIZERS.items():
        backend = tokenizers.Tokenizer(tokenizers.models.BPE())
        backend.pre_tokenizer = make()[1]
        known = json.loads(backend.to_str())["pre_tokenizer"]
        if _essence(known) == _essence(content.get("pre_tokenizer")):
            return name
    raise ConfigError(
        f"{path} cuts text in a way that has no name in llama.cpp: {str(content.get('pre_tokenizer'))[:120]}",
        hint=f"the pre-tokenizers of {' and '.join(PRE_TOKENIZERS)} can be exported",
    )


def _essence(value: Any) -> Any:
    """The description of a pre-tokenizer without keys that do not change tokens."""
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key != "trim_offsets"}
        return {key: _essence(each) for key, each in kept.items()}
    return [_essence(each) for each in value] if isinstance(value, list) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        is_bpe = content["model"]["type"] == "BPE"
        is_bytes = content["decoder"]["type"] == "ByteLevel"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no tokenizer file: {error!r}") from error
    if not (is_bpe and is_bytes):
        raise ConfigError(
            f"{path} has a model of type {content['model']['type']} and a decoder of type "
            f"{content['decoder']['type']}, expected BPE and ByteLevel",
            hint="Qwen2.5-VL checkpoints have a byte-level BPE tokenizer.json",
        )
    return dict(content)


def _tokens(content: dict[str, Any], path: Path, rows: int) -> tuple[list[str], list[TokenType]]:
    """Text and type of each row of the embedding; rows without a token are marked as unused."""
    texts = [f"[PAD{index}]" for index in range(rows)]
    types = [TokenType.UNUSED] * rows
    added = {each["id"]: each for each in content.get("added_tokens", [])}
    known = {index: text for text, index in content["model"]["vocab"].items()}
    known |= {index: token["content"] for index, token in added.items()}
    for index, text in known.items():
        if index >= rows:
            raise ConfigError(
                f"{path} has token {text!r} with id {index}, but the model has {rows} embeddings",
                hint="tokens were added without embeddings: use the tokenizer of the model",
            )
        texts[index], types[index] = text, TokenType.NORMAL
    for index, token in added.items():
        types[index] = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
    if names.IM_END not in texts:
        raise ConfigError(
            f"{path} has no token {names.IM_END}", hint="it is not a tokenizer of Qwen2.5-VL"
        )
    return texts, types


def _merge(merge: Any) -> str:
    """A merge as one text: newer files store two tokens, older ones a text."""
    return merge if isinstance(merge, str) else " ".join(merge)
