# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from finesight.api.checkpoints import ASSETS
from finesight.config.model import SpecialTokenIds
from finesight.config.sizes import RELEASE_NAMES, SIZE_NAMES, named_config, released_size
from finesight.errors import ConfigError


@pytest.mark.parametrize("name", SIZE_NAMES)
def test_every_size_has_the_common_shape(name):
    config = named_config(name)
    assert config.vision.patch_values == 1176
    assert config.vision.resize_factor == 28
    assert config.vision.window_cells == 4
    assert config.vision.full_attention_layers[-1] == config.vision.depth - 1
    assert config.special_tokens.image_pad < config.text.vocab_size


def test_the_small_size_suits_every_exporter():
    config = named_config("tiny")
    assert config.text.head_dim == 64
    assert config.text.mrope_section == (4, 8, 20)
    assert config.vision.head_dim in (32, 64)
    assert config.text.tie_word_embeddings
    widths = (config.vision.hidden_size, config.vision.intermediate_size)
    widths += (config.text.hidden_size, config.text.intermediate_size, config.text.vocab_size)
    assert all(width % 64 == 0 for width in widths)
    gaps = {layer + 1 for layer in config.vision.full_attention_layers}
    assert gaps == {4, 8}


def test_ids_of_the_small_size_are_those_of_its_tokenizer():
    ids = named_config("tiny").special_tokens
    added = json.loads((ASSETS / "tiny" / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    known = {each["content"]: each["id"] for each in added}
    names = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    found = (ids.vision_start, ids.vision_end, ids.image_pad, ids.video_pad)
    assert found == tuple(known[name] for name in names)
    assert ids.eos == (known["<|im_end|>"], known["<|endoftext|>"])
    assert ids.pad == known["<|endoftext|>"]


def test_a_tokenizer_brings_its_own_rows_and_ids():
    ids = SpecialTokenIds(image_pad=5, video_pad=6, vision_start=3, vision_end=4, eos=(2,), pad=1)
    config = named_config("tiny", vocab_size=640, special_tokens=ids)
    assert config.text.vocab_size == 640
    assert config.special_tokens == ids


def test_an_unknown_size_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'7bb'.*tiny, 3b, 7b, 32b, 72b") as error:
        named_config("7bb")
    assert "'7b'" in error.value.hint


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, size) for size, name in RELEASE_NAMES.items()),
        *(("Qwen2.5-VL-7B", "7b"), ("qwen2_5-vl-72b-instruct", "72b"), ("Qwen2.5VL-3B", "3b")),
        *(("qwen2.5vl:3b", "3b"), ("qwen2.5vl:32b-q8_0", "32b"), ("qwen2.5vl:latest", "7b")),
        *(("Qwen2.5-VL-14B", None), ("Qwen2-VL-7B", None), ("me/Qwen2.5-VL-7B", None)),
        *(("Qwen2.5-VL-7B-Instruct-AWQ", None), ("tiny", None), ("", None)),
    ],
)
def test_all_spellings_of_a_release(name, size):
    assert released_size(name) == size
