# SPDX-License-Identifier: Apache-2.0
"""A request to the engine: a conversation and the options of encoding and sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

from finesight.batch import EncodedSample, StreamedPatches
from finesight.conversation import Conversation, Sampling
from finesight.engine.constraint import Constraint, constraint_of
from finesight.errors import ConfigError, about_item
from finesight.inputs import shown
from finesight.processor.processor import Processor
from finesight.text.tokenizer import Tokenizer

StageName = Literal["load", "media", "vision", "prefill", "decode"]
OnStage = Callable[[StageName, int, int], None]
"""Progress callback `(stage, done, total)`.

Loading and media count items, vision counts visual tokens, prefill and decode count tokens.
"""


def no_progress(stage: StageName, done: int, total: int) -> None:
    """A progress callback that does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One conversation to be answered.

    Attributes:
        conversation: ends with a turn that is not the assistant's.
        sampling: sampling parameters.
        add_vision_id: whether pictures and videos are numbered in the prompt.
        fit_tokens: maximum number of prompt tokens; media are shrunk to fit. None does not shrink.
        priority: requests of higher priority are admitted first.
        deadline_seconds: the request fails unless it is finished so long after it was submitted; None waits.
        adapter: name of the LoRA adapter that answers; None is the model alone.
    """

    conversation: Conversation
    sampling: Sampling = field(default_factory=Sampling)
    add_vision_id: bool = False
    fit_tokens: int | None = None
    priority: int = 0
    deadline_seconds: float | None = None
    adapter: str | None = None

    def encode(self, processor: Processor, on_stage: OnStage = no_progress) -> EncodedSample:
        """Encode the prompt, with its media as patches, up to the start of the answer.

        A long video is decoded here, for its digest and to find broken frames, and again when it is encoded, so that
        its frames are never all in memory.

        Args:
            processor: from the checkpoint of the model.
            on_stage: progress callback.

        Raises:
            FinesightError: an option is wrong, the media cannot be read, or they cannot be made to fit.
        """
        self.sampling.check()
        self._check_times()
        conversation = self.conversation
        num_items = sum(1 for _ in conversation.media())
        on_stage("media", 0, num_items)
        if self.fit_tokens is not None:
            conversation = processor.fit_into(
                conversation, self.fit_tokens, add_vision_id=self.add_vision_id
            )
        context = processor.model_config.text.max_position_embeddings
        sample = processor.encode(
            conversation,
            add_vision_id=self.add_vision_id,
            streams_videos=True,
            max_tokens=max(context - self.sampling.max_new_tokens, 0),
        )
        self.constraint(
            processor.tokenizer, sample
        )  # reports what is wrong before any weight is loaded
        for number, item in enumerate(sample.vision):
            if isinstance(item.patches, StreamedPatches):
                with about_item(number):
                    item.digest  # noqa: B018  # reads all frames, so that a broken one is found now
        on_stage("media", num_items, num_items)
        return sample

    def _check_times(self) -> None:
        """Raise `ConfigError` on a priority or a deadline that is no usable number."""
        priority: object = self.priority
        if isinstance(priority, bool) or not isinstance(priority, int):
            raise ConfigError(f"priority is {shown(priority)}", hint="it is a whole number")
        seconds: object = self.deadline_seconds
        if seconds is not None and not (
            isinstance(seconds, (int, float)) and 0 < seconds < math.inf
        ):
            raise ConfigError(
                f"deadline_seconds is {shown(seconds)}", hint="it is a number above 0"
            )

    def constraint(
        self, tokenizer: Tokenizer, sample: EncodedSample, eos_ids: Collection[int] = ()
    ) -> Constraint | None:
        """The constraint on the text of the answer; see `constraint_of`."""
        return constraint_of(
            self.sampling, tokenizer, eos_ids, media=sample.media, tools=self.conversation.tools
        )
