# SPDX-License-Identifier: Apache-2.0
"""One training or evaluation sample of the data engine: a picture, questions with answers, and the truth behind them.

A record is made by a builder, stored in a shard as `<id>.png` and `<id>.json`, and turned into a `Conversation` by the
loader. The dense truth (`glyphs`, `objects`) is kept beside the questions, so that new questions, heads and checks need
no new pictures. A record of text alone has a context in place of the picture, and no `<id>.png`.

Coordinates are pixels of the stored picture. Its sides are multiples of 28, so the model sees it unresized.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from finesight.errors import RecordInvalid

__all__ = ["Glyph", "Record", "SceneObject", "decode_record", "encode_record"]

SIDE_FACTOR = 28
SPLITS = ("train", "heldout")


@dataclass(frozen=True, slots=True)
class Glyph:
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


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One visible thing.

    Attributes:
        box: `(x1, y1, x2, y2)` in whole pixels, right and bottom exclusive.
        name: what it is called in answers.
    """

    box: tuple[int, int, int, int]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A picture with its questions and its truth, or a text with questions about it.

    Attributes:
        id: unique in its data set.
        family: which builder made it, e.g. "text" or "scene".
        image: `uint8[H, W, 3]`, or None where there is only text.
        turns: questions and answers about the picture or the context, each pair on its own.
        context: text that stands before the first question, whichever is asked first.
        glyphs: every drawn character, in reading order.
        objects: every visible thing, in reading order.
        meta: where it came from: split, generator, seed, font or icon ids, language, direction, stage.
    """

    id: str
    family: str
    image: npt.NDArray[np.uint8] | None
    turns: tuple[tuple[str, str], ...]
    context: str = ""
    glyphs: tuple[Glyph, ...] = ()
    objects: tuple[SceneObject, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The picture, `uint8[H, W, 3]`.

        Raises:
            RecordInvalid: the record has none.
        """
        if self.image is None:
            self._fail("image", "there is none, the record is text alone")
        return self.image

    def check(self) -> None:
        """Raise `RecordInvalid`, naming the field, unless everything fits together."""
        if self.image is not None:
            self._check_picture()
        elif self.glyphs or self.objects or not self.context.strip():
            self._fail("image", "a record without a picture has a context and marks no places")
        if not self.id or any(char in self.id for char in "/. \n"):
            self._fail("id", f"{self.id!r} is empty or has a slash, dot or space")
        if not self.turns:
            self._fail("turns", "there is no question")
        for index, (question, answer) in enumerate(self.turns):
            if not question.strip() or not answer.strip():
                self._fail(
                    f"turns[{index}]", f"question {question!r}, answer {answer!r}: one is empty"
                )
        if self.image is not None:
            self._check_truth()
        for key in ("split", "generator", "seed"):
            if key not in self.meta:
                self._fail("meta", f"key {key!r} is missing")
        if self.meta["split"] not in SPLITS:
            self._fail("meta", f"split is {self.meta['split']!r}, expected one of {SPLITS}")

    def _check_picture(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8:
            self._fail("image", f"shape {shape} of {dtype}, expected (H, W, 3) of uint8")
        if shape[0] % SIDE_FACTOR or shape[1] % SIDE_FACTOR or 0 in shape:
            self._fail("image", f"sides {shape[1]} x {shape[0]} are not multiples of {SIDE_FACTOR}")

    def _check_truth(self) -> None:
        height, width = self.pixels.shape[:2]
        for index, glyph in enumerate(self.glyphs):
            if not glyph.char.strip():
                self._fail(f"glyphs[{index}]", f"character {glyph.char!r} is blank")
            if not (0 <= glyph.x <= width and 0 <= glyph.y <= height):
                self._fail(
                    f"glyphs[{index}]",
                    f"({glyph.x:.1f}, {glyph.y:.1f}) is outside the {width} x {height} picture",
                )
            if index and glyph.order <= self.glyphs[index - 1].order:
                self._fail(f"glyphs[{index}]", f"order {glyph.order} does not rise")
        for index, thing in enumerate(self.objects):
            x1, y1, x2, y2 = thing.box
            if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
                self._fail(f"objects[{index}]", f"box {thing.box} is not inside {width} x {height}")
            if not thing.name:
                self._fail(f"objects[{index}]", "the name is empty")

    def _fail(self, where: str, what: str) -> NoReturn:
        raise RecordInvalid(f"record {self.id!r}, {where}: {what}")


def encode_record(record: Record) -> tuple[bytes, bytes]:
    """The record as PNG and JSON bytes; no PNG bytes where there is no picture."""
    png = io.BytesIO()
    if record.image is not None:
        Image.fromarray(record.image).save(png, "PNG", compress_level=2)
    body: dict[str, object] = {
        "id": record.id,
        "family": record.family,
        "turns": record.turns,
        "glyphs": [
            (glyph.char, round(glyph.x, 1), round(glyph.y, 1), glyph.order)
            for glyph in record.glyphs
        ],
        "objects": [(*thing.box, thing.name) for thing in record.objects],
        "meta": dict(record.meta),
    }
    if record.context:
        body["context"] = record.context
    if record.image is None:
        body["picture"] = False
    return png.getvalue(), json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def decode_record(png: bytes, body: bytes) -> Record:
    """Inverse of `encode_record`; the picture is writable and owns its memory.

    Raises:
        RecordInvalid: a part does not decode, or a field is missing or of another form.
    """
    try:
        fields = json.loads(body)
        name = fields["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordInvalid(
            f"record of {len(body)} JSON bytes does not decode: {error!r}"
        ) from error
    try:
        image = None
        if fields.get("picture", True):
            with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
                image = np.array(picture)
        return Record(
            id=name,
            family=fields["family"],
            image=image,
            turns=tuple((question, answer) for question, answer in fields["turns"]),
            context=fields.get("context", ""),
            glyphs=tuple(Glyph(*entry) for entry in fields["glyphs"]),
            objects=tuple(SceneObject(tuple(entry[:4]), entry[4]) for entry in fields["objects"]),
            meta=fields["meta"],
        )
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise RecordInvalid(f"record {name!r}, image: {len(png)} PNG bytes: {error}") from error
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise RecordInvalid(f"record {name!r}: {error!r}") from error
