# SPDX-License-Identifier: Apache-2.0
"""The catalogue of font faces: their character coverage and their split.

The split is by design, not by file: faces that look alike (a family, its metric clones, the Latin part of a CJK family)
form one group, and the whole group is in "train" or "heldout". The catalogue is made by `font_scan`.

Coverage is a bitmap of the basic multilingual plane, so that checking a text takes about a microsecond.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont

from finesight import files
from finesight.data.split import SPLITS, Split
from finesight.errors import DataError

__all__ = ["Face", "FontCatalogue", "load_font"]

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
"""Characters of each script that a face must cover."""

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
        group: name of its group of families that look alike.
        split: "train" or "heldout".
        scripts: keys of `SCRIPT_SAMPLES` that it covers.
        legibility: share of letters and digits that are recognised by nearest template.
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
        """Whether each character has a glyph."""
        return all(ord(char) < PLANE and has_code(self.bitmap, ord(char)) for char in text)


class FontCatalogue:
    """Faces by split and script. A family is drawn before a face, so that large families are not drawn more often.

    Args:
        faces: every usable face.
    """

    def __init__(self, faces: Iterable[Face]) -> None:
        self.faces = tuple(faces)
        self._families: dict[tuple[str, str], list[list[Face]]] = {}
        for split in SPLITS:
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
        body = ",\n".join(json.dumps(_row_of(face), ensure_ascii=False) for face in self.faces)
        files.write_text(path, f'{{"format": 1, "faces": [\n{body}\n]}}\n', error=DataError)

    @classmethod
    def read(cls, path: Path) -> FontCatalogue:
        """Read a catalogue that `save` wrote; paths of font files are relative to its folder.

        Raises:
            DataError: it is missing or is not a catalogue.
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
                f"{path} is not a font catalogue: {error!r}",
                hint=f"run finesight data sources {path.parent}",
            ) from error


def _row_of(face: Face) -> dict[str, object]:
    row = asdict(face)
    row["coverage"] = ranges_of(row.pop("bitmap"))
    return row | {"scripts": sorted(face.scripts), "legibility": round(face.legibility, 3)}


def _face_of(row: dict[str, object], folder: Path) -> Face:
    fields = dict(row)
    fields["path"] = str(folder / str(fields["path"]))  # an absolute path stays as it is
    bitmap = bitmap_of(str(fields.pop("coverage")))
    scripts = frozenset(fields.pop("scripts"))  # type: ignore[call-overload]  # a list of str by format
    return Face(scripts=scripts, bitmap=bitmap, **fields)  # type: ignore[arg-type]  # keys by format


def ranges_of(bitmap: bytes) -> str:
    """Ranges of set bits in hexadecimal, as in `20-7e,a0-17f`."""
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
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
    codes: list[int] = np.flatnonzero(bits).tolist()
    return codes


def has_code(bitmap: bytes | bytearray, code: int) -> bool:
    """Whether the bit of a code point of the basic plane is set."""
    return bool(bitmap[code >> 3] >> (code & 7) & 1)


def bitmap_of_codes(codes: Iterable[int]) -> bytes:
    """8,192 bytes with a bit set for each code point of the basic plane; others are left out."""
    bits = np.zeros(PLANE, np.uint8)
    bits[[code for code in codes if code < PLANE]] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def scripts_of(bitmap: bytes) -> frozenset[str]:
    """Scripts whose sample characters are all covered."""
    return frozenset(
        script
        for script, sample in SCRIPT_SAMPLES.items()
        if all(has_code(bitmap, ord(char)) for char in sample)
    )


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
