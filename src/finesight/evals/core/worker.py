# SPDX-License-Identifier: Apache-2.0
"""Ask one item and write down what was shown and what came back, or why nothing did."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from finesight.conversation import (
    Conversation,
    ImagePart,
    MediaRecord,
    Reply,
    Sampling,
    TextPart,
)
from finesight.errors import FinesightError, MediaError
from finesight.evals.core.digests import request_digest
from finesight.evals.core.journal import Sample
from finesight.evals.core.responders import ItemResponder
from finesight.evals.core.scoring import message_of, reason_of
from finesight.evals.core.task import Extractor, Item
from finesight.media.image import image_size
from finesight.media.source import source_name


@dataclass(frozen=True, slots=True)
class Numbered:
    """An item with its place, and why it is no question, if it is none."""

    item: Item
    number: int
    error: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Worker:
    """Makes the sample of one item, not yet read and scored: rules may need the main thread."""

    responder: ItemResponder
    sampling: Sampling
    extractor: Extractor

    def sample(self, numbered: Numbered) -> Sample:
        """Ask, or say why not."""
        item = numbered.item
        blank = Sample(
            id=item.id,
            number=numbered.number,
            question=question_of(item.conversation),
            request="",
            text=None,
            num_tokens=0,
            finish_reason=None,
            extractor=self.extractor.name,
            extractor_version=self.extractor.version,
            parsed=None,
            parts={},
            media=(),
            seconds=0.0,
            error=numbered.error,
            message=numbered.message,
            truth=item.truth,
            group=item.group,
            cluster=item.cluster,
            tags=item.tags,
        )
        if numbered.error is not None:
            return blank
        started = time.perf_counter()
        try:
            request = request_digest(item.conversation, reads_media=self.responder.reads_media)
            reply = self.responder.answer(item, self.sampling)
        except (
            FinesightError,
            MemoryError,
            RuntimeError,
        ) as error:  # torch is out of memory: RuntimeError
            seconds = time.perf_counter() - started
            reason, message = reason_of(error), message_of(error)
            return replace(blank, error=reason, message=message, seconds=round(seconds, 4))
        return replace(
            blank,
            request=request,
            text=reply.text,
            num_tokens=reply.usage.completion_tokens,
            finish_reason=reply.finish_reason,
            media=_media(item.conversation, reply),
            seconds=round(time.perf_counter() - started, 4),
        )


def question_of(conversation: Conversation) -> str:
    """The words of the last user turn."""
    users = [message for message in conversation.messages if message.role == "user"]
    parts = users[-1].parts if users else ()
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def _media(conversation: Conversation, reply: Reply) -> list[dict[str, Any]]:
    """What was shown, as the reply says it; without records, sizes come from the files that are there."""
    if reply.media:
        return [_recorded(record) for record in reply.media]
    shown: list[dict[str, Any]] = []
    for part in conversation.media():
        kind = "image" if isinstance(part, ImagePart) else "video"
        size = _size(part) if isinstance(part, ImagePart) else None
        shown.append(
            {
                "kind": kind,
                "source": source_name(part.source),
                "original": size,
                "resized": None,
                "fps": None,
            }
        )
    return shown


def _recorded(record: MediaRecord) -> dict[str, Any]:
    original, resized = record.resize.original, record.resize.resized
    return {
        "kind": record.kind,
        "source": record.source,
        "original": [original.width, original.height],
        "resized": [resized.width, resized.height],
        "fps": record.sample_fps,
    }


def _size(part: ImagePart) -> list[int] | None:
    """Size of a picture; None where stored answers are scored without their pictures, and for PDF pages."""
    if part.page is not None:
        return None
    try:
        size = image_size(part.source)
    except MediaError:
        return None
    return [size.width, size.height]
