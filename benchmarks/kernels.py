# SPDX-License-Identifier: Apache-2.0
"""Speed of the CPU kernels and of decoding with packed weights.

Baselines are torch, transformers and, on request, llama.cpp, each in turns with ours. Weights are random in the exact
shape, with fewer layers: speed does not depend on their values. A share of the bandwidth is that of reading a large
tensor in the same run.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparison import Comparison, best_in_turns
from benchmarks.network import shortened_3b, text_batch, write_random_checkpoint

if TYPE_CHECKING:
    import torch

    from finesight.config.model import ModelConfig
    from finesight.model.packed import Weights

SHAPES = ((576, 576), (1536, 576), (576, 1536), (2048, 2048), (11008, 2048), (2048, 11008))
"""Outputs and inputs of linear layers at 135 million and at 3 billion parameters."""

DECODE_BARS: dict[Weights, float] = {"bf16": 2.2, "int8": 4.0, "int4": 7.0}
"""Decoding against transformers in bfloat16."""

_COLD_BYTES = 96 * 2**20
"""Weights that take turns, more than a last-level cache holds."""

_PROMPT_TOKENS = 16


def bench_kernels(*, layers: int, rounds: int = 6) -> Iterator[Comparison]:
    """Single products, the embedded decoder and the 3B shape.

    Args:
        layers: of the 3B shape.
        rounds: number of rounds, of which the best counts.
    """
    for outputs, inputs in SHAPES:
        yield from bench_product(outputs, inputs, rounds)
    yield from bench_embedded(rounds)
    yield from compare_decoding(layers=layers, rounds=rounds)


def bench_product(outputs: int, inputs: int, rounds: int) -> Iterator[Comparison]:
    """One row times a weight in each format, against torch in bfloat16 and against reading the weight."""
    import torch
    from torch.nn import functional

    from finesight.kernels import ops
    from finesight.kernels.formats import FORMATS

    weight = torch.randn(outputs, inputs).bfloat16()
    copies = -(-_COLD_BYTES // weight.nbytes)
    plain, row = [weight.clone() for _ in range(copies)], torch.randn(1, inputs).bfloat16()

    def run_all(product: Callable[[torch.Tensor], object], weights: list[torch.Tensor]) -> None:
        for each in weights:
            product(each)

    runs = [partial(run_all, partial(functional.linear, row), plain)]
    packs = {}
    for name in FORMATS:
        packed = ops.quantise(weight, name)
        packs[name] = [packed.clone() for _ in range(-(-_COLD_BYTES // packed.nbytes))]
        product = partial(_packed_product, ops.linear, row, outputs)
        runs.append(partial(run_all, product, packs[name]))
    of_torch, *ours = best_in_turns([*runs, _read_all], rounds)
    bytes_per_second = _read_bytes() / ours.pop()
    for seconds, (name, weights) in zip(ours, packs.items(), strict=True):
        share = weights[0].nbytes * len(weights) / seconds / bytes_per_second
        yield Comparison(
            f"one row x {outputs} x {inputs} in {name}, seconds against torch in bfloat16",
            seconds / len(weights),
            of_torch / copies,
            1.0,
            at_least=True,
            note=f"{share * bytes_per_second / 1e9:.1f} GB/s, {share:.0%} of reading",
        )


def _packed_product(
    linear: Any, row: torch.Tensor, outputs: int, weight: torch.Tensor
) -> torch.Tensor:
    found: torch.Tensor = linear(row, weight, None, outputs)
    return found


def bench_embedded(rounds: int) -> Iterator[Comparison]:
    """Decoding with a decoder in the shape of the embedded model `small`, against reading its weights."""
    import torch

    config = embedded_config()
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder, torch.inference_mode():
        write_random_checkpoint(config, Path(folder), max_shard_bytes=2**40)
        sides = {name: OurSide(Path(folder), name) for name in DECODE_BARS}
        for side in sides.values():
            side.prefill()
        *seconds, reading = best_in_turns(
            [*(side.decode for side in sides.values()), _read_all], rounds
        )
    for (name, side), spent in zip(sides.items(), seconds, strict=True):
        bound = side.num_bytes() * side.new_tokens * reading / _read_bytes()
        yield Comparison(
            f"decoding at 135 million parameters in {name}, seconds against reading the weights",
            spent / side.new_tokens,
            bound / side.new_tokens,
            0.6,
            at_least=True,
            note=f"{side.new_tokens / spent:.1f} tokens/s",
        )


def compare_decoding(*, layers: int, rounds: int) -> Iterator[Comparison]:
    """Decoding of the 3B shape in each format, against transformers in bfloat16.

    Raises:
        ConfigError: transformers is not installed.
    """
    import torch

    from finesight.doctor.reference import load_reference

    config = shortened_3b(blocks=1, layers=layers)
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder, torch.inference_mode():
        write_random_checkpoint(config, Path(folder), max_shard_bytes=2**40)
        theirs = _TheirSide(load_reference(Path(folder), torch.bfloat16))
        sides = {name: OurSide(Path(folder), name) for name in DECODE_BARS}
        for side in sides.values():
            side.prefill()
        theirs.prefill()
        runs = [*(side.decode for side in sides.values()), theirs.decode, _read_all]
        *seconds, of_theirs, reading = best_in_turns(runs, rounds)
    for (name, side), spent in zip(sides.items(), seconds, strict=True):
        share = side.num_bytes() * side.new_tokens / spent * reading / _read_bytes()
        yield Comparison(
            f"decoding {layers} layers of the 3B shape in {name}, seconds against transformers in bfloat16",
            spent / side.new_tokens,
            of_theirs / side.new_tokens,
            DECODE_BARS[name],
            at_least=True,
            note=f"{side.new_tokens / spent:.1f} tokens/s, {share:.0%} of reading",
        )


def embedded_config() -> ModelConfig:
    """The shape of the decoder of the embedded model `small`, under a vision tower of one block."""
    base = shortened_3b(blocks=1, layers=30)
    text = base.text.model_copy(
        update={
            "vocab_size": 49_152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "mrope_section": (8, 12, 12),
            "tie_word_embeddings": True,
        }
    )
    vision = base.vision.model_copy(update={"out_hidden_size": 576})
    tokens = {
        "image_pad": 3,
        "video_pad": 4,
        "vision_start": 5,
        "vision_end": 6,
        "eos": (2,),
        "pad": 0,
    }
    special = base.special_tokens.model_copy(update=tokens)
    return base.model_copy(update={"text": text, "vision": vision, "special_tokens": special})


class OurSide:
    """Our network, decoding after a short prompt.

    Args:
        folder: the checkpoint, in bfloat16; the packed weights are kept inside of it, and mapped.
        weights: their format.
        new_tokens: steps of one run.
    """

    def __init__(self, folder: Path, weights: Weights, *, new_tokens: int = 8) -> None:
        import torch

        from finesight.checkpoints.packed import load_packed
        from finesight.model.cache import KVCache

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that weights are packed
            self.model = load_packed(folder, weights, cache=folder / "packed")
        self.new_tokens = new_tokens
        self.ids = torch.arange(_PROMPT_TOKENS) + 10
        self.kv = KVCache(self.model.config.text, 1, 64, dtype=torch.bfloat16)

    def num_bytes(self) -> int:
        """Bytes of the weights that a step reads."""
        from finesight.model.packed_linear import PackedLinear

        layers = [one for one in self.model.modules() if isinstance(one, PackedLinear)]
        return sum(one.weight.nbytes for one in layers)

    def prefill(self) -> None:
        """Read the prompt."""
        self.model(text_batch(self.ids, 0, self.kv.block_size), kv=self.kv)

    def decode(self) -> None:
        """Decode the new tokens after the prompt."""
        for step in range(self.new_tokens):
            batch = text_batch(self.ids[:1], _PROMPT_TOKENS + step, self.kv.block_size)
            self.model.logits(self.model(batch, kv=self.kv)).argmax()


class _TheirSide:
    """transformers' network with the same prompt."""

    def __init__(self, reference: Any, *, new_tokens: int = 8) -> None:
        import torch

        self.reference, self.new_tokens = reference, new_tokens
        self.ids = torch.arange(_PROMPT_TOKENS) + 10
        self.cache: Any = None

    def prefill(self) -> None:
        self.cache = self.reference(input_ids=self.ids[None], use_cache=True).past_key_values

    def decode(self) -> None:
        if surplus := self.cache.get_seq_length() - _PROMPT_TOKENS:
            self.cache.crop(-surplus)
        for _ in range(self.new_tokens):
            out = self.reference(
                input_ids=self.ids[None, :1], past_key_values=self.cache, use_cache=True
            )
            out.logits.argmax()


_LARGE: list[torch.Tensor] = []


def _read_all() -> None:
    """Read a large tensor once."""
    import torch

    if not _LARGE:
        _LARGE.append(torch.ones(_COLD_BYTES // 2))
    _LARGE[0].sum()


def _read_bytes() -> int:
    return _LARGE[0].nbytes
