# SPDX-License-Identifier: Apache-2.0
"""Options of conversations that a decoder writes. `replay` imports torch; reading a recipe must not."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from finesight.config.settings import Settings
from finesight.data.builders.options import Range, Share
from finesight.data.split import Split

__all__ = ["ReplayConfig"]


class ReplayConfig(Settings):
    """Options of conversations that a decoder writes."""

    split: Split = Field("train", description="split of the subjects of first messages")
    model: Path = Field(
        Path("runs/small/base"), description="checkpoint folder of the decoder that writes"
    )
    batch: int = Field(16, ge=1, description="conversations that are written together")
    max_tokens: int = Field(120, ge=1, description="largest number of tokens of a message")
    turns: Range = Field((1, 3), description="fewest and most questions of a conversation")
    seeded_share: Share = Field(
        0.5, description="share of conversations that begin with a message of the list"
    )
    no_picture_share: Share = Field(
        0.05,
        description="share of conversations that begin with a question about a missing picture",
    )
    user_temperature: float = Field(1.0, gt=0, description="temperature of user messages")
    answer_temperature: float = Field(0.7, gt=0, description="temperature of answers")
    top_p: float = Field(0.9, gt=0, le=1, description="probability mass that tokens are drawn from")
