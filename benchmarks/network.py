# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of the network, against transformers and against the machine's limits.

The two sides alternate in one run, because the machine may be shared: what slows one side slows the other. The best of
several rounds counts. Weights are random in the exact shape of the 3B release, on request with fewer blocks and
layers; speed does not depend on their values.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparison import Comparison, best_in_turns, in_process, resident_bytes

if TYPE_CHECKING:
    import torch

    from finesight.batch import PackedBatch, VisionBatch
    from finesight.config.model import ModelConfig
    from finesight.model.vl import VisionLanguageModel


def shortened_3b(*, blocks: int = 32, layers: int = 36) -> ModelConfig:
    """The 3B shape with fewer vision blocks and decoder layers; one block in eight has full attention."""
    from finesight.config.sizes import named_config

    config = named_config("3b")
    full = tuple(range(7, blocks, 8)) or (blocks - 1,)
    vision = config.vision.model_copy(update={"depth": blocks, "full_attention_layers": full})
    text = config.text.model_copy(update={"num_hidden_layers": layers})
    return config.model_copy(update={"vision": vision, "text": text})


def write_random_checkpoint(config: ModelConfig, folder: Path, *, max_shard_bytes: int) -> int:
    """Save random bfloat16 weights of that shape; returns their size in bytes."""
    import torch

    from finesight.model.vl import VisionLanguageModel
    from finesight.model.weights import save_model

    with torch.device("meta"):
        model = VisionLanguageModel(config).to(torch.bfloat16)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.03, 0.03)
    save_model(model, folder, max_shard_bytes=max_shard_bytes)
    return sum(parameter.nbytes for parameter in model.parameters())


def compare_with_transformers(
    *,
    blocks: int = 32,
    layers: int = 36,
    side: int = 1092,
    prompt_tokens: int = 1777,
    new_tokens: int = 8,
    rounds: int = 3,
    device: str = "cpu",
) -> list[Comparison]:
    """Time vision, prefill and decoding of the 3B shape on both sides, in turns.

    Args:
        blocks: vision blocks (the release has 32).
        layers: decoder layers (the release has 36).
        side: pixels of a square picture, a multiple of 28.
        prompt_tokens: length of the prompt.
        new_tokens: steps of decoding after it.
        rounds: number of rounds, of which the best counts.
        device: torch device of both sides.

    Raises:
        ConfigError: transformers is not installed.
    """
    import torch

    from finesight.doctor.reference import load_reference
    from finesight.model.weights import load_model

    config = shortened_3b(blocks=blocks, layers=layers)
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder, torch.inference_mode():
        write_random_checkpoint(config, Path(folder), max_shard_bytes=2 * 10**9)
        model = load_model(folder, device=device, attention=_backend(device))
        ours = OurSide(model, side, prompt_tokens)
        theirs = TheirSide(load_reference(Path(folder), torch.bfloat16).to(device), ours)
        steps: list[tuple[str, float, list[Callable[[], object]]]] = [
            (f"vision {side} x {side}, {blocks} blocks", 1.2, [ours.vision, theirs.vision]),
            (
                f"prefill of {prompt_tokens} tokens, {layers} layers",
                1.0,
                [ours.prefill, theirs.prefill],
            ),
            (
                f"decoding {new_tokens} tokens after it",
                1.0,
                [partial(ours.decode, new_tokens), partial(theirs.decode, new_tokens)],
            ),
        ]
        found = []
        for name, bar, runs in steps:
            seconds = best_in_turns([_finished(run, device) for run in runs], rounds)
            found.append(Comparison(name, seconds[0], seconds[1], bar, at_least=True))
    return found


def _backend(device: str) -> str:
    """The default attention back end on a device."""
    return "sdpa" if device == "cpu" else "varlen"


def _finished(run: Callable[[], object], device: str) -> Callable[[], object]:
    """The same run with a device synchronisation at its end, since kernels run asynchronously."""
    if device == "cpu":
        return run

    def run_and_wait() -> None:
        import torch

        run()
        torch.accelerator.synchronize(device)

    return run_and_wait


class OurSide:
    """Our network with one picture and one prompt."""

    def __init__(self, model: VisionLanguageModel, side: int, prompt_tokens: int) -> None:
        import torch

        from finesight.model.cache import KVCache

        self.model = model
        self.grid = (1, side // 14, side // 14)
        self.picture = random_picture(model.config, self.grid, device=model.device)
        self.ids = torch.arange(prompt_tokens, device=model.device) % 1000
        self.kv = KVCache(
            model.config.text, 1, prompt_tokens + 64, dtype=model.dtype, device=model.device
        )

    def vision(self) -> torch.Tensor:
        """Visual tokens of the picture."""
        return self.model.encode_vision(self.picture)

    def prefill(self) -> torch.Tensor:
        """Logits after the prompt."""
        hidden = self.model(text_batch(self.ids, 0, self.kv.block_size), kv=self.kv)
        return self.model.logits(hidden[-1:])

    def decode(self, new_tokens: int) -> None:
        """Decode tokens after the prompt."""
        for step in range(new_tokens):
            batch = text_batch(self.ids[:1], self.ids.numel() + step, self.kv.block_size)
            self.model.logits(self.model(batch, kv=self.kv)).argmax()


class TheirSide:
    """transformers' network with the same picture and prompt."""

    def __init__(self, reference: Any, ours: OurSide) -> None:
        import torch

        self.reference = reference
        self.patches = ours.picture.patches
        self.grid = torch.tensor([ours.grid], device=ours.ids.device)
        self.ids = ours.ids
        self.cache: Any = None

    def vision(self) -> Any:
        """Visual tokens of the picture."""
        return self.reference.model.visual(self.patches, grid_thw=self.grid).pooler_output

    def prefill(self) -> Any:
        """Logits after the prompt."""
        # `logits_to_keep=1` would copy the whole output head for a matrix-vector product; that is not timed.
        out = self.reference.model(
            input_ids=self.ids[None],
            position_ids=_positions(0, self.ids.numel(), self.ids.device)[:, None],
            use_cache=True,
        )
        self.cache = out.past_key_values
        return self.reference.lm_head(out.last_hidden_state[0, -1:])

    def decode(self, new_tokens: int) -> None:
        """Decode tokens after the prompt."""
        if surplus := self.cache.get_seq_length() - self.ids.numel():
            self.cache.crop(-surplus)
        for step in range(new_tokens):
            out = self.reference(
                input_ids=self.ids[None, :1],
                position_ids=_positions(self.ids.numel() + step, 1, self.ids.device)[:, None],
                past_key_values=self.cache,
                use_cache=True,
            )
            out.logits.argmax()


def _positions(start: int, count: int, device: torch.device) -> torch.Tensor:
    import torch

    return torch.arange(start, start + count, device=device).expand(3, -1)


def text_batch(ids: torch.Tensor, start: int, block_size: int) -> PackedBatch:
    """A batch of text at position `start` of a sequence whose KV cache is block 0."""
    from finesight.attention_plan import AttentionPlan
    from finesight.batch import PackedBatch

    count = ids.numel()
    plan = AttentionPlan.paged([count], [start + count], [[0]], block_size)
    return PackedBatch.from_tokens(ids, _positions(start, count, ids.device), plan).to(ids.device)


def random_picture(
    config: ModelConfig, grid: tuple[int, int, int], *, device: torch.device
) -> VisionBatch:
    """A picture of noise."""
    import torch

    from finesight.batch import VisionInput, pack_vision
    from finesight.conversation import MediaRecord
    from finesight.geometry import Resize, Size
    from finesight.processor.windows import patch_positions, window_order

    order, lengths = window_order(grid, config.vision)
    size = Size(width=14 * grid[2], height=14 * grid[1])
    item = VisionInput(
        patches=torch.randn(grid[0] * grid[1] * grid[2], config.vision.patch_values).bfloat16(),
        grid_thw=grid,
        position_hw=patch_positions(grid),
        window_order=order,
        window_lengths=lengths,
        position_seconds=(),
        record=MediaRecord(
            kind="image",
            source="noise",
            resize=Resize(original=size, resized=size),
            visual_tokens=order.numel(),
        ),
    )
    return pack_vision([item]).to(device)


def bench_windows(*, blocks: int = 2, rounds: int = 3, device: str = "cpu") -> Comparison:
    """Time per patch of windowed blocks of the 3B width, at 16,384 patches against 1,024."""
    import torch

    from finesight.model.attention import check_backend
    from finesight.model.rope import vision_rotary
    from finesight.model.vision import VisionTransformer

    config = shortened_3b(blocks=blocks).vision.model_copy(update={"full_attention_layers": ()})
    model_config = shortened_3b(blocks=blocks)
    with torch.inference_mode():
        tower = VisionTransformer(config, attention=check_backend(_backend(device)))
        tower = tower.to(device, torch.bfloat16)

        def blocks_of(grid: tuple[int, int, int]) -> Callable[[], None]:
            picture = random_picture(model_config, grid, device=torch.device(device))
            rotary, states = (
                vision_rotary(picture.position_hw, config),
                tower.patch_embed(picture.patches),
            )

            def run() -> None:
                current = states.clone()
                for block in tower.blocks:
                    current = block(current, rotary, picture.window)

            return run

        large, small = (1, 128, 128), (1, 32, 32)
        runs = [_finished(blocks_of(grid), device) for grid in (large, small)]
        seconds = best_in_turns(runs, rounds)
    name = "windowed blocks, seconds per patch at 16,384 patches against 1,024"
    return Comparison(name, seconds[0] / 16_384, seconds[1] / 1024, 1.3, at_least=False)


def bench_load(*, blocks: int = 32, layers: int = 36, rounds: int = 3) -> list[Comparison]:
    """Load a 3B-shaped checkpoint of several shards and read every tensor, each time in a separate process.

    Peak memory is measured above the memory before loading. The baseline of time is reading the same files completely
    into memory.
    """
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        config = shortened_3b(blocks=blocks, layers=layers)
        size = write_random_checkpoint(config, Path(folder), max_shard_bytes=10**9)
        loading, reading, peak = float("inf"), float("inf"), 0.0
        for _ in range(rounds):
            reading = min(
                reading, in_process("benchmarks.network", "read_files", folder)["seconds"]
            )
            measured = in_process("benchmarks.network", "load_and_touch", folder)
            loading, peak = min(loading, measured["seconds"]), max(peak, measured["peak_bytes"])
    return [
        Comparison("peak bytes of loading against the weights", peak, size, 1.05, at_least=False),
        Comparison("seconds of loading against reading", loading, reading, 1.3, at_least=False),
    ]


def read_files(folder: str) -> None:
    """Read every shard into memory; prints the seconds as JSON."""
    start = time.perf_counter()
    held = []
    for path in sorted(Path(folder).glob("*.safetensors")):
        buffer = bytearray(path.stat().st_size)
        with path.open("rb", buffering=0) as file:
            view, filled = memoryview(buffer), 0
            while filled < len(buffer):
                filled += file.readinto(view[filled:]) or 0
        held.append(buffer)
    json.dump({"seconds": time.perf_counter() - start}, sys.stdout)


def load_and_touch(folder: str) -> None:
    """Load the model and sum every tensor; prints seconds and peak bytes as JSON."""
    from finesight.model.weights import load_model

    before = resident_bytes("VmRSS")
    start = time.perf_counter()
    model = load_model(folder)
    for parameter in model.parameters():
        parameter.detach().sum()
    seconds = time.perf_counter() - start
    json.dump({"seconds": seconds, "peak_bytes": resident_bytes("VmHWM") - before}, sys.stdout)
