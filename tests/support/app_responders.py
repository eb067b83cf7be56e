# SPDX-License-Identifier: Apache-2.0
"""Responders for tests of applications: one that knows the truth, and one that misbehaves in twelve ways."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from finesight.conversation import (
    Conversation,
    ImagePart,
    MediaRecord,
    Reply,
    Sampling,
    TextPart,
    TokenLogprob,
    Usage,
)
from finesight.errors import RemoteError
from finesight.geometry import Box, Resize, Size
from finesight.media.image import load_image
from finesight.processor.resize import smart_resize

MIN_PIXELS, MAX_PIXELS = 56 * 56, 1280 * 28 * 28
SURE, UNSURE = -0.01, -1.2
"""Log-probabilities of a token that the oracle knows and of one that it guesses."""


@dataclass(frozen=True)
class Question:
    """What an oracle is asked.

    Attributes:
        text: all text of the last user message.
        pictures: pixels of all pictures, as they were given.
        resizes: what the model would see of each.
        conversation: the whole conversation.
    """

    text: str
    pictures: tuple[np.ndarray, ...]
    resizes: tuple[Resize, ...]
    conversation: Conversation

    def numbers(self, box: Box, picture: int = 0) -> list[int]:
        """A box of a picture in the pixels that the model sees."""
        seen = self.resizes[picture].to_resized(box)
        return [round(edge) for edge in (seen.x1, seen.y1, seen.x2, seen.y2)]

    def boxes_json(self, boxes: Sequence[tuple[Box, str]], picture: int = 0) -> str:
        """Boxes and labels in the official form."""
        rows = [
            json.dumps({"bbox_2d": self.numbers(box, picture), "label": label}, ensure_ascii=False)
            for box, label in boxes
        ]
        inner = ",\n".join(f"\t{row}" for row in rows)
        return f"```json\n[\n{inner}\n]\n```"


def asked(conversation: Conversation) -> Question:
    """The question of a conversation, its pictures loaded and resized as a processor does."""
    parts = [part for message in conversation.messages for part in message.parts]
    pictures, resizes = [], []
    for part in parts:
        if isinstance(part, ImagePart):
            pixels = np.asarray(load_image(part.source, page=part.page))
            height, width = pixels.shape[:2]
            least = part.min_pixels or MIN_PIXELS
            most = max(part.max_pixels or MAX_PIXELS, least)
            rows, columns = smart_resize(height, width, min_pixels=least, max_pixels=most)
            pictures.append(pixels)
            resizes.append(Resize(Size(width, height), Size(columns, rows)))
    users = [message for message in conversation.messages if message.role == "user"]
    text = "".join(part.text for part in users[-1].parts if isinstance(part, TextPart))
    return Question(text, tuple(pictures), tuple(resizes), conversation)


def answered(question: Question, text: str, *, reason="stop", logprob=SURE) -> Reply:
    """A reply of one token for each piece of letters, digit or mark, all of the same probability."""
    pieces = [match.span() for match in re.finditer(r"\d|[^\W\d]+|\s+|.", text, re.DOTALL)]
    media = tuple(
        MediaRecord(
            kind="image",
            source="picture",
            resize=resize,
            visual_tokens=resize.resized.area // (28 * 28),
        )
        for resize in question.resizes
    )
    return Reply(
        text=text,
        token_ids=tuple(range(len(pieces))),
        finish_reason=reason,
        usage=Usage(10, sum(one.visual_tokens for one in media), len(pieces)),
        media=media,
        logprobs=tuple(
            TokenLogprob(token_id=index, logprob=logprob, text=text[span[0] : span[1]], span=span)
            for index, span in enumerate(pieces)
        ),
    )


@dataclass
class Oracle:
    """Answers by a function that knows the truth of the pictures.

    Attributes:
        answer: the text for a question.
        asked: all questions, in order.
    """

    answer: Callable[[Question], str]
    asked: list[Question] = field(default_factory=list)

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        questions = [asked(one) for one in conversations]
        self.asked += questions
        return [answered(one, self.answer(one)) for one in questions]


REFUSAL = "I'm sorry, but I can't help with that."
OTHER_LANGUAGE = "对不起，我只能用中文回答这个问题。"


def _numbers(text: str, change: Callable[[list[int]], list[int]]) -> str:
    """The text with every group of four numbers changed."""

    def changed(match: re.Match[str]) -> str:
        found = change([int(each) for each in re.findall(r"-?\d+", match[0])])
        return "[" + ", ".join(map(str, found)) + "]"

    return re.sub(r"\[\s*-?\d+(?:\s*,\s*-?\d+){3}\s*\]", changed, text)


def _invented(text: str) -> str:
    """One more block of HTML, or one more object of a JSON list, that is not there."""
    if "</body>" in text:
        more = '<p data-bbox="30 30 200 60">The undersigned agrees to everything.</p>'
        return text.replace("</body>", f"{more}</body>")
    return text.replace("\n]", ',\n\t{"bbox_2d": [1, 1, 20, 20], "label": "unicorn"}\n]', 1)


TEXTS: dict[str, Callable[[str], str]] = {
    "loop": lambda text: text[: len(text) // 2] + " and so on" * 400,
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "refusal": lambda text: REFUSAL,
    "wrong_json": lambda text: text.replace('":', '" =>').replace("]", "", 1),
    "swapped": lambda text: _numbers(text, lambda box: [*box[2:], *box[:2]]),
    "outside": lambda text: _numbers(text, lambda box: [edge + 100_000 for edge in box]),
    "invented": _invented,
    "wrong_place": lambda text: _numbers(text, lambda box: [edge + 40 for edge in box]),
    "other_language": lambda text: OTHER_LANGUAGE,
}
"""Misbehaviours that change the text of a good answer, by name."""

MISBEHAVIOURS = (*TEXTS, "error_first", "slow")
"""All twelve."""


class Hostile:
    """Misbehaves in one way, with the answers of another responder as the start.

    Args:
        inner: knows the good answers.
        how: one of `MISBEHAVIOURS`.
        when: which calls it spoils, counted from 0; by default all.
    """

    def __init__(self, inner, how: str, when: Callable[[int], bool] = lambda number: True) -> None:
        assert how in MISBEHAVIOURS
        self.inner, self.how, self.when = inner, how, when
        self.calls = 0
        self._turn = threading.Lock()

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        with self._turn:
            first, self.calls = self.calls, self.calls + len(conversations)
        if self.how == "error_first" and first == 0 and self.when(0):
            raise RemoteError("the endpoint answered 500")
        if self.how == "slow":
            time.sleep(0.05)
        replies = self.inner.respond(conversations, sampling)
        return [
            self._spoiled(one) if self.when(first + index) else one
            for index, one in enumerate(replies)
        ]

    def _spoiled(self, reply: Reply) -> Reply:
        if self.how not in TEXTS:
            return reply
        text = TEXTS[self.how](reply.text)
        reason = {"loop": "repetition", "cut": "length"}.get(self.how, "stop")
        question = Question("", (), tuple(one.resize for one in reply.media), Conversation(()))
        return replace(answered(question, text, logprob=UNSURE), finish_reason=reason)
