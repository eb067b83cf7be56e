# SPDX-License-Identifier: Apache-2.0
"""The 3B shape at full depth from a packed file: start to first token, and peak memory of a question about a picture.

The weights are random; a start is a process of the command line. Memory is the resident memory of that process, which
counts every page of the mapped file that it reads.
"""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.comparison import Comparison

if TYPE_CHECKING:
    from torch import Tensor

    from finesight.config.model import ModelConfig
    from finesight.model.packed import Weights
    from finesight.model.vl import VisionLanguageModel

_RUN = """
import sys
from finesight.cli.main import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    sys.stderr.write(next(line for line in status if line.startswith("VmHWM:")))
sys.exit(code)
"""
"""Runs the command line and prints its peak memory last."""

_SIDE = 448
_NEW_TOKENS = 8
_LIMIT_SECONDS = 3.0
_MEMORY_BAR = 1.15
_SMALL_FILES = ("tokenizer.json", "generation_config.json", "preprocessor_config.json")


def bench_packed_start(
    *, layers: int = 36, blocks: int = 32, rounds: int = 3
) -> Iterator[Comparison]:
    """Later starts with weights in int4, and the peak memory of a start that also encodes a picture.

    Args:
        layers: of the language model (the release has 36).
        blocks: of the vision tower (the release has 32).
        rounds: starts that are measured after a first one; the median counts.
    """
    from PIL import Image

    from finesight.config.sizes import named_config

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as place:
        folder = Path(place) / "model"
        size = _write_model(folder, "int4", layers=layers, blocks=blocks)
        picture = Path(place) / "picture.png"
        Image.effect_mandelbrot((_SIDE, _SIDE), (-2.0, -1.5, 1.0, 1.5), 100).save(picture)
        asked = ("ask", "What is this?", "--json", "--max-new-tokens")
        mine = ("--model", str(folder))
        starts = [_started(*asked, "1", *mine) for _ in range(rounds + 1)]
        later = statistics.median(each.seconds for each in starts[1:])
        used = min(each.used for each in starts[1:])
        shown = _started(*asked, str(_NEW_TOKENS), *mine, "--image", str(picture))
        bare = _started(*asked, "1").peak
    text = named_config("3b").text
    caches = shown.tokens * 2 * layers * text.num_key_value_heads * text.head_dim * 2
    yield Comparison(
        f"seconds from the start to the end of an answer of one token, {layers} layers in int4, against 3",
        later,
        _LIMIT_SECONDS,
        1.0,
        at_least=False,
        note=f"processor time {used:.2f} s; first start {starts[0].seconds:.2f} s; the file has {size / 1e9:.2f} GB",
    )
    yield Comparison(
        f"peak bytes of a question about {_SIDE} x {_SIDE} pixels against packed weights and caches",
        shown.peak,
        size + caches,
        _MEMORY_BAR,
        at_least=False,
        note=f"{shown.tokens} tokens in the cache; a process with the embedded model: {bare / 1e9:.2f} GB",
    )


def _write_model(folder: Path, weights: Weights, *, layers: int, blocks: int) -> int:
    """Write a folder with packed random weights and the small files of the embedded model; returns its packed bytes."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.checkpoints import packed
    from finesight.config.model import ModelConfig
    from finesight.config.sizes import named_config
    from finesight.errors import WeightsError
    from finesight.files import write_json

    small = find_checkpoint("tiny")
    base = named_config("3b", special_tokens=ModelConfig.from_folder(small).special_tokens)
    full = tuple(range(7, blocks, 8)) or (blocks - 1,)
    vision = base.vision.model_copy(update={"depth": blocks, "full_attention_layers": full})
    text = base.text.model_copy(update={"num_hidden_layers": layers})
    config = base.model_copy(update={"vision": vision, "text": text, "dtype": "bfloat16"})
    folder.mkdir()
    write_json(folder / "config.json", config.to_hf(), error=WeightsError)
    for name in _SMALL_FILES:
        if (small / name).is_file():
            shutil.copyfile(small / name, folder / name)
    packed._write(_packed_model(config, weights), weights, folder)
    return (folder / packed.FILE).stat().st_size


def _packed_model(config: ModelConfig, weights: Weights) -> VisionLanguageModel:
    """A model of packed random weights; each shape is rounded once and copied."""
    import torch
    from torch import nn

    from finesight.kernels import ops
    from finesight.model.packed import from_packed
    from finesight.model.vl import VisionLanguageModel

    def random(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.bfloat16).uniform_(-0.03, 0.03)

    kept: dict[tuple[int, int], Tensor] = {}
    with torch.device("meta"):
        model = VisionLanguageModel(config)
    tensors = {name: random(*one.shape) for name, one in model.named_parameters()}
    for name, one in model.named_modules():
        if isinstance(one, nn.Linear) and name.startswith("model."):
            shape = (one.out_features, one.in_features)
            if shape not in kept:
                kept[shape] = ops.quantise(random(*shape), weights)
            tensors[f"{name}.weight"] = kept[shape].clone()
            if one.bias is not None:
                tensors[f"{name}.bias"] = torch.zeros(one.out_features)
    tensors["lm_head.packed.weight"] = ops.quantise(tensors["model.embed_tokens.weight"], "int8")
    from_packed(model, tensors)
    return model


class _Start(NamedTuple):
    """A process of the command line: its elapsed and its processor time, peak bytes, tokens of prompt and answer."""

    seconds: float
    used: float
    peak: int
    tokens: int


def _started(*words: str) -> _Start:
    start, start_cpu = time.perf_counter(), _children_seconds()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *words], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - start
    usage = json.loads(done.stdout)["usage"]
    tokens = usage["prompt_tokens"] + usage["completion_tokens"]
    peak = 1024 * int(done.stderr.split()[-2])
    return _Start(seconds, _children_seconds() - start_cpu, peak, tokens)


def _children_seconds() -> float:
    """Processor time of the child processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
