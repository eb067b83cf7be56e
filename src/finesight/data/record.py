# SPDX-License-Identifier: Apache-2.0
"""One training or evaluation sample: a conversation, and what is known about its pictures beside it.

A record is made by a builder, stored in a shard (`finesight.data.stored`), and encoded by the loader. It holds whatever
a conversation holds: pictures, videos, a system message, tools, turns. The truth (`glyphs`, `objects`) is optional; it
is kept so that new questions, dense targets and checks need no new pictures.

Truth is in pixels of the stored picture. Places that an answer names are those of the picture that the model sees: a
builder whose answers name places draws sides that are multiples of 28, which the processor leaves as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.errors import ConfigError, RecordInvalid

__all__ = ["Augmentation", "Glyph", "Record", "SceneObject", "Truth", "asked_about", "text_of"]

SPLITS = ("train", "heldout")

Augmentation = Literal["move", "invert"]
"""A change of the pixels that only some answers survive: to move them, to show the negative."""


class Glyph(NamedTuple):
    """One drawn character.

    Attributes:
        char: the character (never a space).
        x: centre of its advance box, in pixels from the left.
        y: centre of its row's ink, in pixels from the top.
        order: its index among the characters in reading order, spaces and line ends counted.
    """

    char: str
    x: float
    y: float
    order: int


class SceneObject(NamedTuple):
    """One visible thing.

    Attributes:
        box: `(x1, y1, x2, y2)` in whole pixels, right and bottom exclusive.
        name: what it is called in answers.
    """

    box: tuple[int, int, int, int]
    name: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known about one picture; None where it is not known, empty where there is nothing.

    Attributes:
        glyphs: every drawn character, in reading order.
        objects: every visible thing, in reading order.
    """

    glyphs: tuple[Glyph, ...] | None = None
    objects: tuple[SceneObject, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A conversation with its media inside, and optional truth.

    Attributes:
        id: unique in its data set.
        conversation: what is learned; pictures are `uint8[H, W, 3]`, videos are bytes of a file or tuples of pictures.
        truth: one entry per picture and video, in order of appearance; empty where nothing is known.
        any_order: whether its turns are questions that do not depend on each other, so that a reading may ask some of
            them, in any order. Then all media stand in the first user message.
        allows: changes of the pixels that leave every answer true.
        meta: where it came from: split, generator, and what the builder adds (seed, fonts, language, tasks).
    """

    id: str
    conversation: Conversation
    truth: tuple[Truth, ...] = ()
    any_order: bool = False
    allows: tuple[Augmentation, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of_picture(
        cls,
        *,
        id: str,  # noqa: A002  # the field's name
        image: npt.NDArray[np.uint8],
        turns: Sequence[tuple[str, str]],
        truth: Truth | None = None,
        allows: tuple[Augmentation, ...] = (),
        meta: Mapping[str, Any],
    ) -> Record:
        """A record of one picture, `uint8[H, W, 3]`, with questions that do not depend on each other."""
        return cls(
            id=id,
            conversation=asked_about((ImagePart(source=image),), turns),
            truth=() if truth is None else (truth,),
            any_order=True,
            allows=allows,
            meta=meta,
        )

    @property
    def picture(self) -> npt.NDArray[np.uint8]:
        """The first picture, `uint8[H, W, 3]`.

        Raises:
            RecordInvalid: the record has none.
        """
        for part in self.conversation.media():
            if isinstance(part, ImagePart) and isinstance(part.source, np.ndarray):
                return part.source
        self._fail("conversation", "it has no picture")

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """Text of each user message and of the answer that follows it."""
        messages = self.conversation.messages
        return tuple(
            (text_of(asked), text_of(said))
            for asked, said in pairwise(messages)
            if (asked.role, said.role) == ("user", "assistant")
        )

    def check(self) -> None:
        """Raise `RecordInvalid`, naming the field, unless everything fits together."""
        if not self.id or any(char in self.id for char in "/. \n"):
            self._fail("id", f"{self.id!r} is empty or has a slash, dot or space")
        self._check_messages()
        media = list(self.conversation.media())
        for index, part in enumerate(media):
            self._check_media(f"media[{index}]", part)
        if self.truth and len(self.truth) != len(media):
            self._fail(
                "truth", f"there are {len(self.truth)} entries for {len(media)} pictures and videos"
            )
        for index, (truth, part) in enumerate(zip(self.truth, media, strict=False)):
            if truth != Truth():
                self._check_truth(f"truth[{index}]", truth, part)
        for key in ("split", "generator"):
            if key not in self.meta:
                self._fail("meta", f"key {key!r} is missing")
        if self.meta["split"] not in SPLITS:
            self._fail("meta", f"split is {self.meta['split']!r}, expected one of {SPLITS}")

    def _check_messages(self) -> None:
        messages = self.conversation.messages
        learned = [index for index, message in enumerate(messages) if _is_learned(message)]
        if not learned:
            self._fail("messages", "there is no answer to learn")
        for index, message in enumerate(messages):
            has_media = any(not isinstance(part, TextPart) for part in message.parts)
            if not (text_of(message).strip() or has_media or message.tool_calls):
                self._fail(f"messages[{index}]", f"the {message.role} message is empty")
        if self.any_order:
            asked = messages[1:] if messages[0].role == "system" else messages
            roles = [message.role for message in asked]
            if roles != ["user", "assistant"] * (len(roles) // 2):
                self._fail(
                    "messages", f"roles {roles} are not questions with answers, in any order"
                )
            if any(not isinstance(part, TextPart) for turn in asked[1:] for part in turn.parts):
                self._fail(
                    "messages", "media after the first user message, but turns come in any order"
                )

    def _check_media(self, where: str, part: ImagePart | VideoPart) -> None:
        try:
            part.check()
        except ConfigError as error:
            self._fail(where, error.message)
        sources = part.source if isinstance(part.source, tuple) else (part.source,)
        for source in sources:
            if isinstance(source, np.ndarray):
                shape, dtype = source.shape, source.dtype
                if len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype != np.uint8:
                    self._fail(where, f"shape {shape} of {dtype}, expected (H, W, 3) of uint8")
            elif not isinstance(source, bytes):
                self._fail(
                    where,
                    f"the source is a {type(source).__name__}; a record holds pixels, or bytes of a file",
                )

    def _check_truth(self, where: str, truth: Truth, part: ImagePart | VideoPart) -> None:
        if not isinstance(part.source, np.ndarray):
            self._fail(where, f"it needs a picture as pixels, not {type(part).__name__} of a file")
        height, width = part.source.shape[:2]
        order = -1
        for index, glyph in enumerate(truth.glyphs or ()):
            here = f"{where}.glyphs[{index}]"
            if not glyph.char.strip():
                self._fail(here, f"character {glyph.char!r} is blank")
            if not (0 <= glyph.x <= width and 0 <= glyph.y <= height):
                self._fail(
                    here,
                    f"({glyph.x:.1f}, {glyph.y:.1f}) is outside the {width} x {height} picture",
                )
            if glyph.order <= order:
                self._fail(here, f"order {glyph.order} does not rise")
            order = glyph.order
        for index, thing in enumerate(truth.objects or ()):
            here = f"{where}.objects[{index}]"
            x1, y1, x2, y2 = thing.box
            if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
                self._fail(here, f"box {thing.box} is not inside {width} x {height}")
            if not thing.name:
                self._fail(here, "the name is empty")

    def _fail(self, where: str, what: str) -> NoReturn:
        raise RecordInvalid(f"record {self.id!r}, {where}: {what}")


def asked_about(
    media: Sequence[ImagePart | VideoPart], turns: Sequence[tuple[str, str]]
) -> Conversation:
    """A conversation of questions with their answers that shows pictures and videos with the first question."""
    messages: list[Message] = []
    for index, (question, answer) in enumerate(turns):
        shown = () if index else media
        messages.append(Message("user", (*shown, TextPart(question))))
        messages.append(Message("assistant", (TextPart(answer),)))
    return Conversation(tuple(messages))


def text_of(message: Message) -> str:
    """The text of a message, its media left out."""
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def _is_learned(message: Message) -> bool:
    return message.role == "assistant" and message.is_target
