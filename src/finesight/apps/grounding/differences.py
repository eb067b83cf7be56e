# SPDX-License-Identifier: Apache-2.0
"""What a picture shows that a reference picture of the same place or part does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from finesight.apps.crop import crop
from finesight.apps.evidence import Found, Score, Status
from finesight.apps.grounding.detect import Search, things_of
from finesight.apps.grounding.prompts import DIFFERENCE_CHECK_PROMPT, DIFFERENCE_PROMPT
from finesight.apps.grounding.records import NOT_READ, Sought, corners
from finesight.apps.grounding.tile import merged
from finesight.apps.grounding.verify import MARGIN, judged
from finesight.apps.yes_no import ask_yes_no, p_no
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.geometry import Box
from finesight.parse.answer import read_answer
from finesight.responder import Responder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Pair"]


class Pair:
    """A reference and a picture, shown as "Picture 1" and "Picture 2".

    Args:
        responder: answers.
        pixels: uint8[H, W, 3], the picture.
        reference: uint8[H, W, 3], of any size; a part of the picture is shown beside the same share of it.
        search: pixel budget and sampling.
    """

    def __init__(
        self,
        responder: Responder,
        pixels: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        search: Search,
    ) -> None:
        self.responder = responder
        self.pixels = pixels
        self.reference = reference
        self.search = search
        height, width = pixels.shape[:2]
        self.whole = Box(0, 0, width, height)

    def differences(self, phrase: str) -> Sought:
        """Things that only the picture shows, each confirmed by a question about its crop in both.

        Raises:
            FinesightError: the responder fails.
        """
        question = self._conversation(self.whole, DIFFERENCE_PROMPT.format(phrase=phrase))
        reply = self.responder.respond([question], self.search.sampling)[0]
        answer = read_answer(reply, media_index=1)
        part = crop(self.pixels, self.whole)
        found, problems = things_of(answer, part, phrase)
        if answer.truncated:
            problems.append(f"the answer was {NOT_READ} ({answer.finish_reason})")
        check = DIFFERENCE_CHECK_PROMPT.format(phrase=phrase)
        things = merged(found)
        boxes = [crop(self.pixels, Box(*corners(one)), margin=MARGIN).box for one in things]
        verdicts = self.yes_no(boxes, check)
        rows = [*zip(things, verdicts, strict=True)]
        kept = tuple(judged(one, verdict) for one, verdict in rows if verdict.value is not False)
        status: Status = "found"
        score = Score(None, "yes_no")
        if not kept:
            there = self.yes_no([self.whole], check)[0]
            problems += there.problems
            status = "absent" if there.value is False and not answer.truncated else "conflict"
            score = p_no(there.score)
        return Sought(
            phrase=phrase,
            status=status,
            things=kept,
            rejected=tuple(judged(one, verdict) for one, verdict in rows if verdict.value is False),
            score=score,
            problems=tuple(problems),
        )

    def yes_no(self, boxes: Sequence[Box], question: str) -> list[Found[bool]]:
        """Answers to a yes/no question about parts of both pictures.

        Args:
            boxes: in pixels of the picture.
            question: for all.
        """
        return ask_yes_no(self.responder, [self._conversation(box, question) for box in boxes])

    def _conversation(self, box: Box, question: str) -> Conversation:
        across = self.reference.shape[1] / self.whole.width
        down = self.reference.shape[0] / self.whole.height
        place = Box(box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down)
        shown = (crop(self.reference, place).pixels, crop(self.pixels, box).pixels)
        first, second = (ImagePart(source=one, max_pixels=self.search.max_pixels) for one in shown)
        parts = (
            TextPart("Picture 1: "),
            first,
            TextPart("Picture 2: "),
            second,
            TextPart(question),
        )
        return Conversation((Message("user", parts),))
