# SPDX-License-Identifier: Apache-2.0
"""Imports GGUF files whose blocks are kept: the formats Q8_0, Q4_0 and Q4_1 become packed weights without rounding.

They are the formats of `finesight.kernels.formats` in another order, so codes and scales are copied. Matrices in other
formats are converted: F32 and F16 to bfloat16, everything else to int8. The token embedding is looked up row by row, so
it is kept in bfloat16; if it is also the output head, the head keeps the blocks. Norms are in bfloat16, biases in
float32.

Legend: N rows (outputs), K columns (inputs), B blocks of 32 columns.
Source: the block formats as the `gguf` package defines them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from gguf import GGMLQuantizationType as Kind
from gguf import ReaderTensor
from torch import Tensor

from finesight import files
from finesight.checkpoints.decoder import Frame, checked_embedding
from finesight.checkpoints.gguf import GgufDecoder, zero_biases
from finesight.checkpoints.packed import write_tensors_packed
from finesight.config.model import ModelConfig
from finesight.errors import ConfigError, WeightsError
from finesight.kernels import ops
from finesight.kernels.formats import GROUP, format_of, pack
from finesight.model.init import init_weights
from finesight.model.packed import Weights, from_packed
from finesight.model.quantised import Blocks
from finesight.model.shards import some_of
from finesight.model.vl import VisionLanguageModel

__all__ = ["import_blocks", "read_blocks"]

_KEPT: dict[Kind, Literal["int8", "int4", "int4_min"]] = {
    Kind.Q8_0: "int8",
    Kind.Q4_0: "int4",
    Kind.Q4_1: "int4_min",
}

_SCALE_BYTES = {Kind.Q8_0: 2, Kind.Q4_0: 2, Kind.Q4_1: 4}
"""Bytes of a block before its codes: a half-precision scale, and a minimum in Q4_1."""

_HALF_FLOATS = (Kind.F32, Kind.F16, Kind.BF16)

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


def import_blocks(
    decoder: GgufDecoder,
    tower: Path,
    out: Path,
    *,
    extra_blocks: int = 0,
    max_pixels: int | None = None,
) -> list[str]:
    """Write a folder of packed weights: the decoder under the tower, its blocks as they are.

    Args:
        decoder: the text decoder, with matrices in Q8_0, Q4_0 or Q4_1.
        tower: checkpoint folder whose vision tower is used.
        out: folder to write; it must not exist, and exists only when complete.
        extra_blocks: as in `import_decoder`.
        max_pixels: as in `import_decoder`.

    Returns:
        What was kept and what was converted, a line for each pair of formats.

    Raises:
        ConfigError: decoder or tower cannot be used, or no matrix has blocks to keep.
        WeightsError: a file is broken.
    """
    frame = Frame.of(decoder, tower, extra_blocks=extra_blocks, max_pixels=max_pixels)
    config = frame.config
    tensors, lines = _packed_decoder(decoder)
    embedding = checked_embedding(tensors, config.text, decoder.path)
    added = {}
    if extra_blocks:
        shallow = config.text.model_copy(update={"num_hidden_layers": 1})
        random = VisionLanguageModel(config.model_copy(update={"text": shallow}))
        init_weights(random, seed=0)
        added = frame.new_blocks(random)
    tower_tensors = frame.of_tower(embedding) | added
    tensors |= {name: value.to(torch.bfloat16) for name, value in tower_tensors.items()}
    _check(config, tensors, decoder.path)
    with files.whole_folder(out, error=WeightsError, replaces=False) as draft:
        write_tensors_packed(tensors, _weights(tensors), draft)
        frame.write_small_files(draft, tower)
        stored = config.model_copy(update={"dtype": "bfloat16"}).to_hf()
        files.write_json(draft / "config.json", stored, error=WeightsError)
    return lines


def read_blocks(tensor: ReaderTensor, order: Tensor | None) -> Blocks:
    """The codes of a tensor in Q8_0, Q4_0 or Q4_1.

    Args:
        tensor: of N rows; each row is a sequence of blocks.
        order: int64[N], order of its rows in the result; None keeps it.
    """
    kind = tensor.tensor_type
    raw = torch.from_numpy(tensor.data.copy())  # the file is mapped read-only
    raw = raw if order is None else raw[order]
    blocks = raw.view(raw.shape[0], int(tensor.shape[0]) // GROUP, -1)  # [N, B, bytes]
    start = _SCALE_BYTES[kind]
    factors = blocks[:, :, :start].contiguous().view(torch.float16)
    codes = blocks[:, :, start:]
    if kind == Kind.Q8_0:
        codes = codes ^ 128  # from two's complement to an offset of 128
    else:  # code j and code j + 16 share a byte
        codes = torch.cat((codes & 15, codes >> 4), dim=2)
    minima = factors[:, :, 1].contiguous() if kind == Kind.Q4_1 else None
    return Blocks(codes.flatten(1), factors[:, :, 0].contiguous(), minima, _KEPT[kind])


def _packed_decoder(decoder: GgufDecoder) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors of a packed language model by name, and what was kept and converted."""
    tied = decoder.config().tie_word_embeddings
    done: dict[tuple[str, str], list[str]] = {}
    tensors: dict[str, Tensor] = {}
    if decoder.architecture == "llama":
        tensors |= dict(zero_biases(decoder.config()))
    for name, tensor, order in decoder.stored():
        kind = tensor.tensor_type
        if len(tensor.shape) == 1:
            values = torch.from_numpy(decoder.values(tensor))
            values = values if order is None else values[order]
            tensors[name] = values if name.endswith("bias") else values.to(torch.bfloat16)
            continue
        if name == _EMBEDDING:
            tensors[name] = torch.from_numpy(decoder.values(tensor)).to(torch.bfloat16)
            done.setdefault((kind.name, "bf16 for the look-up of tokens"), []).append(tensor.name)
            if not tied or kind in _HALF_FLOATS:  # a head in bf16 shares the embedding's memory
                continue
        packed = _packed(decoder, tensor, order)
        tensors["lm_head.packed.weight" if name in (_EMBEDDING, _HEAD) else name] = packed
        target = "kept" if kind in _KEPT else format_of(packed)
        done.setdefault((kind.name, target), []).append(tensor.name)
    if not any(target == "kept" for _, target in done):
        raise ConfigError(
            f"{decoder.path} has no matrix in {', '.join(kind.name for kind in _KEPT)}, so there are no blocks to keep",
            hint="leave --weights out, and pack the imported folder with `finesight quantize`",
        )
    return tensors, [*_lines(done)]


def _packed(decoder: GgufDecoder, tensor: ReaderTensor, order: Tensor | None) -> Tensor:
    """The packed weight of a matrix."""
    if tensor.tensor_type in _KEPT:
        blocks = read_blocks(tensor, order)
        for part in (blocks.scales, blocks.minima):
            if part is not None and not bool(part.isfinite().all()):
                raise WeightsError(
                    f"tensor {tensor.name} in {decoder.path} has scales that are NaN or infinite",
                    hint="download the file again",
                )
        return pack(*blocks)
    values = torch.from_numpy(decoder.values(tensor))
    values = values if order is None else values[order]
    return ops.quantise(values, "bf16" if tensor.tensor_type in _HALF_FLOATS else "int8")


def _lines(done: dict[tuple[str, str], list[str]]) -> Iterator[str]:
    for (kind, target), names in sorted(done.items()):
        if target == "kept":
            yield f"{len(names)} tensors in {kind} are kept as they are"
        else:
            yield f"{len(names)} tensors in {kind} are converted to {target}: {some_of(names)}"


def _weights(tensors: dict[str, Tensor]) -> Weights:
    """The format that `--weights` calls this: 4 bits if any layer has them."""
    layers = [value for name, value in tensors.items() if name.startswith("model.layers.")]
    found = {format_of(value) for value in layers if value.dtype == torch.uint8}
    return "int4" if found & {"int4", "int4_min"} else "int8"


def _check(config: ModelConfig, tensors: dict[str, Tensor], path: Path) -> None:
    """Raise `WeightsError` unless names and shapes are those of the model."""
    model = VisionLanguageModel.without_memory(config)
    try:
        from_packed(model, tensors)
    except WeightsError as error:
        raise WeightsError(
            f"the decoder in {path} does not fit its configuration: {error.message}",
            hint="the file is incomplete, or the model has parts that a Qwen2.5 decoder does not have",
        ) from error
