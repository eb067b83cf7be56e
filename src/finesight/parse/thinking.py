# SPDX-License-Identifier: Apache-2.0
"""Which part of a reply answers, where a model thinks aloud first.

Models tuned by reinforcement learning write `<think>...</think>` and then their answer, often as
`<answer>...</answer>`. What is thought is no answer: it names options and places that are given up
again. The tags are also ordinary text, of a page about such models that is being transcribed, say. So
a tag counts only by its place:

1. `<think>` that opens the reply: what follows its end answers. One that never ends was cut off, and
   nothing answers.
2. `</think>` that nothing opened, since some chat templates put `<think>` into the prompt: what
   follows answers, if the tag ends a thought. In the middle of a sentence it is text.
3. `<answer>`: the last one decides, whatever stands around it. Only behind a thought may its end
   be missing.

HTML, JSON and what stands in a fence are documents, and neither 2 nor 3 counts in them. Tags are known in
either case, `<thinking>` like `<think>`; thoughts within thoughts are followed.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from finesight.parse.records import Span

_TAG = re.compile(r"<(/?)(think|thinking|answer)\s{0,8}>", re.IGNORECASE)
_ENDS_ITS_LINE = re.compile(r" *(?:[\r\n]|<answer)", re.IGNORECASE)
_PAGE = re.compile(r"<(?:!doctype|html|body)\b", re.IGNORECASE)
_ENDS_OF_SENTENCES = ".!?:;…。！？：)]}”’*$"
_OPENING_SIGNS = string.ascii_letters + string.digits + "\\({[<*$"
_NEAR = 80
"""Characters around a tag that are looked at."""


def answer_part(text: str, *, keeps_text: bool = False) -> str | None:
    """The part of a reply that answers; the whole reply where it holds no thought.

    Args:
        text: the reply.
        keeps_text: see `answer_span`.

    Returns:
        None where thinking was cut off before there was an answer.
    """
    span = answer_span(text, keeps_text=keeps_text)
    return None if span is None else text[slice(*span)]


def thought_spans(text: str) -> list[Span]:
    """Where a reply does not answer: before its answer and behind it; all of it where thinking was cut off."""
    start, end = answer_span(text) or (len(text), len(text))
    return [span for span in ((0, start), (end, len(text))) if span[0] < span[1]]


def answer_span(text: str, *, keeps_text: bool = False) -> Span | None:
    """Where a reply answers.

    Args:
        text: the reply.
        keeps_text: the reply is compared as a whole, such as a page that was transcribed. Then `<answer>` counts only
            if it is the only one, and the first thing of the reply, or of what follows a thought, or the last.

    Returns:
        None where thinking was cut off before there was an answer.
    """
    tags = list(_TAG.finditer(text))
    start = at = 0
    while (
        at < len(tags) and _opens(tags[at], "think") and not text[start : tags[at].start()].strip()
    ):
        end = _end_of_thought(tags, at)
        if end is None:
            return _answer_at_the_end(text, tags)
        start, at = tags[end].end(), end + 1
    tags = tags[at:]
    if not tags or _is_document(text[start : tags[0].start()]):
        return start, len(text)
    stray = _end_of_stray_thought(text, tags)
    if stray is not None:
        start, tags = tags[stray].end(), tags[stray + 1 :]
    if keeps_text:
        counts = _is_framed(text, start, tags)
    else:
        counts = start > 0 or _has_closed_answer(tags)
    return (_last_answer(text, tags) if counts else None) or (start, len(text))


def _is_document(opening: str) -> bool:
    """Whether what stands before a tag opens a document, so that the tag stands in it."""
    first = opening.lstrip()[:1]
    if first in ("{", "["):
        return any(opening.count(a) > opening.count(b) for a, b in ("{}", "[]"))
    return first == "<" or opening.count("```") % 2 == 1 or _PAGE.search(opening) is not None


def _opens(tag: re.Match[str], name: str) -> bool:
    return not tag[1] and tag[2].lower().startswith(name)


def _closes(tag: re.Match[str], name: str) -> bool:
    return bool(tag[1]) and tag[2].lower().startswith(name)


def _end_of_thought(tags: Sequence[re.Match[str]], at: int) -> int | None:
    """Which tag ends the thought opened here; the last end if more thoughts are opened than ended."""
    depth, last = 0, None
    for place in range(at, len(tags)):
        depth += _opens(tags[place], "think") - _closes(tags[place], "think")
        if _closes(tags[place], "think"):
            last = place
            if depth == 0:
                return last
    return last


def _answer_at_the_end(text: str, tags: Sequence[re.Match[str]]) -> Span | None:
    """The answer that ends a reply whose thought was never ended."""
    is_last = _closes(tags[-1], "answer") and not text[tags[-1].end() :].strip()
    return _last_answer(text, tags) if is_last else None


def _end_of_stray_thought(text: str, tags: Sequence[re.Match[str]]) -> int | None:
    """The last end of a thought that nothing opened and that is no word of a sentence."""
    depth, found = 0, []
    for place, tag in enumerate(tags):
        depth += _opens(tag, "think")
        if _closes(tag, "think"):
            if depth == 0:
                found.append(place)
            depth = max(0, depth - 1)
    return next((place for place in reversed(found) if _ends_a_thought(text, tags[place])), None)


def _ends_a_thought(text: str, tag: re.Match[str]) -> bool:
    before = text[max(0, tag.start() - _NEAR) : tag.start()].rstrip(" ")
    behind = text[tag.end() : tag.end() + _NEAR]
    if before[-1:] in ("`", '"', "'"):  # the tag is quoted
        return False
    if not behind.strip() or _ENDS_ITS_LINE.match(behind):
        return True
    return before[-1:] in ("", "\n", *_ENDS_OF_SENTENCES) or behind[0] in _OPENING_SIGNS


def _is_framed(text: str, start: int, tags: Sequence[re.Match[str]]) -> bool:
    """Whether the only answer from here on is the first thing or the last."""
    names = [(bool(tag[1]), tag[2].lower()) for tag in tags]
    if names not in ([(False, "answer")], [(False, "answer"), (True, "answer")]):
        return False
    is_first = not text[start : tags[0].start()].strip()
    return is_first or (len(tags) == 2 and not text[tags[-1].end() :].strip(" .\r\n"))


def _has_closed_answer(tags: Sequence[re.Match[str]]) -> bool:
    """Whether the last `<answer>` has an end."""
    last = next(
        (place for place in range(len(tags) - 1, -1, -1) if _opens(tags[place], "answer")), None
    )
    return last is not None and any(_closes(tag, "answer") for tag in tags[last:])


def _last_answer(text: str, tags: Sequence[re.Match[str]]) -> Span | None:
    """What stands in the last `<answer>`, up to its end or that of the reply."""
    opened = [place for place, tag in enumerate(tags) if _opens(tag, "answer")]
    if not opened:
        return None
    place = opened[-1]
    ends = [tag.start() for tag in tags[place + 1 :] if _closes(tag, "answer")]
    return tags[place].end(), ends[0] if ends else len(text)
