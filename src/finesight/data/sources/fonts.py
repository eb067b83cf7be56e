# SPDX-License-Identifier: Apache-2.0
"""The catalogue of faces: what each can draw, and on which side of the split it stands.

The split is by design, not by file: faces that look alike (a family, its metric clones, the Latin part of a CJK family)
form one group, and a hash of the group's name puts the whole group into "train" or "heldout". `font_scan` makes the
catalogue; this module holds, saves and asks it.

Coverage is a bitmap of the basic multilingual plane, so that "can this face draw this text" costs a microsecond.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import ImageFont

from finesight import files
from finesight.errors import DataError

__all__ = ["Face", "FontCatalogue", "Split", "load_font"]

Split = Literal["train", "heldout"]
SPLITS: tuple[Split, ...] = ("train", "heldout")

SCRIPT_SAMPLES: dict[str, str] = {
    "latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:-!?",
    "latin-accents": "ÀÁÂÄÇÈÉÊËÌÍÎÏÑÒÓÔÖÙÚÛÜàáâäçèéêëìíîïñòóôöùúûüß",
    "cyrillic": "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "greek": "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψωςάέήίόύώ",
    "hebrew": "אבגדהוזחטיכךלמםנןסעפףצץקרשת",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىءآأإئؤ",
    "kana": "あいうえおかきくけこさしすせそたちつてとなにぬねのアイウエオカキクケコサシスセソタチツテト",
    "han": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之",
    "hangul": "가나다라마바사아자차카타파하이그를의에은는고도한지서기로시",
    "vietnamese": "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
}
"""Characters a face must cover to count for a script."""

PLANE = 0x10000


@dataclass(frozen=True, slots=True)
class Face:
    """One face of one font file.

    Attributes:
        id: short stable name, `package/file#index`.
        path: the file.
        index: face number in a collection.
        family: family name of the file.
        style: style name, e.g. "Bold Italic".
        group: name of the group of look-alike families it is split with.
        split: "train" or "heldout".
        scripts: keys of `SCRIPT_SAMPLES` it covers.
        legibility: share of letters and digits that a nearest-template reader knows.
        licence: licence of its package.
        bitmap: 8,192 bytes, one bit per code point of the basic plane.
    """

    id: str
    path: str
    index: int
    family: str
    style: str
    group: str
    split: Split
    scripts: frozenset[str]
    legibility: float
    licence: str
    bitmap: bytes

    def covers(self, text: str) -> bool:
        """Whether each character has a drawable glyph."""
        bitmap = self.bitmap
        for char in text:
            code = ord(char)
            if code >= PLANE or not bitmap[code >> 3] >> (code & 7) & 1:
                return False
        return True


class FontCatalogue:
    """Faces by split and script; families are drawn before faces, so that large families do not rule.

    Args:
        faces: every usable face.
    """

    def __init__(self, faces: Iterable[Face]) -> None:
        self.faces = tuple(faces)
        self._families: dict[tuple[str, str], list[list[Face]]] = {}
        for split in ("train", "heldout"):
            for script in SCRIPT_SAMPLES:
                self._families[split, script] = self._by_family(split, script)

    def _by_family(self, split: str, script: str) -> list[list[Face]]:
        families: dict[str, list[Face]] = {}
        for face in self.faces:
            if face.split == split and script in face.scripts:
                families.setdefault(face.family, []).append(face)
        return [families[name] for name in sorted(families)]

    def choose(self, rng: random.Random, split: Split, script: str) -> Face:
        """Draw a family, then one of its faces.

        Raises:
            DataError: no face of this split covers the script.
        """
        families = self._families[split, script]
        if not families:
            raise DataError(
                f"no {split} face covers {script!r}",
                hint="install more fonts (scripts/training-fonts.tsv) or leave the script out",
            )
        return rng.choice(rng.choice(families))

    def has(self, split: Split, script: str) -> bool:
        """Whether any face of the split covers the script."""
        return bool(self._families[split, script])

    def counts(self) -> dict[str, tuple[int, int]]:
        """Number of train and held-out faces by script."""
        return {
            script: (
                sum(len(family) for family in self._families["train", script]),
                sum(len(family) for family in self._families["heldout", script]),
            )
            for script in SCRIPT_SAMPLES
        }

    def save(self, path: Path) -> None:
        """Write the catalogue as JSON, coverage as ranges of code points."""
        rows = [
            {
                "id": face.id,
                "path": face.path,
                "index": face.index,
                "family": face.family,
                "style": face.style,
                "group": face.group,
                "split": face.split,
                "scripts": sorted(face.scripts),
                "legibility": round(face.legibility, 3),
                "licence": face.licence,
                "coverage": ranges_of(face.bitmap),
            }
            for face in self.faces
        ]
        body = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        files.write_text(path, f'{{"format": 1, "faces": [\n{body}\n]}}\n', error=DataError)

    @classmethod
    def read(cls, path: Path) -> FontCatalogue:
        """Read a catalogue that `save` wrote; relative paths of font files start at its folder.

        Raises:
            DataError: it is missing or is no catalogue.
        """
        if not path.is_file():
            raise DataError(
                f"font catalogue {path} is missing",
                hint=f"run finesight data sources {path.parent}",
            )
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["faces"]
            return cls([_face_of(row, path.parent) for row in rows])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is no font catalogue: {error!r}",
                hint=f"run finesight data sources {path.parent}",
            ) from error


def _face_of(row: dict[str, object], folder: Path) -> Face:
    fields = dict(row)
    fields["path"] = str(folder / str(fields["path"]))  # an absolute path stays as it is
    bitmap = bitmap_of(str(fields.pop("coverage")))
    scripts = frozenset(fields.pop("scripts"))  # type: ignore[call-overload]  # a list of str by format
    return Face(scripts=scripts, bitmap=bitmap, **fields)  # type: ignore[arg-type]  # keys by format


def ranges_of(bitmap: bytes) -> str:
    """Set bits as `20-7e,a0-17f` in hexadecimal."""
    ranges: list[tuple[int, int]] = []
    for code in codes_of(bitmap):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return ",".join(f"{low:x}-{high:x}" for low, high in ranges)


def bitmap_of(ranges: str) -> bytes:
    """Inverse of `ranges_of`."""
    codes: list[int] = []
    for part in ranges.split(","):
        if part:
            low, high = part.split("-")
            codes.extend(range(int(low, 16), int(high, 16) + 1))
    return bitmap_of_codes(codes)


def codes_of(bitmap: bytes) -> list[int]:
    """Code points whose bit is set, in order."""
    return [code for code in range(PLANE) if bitmap[code >> 3] >> (code & 7) & 1]


def bitmap_of_codes(codes: Iterable[int]) -> bytes:
    """8,192 bytes with a bit set for each code point of the basic plane."""
    bitmap = bytearray(PLANE // 8)
    for code in codes:
        if code < PLANE:
            bitmap[code >> 3] |= 1 << (code & 7)
    return bytes(bitmap)


def scripts_of(bitmap: bytes) -> frozenset[str]:
    """Scripts whose sample characters are all covered."""

    def has(text: Sequence[str] | str) -> bool:
        return all(bitmap[ord(char) >> 3] >> (ord(char) & 7) & 1 for char in text)

    return frozenset(script for script, sample in SCRIPT_SAMPLES.items() if has(sample))


@lru_cache(maxsize=1500)
def load_font(path: str, index: int, size: int, is_complex: bool = False) -> ImageFont.FreeTypeFont:
    """Open a face at a size in pixels.

    Args:
        path: font file.
        index: face number in a collection.
        size: pixels per em.
        is_complex: lay out with Raqm (Arabic, Hebrew); the basic engine is three times as fast for the rest.
    """
    engine = ImageFont.Layout.RAQM if is_complex else ImageFont.Layout.BASIC
    return ImageFont.truetype(path, size=size, index=index, layout_engine=engine)
