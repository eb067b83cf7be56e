# SPDX-License-Identifier: Apache-2.0
"""A reply, read: boxes in original pixels, events in source seconds, the page, the tool calls.

What the model only thought is not read. Order of reading, so that nothing is read twice: the HTML
page, then tool calls, then JSON, then the rest of the text. Events are read only if a video was
shown, because "from 3 to 5 seconds" is otherwise just a sentence. Where all of that gives nothing,
numbers that name no kind are looked at (`finesight.parse.bare`), and taken if they fit what was shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from finesight.conversation import FinishReason, MediaRecord, Reply, TokenLogprob, Usage
from finesight.errors import ConfigError
from finesight.parse.action import read_tool_calls
from finesight.parse.bare import read_bare, read_beside
from finesight.parse.document import DocumentPage
from finesight.parse.document_html import read_document
from finesight.parse.events import read_events
from finesight.parse.grounding import blank, read_grounding
from finesight.parse.json_block import find_blocks
from finesight.parse.originals import Originals
from finesight.parse.records import (
    AnswerBox,
    AnswerCall,
    AnswerEvent,
    AnswerPoint,
    Findings,
    JsonValue,
    Problem,
)
from finesight.parse.thinking import is_thought_cut, thought_spans

__all__ = ["Answer", "AnswerBox", "AnswerCall", "AnswerEvent", "AnswerPoint", "read_answer"]

SCHEMA_VERSION = 1
"""Of `Answer.to_dict`; grows when a key changes its meaning or goes away."""

_CUT_REASONS: tuple[FinishReason, ...] = ("length", "repetition", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply and what could be read from it.

    Attributes:
        reply: as it came.
        boxes: in reading order.
        points: in reading order.
        events: in reading order; empty unless a video was shown.
        tool_calls: in order.
        document: the page the reply holds, if any.
        document_media_index: the picture that the page belongs to; None if there is none or it is
            not known, and then its blocks have no `box`, only `box_resized`.
        truncated: whether the model was stopped before it was done, or a thought or a structure ends too early.
        problems: what looked like a result and could not be read, and results that could not be
            placed.
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
        """What the model wrote."""
        return self.reply.text

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Tokens of the answer."""
        return self.reply.token_ids

    @property
    def finish_reason(self) -> FinishReason:
        """Why the answer ended."""
        return self.reply.finish_reason

    @property
    def usage(self) -> Usage:
        """Tokens counted."""
        return self.reply.usage

    @property
    def media(self) -> tuple[MediaRecord, ...]:
        """What was shown, in order of appearance."""
        return self.reply.media

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        """Log-probabilities per token, if they were asked for."""
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
            "media": [_media_dict(record) for record in self.media],
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "visual_tokens": usage.visual_tokens,
                "completion_tokens": usage.completion_tokens,
                "cached_tokens": usage.cached_tokens,
            },
            "token_ids": list(self.token_ids),
            "logprobs": [_logprob_dict(entry) for entry in self.logprobs],
        }


def read_answer(reply: Reply, *, media_index: int | None = None) -> Answer:
    """Read a reply.

    Args:
        reply: from any `Responder`.
        media_index: the item of `reply.media` that all results belong to, where the caller knows it
            (the screen of an agent, say); negative counts from the end. None leaves it to the rule
            of `finesight.parse.placement`.

    Returns:
        What was found; a text that holds no result gives an answer without results.

    Raises:
        ConfigError: `media_index` is outside `reply.media`.
    """
    thoughts = thought_spans(reply.text)
    text = blank(reply.text, thoughts)
    was_stopped = reply.finish_reason in _CUT_REASONS
    page = read_document(text)
    spans = [page.span] if page else []
    calls = read_tool_calls(blank(text, spans))
    called = [call.span for call in calls.calls] + [problem.span for problem in calls.problems]
    spans += called
    rest = blank(text, spans)
    blocks = find_blocks(rest)
    kinds = {record.kind for record in reply.media}
    shows_picture, shows_video = "image" in kinds, "video" in kinds
    grounding = read_grounding(rest, is_cut=was_stopped, blocks=blocks, shows_picture=shows_picture)
    events = read_events(rest, is_cut=was_stopped, blocks=blocks) if shows_video else Findings()
    spans += [block.span for block in blocks if block.num_keys]
    spans += [box.span for box in grounding.boxes] + [point.span for point in grounding.points]
    bare = Findings()
    if not (page or called or grounding.boxes or grounding.points or events.events):
        spans += [problem.span for problem in (*grounding.problems, *events.problems)]
        bare = read_bare(
            blank(text, spans),
            blocks,
            shows_picture=shows_picture,
            shows_video=shows_video,
            is_cut=was_stopped,
        )
    elif (grounding.boxes or grounding.points) and shows_picture:
        bare = Findings(problems=read_beside(blank(text, spans), grounding.boxes))
    index = _checked_index(media_index, reply.media)
    originals = Originals(reply.media, blank(text, spans), spans, index)
    bare = originals.fitting(bare)
    boxes = [box for box in grounding.boxes if not box.is_unmarked or originals.fits_box(box)]
    document, document_index = originals.page(page)
    found = (grounding, events, bare, calls)
    return Answer(
        reply=reply,
        boxes=tuple(originals.box(box) for box in (*boxes, *bare.boxes)),
        points=tuple(originals.point(point) for point in (*grounding.points, *bare.points)),
        events=tuple(originals.event(event) for event in (*events.events, *bare.events)),
        tool_calls=tuple(originals.call(call) for call in calls.calls),
        document=document,
        document_media_index=document_index,
        truncated=was_stopped or is_thought_cut(reply.text, thoughts) or _is_cut(found, page),
        problems=_sorted([*found, Findings(problems=tuple(originals.problems))]),
    )


def _is_cut(found: Sequence[Findings], page: DocumentPage | None) -> bool:
    """Whether any of the results ends before it is complete."""
    return any(each.is_cut for each in found) or (page is not None and page.is_cut)


def _sorted(found: Sequence[Findings]) -> tuple[Problem, ...]:
    problems = {problem for each in found for problem in each.problems}
    return tuple(sorted(problems, key=lambda problem: problem.span))


def _checked_index(index: int | None, media: tuple[MediaRecord, ...]) -> int | None:
    """The index counted from the start."""
    if index is None:
        return None
    if not -len(media) <= index < len(media):
        raise ConfigError(f"media_index={index}, but the conversation shows {len(media)} media")
    return index % len(media)


def _media_dict(record: MediaRecord) -> dict[str, JsonValue]:
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
        "top": [
            {"token_id": token_id, "text": text, "logprob": _finite(logprob)}
            for token_id, text, logprob in entry.top
        ],
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity; a token that was ruled out has null."""
    return value if isfinite(value) else None
