# SPDX-License-Identifier: Apache-2.0
"""Parses a reply: boxes and points in original pixels, events in source seconds, a page, tool calls.

Thoughts are not read. The order is: HTML page, tool calls, JSON, the rest of the text; nothing is read
twice. Events are read only if a video was shown, because "from 3 to 5 seconds" is otherwise an ordinary
sentence. If all of that gives nothing, unmarked numbers (`finesight.parse.bare`) are taken if they fit the
picture or video.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import isfinite

from finesight.conversation import FinishReason, MediaRecord, Reply, TokenLogprob, Usage
from finesight.errors import ConfigError
from finesight.parse.action import read_tool_calls
from finesight.parse.bare import read_bare, read_beside
from finesight.parse.document import DocumentPage
from finesight.parse.document_html import read_document
from finesight.parse.events import read_events
from finesight.parse.grounding import read_grounding
from finesight.parse.json_block import blank, find_blocks
from finesight.parse.originals import Originals
from finesight.parse.records import (
    AnswerBox,
    AnswerCall,
    AnswerEvent,
    AnswerPoint,
    Findings,
    JsonValue,
    Problem,
    Span,
)
from finesight.parse.thinking import is_thought_cut, thought_spans

__all__ = ["Answer", "AnswerBox", "AnswerCall", "AnswerEvent", "AnswerPoint", "read_answer"]

SCHEMA_VERSION = 1
"""Version of `Answer.to_dict`; it increases when a key changes its meaning or is removed."""

_CUT_REASONS: tuple[FinishReason, ...] = ("length", "repetition", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply and its parsed results.

    Attributes:
        reply: unchanged.
        boxes: in reading order.
        points: in reading order.
        events: in reading order; empty unless a video was shown.
        tool_calls: in order.
        document: the page that the reply contains, if any.
        document_media_index: the picture that the page belongs to. None if there is no page or its picture
            is not known; the blocks then have no `box`, only `box_resized`.
        truncated: whether the model was stopped before it ended its answer, or the text ends within a thought
            or a structure.
        problems: parts that look like a result and could not be read, and results that could not be placed.
    """

    reply: Reply
    boxes: tuple[AnswerBox, ...] = ()
    points: tuple[AnswerPoint, ...] = ()
    events: tuple[AnswerEvent, ...] = ()
    tool_calls: tuple[AnswerCall, ...] = ()
    document: DocumentPage | None = None
    document_media_index: int | None = None
    truncated: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def text(self) -> str:
        """Text that the model wrote."""
        return self.reply.text

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Token ids of the answer."""
        return self.reply.token_ids

    @property
    def finish_reason(self) -> FinishReason:
        """Why the answer ended."""
        return self.reply.finish_reason

    @property
    def usage(self) -> Usage:
        """Token counts."""
        return self.reply.usage

    @property
    def media(self) -> tuple[MediaRecord, ...]:
        """Pictures and videos that were shown, in order of appearance."""
        return self.reply.media

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        """Log-probabilities per token, if requested."""
        return self.reply.logprobs

    def to_dict(self) -> dict[str, JsonValue]:
        """The answer in plain JSON types, with the keys that `--json` prints."""
        usage = self.usage
        return {
            "schema_version": SCHEMA_VERSION,
            "text": self.text,
            "finish_reason": self.finish_reason,
            "truncated": self.truncated,
            "boxes": [box.to_dict() for box in self.boxes],
            "points": [point.to_dict() for point in self.points],
            "events": [event.to_dict() for event in self.events],
            "tool_calls": [call.to_dict() for call in self.tool_calls],
            "document": None if self.document is None else self.document.to_dict(),
            "document_media_index": self.document_media_index,
            "problems": [
                {"span": list(problem.span), "message": problem.message}
                for problem in self.problems
            ],
            "media": [media_dict(record) for record in self.media],
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "visual_tokens": usage.visual_tokens,
                "completion_tokens": usage.completion_tokens,
                "cached_tokens": usage.cached_tokens,
                "drafted_tokens": usage.drafted_tokens,
                "accepted_tokens": usage.accepted_tokens,
            },
            "token_ids": list(self.token_ids),
            "logprobs": [_logprob_dict(entry) for entry in self.logprobs],
            "notes": list(self.reply.notes),
        }


def read_answer(reply: Reply, *, media_index: int | None = None) -> Answer:
    """Read a reply.

    Args:
        reply: from any `Responder`.
        media_index: the item of `reply.media` that all results belong to, if the caller knows it
            (the screen of an agent, for example); negative counts from the end. None applies the rule
            of `finesight.parse.placement`.

    Returns:
        What was found. A text without results gives an answer without results, not an error.

    Raises:
        ConfigError: `media_index` is outside `reply.media`.
    """
    index = _checked_index(media_index, reply.media)
    thoughts = thought_spans(reply.text)
    text = blank(reply.text, thoughts)
    was_stopped = reply.finish_reason in _CUT_REASONS
    kinds = {record.kind for record in reply.media}
    page, unplaced, spans = _find_results(text, kinds, is_cut=was_stopped)
    originals = Originals(reply.media, blank(text, spans), spans, index)
    document, document_index = originals.page(page)
    found = originals.placed(unplaced)
    problems = dict.fromkeys((*found.problems, *originals.problems))
    return Answer(
        reply=reply,
        boxes=found.boxes,
        points=found.points,
        events=found.events,
        tool_calls=found.calls,
        document=document,
        document_media_index=document_index,
        truncated=was_stopped
        or is_thought_cut(reply.text, thoughts)
        or found.is_cut
        or (page is not None and page.is_cut),
        problems=tuple(sorted(problems, key=lambda problem: problem.span)),
    )


def _find_results(
    text: str, kinds: Collection[str], *, is_cut: bool
) -> tuple[DocumentPage | None, Findings, list[Span]]:
    """The page of a text, all other results, and the spans of both; `kinds` are those of the media."""
    page = read_document(text)
    spans = [page.span] if page else []
    calls = read_tool_calls(blank(text, spans))
    spans += [call.span for call in calls.calls] + [problem.span for problem in calls.problems]
    rest = blank(text, spans)
    blocks = find_blocks(rest)
    shows_picture, shows_video = "image" in kinds, "video" in kinds
    grounding = read_grounding(rest, is_cut=is_cut, blocks=blocks, shows_picture=shows_picture)
    events = read_events(rest, is_cut=is_cut, blocks=blocks) if shows_video else Findings()
    found = [calls, grounding, events]
    spans += [block.span for block in blocks if block.num_keys]
    spans += [each.span for each in (*grounding.boxes, *grounding.points)]
    if grounding.boxes or grounding.points:
        if shows_picture:
            found.append(Findings(problems=read_beside(blank(text, spans), grounding.boxes)))
    elif not (page or calls.calls or calls.problems or events.events):
        spans += [problem.span for problem in (*grounding.problems, *events.problems)]
        rest = blank(text, spans)
        found.append(
            read_bare(
                rest, blocks, shows_picture=shows_picture, shows_video=shows_video, is_cut=is_cut
            )
        )
    return page, Findings.joined(found), spans


def _checked_index(index: int | None, media: tuple[MediaRecord, ...]) -> int | None:
    """The index counted from the start."""
    if index is None:
        return None
    if not -len(media) <= index < len(media):
        raise ConfigError(f"media_index={index}, but the conversation shows {len(media)} media")
    return index % len(media)


def media_dict(record: MediaRecord) -> dict[str, JsonValue]:
    """A media record in plain JSON types."""
    original, resized = record.resize.original, record.resize.resized
    clock = record.clock
    return {
        "kind": record.kind,
        "source": record.source,
        "page": record.page,
        "original": {"width": original.width, "height": original.height},
        "resized": {"width": resized.width, "height": resized.height},
        "visual_tokens": record.visual_tokens,
        "sample_fps": record.sample_fps,
        "frame_seconds": None if clock is None else list(clock.source_seconds),
        "notes": list(record.notes),
    }


def _logprob_dict(entry: TokenLogprob) -> dict[str, JsonValue]:
    return {
        "token_id": entry.token_id,
        "text": entry.text,
        "logprob": _finite(entry.logprob),
        "span": list(entry.span),
        "top": [
            {"token_id": token_id, "text": text, "logprob": _finite(logprob)}
            for token_id, text, logprob in entry.top
        ],
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity: the log-probability of an excluded token is null."""
    return value if isfinite(value) else None
