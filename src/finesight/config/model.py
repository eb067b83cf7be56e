# SPDX-License-Identifier: Apache-2.0
"""Model configuration: vision tower, text decoder, ids of special tokens.

It is read from a published `config.json` (`ModelConfig.from_hf`) or is one of the named sizes
(`finesight.config.sizes`). Names that differ from the published files are mapped in `finesight.config.published`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from finesight.config.published import end_tokens, read_values, write_values
from finesight.config.quantisation import Quantisation
from finesight.config.settings import Settings
from finesight.errors import ConfigError


class _Finite(Settings):
    model_config = ConfigDict(allow_inf_nan=False)


class VisionConfig(_Finite):
    """Shape of the vision tower and its merger."""

    depth: int = Field(description="number of blocks")
    hidden_size: int = Field(description="width of a patch state")
    intermediate_size: int = Field(description="width inside the SwiGLU")
    num_heads: int = Field(description="attention heads")
    out_hidden_size: int = Field(
        description="width of a visual token: the text decoder's hidden size"
    )
    full_attention_layers: tuple[int, ...] = Field(
        description="blocks that attend over a whole frame pair"
    )
    in_channels: int = Field(default=3, description="colour channels")
    patch_size: int = Field(default=14, description="side of a patch in pixels")
    temporal_patch_size: int = Field(default=2, description="frames per patch")
    spatial_merge_size: int = Field(default=2, description="side of a visual token in patches")
    window_size: int = Field(default=112, description="side of a window in pixels")
    tokens_per_second: int = Field(default=2, description="temporal positions per second of video")
    rms_norm_eps: float = Field(default=1e-6, description="epsilon of every RMSNorm")
    rope_theta: float = Field(default=10_000.0, description="base of the 2D rotary frequencies")

    @property
    def head_dim(self) -> int:
        """Size of one attention head (E)."""
        return self.hidden_size // self.num_heads

    @property
    def patch_values(self) -> int:
        """Values per flattened patch (P)."""
        return self.in_channels * self.temporal_patch_size * self.patch_size**2

    @property
    def resize_factor(self) -> int:
        """Divisor of the sides of a resized picture, in pixels."""
        return self.patch_size * self.spatial_merge_size

    @property
    def merge_area(self) -> int:
        """Patches per visual token."""
        return self.spatial_merge_size**2

    @property
    def window_cells(self) -> int:
        """Side of a window in visual tokens."""
        return self.window_size // self.resize_factor

    @model_validator(mode="after")
    def _consistent(self) -> VisionConfig:
        if self.hidden_size % self.num_heads or self.head_dim % 4:
            raise ValueError(
                f"vision hidden_size {self.hidden_size} over {self.num_heads} heads "
                "must give a head size divisible by 4"
            )
        if self.spatial_merge_size != 2:
            raise ValueError(
                f"spatial_merge_size {self.spatial_merge_size}, expected 2: only 2 x 2 patches can be merged"
            )
        if self.window_size % self.resize_factor:
            raise ValueError(
                f"window_size {self.window_size} is not a multiple of {self.resize_factor} pixels"
            )
        if any(not 0 <= layer < self.depth for layer in self.full_attention_layers):
            raise ValueError(
                f"full_attention_layers {self.full_attention_layers} exceed depth {self.depth}"
            )
        return self


class YarnConfig(_Finite):
    """YaRN context extension (Peng et al. 2023, arXiv 2309.00071)."""

    factor: float = Field(description="how many times longer than the original context")
    original_max_position_embeddings: int = Field(description="context the model was trained with")
    beta_fast: float = Field(
        default=32.0, description="rotations above which a frequency is not changed"
    )
    beta_slow: float = Field(
        default=1.0, description="rotations below which a frequency is fully interpolated"
    )
    attention_factor: float | None = Field(
        default=None, description="scale of cos and sin; None computes the paper's"
    )


class TextConfig(_Finite):
    """Shape of the text decoder."""

    vocab_size: int = Field(description="rows of the embedding")
    hidden_size: int = Field(description="width of a token state (D)")
    intermediate_size: int = Field(description="width inside the SwiGLU (F)")
    num_hidden_layers: int = Field(description="decoder layers")
    num_attention_heads: int = Field(description="query heads (H)")
    num_key_value_heads: int = Field(description="key-value heads (K)")
    tie_word_embeddings: bool = Field(description="output head shares the embedding")
    mrope_section: tuple[int, int, int] = Field(
        description="rotary pairs for time, height and width"
    )
    raster_positions: bool = Field(
        default=False,
        description="time positions count the visual tokens of a picture row by row, for a decoder pre-trained on "
        "text alone; Qwen2.5-VL counts seconds",
    )
    max_position_embeddings: int = Field(default=128_000, description="longest context in tokens")
    rms_norm_eps: float = Field(default=1e-6, description="epsilon of every RMSNorm")
    rope_theta: float = Field(default=1_000_000.0, description="base of the rotary frequencies")
    yarn: YarnConfig | None = Field(default=None, description="context extension, off by default")

    @property
    def head_dim(self) -> int:
        """Size of one attention head (E)."""
        return self.hidden_size // self.num_attention_heads

    @model_validator(mode="after")
    def _consistent(self) -> TextConfig:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide by {self.num_attention_heads} heads"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"{self.num_attention_heads} query heads do not divide by {self.num_key_value_heads} key-value heads"
            )
        if 2 * sum(self.mrope_section) != self.head_dim:
            raise ValueError(
                f"mrope_section {self.mrope_section} must sum to half of head size {self.head_dim}"
            )
        if self.raster_positions and self.yarn is not None:
            raise ValueError(
                "raster_positions and yarn cannot be combined: config.json has one rope type"
            )
        return self


class SpecialTokenIds(_Finite):
    """Special token ids that the model uses; compared with the tokenizer when both are loaded."""

    image_pad: int = Field(description="<|image_pad|>, one per visual token of a picture")
    video_pad: int = Field(description="<|video_pad|>, one per visual token of a video")
    vision_start: int = Field(description="<|vision_start|>")
    vision_end: int = Field(description="<|vision_end|>")
    eos: tuple[int, ...] = Field(description="tokens that end an answer, in addition to <|im_end|>")
    pad: int = Field(description="<|endoftext|>")

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raise `ValueError` for an id without a row in the embedding."""
        for name, value in self:
            for index in value if isinstance(value, tuple) else (value,):
                if not 0 <= index < vocab_size:
                    raise ValueError(
                        f"the {name} token has id {index}, outside the vocabulary of {vocab_size}"
                    )


class ModelConfig(_Finite):
    """Configuration of the whole model."""

    vision: VisionConfig
    text: TextConfig
    special_tokens: SpecialTokenIds
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="bfloat16", description="dtype of the stored weights"
    )
    quantisation: Quantisation | None = Field(
        default=None, description="of the stored weights; a loaded model has plain weights"
    )

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if self.vision.out_hidden_size != self.text.hidden_size:
            raise ValueError(
                f"vision out_hidden_size {self.vision.out_hidden_size} differs from "
                f"text hidden_size {self.text.hidden_size}"
            )
        self.special_tokens.check_vocabulary(self.text.vocab_size)
        return self

    @classmethod
    def from_hf(cls, config_json: Mapping[str, Any]) -> ModelConfig:
        """Read a published `config.json` (flat or with `text_config`).

        Raises:
            ConfigError: another model type, or a missing or inconsistent value.
        """
        try:
            return cls.model_validate(read_values(config_json))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the configuration"
            raise ConfigError(f"config.json: {where}: {first['msg']}") from error

    @classmethod
    def from_folder(cls, folder: str | Path) -> ModelConfig:
        """Read the `config.json` of a checkpoint folder, and the end tokens of its `generation_config.json`.

        Raises:
            ConfigError: no such folder or file, not a JSON object, or inconsistent values.
        """
        folder = Path(folder)
        config = cls.from_hf(_read_json(folder / "config.json"))
        generation = folder / "generation_config.json"
        if not generation.is_file():
            return config
        ends = end_tokens(_read_json(generation).get("eos_token_id"), where=str(generation))
        if not ends:
            return config
        tokens = config.special_tokens.model_copy(update={"eos": ends})
        try:
            tokens.check_vocabulary(config.text.vocab_size)
        except ValueError as error:
            raise ConfigError(f"{generation}: {error}") from error
        return config.model_copy(update={"special_tokens": tokens})

    def to_hf(self) -> dict[str, Any]:
        """The published flat `config.json`, which transformers, vLLM and llama.cpp read.

        Raises:
            ConfigError: a value that the published format cannot represent.
        """
        return write_values(self.model_dump())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(
            f"{path} is not a file",
            hint="a checkpoint folder holds config.json and safetensors files",
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}, expected a JSON object")
    return content


__all__ = [
    "ModelConfig",
    "SpecialTokenIds",
    "TextConfig",
    "VisionConfig",
    "YarnConfig",
]
