# SPDX-License-Identifier: Apache-2.0
"""Peak memory and time of long prompts, each in a process of its own, against caches and one chunk.

Tokens and weights are random: memory and time do not depend on their values. `RssAnon` is watched where the KV cache is
a file, because its pages are counted as the file's, and the system may write them to disk; else all memory is.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparison import Comparison, in_process, resident_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from finesight.batch import EncodedSample
    from finesight.config.model import ModelConfig
    from finesight.model.vl import VisionLanguageModel

_CASES: tuple[dict[str, Any], ...] = (
    {"shape": "135m", "tokens": 32_768, "layers": 30, "dtype": "int8", "in_file": True},
    {"shape": "135m", "tokens": 65_536, "layers": 30, "dtype": "int8", "in_file": True},
    {"shape": "3b", "tokens": 32_768, "layers": 36, "dtype": "auto", "in_file": False},
    {"shape": "135m", "tokens": 131_072, "layers": 30, "dtype": "int8", "in_file": True},
)
"""Quick ones first; those of one shape differ only in length."""

_SMOLLM2_135M: dict[str, Any] = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49_152,
    "mrope_section": (8, 12, 12),
    "rope_theta": 100_000.0,
    "tie_word_embeddings": True,
}

_STEP_TOKENS = 2048
"""Tokens of a chunk, the engine's default."""

_MASK_BYTES = 3 * 2**26
"""Of the mask of a block of rows, as booleans and as half-precision floats."""

_SPARE_BYTES = 100_000_000
"""Memory of oneDNN and of the allocator, which keeps freed memory."""

_SECONDS_BETWEEN_SAMPLES = 0.02


def bench_long_context(*, shorten: int = 1) -> Iterator[Comparison]:
    """Peak memory above the model of long prompts; `shorten` divides the depth of the models."""
    for case in _CASES:
        chosen = {**case, "layers": max(case["layers"] // shorten, 1)}
        found = in_process("benchmarks.long_context", "measure", json.dumps(chosen))
        kind = {"auto": "bfloat16", "int8": "int8"}[chosen["dtype"]]
        place = "file" if chosen["in_file"] else "memory"
        yield Comparison(
            f"peak bytes of {chosen['tokens']:,} tokens, {chosen['shape']} shape with {chosen['layers']} layers, KV "
            f"cache in {kind} in {place}, against {'' if chosen['in_file'] else 'the cache and '}one chunk",
            found["peak"],
            found["bound"],
            1.0,
            at_least=False,
            note=f"KV cache {found['cache']:,.0f} bytes, {found['seconds']:.0f} s to the first token",
        )


def measure(case: str) -> None:
    """Answer one long prompt; prints peak memory, its bound, bytes of the cache and seconds as JSON.

    Args:
        case: JSON with `shape`, `tokens`, `layers`, `dtype` of the KV cache and `in_file`.
    """
    import torch

    from finesight import load
    from finesight.conversation import Conversation, Message, Sampling, TextPart
    from finesight.engine.engine import Engine
    from finesight.engine.options import EngineOptions
    from finesight.engine.request import Request

    given = json.loads(case)
    tokens = given["tokens"]
    config = _config(given["shape"], given["layers"], tokens + 64)
    request = Request(
        conversation=Conversation((Message("user", (TextPart("random"),)),)),
        sampling=Sampling(max_new_tokens=2, loop_guard=False),
    )
    with tempfile.TemporaryDirectory(prefix="finesight-bench-", dir=Path.cwd()) as folder:
        options = EngineOptions(
            kv_cache_dtype=given["dtype"],
            kv_cache_folder=Path(folder) if given["in_file"] else None,
            kv_cache_gb=_cache_bytes(config, tokens + 64, given["dtype"]) / 1e9,
            max_step_tokens=_STEP_TOKENS,
        )
        engine = Engine(
            _random_model(config), load("tiny", device="cpu").processor, options=options
        )
        sample = _sample(torch.arange(tokens) * 7919 % 500)
        key = "RssAnon" if given["in_file"] else "VmRSS"
        before = resident_bytes(key)
        started = time.perf_counter()
        peak = _peak_while(lambda: next(iter(engine.submit(request, sample))), key)
        seconds = time.perf_counter() - started
        cache = engine._started()[0]._runner._kv.num_bytes
        engine.close()
    bound = _chunk_bytes(config, tokens, given["dtype"]) + (0 if given["in_file"] else cache)
    json.dump(
        {"peak": peak - before, "bound": bound, "cache": cache, "seconds": seconds}, sys.stdout
    )


def _config(shape: str, layers: int, context: int) -> ModelConfig:
    from finesight.config.model import TextConfig, YarnConfig
    from finesight.config.sizes import named_config

    tiny = named_config("tiny")  # its vision tower is not used
    if shape == "3b":
        text = named_config("3b").text
    else:
        original = 8192
        yarn = YarnConfig(factor=context / original, original_max_position_embeddings=original)
        text = TextConfig(**_SMOLLM2_135M, yarn=yarn)
    changed = {"num_hidden_layers": layers, "max_position_embeddings": context}
    vision = tiny.vision.model_copy(update={"out_hidden_size": text.hidden_size})
    return tiny.model_copy(update={"text": text.model_copy(update=changed), "vision": vision})


def _random_model(config: ModelConfig) -> VisionLanguageModel:
    import torch

    from finesight.model.vl import VisionLanguageModel

    with torch.device("meta"):
        model = VisionLanguageModel(config).to(torch.bfloat16)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.03, 0.03)
    return model


def _sample(tokens: Tensor) -> EncodedSample:
    import torch

    from finesight.batch import EncodedSample

    return EncodedSample(
        input_ids=tokens,
        labels=torch.full_like(tokens, -100),
        position_ids=torch.arange(len(tokens)).expand(3, -1),
        rope_delta=0,
        visual_index=tokens[:0],
    )


def _cache_bytes(config: ModelConfig, tokens: int, dtype: str) -> int:
    text = config.text
    number, scale = (1, 4) if dtype == "int8" else (2, 0)
    heads = 2 * text.num_hidden_layers * text.num_key_value_heads
    return heads * (text.head_dim * number + scale) * (tokens + 64)


def _chunk_bytes(config: ModelConfig, tokens: int, dtype: str) -> int:
    """Activations of a layer in float32, the mask, and one layer's keys and values if they are stored in int8."""
    text = config.text
    activations = 4 * _STEP_TOKENS * (6 * text.hidden_size + 3 * text.intermediate_size)
    width = text.num_key_value_heads * text.head_dim
    wide = 8 * tokens * width if dtype == "int8" else 0
    return activations + _MASK_BYTES + wide + _SPARE_BYTES


def _peak_while(run: Callable[[], object], key: str) -> int:
    """Largest value of a kind of this process's memory while a function runs."""
    peak = resident_bytes(key)
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(_SECONDS_BETWEEN_SAMPLES):
            peak = max(peak, resident_bytes(key))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        run()
    finally:
        ended.set()
        watching.join()
    return peak
