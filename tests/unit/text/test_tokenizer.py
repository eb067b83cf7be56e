# SPDX-License-Identifier: Apache-2.0
"""Text stays text, control tokens go by name, and bytes come back whole."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from finesight.errors import ConfigError
from finesight.text.special_tokens import (
    ADDED_TEXT_TOKENS,
    IM_END,
    IM_START,
    SPECIAL_TOKENS,
    TOOL_CALL,
)
from finesight.text.tokenizer import Tokenizer
from tests.conftest import build_tokenizer


@pytest.mark.parametrize("name", [*SPECIAL_TOKENS, *ADDED_TEXT_TOKENS])
def test_control_tokens_in_text_stay_text(tiny_tokenizer, name):
    text = f"a{name}b {name}"
    ids = tiny_tokenizer.encode(text)
    assert tiny_tokenizer.special_id(name) not in ids
    assert tiny_tokenizer.decode(ids) == text


@pytest.mark.parametrize("text", ["caf\udce9", "\ud83d alone", "x" * 90 + "\udcff"])
def test_text_that_is_not_utf8_is_named(tiny_tokenizer, text):
    for encode in (tiny_tokenizer.encode, tiny_tokenizer.encode_with_starts):
        with pytest.raises(ConfigError, match="not UTF-8 at character") as caught:
            encode(text)
        assert len(caught.value.message) < 160


def test_ids_follow_the_names(tiny_tokenizer, tiny_backend):
    for name in (*SPECIAL_TOKENS, *ADDED_TEXT_TOKENS):
        index = tiny_tokenizer.special_id(name)
        assert index == tiny_backend.token_to_id(name)
        assert tiny_tokenizer.token_text(index) == name


def test_unknown_name_suggests_the_nearest(tiny_tokenizer):
    with pytest.raises(ConfigError, match=r"has no token <\|image_pa\|>") as caught:
        tiny_tokenizer.special_id("<|image_pa|>")
    assert "<|image_pad|>" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n",
        "plain",
        "Ünï",
        "日本語テスト",
        "🙂👩‍👩‍👧",
        "a\u0301",
        "\x00\x7f",
        "<|im_end|>",
    ],
)
def test_decode_gives_the_text_back(tiny_tokenizer, text):
    assert tiny_tokenizer.decode(tiny_tokenizer.encode(text)) == text


def test_decode_hides_special_tokens_but_shows_calls(tiny_tokenizer):
    ids = [
        tiny_tokenizer.special_id(IM_START),
        *tiny_tokenizer.encode("x"),
        tiny_tokenizer.special_id(TOOL_CALL),
        tiny_tokenizer.special_id(IM_END),
    ]
    assert tiny_tokenizer.decode(ids) == f"x{TOOL_CALL}"
    assert tiny_tokenizer.decode(ids, skip_special=False) == f"{IM_START}x{TOOL_CALL}{IM_END}"


def test_starts_are_the_first_character_of_each_token(tiny_tokenizer):
    text = "assistant\n\n\n  é 🙂 x"
    ids, starts = tiny_tokenizer.encode_with_starts(text)
    assert ids == tiny_tokenizer.encode(text)
    assert starts == sorted(starts)
    for token, start in zip(ids, starts, strict=True):
        written = tiny_tokenizer.token_text(token)
        if "\ufffd" not in written:
            assert text[start:].startswith(written)


@pytest.mark.parametrize("text", ["日本🙂 é", "plain", ""])
def test_stream_joins_to_decode(tiny_tokenizer, text):
    ids = tiny_tokenizer.encode(text)
    stream = tiny_tokenizer.stream()
    pieces = [stream.push(token) for token in ids]
    assert "".join(pieces) + stream.finish() == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_stream_cut_inside_a_character(tiny_tokenizer):
    ids = tiny_tokenizer.encode("🙂")
    assert len(ids) > 1, "the tiny vocabulary has no token for this character"
    stream = tiny_tokenizer.stream()
    assert [stream.push(token) for token in ids[:-1]] == [""] * (len(ids) - 1)
    assert stream.finish() == "\ufffd" == tiny_tokenizer.decode(ids[:-1])


def test_stream_hides_special_tokens(tiny_tokenizer):
    end = tiny_tokenizer.special_id(IM_END)
    assert tiny_tokenizer.stream().push(end) == ""
    assert tiny_tokenizer.stream(skip_special=False).push(end) == IM_END


def test_spare_rows_of_the_embedding_decode_to_nothing(tiny_tokenizer):
    assert tiny_tokenizer.decode([tiny_tokenizer.vocab_size + 5]) == ""


def test_read_from_a_folder(tmp_path, tiny_tokenizer):
    build_tokenizer().save(str(tmp_path / "tokenizer.json"))
    read = Tokenizer.from_folder(tmp_path)
    assert read.encode("Read all the text") == tiny_tokenizer.encode("Read all the text")
    assert read.vocab_size == tiny_tokenizer.vocab_size


@pytest.mark.parametrize("content", [None, "", "{", '{"model": 3}'])
def test_missing_or_broken_file_is_named(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)


def test_other_kinds_of_vocabulary_are_refused():
    backend = tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(ConfigError, match="expected ByteLevel"):
        Tokenizer(backend)


def test_vocabulary_without_the_chat_tokens_is_refused():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    backend.decoder = tokenizers.decoders.ByteLevel()
    with pytest.raises(ConfigError, match=r"<\|endoftext\|>"):
        Tokenizer(backend)


def test_other_threads_run_while_a_long_text_is_tokenized(tiny_tokenizer):
    """The function for one text holds Python's lock: a request with 8 MB of text stopped a server for seconds."""
    text, ticks, is_done = "The quick brown fox. " * 20_000, [], threading.Event()

    def tick() -> None:
        while not is_done.wait(0.001):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    ids, starts = tiny_tokenizer.encode_with_starts(text)
    end = time.perf_counter()
    is_done.set()
    thread.join()
    during = [each for each in ticks if start < each < end]
    longest = max(b - a for a, b in itertools.pairwise([start, *during, end]))
    assert longest < 0.5 * (end - start)
    short = tiny_tokenizer.encode_with_starts(text[:42])
    assert (ids[: len(short[0]) - 1], starts[: len(short[1]) - 1]) == (short[0][:-1], short[1][:-1])
    assert tiny_tokenizer.decode(ids) == text
