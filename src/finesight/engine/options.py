# SPDX-License-Identifier: Apache-2.0
"""Options of the engine: batch size, memory, caches."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from finesight.config.model import TextConfig
from finesight.errors import ConfigError, EngineError
from finesight.model.attention import VARLEN_BLOCK_MULTIPLE
from finesight.model.cache import KVCache
from finesight.model.device import available_bytes
from finesight.model.vl import VisionLanguageModel

__all__ = ["EngineOptions", "make_cache"]

_BLOCK_SIZE = 32
"""Tokens of a block: a shared prefix loses at most 31 tokens, and a block table is short."""

_MEMORY_SHARE = 0.25
"""Share of the free memory that the KV cache may take by default."""

_BYTES_PER_GB = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Options of an engine.

    Attributes:
        max_sequences: requests that are answered at the same time.
        max_waiting: requests that may wait for their turn; more are refused.
        max_step_tokens: most tokens of a forward pass; longer prompts are computed in several.
        kv_cache_gb: memory of the KV cache, in GB; None takes what `max_sequences` contexts need, at most a quarter
            of the free memory. On a CPU, memory is used only once tokens are written to it.
        kv_cache_dtype: "auto" takes the dtype of the weights; "int8" needs half the memory of bfloat16, less exactly.
        kv_cache_folder: folder where the KV cache is a file that the system reads and writes as needed, for contexts
            that do not fit the memory; None keeps it in memory. CPU only.
        prefix_cache: whether a prompt reuses keys and values of an earlier request with the same beginning.
        media_memory_mb: memory of the patches of unfinished requests, in MB; callers wait while it is used up.
        vision_cache_mb: memory of the visual tokens that are kept for further questions, in MB.
        vision_cache_folder: folder where they are kept, too; several models may share it.
        kernels: whether our kernels compute steps over the KV cache: on a CPU those of few rows if the weights are
            bfloat16, on CUDA all of them. They round less often than torch's layers, and are faster.
        cuda_graphs: whether decoding steps on CUDA are captured as CUDA graphs; needs `kernels`.
        deterministic: whether a request has the same bits whatever runs beside it: sequences share no forward pass.
        draft_tokens: most tokens per step that are guessed from the prompt and checked by the model (prompt lookup);
            0 guesses none. The answer is the same, but for rounding in bfloat16.
    """

    max_sequences: int = 1
    max_waiting: int = 1000
    max_step_tokens: int = 2048
    kv_cache_gb: float | None = None
    kv_cache_dtype: Literal["auto", "int8"] = "auto"
    kv_cache_folder: Path | None = None
    prefix_cache: bool = True
    media_memory_mb: float = 2000.0
    vision_cache_mb: float = 256.0
    vision_cache_folder: Path | None = None
    kernels: bool = True
    cuda_graphs: bool = True
    deterministic: bool = False
    draft_tokens: int = 0

    def check(self) -> None:
        """Raise `ConfigError` on a value outside its range and on options that exclude each other."""
        for name, least in (
            ("max_sequences", 1),
            ("max_waiting", 1),
            ("max_step_tokens", 1),
            ("media_memory_mb", 1),
            ("vision_cache_mb", 0),
            ("draft_tokens", 0),
        ):
            if not least <= getattr(self, name) < math.inf:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; it must be at least {least}, and finite"
                )
        if self.kv_cache_gb is not None and not 0 < self.kv_cache_gb < math.inf:
            raise ConfigError(
                f"kv_cache_gb is {self.kv_cache_gb:g}; it must be above 0, and finite"
            )
        if self.kv_cache_dtype not in ("auto", "int8"):
            raise ConfigError(
                f"kv_cache_dtype is {self.kv_cache_dtype!r}", hint='it is "auto" or "int8"'
            )
        if self.max_step_tokens < self.max_sequences:
            raise ConfigError(
                f"max_step_tokens is {self.max_step_tokens}, less than the {self.max_sequences} of max_sequences",
                hint="a step computes at least one token of each running sequence: raise max_step_tokens",
            )
        if self.deterministic and self.draft_tokens:
            raise ConfigError(
                f"deterministic excludes draft_tokens = {self.draft_tokens}: drafts change how sums are rounded"
            )


def make_cache(
    options: EngineOptions, model: VisionLanguageModel, *, extra_blocks: int = 0
) -> KVCache:
    """The KV cache of an engine.

    Args:
        options: its size and where it is.
        model: the network.
        extra_blocks: blocks beyond those of the options.

    Raises:
        ConfigError: the memory does not hold one block, an option does not fit the device or the attention back end,
            or `deterministic` needs another step size.
        EngineError: the folder has no room.
    """
    dtype = torch.int8 if options.kv_cache_dtype == "int8" else model.dtype
    if dtype == torch.int8 and model.attention == "varlen":
        raise ConfigError(
            'kv_cache_dtype is "int8", which the varlen attention back end cannot read',
            hint='load the model with attention="sdpa"',
        )
    if options.kv_cache_folder is not None and model.device.type != "cpu":
        raise ConfigError(
            f"kv_cache_folder is for models on the CPU; this one is on {model.device}",
            hint="leave it out, or lower kv_cache_gb",
        )
    config = model.config.text
    block_size = VARLEN_BLOCK_MULTIPLE if model.attention == "varlen" else _BLOCK_SIZE
    if options.deterministic and options.max_step_tokens % block_size:
        raise ConfigError(
            f"max_step_tokens is {options.max_step_tokens}; with deterministic it must be a multiple of {block_size}, "
            "the tokens of a block of the KV cache"
        )
    needed = options.max_sequences * (config.max_position_embeddings + block_size)
    token_bytes = _bytes_per_token(config, dtype)
    if options.kv_cache_gb is None:
        free = available_bytes(model.device)
        most = int(_MEMORY_SHARE * free / token_bytes) if free else needed
        num_tokens = min(needed, most)
    else:
        num_tokens = int(options.kv_cache_gb * _BYTES_PER_GB / token_bytes)
    if num_tokens < block_size:
        raise ConfigError(
            f"the KV cache has room for {num_tokens} tokens of {token_bytes:,} bytes; a block has {block_size}",
            hint="raise kv_cache_gb, or free memory",
        )
    return KVCache(
        config,
        num_tokens // block_size + extra_blocks,
        block_size,
        dtype=dtype,
        device=model.device,
        allocate=None
        if options.kv_cache_folder is None
        else partial(_in_file, options.kv_cache_folder),
    )


def _bytes_per_token(config: TextConfig, dtype: torch.dtype) -> int:
    heads = 2 * config.num_hidden_layers * config.num_key_value_heads
    scale = torch.float32.itemsize if dtype == torch.int8 else 0
    return heads * (config.head_dim * dtype.itemsize + scale)


def _in_file(folder: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor in a new file of the folder, which disappears with the tensor."""
    size = math.prod(shape)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="kv-") as file:
            file.truncate(size * dtype.itemsize)
            if sys.platform != "darwin":  # which has no such call
                # Takes the room on the disk: a page that cannot be written later would end the process.
                os.posix_fallocate(file.fileno(), 0, size * dtype.itemsize)
            # The mapping stays valid after the name of the file is gone.
            whole = torch.from_file(file.name, shared=True, size=size, dtype=dtype)
    except (OSError, RuntimeError) as error:
        raise EngineError(
            f"a KV cache of {size * dtype.itemsize:,} bytes cannot be made in {folder}: {str(error)[:200]}",
            hint="choose a folder with more room, or lower kv_cache_gb",
        ) from error
    return whole.view(shape)
