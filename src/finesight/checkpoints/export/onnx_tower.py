# SPDX-License-Identifier: Apache-2.0
"""Writes the vision tower with its merger as ONNX, for pictures and videos of any size.

Which patches attend to which depends on the size of a picture, and a loop over windows has no form in ONNX. So the
caller gives the attention segments as two tables: for each segment the places of its patches, padded with -1. Patches
stay in their order; each attention gathers them into segments of one length, masks the padding, and puts the results
back. `tower_inputs.py`, which is written beside the model and needs NumPy and Pillow alone, makes all inputs of a
picture.

=============  ====================  ========================================================================
patches        float32[N, P]         flattened patches, the four of a visual token one after another
positions      int64[N, 2]           row and column of each patch in its frame
windows        int64[W, L]           patches of each window, padded with -1
frames         int64[F, S]           patches of each frame pair, padded with -1
visual_tokens  float32[N / 4, D]     the output
=============  ====================  ========================================================================

Weights are float32.
Source: Qwen2.5-VL report (arXiv 2502.13923), section 2.1.1; parity: tests/unit/checkpoints/export/test_onnx_tower.py.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from finesight.checkpoints.export.formats import ExportSource
from finesight.checkpoints.export.tower_inputs import grid_inputs
from finesight.config.model import VisionConfig
from finesight.errors import ConfigError
from finesight.model.rope import Rotary, apply_rotary, vision_rotary
from finesight.model.vision import VisionBlock, VisionTransformer
from finesight.processor.from_hf import read_processor_config, write_processor_config

ONNX_FILE = "vision.onnx"

HELPER = Path(__file__).with_name("tower_inputs.py")
"""Makes the inputs; copied beside the model."""

_OPSET = 18

_NAMES = ("patches", "positions", "windows", "frames")


class OnnxTower(nn.Module):
    """The vision tower with attention segments as tables.

    Args:
        tower: with plain weights in float32.
    """

    def __init__(self, tower: VisionTransformer) -> None:
        super().__init__()
        self.tower = tower
        self.config: VisionConfig = tower.config

    def forward(
        self, patches: Tensor, positions: Tensor, windows: Tensor, frames: Tensor
    ) -> Tensor:
        """Visual tokens `[N / 4, D]`; see the table of this module for the arguments."""
        states = self.tower.patch_embed(patches)
        rotary = vision_rotary(positions, self.config)
        for index, block in enumerate(self.tower.blocks):
            assert isinstance(block, VisionBlock)
            segments = frames if index in self.config.full_attention_layers else windows
            states = states + _attention(block, block.norm1(states), rotary, segments)
            states = states + block.mlp(block.norm2(states))
        return self.tower.merger(states)  # type: ignore[no-any-return]  # nn.Module call


def _attention(block: VisionBlock, states: Tensor, rotary: Rotary, segments: Tensor) -> Tensor:
    """Self-attention `[N, D]` inside segments, whose padding is masked."""
    attention = block.attn
    q, k, v = attention.qkv(states).unflatten(-1, (3, attention.num_heads, -1)).unbind(1)
    q, k = apply_rotary(q, rotary), apply_rotary(k, rotary)
    is_padding = segments < 0  # [S, L]
    places = segments.clamp(min=0)
    q, k, v = (each[places].transpose(1, 2) for each in (q, k, v))  # [S, H, L, E]
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    scores = scores.masked_fill(is_padding[:, None, None], torch.finfo(scores.dtype).min)
    out = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)  # [S, L, D]
    # Padding goes to one more row than there are patches, which is dropped.
    targets = torch.where(is_padding, states.shape[0], segments).flatten()
    rows = states.new_zeros(states.shape[0] + 1, states.shape[1])
    rows = rows.index_copy(0, targets, out.flatten(0, 1))[:-1]
    return attention.proj(rows)  # type: ignore[no-any-return]  # nn.Module call


def write_onnx(source: ExportSource, draft: Path) -> None:
    """Write the vision tower, the helper that makes its inputs, and the configuration that the helper reads.

    The packages onnx and onnxscript must be installed, see `check_packages`.

    Raises:
        ConfigError: the processor's configuration is missing or broken.
        OSError: a file cannot be written.
    """
    vision = source.model.config.vision
    values = write_processor_config(read_processor_config(source.folder, vision), vision)
    tower = OnnxTower(source.model.visual).eval()
    example = _example(vision)
    # The rotary frequencies are cached at their first use, which must not be inside of the tracer.
    vision_rotary(example[1], vision)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter about itself
        program = torch.onnx.export(
            tower,
            example,
            dynamo=True,
            input_names=[*_NAMES],
            output_names=["visual_tokens"],
            dynamic_shapes=_dynamic_shapes(),
            opset_version=_OPSET,
            verbose=False,
        )
    assert program is not None
    program.save(str(draft / ONNX_FILE), external_data=False)
    shutil.copyfile(HELPER, draft / HELPER.name)
    values["window_size"] = vision.window_size
    (draft / "preprocessor_config.json").write_text(
        json.dumps(values, indent=2) + "\n", encoding="utf-8"
    )


def _example(vision: VisionConfig) -> tuple[Tensor, ...]:
    """Inputs of two frame pairs of 5 x 6 visual tokens, for tracing."""
    grid = (2, 10, 12)
    positions, windows, frames = (
        torch.from_numpy(each)
        for each in grid_inputs(grid, vision.window_size // vision.patch_size)
    )
    return torch.zeros(len(positions), vision.patch_values), positions, windows, frames


def _dynamic_shapes() -> tuple[dict[int, object], ...]:
    tokens = torch.export.Dim("tokens", min=1)
    any_size = torch.export.Dim.DYNAMIC
    return (
        {0: 4 * tokens},
        {0: 4 * tokens},
        {0: any_size, 1: any_size},
        {0: any_size, 1: any_size},
    )


def check_packages() -> None:
    """Raise `ConfigError` if a package that writes ONNX files is not installed."""
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise ConfigError(
                f"ONNX files are written with the package {package}, which is not installed",
                hint="pip install 'finesight[onnx]'",
            )
