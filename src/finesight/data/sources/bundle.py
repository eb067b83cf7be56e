# SPDX-License-Identifier: Apache-2.0
"""Pack the drawing assets into one small archive, for machines without a network.

Fonts are subset to the characters that the builders can draw, which makes them twenty times smaller; the coverage in
the catalogue is reduced with them. Icons, words, sentences, prose and photographs are copied unchanged. Data drawn
from a bundle differs from data drawn from the full assets only where a face was left out.
"""

from __future__ import annotations

import io
import logging
import lzma
import multiprocessing
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont, TTLibError

from finesight import files
from finesight.data.sources.assets import photo_files
from finesight.data.sources.fonts import (
    Face,
    FontCatalogue,
    bitmap_of_codes,
    codes_of,
    scripts_of,
)
from finesight.errors import DataError
from finesight.media.source import kind_of

__all__ = ["bundle", "unbundle"]

PLAIN_FILES = (
    "icons.json",
    "icons.npy",
    "words.tsv",
    "sentences.tsv",
    "prose.jsonl",
    "manifest.json",
)
CATALOGUE = "fonts.json"

BLOCKS = ((0x20, 0x17F), (0x1A0, 0x1B0), (0x370, 0x3FF), (0x400, 0x45F), (0x591, 0x6FF), (0x1E00, 0x1EFF),
          (0x2000, 0x206F), (0x20A0, 0x20BF), (0x2190, 0x2193), (0x3000, 0x30FF))  # fmt: skip
"""Code points kept in every face: Latin, Greek, Cyrillic, Hebrew, Arabic, punctuation, currency, kana. What the word
lists use beyond them (Chinese, Korean) is kept too."""

MOST_BYTES_OF_A_FACE = 400_000
"""Size of a subset face above which it is left out; mostly Chinese faces."""


def bundle(
    assets: Path,
    target: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Write `target`, a tar compressed with xz.

    Args:
        assets: folder of scripts/install-training-assets.sh.
        target: file to write; complete or not there at all.
        workers: processes that subset fonts.
        progress: called with faces done and faces in total.

    Returns:
        Faces kept and faces left out.

    Raises:
        DataError: a part of the assets, or a font file of the catalogue, is missing, or the file cannot be written.
    """
    missing = [name for name in (*PLAIN_FILES, CATALOGUE) if not (assets / name).is_file()]
    photos = [] if "manifest.json" in missing else photo_files(assets)
    missing += [name for name in photos if not (assets / name).is_file()]
    if missing:
        raise DataError(
            f"assets folder {assets} lacks {', '.join(missing)}",
            hint=f"run scripts/install-training-assets.sh {assets}",
        )
    catalogue = FontCatalogue.read(assets / CATALOGUE)
    wanted = _wanted_codes(assets)
    gone = [face.path for face in catalogue.faces if not Path(face.path).is_file()]
    if gone:
        raise DataError(
            f"{len(gone)} of {len(catalogue.faces)} font files of {assets / CATALOGUE} are missing,"
            f" such as {gone[0]}",
            hint=f"run finesight data sources {assets}",
        )
    faces: list[Face] = []
    with (
        files.whole_file(target, error=DataError, parents=True) as partial,
        tarfile.open(partial, "w:xz", preset=6) as tar,
    ):
        for number, (face, content) in enumerate(_subset_all(catalogue.faces, wanted, workers)):
            if content is not None:
                faces.append(face)
                _add(tar, face.path, content)
            if progress:
                progress(number + 1, len(catalogue.faces))
        with tempfile.TemporaryDirectory() as folder:
            FontCatalogue(faces).save(Path(folder) / CATALOGUE)
            tar.add(Path(folder) / CATALOGUE, CATALOGUE)
        for name in (*PLAIN_FILES, *photos):
            tar.add(assets / name, name)
    return len(faces), len(catalogue.faces) - len(faces)


def unbundle(source: Path, assets: Path) -> None:
    """Unpack a bundle into an assets folder; the folder changes only after the whole bundle was read.

    Existing files are replaced. The catalogue is written last, so that a partial bundle cannot be used.

    Raises:
        DataError: it is not a bundle, or is cut off, or the folder cannot be written to.
    """
    hint = "make it with: finesight data bundle"
    if not source.is_file():
        what = "is a folder" if source.is_dir() else "is not there"
        raise DataError(f"{source} {what}, a bundle is needed", hint=hint)
    try:
        with files.filled_folder(assets, last=(CATALOGUE,), error=None) as draft:
            with tarfile.open(source, "r:xz") as tar:
                tar.extractall(draft, filter="data")
            lacks = [name for name in (*PLAIN_FILES, CATALOGUE) if not (draft / name).is_file()]
            if lacks:
                raise DataError(f"{source} holds no {', '.join(lacks)}", hint=hint)
    except (tarfile.TarError, EOFError, lzma.LZMAError) as error:
        message = f"{source} ({_kind(source)}) cannot be unpacked: {error}"
        raise DataError(message, hint=hint) from error
    except OSError as error:
        raise DataError(f"{assets} cannot be filled: {error.strerror or error}") from error


def _kind(source: Path) -> str:
    """Kind of a file that is not a complete bundle."""
    with source.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"\xfd7zXZ"):
        return "broken or cut off"
    return kind_of(head) if head else "empty"


def _wanted_codes(assets: Path) -> frozenset[int]:
    text = "".join(
        (assets / name).read_text(encoding="utf-8") for name in ("words.tsv", "sentences.tsv")
    )
    listed = {code for low, high in BLOCKS for code in range(low, high + 1)}
    return frozenset(listed | {ord(char) for char in set(text)})


def _subset_all(
    faces: tuple[Face, ...], wanted: frozenset[int], workers: int
) -> Iterator[tuple[Face, bytes | None]]:
    tasks = [(number, face, wanted) for number, face in enumerate(faces)]
    if workers <= 1:
        yield from map(_subset, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_subset, tasks, chunksize=8)


def _subset(task: tuple[int, Face, frozenset[int]]) -> tuple[Face, bytes | None]:
    """The face with its path in the bundle, and its font file; None if it is left out."""
    number, face, wanted = task
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it logs every dropped table
    kept = sorted(wanted & set(codes_of(face.bitmap)))
    options = subset.Options(
        hinting=False, notdef_outline=True, name_IDs=[1, 2, 13, 14], drop_tables=["DSIG"]
    )
    options.ignore_missing_glyphs = options.ignore_missing_unicodes = True
    try:
        with Path(face.path).open("rb") as file:
            font = TTFont(file, fontNumber=face.index, lazy=True)
            subsetter = subset.Subsetter(options)
            subsetter.populate(unicodes=kept)
            subsetter.subset(font)
            written = io.BytesIO()
            font.save(written)
    except (TTLibError, subset.Subsetter.SubsettingError, AssertionError, KeyError, ValueError):
        return face, None  # a few old files cannot be rewritten; the summary counts them
    content = written.getvalue()
    bitmap = bitmap_of_codes(kept)
    path = f"fonts/{number:04d}{Path(face.path).suffix.lower().replace('.ttc', '.ttf')}"
    smaller = replace(
        face, path=path, index=0, bitmap=bitmap, scripts=face.scripts & scripts_of(bitmap)
    )
    return smaller, content if smaller.scripts and len(content) <= MOST_BYTES_OF_A_FACE else None


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
