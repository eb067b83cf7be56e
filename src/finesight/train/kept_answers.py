# SPDX-License-Identifier: Apache-2.0
"""Records made of sampled answers: what is kept of a question, and the question with the pictures of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from finesight.conversation import Conversation, ImagePart, Message, Reply, TextPart, VideoPart
from finesight.data.record import Record
from finesight.geometry import Size
from finesight.parse.answer import read_answer
from finesight.train.answer_checks import Reason
from finesight.train.rewards import Prompt

__all__ = ["Judged", "different", "kept_record", "other_pictures", "pair_record"]


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer with its reward, and why it is dropped."""

    reply: Reply
    reward: float
    reason: Reason | None
    seed: int


def kept_record(prompt: Prompt, answer: Judged, place: int) -> Record:
    """A question with a right answer; `place` is its number among the kept answers of the question."""
    said = (Message("assistant", (TextPart(answer.reply.text),)),)
    return _record(prompt, f"a{place}", said, answer)


def pair_record(prompt: Prompt, best: Judged, worse: Judged) -> Record:
    """A question with a better and a worse answer."""
    said, other = ((Message("assistant", (TextPart(each.reply.text),)),) for each in (best, worse))
    return replace(_record(prompt, "pair", said, best), rejected=other)


def _record(prompt: Prompt, suffix: str, answer: tuple[Message, ...], judged: Judged) -> Record:
    """A record of an answer; only the answer is a target.

    Numbers of an answer are pixels of the resized picture, so its size is fixed for the training.
    """
    record, conversation = prompt.record, prompt.conversation
    found = read_answer(judged.reply)
    if record.places or found.boxes or found.points:
        sizes = iter([item.resize.resized for item in prompt.media])
        conversation = _with_parts(conversation, lambda part: _sized(part, next(sizes)))
    earlier = tuple(replace(message, is_target=False) for message in conversation.messages)
    meta = {
        "split": record.meta["split"],
        "generator": "rejection sampling",
        "from": record.id,
        "reward": round(judged.reward, 6),
    }
    return Record(
        id=f"{record.id}-{suffix}",
        conversation=replace(conversation, messages=(*earlier, *answer)),
        meta=meta | {key: record.meta[key] for key in ("schema",) if key in record.meta},
    )


def _sized(part: ImagePart | VideoPart, size: Size) -> ImagePart | VideoPart:
    return replace(part, resized_width=size.width, resized_height=size.height)


def other_pictures(prompts: Sequence[Prompt]) -> dict[int, Conversation]:
    """Each conversation with the pictures of the next one that has as many, by its place."""
    by_number: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        by_number.setdefault(len(prompt.media), []).append(index)
    found = {}
    for places in by_number.values():
        for index, other in pairwise([*places, places[0]]):
            if index != other:
                taken = iter([*prompts[other].conversation.media()])
                found[index] = _with_parts(prompts[index].conversation, partial(_next, taken))
    return found


def _next(
    parts: Iterator[ImagePart | VideoPart], _: ImagePart | VideoPart
) -> ImagePart | VideoPart:
    return next(parts)


def _with_parts(
    conversation: Conversation, change: Callable[[ImagePart | VideoPart], ImagePart | VideoPart]
) -> Conversation:
    messages = tuple(
        replace(
            message,
            parts=tuple(
                part if isinstance(part, TextPart) else change(part) for part in message.parts
            ),
        )
        for message in conversation.messages
    )
    return replace(conversation, messages=messages)


def different(answers: Sequence[Judged]) -> list[Judged]:
    """Answers without copies."""
    return list({each.reply.text: each for each in reversed(answers)}.values())[::-1]
