# SPDX-License-Identifier: Apache-2.0
"""Puts a pre-trained text decoder under a vision tower, as a Qwen2.5-VL checkpoint folder.

The decoder keeps its weights and its vocabulary. Control tokens that it does not use get the names of Qwen2.5-VL's
control tokens (`<|vision_start|>`, `<|image_pad|>`, ...). The tower keeps its weights but for the last layer of its
merger, whose width is that of the decoder: it starts at zero, with the mean embedding of the printable ASCII characters
as bias, so that every visual token starts as an average letter. Blocks may be added to the tower; they start as the
identity.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import tokenizers
import torch
from torch import Tensor

from finesight import files
from finesight.checkpoints.decoder_folder import DecoderFolder
from finesight.checkpoints.gguf import GgufDecoder
from finesight.config.model import ModelConfig, SpecialTokenIds, TextConfig, VisionConfig
from finesight.errors import ConfigError, WeightsError
from finesight.model.init import init_weights
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import load_model, save_model
from finesight.processor.from_hf import read_json, read_processor_config
from finesight.text import special_tokens as names
from finesight.text.tokenizer import Tokenizer

__all__ = [
    "DecoderSource",
    "Frame",
    "checked_embedding",
    "import_decoder",
    "load_tensors",
    "mean_letter",
    "open_decoder",
    "renamed_tokenizer",
]

_NEEDED_TOKENS = (*names.SPECIAL_TOKENS[3:], names.TOOL_CALL, names.TOOL_CALL_END)
"""Control tokens of Qwen2.5-VL that a text decoder may lack; ChatML's are required."""

_MERGER_OUT = "visual.merger.mlp.2"


class DecoderSource(Protocol):
    """A stored text decoder; arguments and errors as in `GgufDecoder`."""

    path: Path

    def config(self) -> TextConfig:
        """Shape of the decoder."""
        ...

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Published name and float32 values of each tensor."""
        ...

    def tokenizer(self, rename: Callable[[str], str] = str) -> tokenizers.Tokenizer:
        """The byte-level BPE tokenizer."""
        ...

    def added_tokens(self) -> dict[str, bool]:
        """Added tokens in the order of their ids, and whether each is a control token."""
        ...


def open_decoder(path: Path) -> DecoderSource:
    """A GGUF file, or a folder of transformers.

    Raises:
        ConfigError: there is no such file or folder, or it holds another architecture.
        WeightsError: the file is broken.
    """
    if not path.exists():
        raise ConfigError(
            f"there is no decoder {path}", hint="give a GGUF file, or a folder of transformers"
        )
    return DecoderFolder(path) if path.is_dir() else GgufDecoder(path)


def import_decoder(
    decoder: DecoderSource,
    tower: Path,
    out: Path,
    *,
    extra_blocks: int = 0,
    max_pixels: int | None = None,
) -> None:
    """Write a checkpoint folder: the decoder under the tower, in bfloat16.

    Args:
        decoder: the text decoder.
        tower: checkpoint folder whose vision tower is used.
        out: folder to write; it must not exist, and exists only when complete.
        extra_blocks: blocks to add at the end of the tower: a multiple of the distance of its full-attention layers.
        max_pixels: largest area of a resized picture; None takes that of the tower's folder.

    Raises:
        ConfigError: decoder or tower cannot be used, or the vocabulary has too few unused control tokens.
        WeightsError: a file is broken.
    """
    frame = Frame.of(decoder, tower, extra_blocks=extra_blocks, max_pixels=max_pixels)
    model = VisionLanguageModel(frame.config)
    init_weights(model, seed=0)
    tensors = dict(decoder.tensors())
    embedding = checked_embedding(tensors, frame.config.text, decoder.path)
    tensors |= frame.of_tower(embedding)
    tensors |= frame.new_blocks(model)
    load_tensors(
        model, tensors, what=f"the decoder in {decoder.path} does not fit its configuration"
    )
    with files.whole_folder(out, error=WeightsError, replaces=False) as draft:
        save_model(model.to(torch.bfloat16), draft)
        frame.write_small_files(draft, tower)


@dataclass(frozen=True, slots=True)
class Frame:
    """What is put around the decoder's weights.

    Attributes:
        config: of the whole model.
        backend: the decoder's tokenizer, with renamed control tokens.
        tokenizer: the same.
        seeing: the model with the tower, in float32.
        max_pixels: largest area of a resized picture; None takes that of the tower's folder.
    """

    config: ModelConfig
    backend: tokenizers.Tokenizer
    tokenizer: Tokenizer
    seeing: VisionLanguageModel
    max_pixels: int | None

    @classmethod
    def of(
        cls, decoder: DecoderSource, tower: Path, *, extra_blocks: int, max_pixels: int | None
    ) -> Frame:
        """Arguments and errors as in `import_decoder`."""
        text = decoder.config()
        backend = renamed_tokenizer(decoder)
        tokenizer = Tokenizer(backend, source=str(decoder.path))
        if tokenizer.vocab_size > text.vocab_size:
            raise ConfigError(
                f"{decoder.path} has {tokenizer.vocab_size} tokens, but only {text.vocab_size} embeddings",
                hint="the file is damaged, or tokens were added without embeddings",
            )
        seeing = load_model(tower, dtype=torch.float32)
        _check_pixels(tower, seeing.config.vision, max_pixels)
        vision = _deeper(seeing.config.vision, extra_blocks).model_copy(
            update={"out_hidden_size": text.hidden_size}
        )
        return cls(_config(text, vision, tokenizer), backend, tokenizer, seeing, max_pixels)

    def of_tower(self, embedding: Tensor) -> dict[str, Tensor]:
        """Weights of the tower, with a new last layer of the merger."""
        tensors = {
            f"visual.{name}": value for name, value in self.seeing.visual.state_dict().items()
        }
        inputs = tensors[f"{_MERGER_OUT}.weight"].shape[1]
        tensors[f"{_MERGER_OUT}.weight"] = torch.zeros(embedding.shape[1], inputs)
        tensors[f"{_MERGER_OUT}.bias"] = mean_letter(embedding, self.tokenizer)
        return tensors

    def new_blocks(self, model: VisionLanguageModel) -> dict[str, Tensor]:
        """Initial weights of the added blocks: those of a random model, but zero where they write their result."""
        old, new = self.seeing.config.vision.depth, self.config.vision.depth
        state = model.state_dict()
        found: dict[str, Tensor] = {}
        for block in range(old, new):
            prefix = f"visual.blocks.{block}."
            for name in (each for each in state if each.startswith(prefix)):
                writes = name.startswith((f"{prefix}attn.proj.", f"{prefix}mlp.down_proj."))
                found[name] = torch.zeros_like(state[name]) if writes else state[name]
        return found

    def write_small_files(self, folder: Path, tower: Path) -> None:
        """The tokenizer, processor configurations of the tower's folder, and generation defaults."""
        (folder / "tokenizer.json").write_text(self.backend.to_str(), encoding="utf-8")
        video = "video_preprocessor_config.json"
        for name in ("preprocessor_config.json", video, "processor_config.json"):
            if (tower / name).is_file():
                values = read_json(tower / name)
                if self.max_pixels is not None and name != video:
                    values.get("image_processor", values)["max_pixels"] = self.max_pixels
                files.write_json(folder / name, values, error=WeightsError)
        tokens = self.config.special_tokens
        generation = {
            "pad_token_id": tokens.pad,
            "eos_token_id": [*tokens.eos],
            "do_sample": False,
        }
        files.write_json(folder / "generation_config.json", generation, error=WeightsError)


def load_tensors(model: VisionLanguageModel, tensors: Mapping[str, Tensor], *, what: str) -> None:
    """Give a model these tensors as its weights, without a copy.

    Args:
        model: the network, of any values or none.
        tensors: by published name.
        what: first words of an error's message.

    Raises:
        WeightsError: names or shapes differ from those of the model.
    """
    try:
        model.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split()).partition(": ")[2][:300]
        raise WeightsError(
            f"{what}: {reason}",
            hint="the file is incomplete, or the model has parts that a Qwen2.5 decoder does not have",
        ) from error


def mean_letter(embedding: Tensor, tokenizer: Tokenizer) -> Tensor:
    """`[D]`, mean embedding of the printable ASCII characters without white space.

    Args:
        embedding: `[V, D]`, the token embedding.
        tokenizer: its vocabulary.
    """
    letters = string.ascii_letters + string.digits + string.punctuation
    ids = [index for letter in letters for index in tokenizer.encode(letter)]
    return embedding[ids].float().mean(dim=0)


def renamed_tokenizer(decoder: DecoderSource) -> tokenizers.Tokenizer:
    """The decoder's tokenizer, with the names of Qwen2.5-VL for unused control tokens.

    Raises:
        ConfigError: the vocabulary lacks the tokens of ChatML, or has too few unused control tokens.
    """
    renamed = _renamed_tokens(decoder)
    return decoder.tokenizer(lambda token: renamed.get(token, token))


def _renamed_tokens(decoder: DecoderSource) -> dict[str, str]:
    """New names of unused control tokens, in the order of their ids."""
    added = decoder.added_tokens()
    if missing := [name for name in names.SPECIAL_TOKENS[:3] if name not in added]:
        raise ConfigError(
            f"{decoder.path} has no control token {missing[0]}",
            hint="only decoders with the conversation format ChatML can be imported",
        )
    wanted = [name for name in _NEEDED_TOKENS if name not in added]
    kept = {*names.SPECIAL_TOKENS, *names.ADDED_TEXT_TOKENS}
    unused = [name for name, is_control in added.items() if is_control and name not in kept]
    if len(unused) < len(wanted):
        raise ConfigError(
            f"{decoder.path} has {len(unused)} unused control tokens, but {len(wanted)} are needed, as {wanted[0]}",
            hint="use a decoder with reserved control tokens, such as SmolLM2 or Qwen2.5",
        )
    return dict(zip(unused, wanted, strict=False))


def _config(text: TextConfig, vision: VisionConfig, tokenizer: Tokenizer) -> ModelConfig:
    id_of = tokenizer.special_id
    return ModelConfig(
        vision=vision,
        text=text,
        special_tokens=SpecialTokenIds(
            image_pad=id_of(names.IMAGE_PAD),
            video_pad=id_of(names.VIDEO_PAD),
            vision_start=id_of(names.VISION_START),
            vision_end=id_of(names.VISION_END),
            eos=(id_of(names.IM_END), id_of(names.END_OF_TEXT)),
            pad=id_of(names.END_OF_TEXT),
        ),
    )


def _deeper(vision: VisionConfig, extra_blocks: int) -> VisionConfig:
    """The tower's shape with more blocks, whose last ones attend to whole pictures at the same distance as before.

    Worked example: 8 blocks with full attention in 3 and 7 become 12 with full attention in 3, 7 and 11.
    """
    full = vision.full_attention_layers
    every = full[0] + 1 if full else 1
    regular = tuple(range(every - 1, vision.depth, every))
    if extra_blocks % every or (extra_blocks and full != regular):
        raise ConfigError(
            f"{extra_blocks} blocks cannot be added to a tower of {vision.depth} with full attention in {full}",
            hint=f"add a multiple of {every}",
        )
    depth = vision.depth + extra_blocks
    layers = full + tuple(range(vision.depth + every - 1, depth, every))
    return vision.model_copy(update={"depth": depth, "full_attention_layers": layers})


def checked_embedding(tensors: Mapping[str, Tensor], text: TextConfig, path: Path) -> Tensor:
    """`[V, D]`, the token embedding; raises `WeightsError` if it is missing or has another shape."""
    found = tensors.get("model.embed_tokens.weight")
    shape = None if found is None else tuple(found.shape)
    if found is None or shape != (text.vocab_size, text.hidden_size):
        raise WeightsError(
            f"{path} has a token embedding of shape {shape}, expected {(text.vocab_size, text.hidden_size)}",
            hint="the file is damaged, or its weights are missing: download it again",
        )
    return found


def _check_pixels(tower: Path, vision: VisionConfig, max_pixels: int | None) -> None:
    """Raise `ConfigError` if the tower's folder has no usable pixel budget, or the new one is below its smallest."""
    smallest = read_processor_config(tower, vision).min_pixels
    if max_pixels is not None and max_pixels < smallest:
        raise ConfigError(
            f"max_pixels {max_pixels} is below the min_pixels {smallest} of {tower}",
            hint="one visual token is an area of 28 x 28 = 784 pixels",
        )
