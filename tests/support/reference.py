# SPDX-License-Identifier: Apache-2.0
"""What transformers and qwen-vl-utils make of a conversation, without pixels where only integers are wanted.

The chat template is the released one of Qwen2.5-VL for messages, and the released one of Qwen2.5 for tools (the VL
template passes over tools), written anew: what they write is a format, and the format is what is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from qwen_vl_utils import vision_process
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLProcessor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.vision_utils import (
    get_vision_attention_seqlens,
    get_vision_position_ids,
    get_vision_window_index,
)

from finesight.checkpoints.export import folder
from tests.support.drawn_cases import DrawnCase

CHAT_TEMPLATE = folder.CHAT_TEMPLATE.read_text(encoding="utf-8")


def reference_config(**vision: object) -> Qwen2_5_VLConfig:
    """A model small enough to build at once, with the published ids and `tokens_per_second`."""
    text = {
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    }
    tower = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=tower | {"out_hidden_size": 16, "tokens_per_second": 2} | vision,
    )


@dataclass(frozen=True)
class ReferenceIntegers:
    """Everything about a sample that is a whole number."""

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    rope_delta: int
    window_index: torch.Tensor | None
    cu_seqlens_window: torch.Tensor | None
    cu_seqlens_frame: torch.Tensor | None
    position_hw: torch.Tensor | None


class Reference:
    """transformers' processor with the published vocabulary, and its position functions."""

    def __init__(self, tokenizer_file: Path) -> None:
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(tokenizer_file),
            pad_token="<|endoftext|>",
            eos_token="<|im_end|>",
        )
        self.images = Qwen2VLImageProcessorPil(min_pixels=4 * 28 * 28, max_pixels=16384 * 28 * 28)
        # The released preprocessor_config.json gives videos the budget of pictures, so that sizes that
        # qwen-vl-utils chose are left alone.
        self.videos = Qwen2VLVideoProcessor(
            cap_pixels_per_frame=False, min_pixels=4 * 28 * 28, max_pixels=16384 * 28 * 28
        )
        self.processor = Qwen2_5_VLProcessor(
            self.images, tokenizer, self.videos, chat_template=CHAT_TEMPLATE
        )
        self.tokenizer = tokenizer
        with torch.device("meta"):
            self.model = Qwen2_5_VLModel(reference_config())
        self.image_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self.video_id = tokenizer.convert_tokens_to_ids("<|video_pad|>")

    def text(self, messages: list[dict], **options: object) -> str:
        """The conversation as one string, one pad token per picture or video."""
        return self.processor.apply_chat_template(messages, tokenize=False, **options)

    def integers(
        self,
        text: str,
        grids: Sequence[tuple[int, int, int]],
        kinds: Sequence[str],
        seconds_per_grid: Sequence[float],
    ) -> ReferenceIntegers:
        """Number one conversation whose media have the given grids, in order of appearance."""
        ids = self._expanded_ids(text, grids)
        types = torch.zeros_like(ids)
        types[ids == self.image_id] = 1
        types[ids == self.video_id] = 2
        by_kind = {
            kind: [grid for grid, its in zip(grids, kinds, strict=True) if its == kind] or None
            for kind in ("image", "video")
        }
        positions, delta = self.model.get_rope_index(
            ids[None],
            types[None].int(),
            image_grid_thw=_tensor(by_kind["image"]),
            video_grid_thw=_tensor(by_kind["video"]),
            # float32, as the processor's own `return_tensors="pt"` makes it
            second_per_grid_ts=torch.tensor(seconds_per_grid) if seconds_per_grid else None,
        )
        return ReferenceIntegers(ids, positions[:, 0], int(delta), *self._layout(grids))

    def _expanded_ids(self, text: str, grids: Sequence[tuple[int, int, int]]) -> torch.Tensor:
        ids: list[int] = []
        remaining = iter(grids)
        for token in self.tokenizer(text)["input_ids"]:
            repeat = 1
            if token in (self.image_id, self.video_id):
                t, h, w = next(remaining)
                repeat = t * h * w // 4
            ids += [token] * repeat
        return torch.tensor(ids)

    def _layout(
        self, grids: Sequence[tuple[int, int, int]]
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        if not grids:
            return None, None, None, None
        vision = self.model.config.vision_config
        stacked = torch.tensor(grids)
        window_index, cu_window = get_vision_window_index(
            stacked, vision.spatial_merge_size, vision.window_size, vision.patch_size
        )
        cu_frame, _ = get_vision_attention_seqlens(stacked, vision)
        return window_index, cu_window, cu_frame, get_vision_position_ids(stacked, 2)


def _tensor(grids: list[tuple[int, int, int]] | None) -> torch.Tensor | None:
    return None if grids is None else torch.tensor(grids)


class SizedImage:
    """Stands for a Pillow image of which only the size exists."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)

    def resize(self, size: tuple[int, int]) -> SizedImage:
        """An image of another size."""
        return SizedImage(*size)


def reference_sizes(monkeypatch, case: DrawnCase) -> tuple[list[tuple[int, int, int]], list[float]]:
    """Run qwen-vl-utils on a drawn case: patch grid of each medium, and seconds per grid of each video.

    Its own code decides everything; only the readers give sizes instead of pixels.
    """

    def read(part: dict) -> tuple[torch.Tensor, dict, float]:
        video = case.videos[part["video"]]
        count = vision_process.smart_nframes(part, video.total_frames, video.source_fps)
        sample_fps = count / max(video.total_frames, 1e-6) * video.source_fps
        frames = torch.empty(count, 3, video.height, video.width, device="meta", dtype=torch.uint8)
        return frames, {}, sample_fps

    monkeypatch.setattr(vision_process, "VIDEO_READER_BACKENDS", {"torchvision": read})
    monkeypatch.setattr(vision_process, "get_video_reader_backend", lambda: "torchvision")
    monkeypatch.setattr(vision_process, "to_rgb", lambda image: image)
    monkeypatch.setattr(
        vision_process.Image, "open", lambda name: SizedImage(*case.images[name]), raising=True
    )
    monkeypatch.setattr(
        vision_process.transforms.functional,
        "resize",
        lambda video, size, **_: torch.empty(*video.shape[:2], *size, device="meta"),
    )
    grids, seconds = [], []
    for part in case.parts():
        if part["type"] == "image":
            width, height = vision_process.fetch_image(part).size
            pairs = 1
        else:
            frames, fps = vision_process.fetch_video(part, return_video_sample_fps=True)
            count, _, height, width = frames.shape
            pairs = count // 2
            seconds.append(2 / fps)
        grids.append((pairs, height // 14, width // 14))
    return grids, seconds
