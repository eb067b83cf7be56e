# SPDX-License-Identifier: Apache-2.0
"""What a model is given, as one string."""

from __future__ import annotations

from finesight.conversation import Conversation
from finesight.text.chat_template import ControlToken, Segment, TextSegment, render


def written(segments: list[Segment]) -> str:
    """The conversation as one string, one pad token per slot."""
    return "".join(
        segment.text
        if isinstance(segment, TextSegment)
        else segment.name
        if isinstance(segment, ControlToken)
        else segment.pad_name
        for segment in segments
    )


def prompt_of(conversation: Conversation) -> str:
    """The whole prompt, up to the opening of the answer."""
    return written(render(conversation))


def system_of(conversation: Conversation) -> str:
    """The content of the system turn."""
    return prompt_of(conversation).partition("<|im_start|>system\n")[2].partition("<|im_end|>")[0]
