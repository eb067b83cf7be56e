# SPDX-License-Identifier: Apache-2.0
"""Work on whole prompts: the vision tower and the prefill, in bfloat16 and with rounded weights.

Baselines are transformers in bfloat16 and, on request, llama.cpp, each in turns with ours. Weights are random in the
exact shape of the 3B release, with fewer blocks and layers: speed does not depend on their values. The notes state what
rounding changes with these weights; `rounding` and `boxes` measure it with the embedded model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparison import Comparison, best_in_turns
from benchmarks.network import (
    OurSide,
    TheirSide,
    random_picture,
    shortened_3b,
    write_random_checkpoint,
)

if TYPE_CHECKING:
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
            runs = [partial(tower.encode_vision, picture) for tower in towers.values()]
            theirs = partial(reference.model.visual, picture.patches, grid_thw=torch.tensor([grid]))
            *ours, of_theirs = best_in_turns([*runs, theirs], rounds)
            exact, rounded = (run().float() for run in runs)
            note = f"visual tokens change by {relative_error(rounded, exact):.2%}, "
            note += f"cosine similarity {similarity(rounded, exact):.5f}"
            for name, seconds in zip(towers, ours, strict=True):
                yield Comparison(
                    f"vision {side} x {side}, {blocks} blocks in {name}, seconds against transformers in bfloat16",
                    seconds,
                    of_theirs,
                    VISION_BARS[name],
                    at_least=True,
                    note=note if name == "int8" else "",
                )


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

    from finesight.doctor.reference import load_reference

    config = shortened_3b(blocks=1, layers=layers)
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as place, torch.inference_mode():
        folder = Path(place)
        write_random_checkpoint(config, folder, max_shard_bytes=2**40)
        sides = {
            name: OurSide(_model(folder, name), 28, tokens) for name in ("bf16", "int8", "int4")
        }
        theirs: Any = TheirSide(load_reference(folder, torch.bfloat16), sides["bf16"])
        *ours, of_theirs = best_in_turns(
            [*(side.prefill for side in sides.values()), theirs.prefill], rounds
        )
        exact = sides["bf16"].prefill().float()
        errors = {
            name: float((side.prefill().float() - exact).norm() / exact.norm())
            for name, side in sides.items()
        }
        peers = [("transformers in bfloat16", of_theirs, "")]
        if program is not None:
            peers.append(_llama_prefill(program, config, folder, tokens, rounds))
    for (name, seconds), (peer, of_peer, their_note) in (
        (one, peer) for peer in peers for one in zip(sides, ours, strict=True)
    ):
        yield Comparison(
            f"prefill of {tokens:,} tokens, {layers} layers in {name}, seconds against {peer}",
            seconds,
            of_peer,
            PREFILL_BAR if name == "int8" else 1.0,
            at_least=True,
            note=f"logits differ from bf16 by {errors[name]:.1%} with random weights{their_note}",
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
) -> tuple[str, float, str]:
    """Name of the fastest format, its seconds, and those of all formats as a note."""
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
    return f"llama.cpp in {best}, its fastest format", found[best], f"; llama.cpp: {note}"
