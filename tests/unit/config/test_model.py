# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from finesight.config.model import ModelConfig, YarnConfig
from finesight.config.sizes import SIZE_NAMES, named_config
from finesight.errors import ConfigError

RELEASED_3B = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "vision_token_id": 151654,
    "image_token_id": 151655,
    "video_token_id": 151656,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "initializer_range": 0.02,
    "intermediate_size": 11008,
    "max_position_embeddings": 128000,
    "max_window_layers": 70,
    "model_type": "qwen2_5_vl",
    "num_attention_heads": 16,
    "num_hidden_layers": 36,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.41.2",
    "use_cache": True,
    "use_sliding_window": False,
    "vision_config": {
        "depth": 32,
        "hidden_act": "silu",
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "in_chans": 3,
        "out_hidden_size": 2048,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
        "temporal_patch_size": 2,
    },
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "vocab_size": 151936,
}
"""The values of the released 3B, as reported in the project's notes on the architecture."""


def changed(**values):
    """The released file with other values; a key with dots goes inside."""
    config = json.loads(json.dumps(RELEASED_3B))
    for key, value in values.items():
        section, _, inner = key.partition("__")
        if inner:
            config[section][inner] = value
        else:
            config[section] = value
    return config


def test_the_released_3b_is_the_named_size():
    config = ModelConfig.from_hf(RELEASED_3B)
    named = named_config("3b")
    assert config.vision == named.vision
    assert config.text == named.text
    assert config.dtype == "bfloat16"
    assert config.special_tokens.image_pad == 151_655
    assert config.special_tokens.eos == (151_645,)
    assert config.special_tokens.pad == 151_643


@pytest.mark.parametrize("name", SIZE_NAMES)
def test_what_is_written_is_read(name):
    config = named_config(name)
    assert ModelConfig.from_hf(json.loads(json.dumps(config.to_hf()))) == config


def test_yarn_is_written_and_read():
    yarn = YarnConfig(factor=4.0, original_max_position_embeddings=32_768, beta_fast=16.0)
    base = named_config("7b")
    config = base.model_copy(update={"text": base.text.model_copy(update={"yarn": yarn})})
    written = config.to_hf()
    assert written["rope_scaling"]["mrope_section"] == [16, 24, 24]
    assert ModelConfig.from_hf(written) == config


def test_the_nested_layout_is_the_same_configuration():
    text_keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    text_keys += ("num_key_value_heads", "vocab_size", "rms_norm_eps", "max_position_embeddings")
    nested = changed()
    text = {key: nested.pop(key) for key in text_keys}
    text["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 1e6,
        "mrope_section": [16, 24, 24],
    }
    for key in ("rope_scaling", "rope_theta", "tie_word_embeddings"):
        del nested[key]
    nested["text_config"] = text | {"tie_word_embeddings": True, "bos_token_id": 151_643}
    assert ModelConfig.from_hf(nested) == ModelConfig.from_hf(RELEASED_3B)


def test_left_out_values_are_the_defaults_of_transformers():
    """Fine-tuned folders hold only what differs from the class defaults."""
    config = changed()
    config["vision_config"] = {"hidden_size": 1280, "out_hidden_size": 2048, "tokens_per_second": 2}
    assert ModelConfig.from_hf(config).vision == named_config("3b").vision


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama', expected 'qwen2_5_vl'\n"),
        ({"model_type": "qwen2_vl"}, "expected 'qwen2_5_vl': this is a Qwen2-VL model"),
        ({"model_type": "qwen3_vl"}, "expected 'qwen2_5_vl': this is a Qwen3-VL model"),
        ({"model_type": "qwen2"}, "text model, without a vision tower"),
        ({"image_token_id": 151_936}, "image_pad token has id 151936, outside the vocabulary"),
        ({"vision_config": None}, "vision_config is missing"),
        ({"vision_config__hidden_act": "gelu"}, "vision_config.hidden_act is 'gelu'"),
        (
            {"vision_config__spatial_patch_size": 16},
            "spatial_patch_size 16 contradicts patch_size 14",
        ),
        ({"vision_config__out_hidden_size": 3584}, "out_hidden_size 3584 differs"),
        ({"vision_config__num_heads": 7}, "over 7 heads"),
        ({"vision_config__fullatt_block_indexes": [40]}, "exceed depth 32"),
        ({"vision_config__window_size": 100}, "window_size 100"),
        ({"vision_config__spatial_merge_size": 4}, "spatial_merge_size 4"),
        ({"hidden_size": "wide"}, "text.hidden_size"),
        ({"hidden_size": 2050}, "does not divide"),
        ({"num_key_value_heads": 3}, "16 query heads do not divide by 3"),
        ({"use_sliding_window": True}, "use_sliding_window is true"),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "rope type 'linear'"),
        ({"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 25]}}, "mrope_section"),
        (
            {"rope_scaling": {"type": "yarn", "factor": 2}},
            "without original_max_position_embeddings",
        ),
        ({"text_config": 3}, "text_config is 3"),
        (
            {"text_config": {"hidden_size": 4096}},
            "hidden_size is 2048 but text_config.hidden_size is 4096",
        ),
        ({"torch_dtype": "int8"}, "dtype"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised with fp8"),
        (
            {
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 2,
                    "original_max_position_embeddings": 32,
                    "mscale": 2,
                }
            },
            "YaRN option mscale = 2",
        ),
    ],
)
def test_what_cannot_be_honoured_is_an_error(values, message):
    with pytest.raises(ConfigError, match=message):
        ModelConfig.from_hf(changed(**values))


def test_a_folder_adds_the_end_tokens_of_its_generation_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(RELEASED_3B))
    assert ModelConfig.from_folder(tmp_path).special_tokens.eos == (151_645,)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [151645, 151643]}')
    assert ModelConfig.from_folder(tmp_path).special_tokens.eos == (151_645, 151_643)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 151643}')
    assert ModelConfig.from_folder(str(tmp_path)).special_tokens.eos == (151_643,)
    for nothing in ("{}", '{"eos_token_id": null}', '{"eos_token_id": []}'):
        (tmp_path / "generation_config.json").write_text(nothing)
        assert ModelConfig.from_folder(tmp_path).special_tokens.eos == (151_645,)


BROKEN_IDS = ("x", 7.5, [[1]], [151_645, None], -1, True, {"id": 5})


@pytest.mark.parametrize("value", [*BROKEN_IDS, 152_000, [151_645, 152_000]])
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_end_tokens_that_are_none_name_their_file(tmp_path, name, value):
    (tmp_path / "config.json").write_text(json.dumps(RELEASED_3B))
    content = RELEASED_3B if name == "config.json" else {}
    (tmp_path / name).write_text(json.dumps(content | {"eos_token_id": value}))
    with pytest.raises(ConfigError, match=name) as error:
        ModelConfig.from_folder(tmp_path)
    said = "outside the vocabulary of 151936" if value not in BROKEN_IDS else "eos_token_id is"
    assert said in error.value.message


@pytest.mark.parametrize("value", [None, []])
def test_a_model_may_name_no_end_token(value):
    config = ModelConfig.from_hf(changed(eos_token_id=value))
    assert config.special_tokens.eos == ()
    assert ModelConfig.from_hf(config.to_hf()) == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "config.json is not a file"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "holds list, expected a JSON object"),
    ],
)
def test_a_broken_file(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        ModelConfig.from_folder(tmp_path)


@pytest.mark.parametrize("key", ["rms_norm_eps", "rope_theta"])
def test_values_without_a_published_key_are_not_written(key):
    base = named_config("tiny")
    vision = base.vision.model_copy(update={key: 0.5})
    with pytest.raises(ConfigError, match=f"vision.{key} is 0.5"):
        base.model_copy(update={"vision": vision}).to_hf()
