# SPDX-License-Identifier: Apache-2.0
"""Separates the answer of a reply from its thoughts.

Reasoning models write `<think>...</think>` and then their answer, often as `<answer>...</answer>`. Thoughts
are not read as results: they contain rejected options. The same tags can also be ordinary text, for
example in a transcribed page, so the position of a tag decides:

1. `<think>` at the start of the reply: the answer is the text after its end tag. Without an end tag
   the thought was cut off, and there is no answer.
2. `</think>` without `<think>`, because some chat templates put `<think>` into the prompt: the answer is
   the text after it. If nothing follows, it is the text before it. Within a sentence the tag is text.
3. `<think>...</think>` later: the answer is the text around it. Without an end tag it is the text before it.
4. `<answer>`: the last one that is not empty is the answer. Its end tag may be missing only after a
   thought.

Tags within JSON, tool calls and quotes are text. Within documents (HTML, JSON that is not closed, fences)
only rule 1 applies. Tags are case-insensitive, `<thinking>` equals `<think>`, and thoughts may be
nested.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from itertools import pairwise

from finesight.parse.json_block import find_blocks
from finesight.parse.records import Span

_TAG = re.compile(
    r"(?P<bold>\*\*)?<(?P<close>/?)(?P<name>think|thinking|answer)\s{0,8}>(?(bold)\*\*)",
    re.IGNORECASE,
)
_ENDS_ITS_LINE = re.compile(r" *(?:[\r\n]|<answer)", re.IGNORECASE)
_PAGE = re.compile(r"<(?:!doctype|html|body)\b", re.IGNORECASE)
_MARKUP = re.compile(
    r"<(?!/?(?:tool_call|points?|ref|b?box|click|coord(?:inate)?)\b)[A-Za-z!/?]", re.IGNORECASE
)
"""Tags that begin a page; those of results do not."""
_TOOL_CALL = re.compile(r"<tool_call>(?=\s{0,80}[{`])(?:[^<]++|<(?!/?tool_call>))*+</tool_call>")
_BLANK = " \t\r\n\ufeff"
_ENDS_OF_SENTENCES = ".!?:;…。！？：)]}”’*$>"
_OPENING_SIGNS = string.ascii_letters + string.digits + "\\({[<*$"
_QUOTES = {"`": "`", '"': '"', "'": "'", "“": "”"}
_BREAKS = frozenset(("", "\n", *_ENDS_OF_SENTENCES))
_STARTS = frozenset(("", "\r", "\n", *_OPENING_SIGNS))
_NEAR = 80
"""Number of characters around a tag that decide whether it is within a sentence."""


def answer_part(text: str, *, keeps_text: bool = False) -> str | None:
    """The answer of a reply; the whole reply if it contains no thought.

    Args:
        text: the reply.
        keeps_text: see `answer_spans`.

    Returns:
        None if the thought was cut off before an answer.
    """
    spans = answer_spans(text, keeps_text=keeps_text)
    return None if spans is None else "".join(text[slice(*span)] for span in spans)


def thought_spans(text: str) -> list[Span]:
    """Spans that are not the answer; the whole reply if its thought was cut off."""
    return _without((0, len(text)), answer_spans(text) or [])


def is_thought_cut(text: str, thoughts: Sequence[Span]) -> bool:
    """Whether a reply ends within a thought.

    Args:
        text: the reply.
        thoughts: its `thought_spans`.
    """
    if not thoughts or thoughts[-1][1] != len(text):
        return False
    tags = [tag for tag in _tags(text) if tag.start() >= thoughts[-1][0]]
    return (
        bool(tags) and _opens(tags[0], "think") and not any(_closes(tag, "think") for tag in tags)
    )


def answer_spans(text: str, *, keeps_text: bool = False) -> list[Span] | None:
    """Spans of the answer, in order.

    Args:
        text: the reply.
        keeps_text: the reply is compared as a whole, for example a transcribed page. `<answer>` then counts only
            if it is the only one and at the start of the reply, after a thought, or at the end; thoughts count only
            before the answer.

    Returns:
        None if the thought was cut off before an answer.
    """
    tags = _tags(text)
    start = at = 0
    while at < len(tags) and _opens(tags[at], "think"):
        if text[start : tags[at].start()].strip(_BLANK):
            break
        end = _end_of_thought(tags, at)
        if end is None:
            return _answer_at_the_end(text, tags)
        start, at = tags[end].end(), end + 1
    tags = _outside_documents(text, start, tags[at:])
    stop = len(text)
    stray, trailing = _stray_ends(text, tags, keeps_text=keeps_text)
    if trailing is not None:
        stop, tags = tags[trailing].start(), tags[:trailing]
    if stray is not None:
        start, tags = tags[stray].end(), tags[stray + 1 :]
    if keeps_text:
        framed = _last_answer(text, tags, stop) if _is_framed(text, start, tags) else None
        return [framed or (start, stop)]
    thoughts, tags, cut = _later_thoughts(text, tags)
    if cut is not None:
        if (at_end := _answer_at_the_end(text, tags)) is not None:
            return at_end
        stop, tags = cut, [tag for tag in tags if tag.end() <= cut]
    return _decided(text, (start, stop), tags, thoughts)


def _decided(
    text: str, span: Span, tags: Sequence[re.Match[str]], thoughts: Sequence[Span]
) -> list[Span]:
    """The last `<answer>` that counts, or else the whole span, without thoughts and empty answers."""
    empty = _empty_answers(text, tags)
    ends = {offset for pair in empty for offset in pair}
    tags = [tag for tag in tags if tag.start() not in ends and tag.end() not in ends]
    counts = span[0] > 0 or bool(thoughts) or _has_closed_answer(text, tags)
    found = (_last_answer(text, tags, span[1]) if counts else None) or span
    return _without(found, sorted([*thoughts, *empty]))


def _without(span: Span, left_out: Sequence[Span]) -> list[Span]:
    """A span without others, which are in order."""
    kept: list[Span] = []
    at = span[0]
    for start, end in left_out:
        if end > at and start < span[1]:
            kept.append((at, start))
            at = end
    kept.append((at, span[1]))
    return [(start, end) for start, end in kept if start < end]


def _tags(text: str) -> list[re.Match[str]]:
    """The tags outside JSON, tool calls and quotes."""
    tags = list(_TAG.finditer(text))
    if not tags:
        return []
    texts = [match.span() for match in _TOOL_CALL.finditer(text)]
    texts += [block.span for block in find_blocks(text) if block.state == "closed"]
    kept: list[re.Match[str]] = []
    texts.sort()
    at = reach = 0
    for tag in tags:
        while at < len(texts) and texts[at][0] < tag.start():
            reach = max(reach, texts[at][1])
            at += 1
        if tag.start() >= reach:
            kept.append(tag)
    return _outside_quotes(text, kept)


def _outside_quotes(text: str, tags: Sequence[re.Match[str]]) -> list[re.Match[str]]:
    """Tags that are not in quotes, alone or as a pair."""
    kept: list[re.Match[str]] = []
    at = 0
    while at < len(tags):
        close = _QUOTES.get(text[tags[at].start() - 1 : tags[at].start()])
        pair = close and at + 1 < len(tags) and not tags[at]["close"] and tags[at + 1]["close"]
        if close and text.startswith(close, tags[at].end()):
            at += 1
        elif close and pair and text.startswith(close, tags[at + 1].end()):
            at += 2
        else:
            kept.append(tags[at])
            at += 1
    return kept


def _outside_documents(text: str, start: int, tags: Sequence[re.Match[str]]) -> list[re.Match[str]]:
    """The tags from `start` on that are not in a page, a fence or unclosed JSON."""
    if not tags or _opens_a_document(text[start : tags[0].start()].lstrip(_BLANK)):
        return []
    kept: list[re.Match[str]] = []
    seen, depth, num_fences = start, 0, 0
    for tag in tags:
        gap = text[seen : tag.start()]
        seen = tag.end()
        if gap and depth == 0:  # a thought may mention pages and fences
            if _PAGE.search(gap):
                return kept
            num_fences += gap.count("```")
        if num_fences % 2 == 0:
            kept.append(tag)
            if _closes(tag, "think"):
                depth = max(0, depth - 1)
            elif _opens(tag, "think"):
                depth += not _is_word(text, tag)
    return kept


def _opens_a_document(opening: str) -> bool:
    """Whether the text before a tag begins a page, or JSON that is not closed before the tag."""
    if opening[:1] in ("{", "["):
        return any(opening.count(a) > opening.count(b) for a, b in ("{}", "[]"))
    return _MARKUP.match(opening) is not None


def _opens(tag: re.Match[str], name: str) -> bool:
    return not tag["close"] and tag["name"][0].lower() == name[0]


def _closes(tag: re.Match[str], name: str) -> bool:
    return bool(tag["close"]) and tag["name"][0].lower() == name[0]


def _end_of_thought(tags: Sequence[re.Match[str]], at: int) -> int | None:
    """Index of the tag that ends the thought opened at `at`; the last end tag if there are too few."""
    depth, last = 0, None
    for place in range(at, len(tags)):
        depth += _opens(tags[place], "think") - _closes(tags[place], "think")
        if _closes(tags[place], "think"):
            last = place
            if depth == 0:
                return last
    return last


def _answer_at_the_end(text: str, tags: Sequence[re.Match[str]]) -> list[Span] | None:
    """The `<answer>` at the end of a reply whose thought has no end tag."""
    if not tags or not _closes(tags[-1], "answer") or text[tags[-1].end() :].strip():
        return None
    span = _last_answer(text, tags, len(text))
    return None if span is None or not text[slice(*span)].strip() else [span]


def _stray_ends(
    text: str, tags: Sequence[re.Match[str]], *, keeps_text: bool
) -> tuple[int | None, int | None]:
    """Indices of end tags of thoughts without a start tag that are not part of a sentence.

    The last one that is followed by text, and the first of those with no text after them.
    """
    depth, found = 0, []
    for place, tag in enumerate(tags):
        depth += _opens(tag, "think")
        if _closes(tag, "think"):
            if depth == 0:
                found.append(place)
            depth = max(0, depth - 1)
    trailing, at = None, len(tags) - 1
    while found and at >= 0:
        next_start = tags[at + 1].start() if at + 1 < len(tags) else len(text)
        if text[tags[at].end() : next_start].strip(_BLANK):
            break
        if found[-1] == at and _ends_a_thought(text, tags[found.pop()], keeps_text=keeps_text):
            trailing = at
        at -= 1
    ends = (
        place
        for place in reversed(found)
        if _ends_a_thought(text, tags[place], keeps_text=keeps_text)
    )
    return next(ends, None), trailing


def _later_thoughts(
    text: str, tags: Sequence[re.Match[str]]
) -> tuple[list[Span], list[re.Match[str]], int | None]:
    """Complete thoughts, the tags outside them, and the offset of a thought without an end tag."""
    thoughts: list[Span] = []
    kept: list[re.Match[str]] = []
    at, has_end = 0, True
    while at < len(tags):
        if not _opens(tags[at], "think"):
            kept.append(tags[at])
            at += 1
            continue
        end = _end_of_thought(tags, at) if has_end else None
        has_end = end is not None
        if end is None:
            if not _is_word(text, tags[at]):
                return thoughts, [*kept, *tags[at + 1 :]], tags[at].start()
            at += 1
            continue
        if not _are_words(text, tags[at], tags[end]):
            thoughts.append((tags[at].start(), tags[end].end()))
        at = end + 1
    return thoughts, kept, None


def _around(text: str, tag: re.Match[str]) -> tuple[bool, str]:
    """Whether a tag is within a sentence, judged by the text before it, and the text after it."""
    before = text[max(0, tag.start() - _NEAR) : tag.start()].rstrip(" ")
    is_within = before[-1:] not in _BREAKS
    return is_within, text[tag.end() : tag.end() + _NEAR]


def _ends_a_thought(text: str, tag: re.Match[str], *, keeps_text: bool) -> bool:
    is_within, behind = _around(text, tag)
    if not behind.strip():
        return not (is_within and keeps_text)
    if not is_within or _ENDS_ITS_LINE.match(behind) or behind[0] in _OPENING_SIGNS:
        return True
    return not (keeps_text or text[tag.start() - 1].isspace())


def _is_word(text: str, tag: re.Match[str]) -> bool:
    """Whether a start tag is a word of a sentence."""
    is_within, behind = _around(text, tag)
    return is_within and behind[:1] not in _STARTS


def _are_words(text: str, opening: re.Match[str], closing: re.Match[str]) -> bool:
    """Whether a pair of tags is part of a sentence."""
    behind = _around(text, closing)[1].lstrip(" ")[:1]
    goes_on = behind.islower() or behind in (".", ",", ";", ":", ")")
    ends = _ends_a_thought(text, closing, keeps_text=True)
    return _around(text, opening)[0] and goes_on and not ends


def _is_framed(text: str, start: int, tags: Sequence[re.Match[str]]) -> bool:
    """Whether the only `<answer>` from `start` on is at the beginning or at the end."""
    names = [(bool(tag["close"]), tag["name"].lower()) for tag in tags]
    if names not in ([(False, "answer")], [(False, "answer"), (True, "answer")]):
        return False
    is_first = not text[start : tags[0].start()].strip(_BLANK)
    return is_first or (len(tags) == 2 and not text[tags[-1].end() :].strip(" .\r\n"))


def _empty_answers(text: str, tags: Sequence[re.Match[str]]) -> list[Span]:
    """Spans of empty `<answer></answer>` pairs."""
    return [
        (tag.start(), following.end())
        for tag, following in pairwise(tags)
        if _opens(tag, "answer")
        and _closes(following, "answer")
        and not text[tag.end() : following.start()].strip(_BLANK)
    ]


def _opened_answer(text: str, tags: Sequence[re.Match[str]]) -> int | None:
    """Index of the last `<answer>`; one without an end tag and within a sentence is a word."""
    has_end = False
    for place in range(len(tags) - 1, -1, -1):
        has_end |= _closes(tags[place], "answer")
        if _opens(tags[place], "answer") and (has_end or not _is_word(text, tags[place])):
            return place
    return None


def _has_closed_answer(text: str, tags: Sequence[re.Match[str]]) -> bool:
    """Whether the last `<answer>` has an end tag."""
    place = _opened_answer(text, tags)
    return place is not None and any(_closes(tag, "answer") for tag in tags[place:])


def _last_answer(text: str, tags: Sequence[re.Match[str]], stop: int) -> Span | None:
    """The content of the last `<answer>`, up to its end tag or `stop`."""
    place = _opened_answer(text, tags)
    if place is None:
        return None
    ends = [tag.start() for tag in tags[place + 1 :] if _closes(tag, "answer")]
    return tags[place].end(), ends[0] if ends else stop
