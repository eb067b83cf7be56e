# SPDX-License-Identifier: Apache-2.0
"""Text to token ids and back, from a checkpoint's own `tokenizer.json`.

*Text* comes from users and always becomes ordinary tokens, even if it contains `<|im_end|>` or
`<tool_call>`. *Control tokens* are inserted only by name (`special_id`), never from text.

Decoding works on bytes, because a token may end within a character. `StreamDecoder`
holds such bytes back until the character is complete; its pieces concatenate to the result of
`decode`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, decoders, processors

from finesight.errors import ConfigError
from finesight.text import special_tokens as names

_LONG_TEXT = 2**16
"""Characters of a text during whose tokenization other threads run."""


class Tokenizer:
    """A byte-level BPE vocabulary with its control tokens.

    Args:
        backend: a `tokenizers.Tokenizer` with a byte-level decoder. It is changed in place: its
            added tokens are no longer recognised in text.
        source: its name in error messages.

    Raises:
        ConfigError: the vocabulary is not byte-level, or lacks a token a conversation needs.
    """

    def __init__(self, backend: tokenizers.Tokenizer, *, source: str = "tokenizer") -> None:
        if not isinstance(backend.decoder, decoders.ByteLevel):
            raise ConfigError(
                f"{source}: the decoder is {type(backend.decoder).__name__}, expected ByteLevel",
                hint="Qwen2.5-VL checkpoints have a byte-level BPE tokenizer.json",
            )
        added = backend.get_added_tokens_decoder()
        # `encode_special_tokens` reaches only tokens marked special, and `<tool_call>` is published
        # without the mark. All are marked here; which ones are hidden from answers is stored
        # apart.
        backend.add_special_tokens(
            [AddedToken(token.content, special=True, normalized=False) for token in added.values()]
        )
        backend.encode_special_tokens = True
        backend.post_processor = processors.ByteLevel(
            trim_offsets=False
        )  # offsets include the spaces
        backend.no_padding()
        backend.no_truncation()
        self._backend = backend
        self._source = source
        self._ids = {token.content: index for index, token in added.items()}
        self._hidden = frozenset(index for index, token in added.items() if token.special)
        self._bytes: dict[int, bytes] = {
            index: token.content.encode() for index, token in added.items()
        }
        for name in names.REQUIRED:
            self.special_id(name)

    @classmethod
    def from_folder(cls, path: str | Path) -> Tokenizer:
        """Read `tokenizer.json` of a checkpoint folder."""
        return cls.from_file(Path(path) / "tokenizer.json")

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Read one `tokenizer.json`.

        Raises:
            ConfigError: the file is missing, unreadable, or not a byte-level BPE.
        """
        path = Path(path)
        if not path.is_file():
            raise ConfigError(
                f"{path} is not a file",
                hint="a checkpoint folder holds config.json and tokenizer.json",
            )
        try:
            backend = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises a bare Exception for any broken file
            raise ConfigError(f"{path} is not a tokenizer file: {error}") from error
        return cls(backend, source=str(path))

    @property
    def source(self) -> str:
        """Name of the vocabulary's source."""
        return self._source

    @cached_property
    def vocab_size(self) -> int:
        """Number of tokens, control tokens included (embeddings may have more rows)."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    @property
    def special_ids(self) -> Mapping[str, int]:
        """Every control token by name."""
        return self._ids

    def is_hidden(self, token_id: int) -> bool:
        """Whether the token is hidden from answers."""
        return token_id in self._hidden

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; nothing in it is a control token."""
        return self._encoding(text).ids

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """Token ids of a text, and for each token the index of its first character."""
        encoding = self._encoding(text)
        return encoding.ids, [start for start, _ in encoding.offsets]

    def _encoding(self, text: str) -> tokenizers.Encoding:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            around = text[max(0, error.start - 20) : error.end + 20]
            raise ConfigError(
                f"a text is not UTF-8 at character {error.start + 1}: {around!r}",
                hint="convert it to UTF-8 first",
            ) from error
        if len(text) < _LONG_TEXT:
            return self._backend.encode(text, add_special_tokens=False)
        # Only the function for several texts releases Python's lock, which megabytes hold for seconds.
        return self._backend.encode_batch([text], add_special_tokens=False)[0]

    def special_id(self, name: str) -> int:
        """Id of a control token.

        Raises:
            ConfigError: the vocabulary has no such token.
        """
        try:
            return self._ids[name]
        except KeyError:
            near = get_close_matches(name, self._ids, n=3)
            raise ConfigError(
                f"{self._source} has no token {name}",
                hint=f"nearest: {', '.join(near)}" if near else "it has no token like it",
            ) from None

    def token_bytes(self, token_id: int) -> bytes:
        """Bytes of a token; empty for an id beyond the vocabulary (an unused embedding row)."""
        known = self._bytes.get(token_id)
        if known is None:
            written = self._backend.id_to_token(token_id)
            known = b"" if written is None else bytes(_BYTE_OF[letter] for letter in written)
            self._bytes[token_id] = known
        return known

    def token_text(self, token_id: int) -> str:
        """Text of one token; incomplete characters become U+FFFD."""
        return self.token_bytes(token_id).decode(errors="replace")

    def decode(self, token_ids: Iterable[int], skip_special: bool = True) -> str:
        """Text of token ids.

        Args:
            token_ids: any ids of the vocabulary.
            skip_special: leave out tokens that are hidden from answers (`<tool_call>` is visible).
        """
        hidden = self._hidden if skip_special else frozenset()
        joined = b"".join(self.token_bytes(index) for index in token_ids if index not in hidden)
        return joined.decode(errors="replace")

    def stream(self, skip_special: bool = True) -> StreamDecoder:
        """A decoder for one token at a time."""
        return StreamDecoder(self, skip_special=skip_special)


class StreamDecoder:
    """Incremental decoder that returns only complete characters.

    Args:
        tokenizer: the vocabulary.
        skip_special: leave out tokens that are hidden from answers.
    """

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """New text that this token completes; empty while a character is incomplete."""
        if self._skip_special and self._tokenizer.is_hidden(token_id):
            return ""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    @property
    def is_within_character(self) -> bool:
        """Whether the bytes of an incomplete character are held back."""
        return bool(self._decoder.getstate()[0])

    def finish(self) -> str:
        """The rest: U+FFFD for bytes of an incomplete character."""
        return self._decoder.decode(b"", final=True)


def _byte_alphabet() -> dict[str, int]:
    """The character that byte-level BPE writes for each byte (GPT-2's table).

    Printable Latin-1 bytes are their own characters; the 68 others use the code points from 256 on, in
    order.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in printable)
    table.update({chr(256 + place): byte for place, byte in enumerate(others)})
    return table


_BYTE_OF = _byte_alphabet()
