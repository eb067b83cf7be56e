# SPDX-License-Identifier: Apache-2.0
"""Make the font catalogue: check what every face draws, group faces that look alike, split.

A character map may list glyphs that are blank or the box for missing glyphs, so the letters are rendered. Legibility is
measured by nearest templates: the template of a letter is its mean drawing over all faces, and a face whose letters are
mostly nearest to another letter's template is dropped (symbol fonts, small capitals, too ornate).

The scan of two thousand faces takes one to two minutes and is done once.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fontTools.ttLib import TTCollection, TTFont, TTLibError
from PIL import Image, ImageFont

from finesight.data.sources.assets import read_manifest
from finesight.data.sources.fonts import (
    SCRIPT_SAMPLES,
    Face,
    FontCatalogue,
    bitmap_of_codes,
    has_code,
    scripts_of,
)
from finesight.data.split import split_of

__all__ = ["ScanReport", "scan_fonts"]

HELDOUT_SHARE = 0.15
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
PROBE_PIXELS = 40
CELL = 20
MIN_LEGIBILITY = 0.62
ALIKE = 0.975
"""Cosine similarity of two faces' letters above which they count as one design."""
DROPPED_STYLES = re.compile(
    r"thin|hairline|extralight|ultralight|outline|stencil|small ?caps|caps\b|titling|\bSC\b",
    re.IGNORECASE,
)
DROPPED_FAMILIES = re.compile(
    r"emoji|symbol|math|dingbat|icon|ornament|music|barcode|chess|dots|lignes|radis", re.IGNORECASE
)
SAME_SHAPE = [
    {"C", "c"}, {"O", "o", "0"}, {"P", "p"}, {"S", "s"}, {"U", "u"}, {"V", "v"}, {"W", "w"}, {"X", "x"},
    {"Z", "z"}, {"I", "l", "1"}, {"K", "k"}, {"J", "j"}, {"M", "m"}, {"Y", "y"},
]  # fmt: skip
"""Letters of the same shape if their size is unknown."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScanReport:
    """Number of faces kept, and of faces dropped by reason."""

    kept: int
    dropped: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Probe:
    face: Face
    letters: FloatArray  # float32[62, CELL * CELL], unit length; zero rows without Latin


def scan_fonts(assets: Path) -> tuple[FontCatalogue, ScanReport]:
    """Scan the font packages of an assets folder.

    Args:
        assets: folder with `manifest.json`.

    Returns:
        The catalogue and the report.

    Raises:
        DataError: the folder has no manifest.
    """
    dropped: Counter[str] = Counter()
    probes: list[_Probe] = []
    seen: dict[bytes, str] = {}
    for asset in read_manifest(assets):
        if asset.kind == "fonts":
            for path in sorted(asset.files):
                for face in _faces_of(path, asset.package, asset.licence, dropped):
                    _take(face, probes, seen, dropped)
    probes = _legible(probes, dropped)
    faces = _split_by_design(probes)
    return FontCatalogue(faces), ScanReport(len(faces), dict(dropped))


def _take(face: Face, probes: list[_Probe], seen: dict[bytes, str], dropped: Counter[str]) -> None:
    """Render one face; keep it if it covers a script and is no duplicate of an earlier face."""
    try:
        font = ImageFont.truetype(
            face.path, PROBE_PIXELS, index=face.index, layout_engine=ImageFont.Layout.BASIC
        )
        face = _without_missing_glyphs(face, font)
    except (OSError, ValueError):
        dropped["broken"] += 1
        return
    if not face.scripts:
        dropped["covers no whole script"] += 1
        return
    letters = _letter_cells(font, face)
    key = hashlib.sha256(letters.tobytes() + bytes(sorted(map(len, face.scripts)))).digest()
    if "latin" in face.scripts:
        if key in seen:
            dropped["same drawing as another"] += 1
            return
        seen[key] = face.id
    probes.append(_Probe(face, letters))


def _faces_of(path: str, package: str, licence: str, dropped: Counter[str]) -> Iterator[Face]:
    """Faces of a file, by their names and character maps."""
    try:
        is_collection = path.lower().endswith(".ttc")
        with Path(path).open("rb") as file:
            tables = TTCollection(file, lazy=True) if is_collection else [TTFont(file, lazy=True)]
            described = [_describe(table, Path(path)) for table in tables]
    except (TTLibError, OSError, KeyError):
        dropped["broken"] += 1
        return
    for index, (family, style, bitmap) in enumerate(described):
        if DROPPED_FAMILIES.search(f"{family} {Path(path).stem}"):
            dropped["symbols or patterns"] += 1
        elif DROPPED_STYLES.search(f"{family} {style} {Path(path).stem}"):
            dropped["thin, outlined or small capitals"] += 1
        else:
            name = f"{package}/{Path(path).name}#{index}"
            scripts = scripts_of(bitmap)
            yield Face(name, path, index, family, style, "", "train", scripts, 1.0, licence, bitmap)


def _describe(table: TTFont, path: Path) -> tuple[str, str, bytes]:
    """Family, style and coverage from the font file."""
    names = table["name"]
    codes = [code for code in table.getBestCmap() or {} if code > 0x20]
    family = names.getBestFamilyName() or path.stem
    return family, names.getBestSubFamilyName() or "Regular", bitmap_of_codes([0x20, *codes])


def _without_missing_glyphs(face: Face, font: ImageFont.FreeTypeFont) -> Face:
    """Clear the bits of probed characters that are drawn blank or as the box for missing glyphs."""
    missing = bytes(font.getmask("\uffff"))
    bitmap = bytearray(face.bitmap)
    for char in sorted(set("".join(SCRIPT_SAMPLES.values()) + "$€£%&@#*()+=/<>;\"'_[]")):
        code = ord(char)
        if has_code(bitmap, code):
            mask = font.getmask(char)
            drawn = bytes(mask)
            if mask.size[0] == 0 or drawn == missing or not any(drawn):
                bitmap[code >> 3] &= ~(1 << (code & 7))
    clean = bytes(bitmap)
    return replace(face, bitmap=clean, scripts=scripts_of(clean))


def _letter_cells(font: ImageFont.FreeTypeFont, face: Face) -> FloatArray:
    """Each letter's ink, resized to a square cell, as unit vectors: `float32[62, 400]`."""
    cells = np.zeros((len(LETTERS), CELL * CELL), np.float32)
    if "latin" not in face.scripts:
        return cells
    for row, letter in enumerate(LETTERS):
        mask = font.getmask(letter)
        picture = Image.frombytes("L", mask.size, bytes(mask))
        box = picture.getbbox() or (0, 0, 1, 1)
        cell = picture.crop(box).resize((CELL, CELL), Image.Resampling.BILINEAR)
        vector = np.asarray(cell, np.float32).ravel()
        # Without the aspect ratio, "l" and "-" would fill the cell alike.
        aspect = (box[2] - box[0]) / max(1, box[3] - box[1])
        vector = vector - vector.mean() * min(1.0, aspect)
        cells[row] = vector / max(1e-6, float(np.linalg.norm(vector)))
    return cells


def _legible(probes: Sequence[_Probe], dropped: Counter[str]) -> list[_Probe]:
    """Drop Latin faces of one case, and those whose letters are nearest to other letters' templates."""
    two_cases = [probe for probe in probes if not _has_one_case(probe)]
    dropped["small letters drawn as capitals"] += len(probes) - len(two_cases)
    probes = two_cases
    latin = [probe for probe in probes if "latin" in probe.face.scripts]
    if len(latin) < 20:  # too few faces for templates
        return list(probes)
    templates = np.mean([probe.letters for probe in latin], axis=0)
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    kept = []
    for probe in probes:
        if "latin" not in probe.face.scripts:
            kept.append(probe)
            continue
        share = _share_recognised(probe.letters @ templates.T)
        if share < MIN_LEGIBILITY:
            dropped["letters not legible"] += 1
        else:
            kept.append(replace(probe, face=replace(probe.face, legibility=share)))
    return kept


def _has_one_case(probe: _Probe) -> bool:
    """Whether lower case is drawn as capitals, which makes labels wrong."""
    if "latin" not in probe.face.scripts:
        return False
    rows = [(LETTERS.index(small), LETTERS.index(small.upper())) for small in "abdeghnqrt"]
    alike = [float(probe.letters[small] @ probe.letters[capital]) > 0.85 for small, capital in rows]
    return sum(alike) >= 5


def _share_recognised(scores: FloatArray) -> float:
    """Share of letters whose best template is their own, or one of the same shape."""
    right = 0
    for row, best in enumerate(scores.argmax(axis=1)):
        pair = {LETTERS[row], LETTERS[int(best)]}
        right += len(pair) == 1 or any(pair <= group for group in SAME_SHAPE)
    return right / len(LETTERS)


def _split_by_design(probes: Sequence[_Probe]) -> list[Face]:
    """Group families that look alike or share a package, then split by the hash of the group's name."""
    parent: dict[str, str] = {probe.face.family: probe.face.family for probe in probes}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    latin = [probe for probe in probes if "latin" in probe.face.scripts]
    if latin:
        rows = np.stack([probe.letters.ravel() for probe in latin])
        alike = rows @ rows.T / len(LETTERS) > ALIKE
        for first, second in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
            one, two = root(latin[first].face.family), root(latin[second].face.family)
            parent[max(one, two)] = min(one, two)
    first_of: dict[str, str] = {}
    for probe in probes:  # a package often has one design under several family names
        package = probe.face.id.split("/", 1)[0]
        one, two = root(first_of.setdefault(package, probe.face.family)), root(probe.face.family)
        parent[max(one, two)] = min(one, two)
    faces = []
    for probe in probes:
        group = root(probe.face.family)
        faces.append(replace(probe.face, group=group, split=split_of(group, HELDOUT_SHARE)))
    return faces
