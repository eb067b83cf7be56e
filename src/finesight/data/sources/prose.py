# SPDX-License-Identifier: Apache-2.0
"""English prose of Debian packages, as passages of a few paragraphs, split by document.

Sources: the Jargon File (entries and chapters) and the help pages of GNOME. `write_prose` is run by the asset script;
a builder reads the resulting `prose.jsonl`.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from finesight import files
from finesight.data.split import Split, split_of
from finesight.errors import DataError

__all__ = ["PROSE_PACKAGES", "Prose", "prose_files", "write_prose"]

PROSE_PACKAGES: dict[str, str] = {"jargon-text": "public-domain", "gnome-user-docs": "CC-BY-SA-3.0"}
"""Debian packages, unpacked under `debian/`, each with its required licence."""

PROSE_FILE = "prose.jsonl"
HELDOUT_SHARE = 0.1
PASSAGE_WORDS = (30, 150)
"""Fewest and most words of a passage, about 40 to 200 tokens."""

_GLOBS = {"jargon-text": "**/jargon.txt.gz", "gnome-user-docs": "usr/share/help/C/*/*.page"}
_HEADING = re.compile(r":(?P<entry>[^:\n]+):|(?P<chapter>(?:Chapter|Appendix) [^\n]+)")
_MALLARD = "{http://projectmallard.org/1.0/}"


@dataclass(frozen=True, slots=True)
class Prose:
    """Passages of one split.

    Attributes:
        split: "train" or "heldout".
        passages: document and text of each passage; paragraphs are separated by an empty line.
    """

    split: Split
    passages: Sequence[tuple[str, str]]

    @classmethod
    def read(cls, assets: Path, split: Split) -> Prose:
        """Read `prose.jsonl` of an assets folder.

        Raises:
            DataError: it is missing or damaged, or has no passage of the split.
        """
        path = assets / PROSE_FILE
        if not path.is_file():
            raise DataError(
                f"{path} is missing", hint=f"run scripts/install-training-assets.sh {assets}"
            )
        try:
            rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            passages = [(str(row["document"]), str(row["text"])) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is damaged: {error!r}",
                hint=f"run scripts/install-training-assets.sh {assets}",
            ) from error
        found = [each for each in passages if split_of(each[0], HELDOUT_SHARE) == split]
        if not found:
            raise DataError(f"{path} has no {split} passage")
        return cls(split, found)

    def choose(self, rng: random.Random) -> tuple[str, str]:
        """Document and text of one passage."""
        return rng.choice(self.passages)


def prose_files(folder: Path) -> list[Path]:
    """Files with prose of an unpacked package.

    Raises:
        DataError: there is none.
    """
    found = sorted(folder.glob(_GLOBS[folder.name]))
    if not found:
        raise DataError(
            f"package {folder.name} is missing at {folder}",
            hint="run scripts/install-training-assets.sh",
        )
    return found


def write_prose(directory: Path, unwanted: re.Pattern[str]) -> None:
    """Write `prose.jsonl` from the packages under `debian/`.

    Args:
        directory: the assets folder.
        unwanted: paragraphs in which this occurs are left out.
    """
    rows = []
    for package in PROSE_PACKAGES:
        for path in prose_files(directory / "debian" / package):
            read = _jargon if package == "jargon-text" else _mallard
            for document, paragraphs in read(path):
                for text in _passages(paragraphs, unwanted):
                    rows.append({"document": f"{package}/{document}", "text": text})
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    files.write_text(directory / PROSE_FILE, lines, error=DataError)


def _passages(paragraphs: Sequence[str], unwanted: re.Pattern[str]) -> Iterator[str]:
    """Neighbouring paragraphs of whole sentences, joined while they are short enough."""
    low, high = PASSAGE_WORDS
    taken: list[str] = []
    for paragraph in (*paragraphs, ""):
        is_good = _is_prose(paragraph) and not unwanted.search(paragraph.casefold())
        if taken and not (is_good and _num_words([*taken, paragraph]) <= high):
            if _num_words(taken) >= low:
                yield "\n\n".join(taken)
            taken = []
        if is_good and _num_words([paragraph]) <= high:
            taken.append(paragraph)


def _num_words(paragraphs: Sequence[str]) -> int:
    return sum(len(paragraph.split()) for paragraph in paragraphs)


def _is_prose(text: str) -> bool:
    """Whether a paragraph is made of sentences: a capital at the start, an end mark, eight words, mostly letters."""
    letters = sum(char.isalpha() or char.isspace() for char in text)
    return (
        len(text.split()) >= 8
        and (text[0].isupper() or text[0] in "“\"'‘")
        and text[-1] in ".!?”)"
        and letters > 0.9 * len(text)
    )


def _jargon(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Entries and chapters of the Jargon File; links lose their braces."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    document, paragraphs = "Preface", list[str]()
    for block in text.split("\n\n"):
        heading = _HEADING.match(block.strip())
        if heading:
            yield document, paragraphs
            document, paragraphs = heading["entry"] or heading["chapter"], []
        elif all(
            line.startswith("   ") and not line.startswith("    ")
            for line in block.split("\n")
            if line
        ):
            paragraphs.append(" ".join(re.sub(r"[{}]", "", block).split()))
        else:
            paragraphs.append("")  # a table or listing separates what is around it
    yield document, paragraphs


def _mallard(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The paragraphs of a help page."""
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    texts = ("".join(paragraph.itertext()) for paragraph in root.iter(f"{_MALLARD}p"))
    yield path.stem, [" ".join(text.split()) for text in texts]
