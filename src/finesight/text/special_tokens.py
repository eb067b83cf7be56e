# SPDX-License-Identifier: Apache-2.0
"""Names of the control tokens of the Qwen2.5 vocabulary.

Their ids are read from the checkpoint's `tokenizer.json` and compared with
its `config.json`, because vocabularies differ: the small model has its own.

Source: `added_tokens` of the published tokenizer files.
"""

from __future__ import annotations

END_OF_TEXT = "<|endoftext|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
IMAGE_PAD = "<|image_pad|>"
VIDEO_PAD = "<|video_pad|>"
TOOL_CALL = "<tool_call>"
TOOL_CALL_END = "</tool_call>"

SPECIAL_TOKENS = (
    END_OF_TEXT,
    IM_START,
    IM_END,
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    VISION_START,
    VISION_END,
    "<|vision_pad|>",
    IMAGE_PAD,
    VIDEO_PAD,
)
"""Tokens that are hidden from answers, in the order of their published ids."""

ADDED_TEXT_TOKENS = (
    TOOL_CALL,
    TOOL_CALL_END,
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
"""Tokens that are visible in answers; their published ids follow those of `SPECIAL_TOKENS`."""

REQUIRED = (END_OF_TEXT, IM_START, IM_END, VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD)
"""Tokens that every conversation needs."""
