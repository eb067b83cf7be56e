# SPDX-License-Identifier: Apache-2.0
"""Work on whole prompts: the vision tower and the prefill, in bfloat16 and with rounded weights.

Baselines are transformers in bfloat16 and, on request, llama.cpp, each in turns with ours. Weights are random in the
exact shape of the 3B release, with fewer blocks and layers: speed does not depend on their values. The notes state what
rounding changes with these weights; `rounding` and `boxes` measure it with the embedded model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparison import Comparison, measured_in_turns
from benchmarks.network import (
    OurSide,
    TheirSide,
    random_picture,
    shortened_3b,
    write_random_checkpoint,
)

if TYPE_CHECKING:
    import torch

    from finesight.config.model import ModelConfig
    from finesight.model.vl import VisionLanguageModel

VISION_SIDES = (448, 1092)
"""Pixels of square pictures."""

VISION_BARS = {"bf16": 1.3, "int8": 2.0}
"""The tower against transformers in bfloat16."""

PREFILL_BAR = 1.3

PROMPT_TOKENS = 1777

THEIR_FORMATS = ("BF16", "Q8_0", "Q4_0")


def bench_vision(*, blocks: int = 8, rounds: int = 3) -> Iterator[Comparison]:
    """The tower in bfloat16 and in int8 against transformers in bfloat16.

    Args:
        blocks: of the tower; one in eight attends to the whole picture, as in the release.
        rounds: number of rounds, of which the best counts.

    Raises:
        ConfigError: transformers is not installed.
    """
    import torch

    from finesight.api.rounding import relative_error, similarity
    from finesight.doctor.reference import load_reference
    from finesight.model.packed import pack_vision
    from finesight.model.weights import load_model

    config = shortened_3b(blocks=blocks, layers=1)
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder, torch.inference_mode():
        write_random_checkpoint(config, Path(folder), max_shard_bytes=2**40)
        towers = {"bf16": load_model(folder), "int8": load_model(folder)}
        pack_vision(towers["int8"], "int8")
        reference = load_reference(Path(folder), torch.bfloat16)
        for side in VISION_SIDES:
            grid = (1, side // 14, side // 14)
            picture = random_picture(config, grid, device=torch.device("cpu"))
            runs = [_Kept(partial(tower.encode_vision, picture)) for tower in towers.values()]
            theirs = partial(reference.model.visual, picture.patches, grid_thw=torch.tensor([grid]))
            *ours, of_theirs = measured_in_turns([*runs, theirs], rounds)
            exact, rounded = (run.result.float() for run in runs)
            change = f"visual tokens change by {relative_error(rounded, exact):.2%}, "
            change += f"cosine similarity {similarity(rounded, exact):.5f}"
            for name, found in zip(towers, ours, strict=True):
                note = f"; {change}" if name == "int8" else ""
                yield _compared(
                    f"vision {side} x {side}, {blocks} blocks in {name}, seconds against transformers in bfloat16",
                    found,
                    of_theirs,
                    VISION_BARS[name],
                    note,
                )


class _Kept:
    """A run that keeps its last result."""

    def __init__(self, run: Callable[[], torch.Tensor]) -> None:
        self._run = run
        self.result: torch.Tensor

    def __call__(self) -> None:
        self.result = self._run()


def _compared(
    name: str, ours: tuple[float, float], theirs: tuple[float, float], bar: float, note: str
) -> Comparison:
    """A comparison of elapsed times, with processor times in the note."""
    (elapsed, used), (of_theirs, used_by_theirs) = ours, theirs
    shown = f"processor time {used:.4g}"
    if not isnan(used_by_theirs):
        shown += f" against {used_by_theirs:.4g}, ratio {used_by_theirs / used:.2f}"
    return Comparison(name, elapsed, of_theirs, bar, at_least=True, note=shown + note)


def bench_prefill(
    *, layers: int, program: Path | None = None, rounds: int = 2, tokens: int = PROMPT_TOKENS
) -> Iterator[Comparison]:
    """A prompt in each format against transformers in bfloat16, and against the fastest format of llama.cpp.

    Args:
        layers: of the 3B shape.
        program: llama-bench; None leaves llama.cpp out.
        rounds: number of rounds, of which the best counts.
        tokens: length of the prompt.

    Raises:
        ConfigError: transformers is not installed, or the program fails.
    """
    import torch

    from finesight.api.rounding import relative_error
    from finesight.doctor.reference import load_reference

    config = shortened_3b(blocks=1, layers=layers)
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as place, torch.inference_mode():
        folder = Path(place)
        write_random_checkpoint(config, folder, max_shard_bytes=2**40)
        sides = {
            name: OurSide(_model(folder, name), 28, tokens) for name in ("bf16", "int8", "int4")
        }
        theirs: Any = TheirSide(load_reference(folder, torch.bfloat16), sides["bf16"])
        runs = {name: _Kept(side.prefill) for name, side in sides.items()}
        *ours, of_theirs = measured_in_turns([*runs.values(), theirs.prefill], rounds)
        exact = runs["bf16"].result.float()
        errors = [relative_error(run.result.float(), exact) for run in runs.values()]
        peers = [("transformers in bfloat16", of_theirs, "")]
        if program is not None:
            peers.append(_llama_prefill(program, config, folder, tokens, rounds))
    for peer, of_peer, note in peers:
        for name, found, error in zip(runs, ours, errors, strict=True):
            yield _compared(
                f"prefill of {tokens:,} tokens, {layers} layers in {name}, seconds against {peer}",
                found,
                of_peer,
                PREFILL_BAR if name == "int8" else 1.0,
                f"; logits differ from bf16 by {error:.1%} with random weights{note}",
            )


def _model(folder: Path, weights: str) -> VisionLanguageModel:
    from finesight.checkpoints.packed import load_packed
    from finesight.model.fused import use_kernels
    from finesight.model.weights import load_model

    if weights == "bf16":
        model = load_model(folder)
        use_kernels(model)
        return model
    return load_packed(folder, weights, cache=folder / "packed")  # type: ignore[arg-type]  # one of the formats


def _llama_prefill(
    program: Path, config: ModelConfig, folder: Path, tokens: int, rounds: int
) -> tuple[str, tuple[float, float], str]:
    """Name of the fastest format, its seconds (processor time is not known), and those of all formats as a note."""
    import torch

    from benchmarks.llama_cpp import prefill_seconds, write_random_gguf

    found = {}
    for kind in THEIR_FORMATS:
        file = folder / f"{kind}.gguf"
        write_random_gguf(file, config.text, kind)
        threads = torch.get_num_threads()
        found[kind] = min(prefill_seconds(program, file, tokens, threads) for _ in range(rounds))
        file.unlink()
    best = min(found, key=found.__getitem__)
    note = ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in found.items())
    return f"llama.cpp in {best}, its fastest format", (found[best], nan), f"; llama.cpp: {note}"
