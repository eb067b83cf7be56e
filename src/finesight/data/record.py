# SPDX-License-Identifier: Apache-2.0
"""Record: one training or evaluation sample, a conversation with optional ground truth for its pictures.

A record is made by a builder, stored in a shard (`finesight.data.stored`), and encoded by the loader. Its conversation
may have pictures, videos, a system message, tools and several turns. The truth (`glyphs`, `objects`) allows new
questions, dense targets and checks without new pictures.

Truth and places are in pixels of the stored picture. Coordinates in an answer are in pixels of the resized picture: a
text has a mark for each place, and the encoder writes the numbers (`finesight.data.places`). A builder may also write
them itself, if it draws pictures whose sides are multiples of 28, which the processor does not resize.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.places import Place, call_texts, mark_problem, place_problem
from finesight.data.split import SPLITS
from finesight.errors import ConfigError, MediaError, RecordInvalid
from finesight.geometry import Size
from finesight.media.image import image_size

__all__ = ["Augmentation", "Glyph", "Record", "SceneObject", "Truth", "asked_about", "text_of"]

Augmentation = Literal["move", "invert"]
"""A change of the pixels that keeps only some answers true: to move the content, to invert the colours."""


class Glyph(NamedTuple):
    """One drawn character.

    Attributes:
        char: the character, not white space.
        x: centre of its advance box, in pixels from the left.
        y: centre of its row's ink, in pixels from the top.
        order: its index in the text, counting spaces and line ends.
    """

    char: str
    x: float
    y: float
    order: int


class SceneObject(NamedTuple):
    """One visible object.

    Attributes:
        box: `(x1, y1, x2, y2)` in whole pixels, right and bottom exclusive.
        name: its name in answers.
    """

    box: tuple[int, int, int, int]
    name: str


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of one picture; None if unknown, empty if the picture has none.

    Attributes:
        glyphs: every drawn character, in reading order.
        objects: every visible object, in reading order.
    """

    glyphs: tuple[Glyph, ...] | None = None
    objects: tuple[SceneObject, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A conversation with its media, and optional truth.

    Attributes:
        id: unique in its data set.
        conversation: pictures are `uint8[H, W, 3]` or bytes of a file, videos bytes of a file or tuples of pictures.
        truth: one entry per picture and video, in order of appearance; empty if nothing is known.
        any_order: whether its turns are independent questions: the loader may choose some of them, in any order. All
            media are then in the first user message.
        allows: changes of the pixels that keep every answer true.
        meta: split, generator, and what the builder adds (seed, fonts, language, tasks).
        places: boxes and points to which the texts refer by marks (`finesight.data.places`).
        rejected: the worse answer of a preference pair: messages in place of all that follow the last user message.
    """

    id: str
    conversation: Conversation
    truth: tuple[Truth, ...] = ()
    any_order: bool = False
    allows: tuple[Augmentation, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    places: tuple[Place, ...] = ()
    rejected: tuple[Message, ...] = ()

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
        """A record of one picture, `uint8[H, W, 3]`, with independent questions."""
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
            (text_of(question), text_of(answer))
            for question, answer in pairwise(messages)
            if (question.role, answer.role) == ("user", "assistant")
        )

    @property
    def with_rejected(self) -> Record:
        """The record with the worse answer as its answer, and no other.

        Raises:
            RecordInvalid: it has no worse answer.
        """
        messages = self.conversation.messages
        if not self.rejected:
            self._fail("rejected", "there is no worse answer")
        asked = max(index for index, message in enumerate(messages) if message.role == "user")
        worse = replace(self.conversation, messages=(*messages[: asked + 1], *self.rejected))
        return replace(self, conversation=worse, rejected=())

    def check(self) -> None:
        """Raise `RecordInvalid`, which names the field, unless the record is consistent."""
        if not self.id or any(char in self.id for char in "/. \n"):
            self._fail("id", f"{self.id!r} is empty or has a slash, dot or space")
        self._check_messages()
        if self.rejected:
            self._check_rejected()
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
        if self.places:
            self._check_places(media)
        for key in ("split", "generator"):
            if key not in self.meta:
                self._fail("meta", f"key {key!r} is missing")
        if self.meta["split"] not in SPLITS:
            self._fail("meta", f"split is {self.meta['split']!r}, expected one of {SPLITS}")

    def _check_messages(self) -> None:
        messages = self.conversation.messages
        learned = [index for index, message in enumerate(messages) if _is_learned(message)]
        if not learned:
            self._fail("messages", "there is no assistant message to learn from")
        for index, message in enumerate(messages):
            has_media = any(not isinstance(part, TextPart) for part in message.parts)
            if not (text_of(message).strip() or has_media or message.tool_calls):
                self._fail(f"messages[{index}]", f"the {message.role} message is empty")
        if self.any_order:
            turns = messages[1:] if messages[0].role == "system" else messages
            roles = [message.role for message in turns]
            if roles != ["user", "assistant"] * (len(roles) // 2):
                self._fail(
                    "messages",
                    f"roles {roles}, expected pairs of user and assistant, because any_order is set",
                )
            if any(not isinstance(part, TextPart) for turn in turns[1:] for part in turn.parts):
                self._fail("messages", "media after the first user message, but any_order is set")

    def _check_rejected(self) -> None:
        if self.any_order:
            self._fail("rejected", "there is a worse answer, but any_order is set")
        if all(message.role != "user" for message in self.conversation.messages):
            self._fail("rejected", "there is no user message that a worse answer follows")
        if not any(map(_is_learned, self.rejected)):
            self._fail("rejected", "there is no assistant message in the worse answer")
        for index, message in enumerate(self.rejected):
            here = f"rejected[{index}]"
            if message.role not in ("assistant", "tool"):
                self._fail(here, f"its role is {message.role!r}, expected assistant or tool")
            if any(not isinstance(part, TextPart) for part in message.parts):
                self._fail(here, "a worse answer has a picture or video")
            if not (text_of(message).strip() or message.tool_calls):
                self._fail(here, f"the {message.role} message is empty")

    def _check_places(self, media: Sequence[ImagePart | VideoPart]) -> None:
        try:
            sizes = [_size_of(part) for part in media]
        except MediaError as error:
            self._fail("places", error.message)
        for index, place in enumerate(self.places):
            if problem := place_problem(place, sizes):
                self._fail(f"places[{index}]", problem)
        if "move" in self.allows:
            self._fail("places", "the content of the picture may be moved, but places are fixed")
        for message in (*self.conversation.messages, *self.rejected):
            for text in (text_of(message), *call_texts(message)):
                if problem := mark_problem(text, self.places):
                    self._fail(f"text of the {message.role}", problem)

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
                    f"the source is a {type(source).__name__}, expected pixels or the bytes of a file",
                )

    def _check_truth(self, where: str, truth: Truth, part: ImagePart | VideoPart) -> None:
        try:
            size = _size_of(part) if isinstance(part, ImagePart) else None
        except MediaError as error:
            self._fail(where, error.message)
        if size is None:
            self._fail(
                where,
                f"the source of this {type(part).__name__} is no picture, expected a picture as pixels or a file",
            )
        width, height = size.width, size.height
        order = -1
        for index, glyph in enumerate(truth.glyphs or ()):
            here = f"{where}.glyphs[{index}]"
            if not glyph.char.strip():
                self._fail(here, f"character {glyph.char!r} is white space")
            if not (0 <= glyph.x <= width and 0 <= glyph.y <= height):
                self._fail(
                    here,
                    f"({glyph.x:.1f}, {glyph.y:.1f}) is outside the {width} x {height} picture",
                )
            if glyph.order <= order:
                self._fail(
                    here, f"order {glyph.order} is not above {order}, that of the character before"
                )
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
    """A conversation of questions and answers; the media are in the first question."""
    messages: list[Message] = []
    for index, (question, answer) in enumerate(turns):
        shown = () if index else media
        messages.append(Message("user", (*shown, TextPart(question))))
        messages.append(Message("assistant", (TextPart(answer),)))
    return Conversation(tuple(messages))


def text_of(message: Message) -> str:
    """The text of a message, without its media."""
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def _is_learned(message: Message) -> bool:
    return message.role == "assistant" and message.is_target


def _size_of(part: ImagePart | VideoPart) -> Size | None:
    """Upright size of a picture, or of the first frame of a frame list; None for a video file or a page."""
    source = part.source[0] if isinstance(part.source, tuple) else part.source
    if isinstance(source, np.ndarray):
        return Size(source.shape[1], source.shape[0])
    if isinstance(part, VideoPart) and not isinstance(part.source, tuple):
        return None
    return None if isinstance(part, ImagePart) and part.page is not None else image_size(source)
