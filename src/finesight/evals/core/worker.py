# SPDX-License-Identifier: Apache-2.0
"""Ask items and make samples of the replies or errors."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import Any

from finesight.conversation import (
    Conversation,
    ImagePart,
    Reply,
    Sampling,
    TextPart,
    VideoPart,
)
from finesight.errors import EvalError, MediaError
from finesight.evals.core.digests import request_digest
from finesight.evals.core.journal import Sample
from finesight.evals.core.responders import BatchResponder, ItemResponder, attempt
from finesight.evals.core.scoring import message_of, reason_of
from finesight.evals.core.task import Extractor, Item
from finesight.geometry import Size
from finesight.media.image import image_size
from finesight.media.source import source_name


@dataclass(frozen=True, slots=True)
class Numbered:
    """An item with its index; `error` and `message` are set if its row is unusable."""

    item: Item
    number: int
    error: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """Makes samples of items; parsing and scoring follow in the main thread, which some rules need.

    Attributes:
        responder: source of answers.
        sampling: of answers.
        extractor: that will parse them.
        known: samples of earlier calls, by id.
    """

    responder: ItemResponder
    sampling: Sampling
    extractor: Extractor
    known: Mapping[str, Sample]

    def samples(self, batch: Sequence[Numbered]) -> list[Sample]:
        """Ask the items of a batch together; a failed item does not affect the others.

        Args:
            batch: items in order. Known and unusable items are not asked.

        Raises:
            EvalError: the request of an item differs from that of its known sample.
        """
        started = time.perf_counter()
        known = [self.known.get(each.item.id) for each in batch]
        requests: dict[int, str] = {}
        outcomes: dict[int, Reply | Exception] = {}
        for each, sample in zip(batch, known, strict=True):
            if sample is not None:
                self._check_unchanged(sample, each.item)
            elif each.error is None:
                request = attempt(partial(self._request, each.item))
                if isinstance(request, str):
                    requests[each.number] = request
                else:
                    outcomes[each.number] = request
        ready = [each for each in batch if each.number in requests]
        replies = self._replies([each.item for each in ready])
        outcomes |= {each.number: reply for each, reply in zip(ready, replies, strict=True)}
        seconds = round((time.perf_counter() - started) / max(len(outcomes), 1), 4)
        return [
            sample
            or self._sample(each, requests.get(each.number, ""), outcomes.get(each.number), seconds)
            for each, sample in zip(batch, known, strict=True)
        ]

    def _request(self, item: Item) -> str:
        return request_digest(item.conversation, reads_media=self.responder.reads_media)

    def _check_unchanged(self, sample: Sample, item: Item) -> None:
        """Raise if the text or the digest of an item's request differs from its known sample.

        A failed sample has no digest.
        """
        question = question_of(item.conversation)
        hint = "the local copy or the prompt changed; give another folder"
        if sample.question != question:
            raise EvalError(
                f"item {item.id} was asked {sample.question[:80]!r}, now it is {question[:80]!r}",
                hint=hint,
            )
        if not sample.request:
            return
        try:
            request = self._request(item)
        except MediaError as error:
            raise EvalError(
                f"item {item.id} was answered, but its media cannot be read to compare them:"
                f" {error.message}",
                hint="put them back, or score what is stored: finesight eval rescore FOLDER",
            ) from error
        if request != sample.request:
            raise EvalError(
                f"item {item.id} was asked with other pictures, videos, tools, system text or options: its digest was"
                f" {sample.request[:12]}, now it is {request[:12]}",
                hint=hint,
            )

    def _replies(self, items: Sequence[Item]) -> list[Reply | Exception]:
        if isinstance(self.responder, BatchResponder):
            return self.responder.answer_many(items, self.sampling)
        return [attempt(partial(self.responder.answer, item, self.sampling)) for item in items]

    def _sample(
        self, numbered: Numbered, request: str, outcome: Reply | Exception | None, seconds: float
    ) -> Sample:
        """The sample of an item; `outcome` is None if it was not asked."""
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
        if outcome is None:
            return blank
        if isinstance(outcome, Exception):
            reason, message = reason_of(outcome), message_of(outcome)
            return replace(blank, error=reason, message=message, seconds=seconds)
        return replace(
            blank,
            request=request,
            text=outcome.text,
            num_tokens=outcome.usage.completion_tokens,
            finish_reason=outcome.finish_reason,
            media=_media(item.conversation, outcome),
            seconds=seconds,
        )


def question_of(conversation: Conversation) -> str:
    """Text of the last user turn."""
    users = [message for message in conversation.messages if message.role == "user"]
    parts = users[-1].parts if users else ()
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def _media(conversation: Conversation, reply: Reply) -> list[dict[str, Any]]:
    """Media from the records of the reply; without records, sizes come from the files."""
    if not reply.media:
        return [_shown(part) for part in conversation.media()]
    return [
        {
            "kind": record.kind,
            "source": record.source,
            "original": list(astuple(record.resize.original)),
            "resized": list(astuple(record.resize.resized)),
            "fps": record.sample_fps,
        }
        for record in reply.media
    ]


def _shown(part: ImagePart | VideoPart) -> dict[str, Any]:
    is_image = isinstance(part, ImagePart)
    size = size_of(part) if isinstance(part, ImagePart) else None
    return {
        "kind": "image" if is_image else "video",
        "source": source_name(part.source),
        "original": size and list(astuple(size)),
        "resized": None,
        "fps": None,
    }


def size_of(part: ImagePart) -> Size | None:
    """Size of a picture; None if the file is missing, and for PDF pages."""
    try:
        return image_size(part.source) if part.page is None else None
    except MediaError:
        return None
