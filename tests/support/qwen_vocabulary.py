# SPDX-License-Identifier: Apache-2.0
"""The official Qwen2.5-VL `tokenizer.json`, rebuilt from the BPE ranks that the wheel `dashscope` ships.

The ranks list tokens, a tokenizer.json lists merges. A token of rank r came from joining two older tokens; every such
pair is written as a merge, at the place of r. Test-only: the wheel is no dependency of the package.
"""

from __future__ import annotations

import base64
from importlib.resources import files

import tokenizers
from tokenizers import (
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from finesight.text.special_tokens import ADDED_TEXT_TOKENS, SPECIAL_TOKENS
from tests.conftest import QWEN_PATTERN

FIRST_SPECIAL_ID = 151_643


def official_ranks() -> dict[bytes, int]:
    """Every BPE token and its id."""
    content = files("dashscope").joinpath("resources/qwen.tiktoken").read_bytes()
    pairs = (line.split() for line in content.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def official_backend(ranks: dict[bytes, int]) -> tokenizers.Tokenizer:
    """A `tokenizers.Tokenizer` as the published one, control tokens included."""
    letters = _letters()
    spelled = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges: list[tuple[str, str]] = []
    for token in sorted(ranks, key=ranks.__getitem__):
        pairs = [
            (token[:cut], token[cut:])
            for cut in range(1, len(token))
            if token[:cut] in ranks and token[cut:] in ranks
        ]
        pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges += [(spelled[left], spelled[right]) for left, right in pairs]
    vocabulary = {spelled[token]: rank for token, rank in ranks.items()}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges, fuse_unk=False))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in SPECIAL_TOKENS])
    backend.add_tokens([AddedToken(name, normalized=False) for name in ADDED_TEXT_TOKENS])
    return backend


def _letters() -> list[str]:
    """The letter that byte-level BPE writes for each byte."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
