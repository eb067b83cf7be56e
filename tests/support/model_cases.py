# SPDX-License-Identifier: Apache-2.0
"""Random samples for model tests, built with slow loops that share no code with the processor.

A case is drawn as a list of runs: text of some length, or a grid. From it come our `EncodedSample` and the inputs of
transformers' model, so that both see the same thing. Window order and positions are written out cell by cell.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from finesight.batch import EncodedSample, VisionInput
from finesight.config.model import (
    ModelConfig,
    SpecialTokenIds,
    TextConfig,
    VisionConfig,
    YarnConfig,
)
from finesight.conversation import MediaRecord
from finesight.geometry import Resize, Size

VOCAB = 160
SPECIAL = SpecialTokenIds(
    image_pad=155, video_pad=156, vision_start=152, vision_end=153, eos=(145,), pad=143
)


@dataclass(frozen=True)
class Grid:
    """A picture, or a video with the seconds of one frame pair."""

    thw: tuple[int, int, int]
    seconds_per_pair: float = 0.0

    @property
    def is_video(self) -> bool:
        return self.seconds_per_pair > 0


Run = int | Grid


def small_config(**text: object) -> ModelConfig:
    """4 vision blocks (windowed and full), 3 decoder layers, 4 query heads over 2 key-value heads."""
    return ModelConfig(
        vision=VisionConfig(
            depth=4,
            hidden_size=32,
            intermediate_size=56,
            num_heads=2,
            out_hidden_size=64,
            full_attention_layers=(1, 3),
        ),
        text=TextConfig(
            **{
                "vocab_size": VOCAB,
                "hidden_size": 64,
                "intermediate_size": 96,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "tie_word_embeddings": False,
                "mrope_section": (2, 3, 3),
                "max_position_embeddings": 4096,
            }
            | text
        ),
        special_tokens=SPECIAL,
        dtype="float32",
    )


def yarn_config() -> ModelConfig:
    return small_config(yarn=YarnConfig(factor=4.0, original_max_position_embeddings=32))


def randomize(model: torch.nn.Module, seed: int = 0) -> None:
    """Weights that leave nothing neutral: norm weights away from 1, biases away from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if (parameter.ndim == 1 and "norm" in name) or "ln_q" in name:
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.ndim == 1:
                parameter.copy_(0.2 * noise)
            else:
                fan_in = parameter[0].numel()
                parameter.copy_(noise * (0.5 if "embed_tokens" in name else fan_in**-0.5))


def sample_from(runs: list[Run], seed: int = 0, config: ModelConfig | None = None) -> EncodedSample:
    """Encode the runs with random text and random patches."""
    config = config or small_config()
    generator = torch.Generator().manual_seed(seed)
    tokens: list[int] = []
    positions: list[tuple[int, int, int]] = []
    visual: list[int] = []
    vision: list[VisionInput] = []
    following = 0
    for run in runs:
        if isinstance(run, int):
            tokens += torch.randint(0, 140, (run,), generator=generator).tolist()
            positions += [(following + i,) * 3 for i in range(run)]
            following += run
            continue
        t, h, w = run.thw
        box = []
        for pair in range(t):
            second = pair * run.seconds_per_pair
            time = int(second * config.vision.tokens_per_second)
            box += [(time, row, column) for row in range(h // 2) for column in range(w // 2)]
        pad = SPECIAL.video_pad if run.is_video else SPECIAL.image_pad
        tokens.append(SPECIAL.vision_start)
        positions.append((following,) * 3)
        following += 1
        visual += range(len(tokens), len(tokens) + len(box))
        tokens += [pad] * len(box)
        positions += [tuple(following + value for value in cell) for cell in box]
        following += 1 + max(max(cell) for cell in box)
        tokens.append(SPECIAL.vision_end)
        positions.append((following,) * 3)
        following += 1
        vision.append(vision_input(run, generator, config.vision))
    return EncodedSample(
        input_ids=torch.tensor(tokens),
        labels=torch.tensor(tokens),
        position_ids=torch.tensor(positions).T.contiguous(),
        rope_delta=following - len(tokens),
        visual_index=torch.tensor(visual, dtype=torch.int64),
        vision=tuple(vision),
    )


def vision_input(grid: Grid, generator: torch.Generator, vision: VisionConfig) -> VisionInput:
    t, h, w = grid.thw
    order, lengths = slow_windows(grid.thw, vision.window_cells)
    spots = [
        (2 * row + dy, 2 * column + dx)
        for _ in range(t)
        for row in range(h // 2)
        for column in range(w // 2)
        for dy in range(2)
        for dx in range(2)
    ]
    size = Size(width=14 * w, height=14 * h)
    return VisionInput(
        patches=torch.randn(t * h * w, vision.patch_values, generator=generator),
        grid_thw=grid.thw,
        position_hw=torch.tensor(spots),
        window_order=torch.tensor(order),
        window_lengths=torch.tensor(lengths),
        position_seconds=tuple(i * grid.seconds_per_pair for i in range(t))
        if grid.is_video
        else (),
        record=MediaRecord(
            kind="video" if grid.is_video else "image",
            source="drawn",
            resize=Resize(original=size, resized=size),
            visual_tokens=len(order),
        ),
    )


def slow_windows(thw: tuple[int, int, int], window_cells: int) -> tuple[list[int], list[int]]:
    """Visit the windows one by one, and the cells of each; the largest windows of a frame pair come first."""
    t, rows, columns = thw[0], thw[1] // 2, thw[2] // 2
    order: list[int] = []
    lengths: list[int] = []
    for pair in range(t):
        windows: list[list[int]] = []
        for top in range(0, rows, window_cells):
            for left in range(0, columns, window_cells):
                cells = [
                    (pair * rows + row) * columns + column
                    for row in range(top, min(top + window_cells, rows))
                    for column in range(left, min(left + window_cells, columns))
                ]
                windows.append(cells)
        for cells in sorted(windows, key=len, reverse=True):
            order += cells
            lengths.append(len(cells))
    return order, lengths


def draw_runs(seed: int, max_patches: int) -> list[Run]:
    """Text with up to 4 pictures and 2 videos in between, odd sizes and long thin ones included."""
    random_ = random.Random(seed)
    runs: list[Run] = [random_.randint(1, 20)]
    left = max_patches
    for is_video in _kinds(random_):
        pairs = random_.randint(1, 4) if is_video else 1
        area = left // (4 * pairs)
        if area < 1:
            break
        area = random_.randint(1, area) if random_.random() < 0.7 else min(area, 64)
        rows = random_.choice([1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 22])
        rows = min(rows, area)
        columns = max(1, min(area // rows, random_.choice([2, 4, 6, 9, 12, 21, 40])))
        if random_.random() < 0.5:
            rows, columns = columns, rows
        seconds = random_.choice([0.2, 0.25, 0.5, 1.0, 1.5, 2.0]) if is_video else 0.0
        runs += [Grid((pairs, 2 * rows, 2 * columns), seconds), random_.randint(1, 20)]
        left -= 4 * pairs * rows * columns
    return runs


def _kinds(random_: random.Random) -> list[bool]:
    kinds = [False] * random_.randint(0, 4) + [True] * random_.randint(0, 2)
    random_.shuffle(kinds)
    return kinds
