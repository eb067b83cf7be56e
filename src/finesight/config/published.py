# SPDX-License-Identifier: Apache-2.0
"""Convert between a published `config.json` and the values of `ModelConfig`, as plain dictionaries.

There are two layouts: flat (the releases, llama.cpp, vLLM, our own files) and with the text values under `text_config`
(newer transformers). Both may omit values that equal the class defaults of transformers, which are therefore listed
here.

Source: the releases' config.json; transformers `configuration_qwen2_5_vl.py` for defaults and spellings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finesight.config.quantisation import read_quantisation
from finesight.errors import ConfigError

MODEL_TYPE = "qwen2_5_vl"

ARCHITECTURE = "Qwen2_5_VLForConditionalGeneration"

RASTER = "mrope_raster"
"""Rope type of models with `raster_positions`: other programs refuse it instead of using other positions."""

VISION_DEFAULTS: dict[str, Any] = {
    "depth": 32,
    "hidden_size": 3584,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "fullatt_block_indexes": [7, 15, 23, 31],
    "in_channels": 3,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "window_size": 112,
    "tokens_per_second": 4,
}

TEXT_DEFAULTS: dict[str, Any] = {
    "vocab_size": 152_064,
    "hidden_size": 8192,
    "intermediate_size": 29_568,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-5,
}

_OTHER_FAMILIES = {
    "qwen2": "a Qwen2 or Qwen2.5 text model, without a vision tower",
    "qwen2_5_vl_text": "the text decoder of a Qwen2.5-VL alone",
    "qwen2_vl": "a Qwen2-VL model, the generation before",
    "qwen2_5_omni": "a Qwen2.5-Omni model",
    "qwen2_5_omni_thinker": "part of a Qwen2.5-Omni model",
    "qwen3": "a Qwen3 text model, without a vision tower",
    "qwen3_vl": "a Qwen3-VL model, the generation after",
    "qwen3_vl_moe": "a Qwen3-VL model, the generation after",
    "colqwen2": "a ColQwen2 model, which embeds pages for search",
}
"""Other values of `model_type` that are easily confused with Qwen2.5-VL, for the error message."""

_ROPE_THETA = 1_000_000.0

_MROPE_SECTION = [16, 24, 24]

_VISION_RENAMES = {"full_attention_layers": "fullatt_block_indexes"}

_FIXED_VISION = {"rms_norm_eps": 1e-6, "rope_theta": 10_000.0}
"""Values without a key in the published format."""

_YARN_KEYS = (
    "factor",
    "original_max_position_embeddings",
    "beta_fast",
    "beta_slow",
    "attention_factor",
)


def read_values(published: Mapping[str, Any]) -> dict[str, Any]:
    """Values for `ModelConfig`, as nested dictionaries.

    Raises:
        ConfigError: another model type, or a value that is not supported.
    """
    model_type = published.get("model_type")
    if model_type != MODEL_TYPE:
        raise ConfigError(
            f"config.json: model_type is {model_type!r}, expected {MODEL_TYPE!r}{_family(model_type)}",
            hint="finesight runs Qwen2.5-VL models: Qwen/Qwen2.5-VL-3B-Instruct, -7B-, -32B- or -72B-Instruct, "
            "folders fine-tuned from them, and its own small model, tiny",
        )
    text = _text_section(published)
    return {
        "vision": _vision_values(published),
        "text": _text_values(text, published),
        "special_tokens": _special_tokens(text, published),
        "dtype": _dtype(text, published),
        "quantisation": read_quantisation(
            published.get("quantization_config")
            or text.get("quantization_config")
            or published.get("quantization")  # MLX
        ),
    }


def end_tokens(value: Any, *, where: str) -> tuple[int, ...]:
    """Token ids from a value of `eos_token_id`; empty for null and for an empty list.

    Args:
        value: the value in the file.
        where: name of the file.

    Raises:
        ConfigError: the value is neither an id nor a list of ids.
    """
    ids = value if isinstance(value, list | tuple) else [] if value is None else [value]
    for index in ids:
        if isinstance(index, bool) or not isinstance(index, int) or index < 0:
            raise ConfigError(
                f"{where}: eos_token_id is {value!r}, expected the id of a token or a list of ids",
                hint="remove the key: <|im_end|> always ends an answer",
            )
    return tuple(ids)


def _family(model_type: object) -> str:
    """Description of a model type that is easily confused with Qwen2.5-VL, or ""."""
    family = _OTHER_FAMILIES.get(str(model_type))
    return f": this is {family}" if family else ""


def _vision_values(published: Mapping[str, Any]) -> dict[str, Any]:
    vision = published.get("vision_config")
    if not isinstance(vision, Mapping):
        raise ConfigError("config.json: vision_config is missing")
    _require(vision, "vision_config.hidden_act", "silu")
    values = {key: vision.get(key, default) for key, default in VISION_DEFAULTS.items()}
    values["in_channels"] = vision.get("in_channels", vision.get("in_chans", 3))
    patch_size = vision.get("spatial_patch_size", values["patch_size"])
    if patch_size != values["patch_size"]:
        raise ConfigError(
            f"config.json: vision_config.spatial_patch_size {patch_size} contradicts patch_size "
            f"{values['patch_size']}"
        )
    for ours, theirs in _VISION_RENAMES.items():
        values[ours] = values.pop(theirs)
    return values


def _text_section(published: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping with the text values; top-level copies of them must be equal."""
    text = published.get("text_config")
    if text is None:
        return published
    if not isinstance(text, Mapping):
        raise ConfigError(f"config.json: text_config is {text!r}, expected an object")
    for key in TEXT_DEFAULTS:
        if key in published and key in text and published[key] != text[key]:
            raise ConfigError(
                f"config.json: {key} is {published[key]} but text_config.{key} is {text[key]}"
            )
    return text


def _text_values(text: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
    _require(text, "hidden_act", "silu")
    if text.get("use_sliding_window"):
        raise ConfigError(
            "config.json: use_sliding_window is true, expected false",
            hint="no release uses sliding windows, and this implementation has none",
        )
    values = {key: text.get(key, default) for key, default in TEXT_DEFAULTS.items()}
    # transformers before 5 stored the flag inside text_config, and the default outside.
    values["tie_word_embeddings"] = bool(
        published.get("tie_word_embeddings") or text.get("tie_word_embeddings")
    )
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    values["rope_theta"] = rope.get("rope_theta", text.get("rope_theta", _ROPE_THETA))
    values["mrope_section"] = rope.get("mrope_section", _MROPE_SECTION)
    values["raster_positions"] = _rope_kind(rope) == RASTER
    values["yarn"] = _yarn_values(rope)
    return values


def _rope_kind(rope: Mapping[str, Any]) -> str:
    return str(rope.get("rope_type", rope.get("type", "default")))


def _yarn_values(rope: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = _rope_kind(rope)
    if kind in ("default", "mrope", RASTER):
        return None
    if kind != "yarn":
        raise ConfigError(
            f"config.json: rope type {kind!r}, expected 'mrope', 'default', 'yarn' or {RASTER!r}",
            hint="other context extensions are not part of Qwen2.5-VL",
        )
    for key, neutral in (("mscale", None), ("mscale_all_dim", None), ("truncate", True)):
        if rope.get(key, neutral) != neutral:
            raise ConfigError(f"config.json: YaRN option {key} = {rope[key]!r} is not supported")
    missing = [key for key in _YARN_KEYS[:2] if rope.get(key) is None]
    if missing:
        raise ConfigError(f"config.json: YaRN without {' and '.join(missing)}")
    return {key: rope[key] for key in _YARN_KEYS if rope.get(key) is not None}


def _special_tokens(text: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
    def read(key: str, default: Any) -> Any:
        value = published.get(key)
        value = text.get(key) if value is None else value
        return default if value is None else value

    return {
        "image_pad": read("image_token_id", 151_655),
        "video_pad": read("video_token_id", 151_656),
        "vision_start": read("vision_start_token_id", 151_652),
        "vision_end": read("vision_end_token_id", 151_653),
        "eos": end_tokens(read("eos_token_id", None), where="config.json"),
        "pad": read("pad_token_id", read("bos_token_id", 151_643)),
    }


def _dtype(text: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    for section in (published, text):
        for key in ("dtype", "torch_dtype"):
            if section.get(key):
                return str(section[key]).removeprefix("torch.")
    return "bfloat16"


def _require(section: Mapping[str, Any], dotted_key: str, expected: str) -> None:
    got = section.get(dotted_key.rpartition(".")[2], expected)
    if got != expected:
        raise ConfigError(f"config.json: {dotted_key} is {got!r}, expected {expected!r}")


def write_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """A flat published `config.json` from the dumped values of a `ModelConfig`.

    Raises:
        ConfigError: a value without a key in the published format.
    """
    text, tokens = values["text"], values["special_tokens"]
    eos = tokens["eos"]
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "bos_token_id": tokens["pad"],
        "eos_token_id": eos[0] if len(eos) == 1 else list(eos) or None,
        "pad_token_id": tokens["pad"],
        "image_token_id": tokens["image_pad"],
        "video_token_id": tokens["video_pad"],
        "vision_start_token_id": tokens["vision_start"],
        "vision_end_token_id": tokens["vision_end"],
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        **{key: text[key] for key in TEXT_DEFAULTS},
        "rope_theta": text["rope_theta"],
        "rope_scaling": _rope_scaling(text),
        "sliding_window": 32_768,
        "use_sliding_window": False,
        "max_window_layers": text["num_hidden_layers"],
        "tie_word_embeddings": text["tie_word_embeddings"],
        "torch_dtype": values["dtype"],
        "use_cache": True,
        "vision_config": _vision_section(values["vision"]),
    }


def _vision_section(vision: Mapping[str, Any]) -> dict[str, Any]:
    for key, fixed in _FIXED_VISION.items():
        if vision[key] != fixed:
            raise ConfigError(
                f"vision.{key} is {vision[key]}, but the published format has no key for it and means {fixed}",
                hint="use the published value: other programs would compute something else",
            )
    ours = {theirs: ours for ours, theirs in _VISION_RENAMES.items()}
    section = {key: vision[ours.get(key, key)] for key in VISION_DEFAULTS}
    section["fullatt_block_indexes"] = list(section["fullatt_block_indexes"])
    return {
        "model_type": MODEL_TYPE,
        "hidden_act": "silu",
        "in_chans": vision["in_channels"],
        "spatial_patch_size": vision["patch_size"],
        **section,
    }


def _rope_scaling(text: Mapping[str, Any]) -> dict[str, Any]:
    section = list(text["mrope_section"])
    if text["yarn"] is None:
        kind = RASTER if text["raster_positions"] else "mrope"
        return {"type": kind, "mrope_section": section}
    given = {key: value for key, value in text["yarn"].items() if value is not None}
    return {"type": "yarn", "rope_type": "yarn", "mrope_section": section, **given}
