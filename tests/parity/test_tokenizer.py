# SPDX-License-Identifier: Apache-2.0
"""The published vocabulary: ids equal to tiktoken's and to transformers' over texts in many scripts."""

from __future__ import annotations

import random
import unicodedata

import pytest

from finesight.api.checkpoints import ASSETS, EMBEDDED
from finesight.text.special_tokens import ADDED_TEXT_TOKENS, SPECIAL_TOKENS
from finesight.text.tokenizer import Tokenizer
from tests.support.drawn_cases import TEXTS
from tests.support.qwen_vocabulary import FIRST_SPECIAL_ID, QWEN_PATTERN

pytestmark = pytest.mark.parity

# First and last code point of scripts that cut differently: letters, digits, marks, spaces, symbols.
SCRIPTS = (
    (0x09, 0x0D),
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x52F),
    (0x5D0, 0x6FF),
    (0x900, 0x97F),
    (0xE00, 0xE7F),
    (0x2000, 0x206F),
    (0x3040, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0x1F300, 0x1F64F),
)


@pytest.fixture(scope="module")
def tokenizer(official_file):
    return Tokenizer.from_file(official_file)


def drawn_texts(ranks, count):
    rng = random.Random(0)
    tokens = list(ranks)
    yield from TEXTS
    for _ in range(count):
        script = [rng.choice(SCRIPTS) for _ in range(rng.randint(1, 3))]
        letters = [chr(rng.randint(*rng.choice(script))) for _ in range(rng.randint(1, 60))]
        words = [rng.choice(tokens).decode(errors="ignore") for _ in range(rng.randint(0, 12))]
        pieces = letters + words
        if rng.random() < 0.5:
            rng.shuffle(pieces)
        yield "".join(pieces)


def test_equal_to_tiktoken(tokenizer, official_ranks):
    tiktoken = pytest.importorskip("tiktoken")
    encoding = tiktoken.Encoding(
        "qwen", pat_str=QWEN_PATTERN, mergeable_ranks=official_ranks, special_tokens={}
    )
    for text in drawn_texts(official_ranks, 3000):
        composed = unicodedata.normalize("NFC", text)
        ids = tokenizer.encode(text)
        assert ids == encoding.encode(composed), repr(text)
        assert tokenizer.decode(ids) == composed
        assert ids == tokenizer.encode_with_starts(text)[0]


def test_equal_to_transformers(tokenizer, reference, official_ranks):
    for text in drawn_texts(official_ranks, 300):
        ids = tokenizer.encode(text)
        assert ids == reference.tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == reference.tokenizer.decode(ids)


def test_streams_join_to_what_transformers_decodes(tokenizer, reference, official_ranks):
    rng = random.Random(1)
    for _ in range(300):
        ids = [rng.randrange(len(official_ranks)) for _ in range(30)]
        stream = tokenizer.stream()
        joined = "".join(stream.push(token) for token in ids) + stream.finish()
        assert joined == tokenizer.decode(ids) == reference.tokenizer.decode(ids)


def test_control_tokens_have_the_published_ids(tokenizer):
    for place, name in enumerate((*SPECIAL_TOKENS, *ADDED_TEXT_TOKENS)):
        assert tokenizer.special_id(name) == FIRST_SPECIAL_ID + place
    assert tokenizer.special_id("<|file_sep|>") == 151_664


@pytest.mark.parametrize(
    "text",
    [
        "What is the total amount on this invoice, and when is it due?",
        "Locate the red square, output its bbox coordinates using JSON format.",
        '{"company": "", "date": "", "address": "", "total": 12.50, "items": [1, 2, 3]}',
        "def area(box: Box) -> float:\n    return (box.x2 - box.x1) * (box.y2 - box.y1)\n",
        "请识别出图中所有的文字，并翻译成英文。",
        "画像の中のすべての文字を読んでください。",
        "Прочитай весь текст на картинке и переведи его.",
        "Lies den gesamten Text im Bild und fasse ihn zusammen.",
    ],
)
def test_text_counted_with_the_embedded_vocabulary_is_right_to_twice_too_long(tokenizer, text):
    """What `finesight plan` says of a release of which no file is here."""
    embedded = Tokenizer.from_folder(ASSETS / EMBEDDED)
    official = len(tokenizer.encode(text))
    assert official <= len(embedded.encode(text)) <= 2.2 * official
