# SPDX-License-Identifier: Apache-2.0
"""Decoding against llama.cpp, by its program `llama-bench`, in turns with ours.

Both sides decode random weights of the same shape in the same format: BF16, Q8_0 and Q4_0 on their side, `bf16`, `int8`
and `int4` on ours. With 4 bits the output head has 8 bits on our side and Q6_K on theirs, as `llama-quantize` makes it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparison import Comparison, best_in_turns
from benchmarks.kernels import OurSide, embedded_config
from benchmarks.network import shortened_3b, write_random_checkpoint
from finesight.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from finesight.config.model import ModelConfig, TextConfig
    from finesight.model.packed import Weights

FORMATS: dict[Weights, tuple[str, float]] = {
    "bf16": ("BF16", 1.0),
    "int8": ("Q8_0", 1.05),
    "int4": ("Q4_0", 1.05),
}
"""Their name of each format, and the bar."""

_BLOCK_ROWS = 64
"""Rows of random blocks that are repeated for a whole tensor; speed does not depend on values."""


def compare_with_llama_cpp(
    program: Path, *, layers: int, threads: int, rounds: int = 3
) -> Iterator[Comparison]:
    """Decode the embedded decoder's shape and the 3B shape on both sides.

    Args:
        program: llama-bench.
        layers: of the 3B shape.
        threads: of their side; ours has those of torch.
        rounds: number of rounds, of which the best counts.

    Raises:
        ConfigError: the program fails.
    """
    for name, config in (
        ("135 million parameters", embedded_config()),
        (f"{layers} layers of the 3B shape", shortened_3b(blocks=1, layers=layers)),
    ):
        yield from _compare(program, name, config, threads, rounds)


def _compare(
    program: Path, name: str, config: ModelConfig, threads: int, rounds: int
) -> Iterator[Comparison]:
    import torch

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as place, torch.inference_mode():
        folder = Path(place)
        write_random_checkpoint(config, folder, max_shard_bytes=2**40)
        for ours, (theirs, bar) in FORMATS.items():
            side = OurSide(folder, ours, new_tokens=16)
            side.prefill()
            file = folder / f"{theirs}.gguf"
            write_random_gguf(file, config.text, theirs)
            best = float("inf")
            spent = float("inf")
            for _ in range(rounds):  # their time is measured inside of their process
                spent = min(spent, best_in_turns([side.decode], 1)[0] / side.new_tokens)
                best = min(best, _seconds_per_token(program, file, side.new_tokens, threads))
            file.unlink()
            yield Comparison(
                f"decoding {name} in {ours}, seconds against llama.cpp in {theirs}",
                spent,
                best,
                bar,
                at_least=True,
                note=f"{1 / spent:.1f} against {1 / best:.1f} tokens/s",
            )


def _seconds_per_token(program: Path, file: Path, new_tokens: int, threads: int) -> float:
    return 1 / _tokens_per_second(program, file, 0, new_tokens, threads)


def prefill_seconds(program: Path, file: Path, tokens: int, threads: int) -> float:
    """Seconds of a prompt in one batch, by their program.

    Raises:
        ConfigError: the program fails.
    """
    return tokens / _tokens_per_second(program, file, tokens, 0, threads)


def _tokens_per_second(
    program: Path, file: Path, prompt: int, new_tokens: int, threads: int
) -> float:
    command = [program, "-m", file, "-p", prompt, "-n", new_tokens, "-t", threads]
    command += ["-b", 2048, "-ub", 512, "-r", 1, "-o", "json"]
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    except OSError as error:
        raise ConfigError(f"{program} cannot be run: {error.strerror or error}") from error
    try:
        tokens_per_second: float = json.loads(done.stdout)[0]["avg_ts"]
    except (ValueError, LookupError) as error:
        raise ConfigError(
            f"{program} ended with code {done.returncode}: {done.stderr.strip()[-300:]}",
            hint="give llama-bench of llama.cpp",
        ) from error
    return tokens_per_second


def write_random_gguf(path: Path, config: TextConfig, kind: str) -> None:
    """Write a decoder of random weights.

    Args:
        path: the file.
        config: the shape, with a tied head.
        kind: type of the matrices: BF16, Q8_0 or Q4_0; the embedding gets Q6_K instead of Q4_0.
    """
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(4096)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    width, inner = config.hidden_size, config.intermediate_size
    kv_width = config.num_key_value_heads * config.head_dim
    head = "Q6_K" if kind == "Q4_0" and width % 256 == 0 else "Q8_0" if kind == "Q4_0" else kind
    _add_matrix(writer, "token_embd.weight", config.vocab_size, width, head)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for layer in range(config.num_hidden_layers):
        prefix = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{prefix}{name}.weight", np.ones(width, np.float32))
        for name, rows, columns in (
            ("attn_q", width, width),
            ("attn_k", kv_width, width),
            ("attn_v", kv_width, width),
            ("attn_output", width, width),
            ("ffn_gate", inner, width),
            ("ffn_up", inner, width),
            ("ffn_down", width, inner),
        ):
            _add_matrix(writer, f"{prefix}{name}.weight", rows, columns, kind)
        for name, rows in (("attn_q", width), ("attn_k", kv_width), ("attn_v", kv_width)):
            writer.add_tensor(f"{prefix}{name}.bias", np.zeros(rows, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_matrix(writer: Any, name: str, rows: int, columns: int, kind: str) -> None:
    import gguf
    import numpy as np

    blocks = _random_blocks(columns, kind)
    raw: np.ndarray = np.resize(blocks, (rows, blocks.shape[1]))
    writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType[kind])


def _random_blocks(columns: int, kind: str) -> np.ndarray:
    """uint8[rows, bytes of a row] of some random rows."""
    import gguf
    import numpy as np
    from gguf.quants import quantize

    random = np.random.default_rng(0)
    if kind != "Q6_K":  # which the library reads, but does not write
        values = random.normal(0, 0.03, (_BLOCK_ROWS, columns)).astype(np.float32)
        return quantize(values, gguf.GGMLQuantizationType[kind]).view(np.uint8)
    blocks = random.integers(0, 256, (_BLOCK_ROWS, columns // 256, 210), dtype=np.uint8)
    blocks[..., 208:] = np.array([1e-5], np.float16).view(np.uint8)  # the scale, in half precision
    return blocks.reshape(_BLOCK_ROWS, -1)
