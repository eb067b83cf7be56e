# SPDX-License-Identifier: Apache-2.0
"""Split a data set into records to train on and records held back, by the content of their pictures.

Records that share a picture or a video, pixel by pixel, are on the same side, also through other records: if A and B
share one picture and B and C another, all three are. A record without media counts as its text. Which pictures are held
back depends on their content and the seed alone, so the order of the rows in a file does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from finesight.conversation import ImagePart, VideoPart
from finesight.data.record import Record, text_of
from finesight.errors import DataError

__all__ = ["MIN_HELD_BACK", "Split", "media_digests", "split_by_media"]

MIN_HELD_BACK = 4
"""Smallest number of records that are held back: with fewer, one answer decides the score."""


@dataclass(frozen=True, slots=True)
class Split:
    """Record numbers of both sides, in ascending order.

    Attributes:
        train: records to train on.
        held_back: records to evaluate on.
        num_held_back_groups: independent groups of pictures among the latter.
    """

    train: tuple[int, ...]
    held_back: tuple[int, ...]
    num_held_back_groups: int


def split_by_media(records: Iterable[Record], share: float, seed: int) -> Split:
    """Split records.

    Args:
        records: of a data set, in the order of their numbers.
        share: of the records to hold back, below 1; 0 holds back none. Whole groups are held back until it is reached;
            those with more records than that come last.
        seed: of the choice.

    Raises:
        DataError: there are too few records or too few different pictures for that share.
    """
    groups = _groups(records)
    total = sum(len(members) for members in groups.values())
    if not share:
        return Split(tuple(range(total)), (), 0)
    wanted = max(round(share * total), MIN_HELD_BACK)
    held_back: list[int] = []
    num_groups = 0

    def place(name: str) -> tuple[int, str]:
        """A place by chance, but a group of half of the records is not held back for a tenth of them."""
        return max(len(groups[name]), wanted), _digest(f"{seed}/{name}".encode())

    for name in sorted(groups, key=place):
        if len(held_back) >= wanted:
            break
        held_back += groups[name]
        num_groups += 1
    if total - len(held_back) < MIN_HELD_BACK or num_groups == len(groups):
        raise DataError(
            f"{total} records with {len(groups)} different pictures are too few to hold back {share:.0%}: "
            f"at least {MIN_HELD_BACK} records are needed on each side, none of them sharing a picture",
            hint="add pictures, or train on all without an evaluation: --held-back 0",
        )
    kept = set(held_back)
    train = tuple(number for number in range(total) if number not in kept)
    return Split(train, tuple(sorted(held_back)), num_groups)


def _groups(records: Iterable[Record]) -> dict[str, list[int]]:
    """Record numbers by the smallest digest of their group: connected components of records and media."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    first: list[str] = []
    for record in records:
        digests = media_digests(record)
        first.append(digests[0])
        roots = sorted({root(each) for each in digests})
        for each in roots[1:]:
            parent[each] = roots[0]
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(first):
        groups.setdefault(root(name), []).append(number)
    return groups


def media_digests(record: Record) -> list[str]:
    """Digest of the content of each picture and video; without media, that of the text."""
    found = [_media_digest(part) for part in record.conversation.media()]
    texts = "\n".join(text_of(message) for message in record.conversation.messages)
    return found or [_digest(texts.encode("utf-8", errors="surrogatepass"))]


def _media_digest(part: ImagePart | VideoPart) -> str:
    sources = part.source if isinstance(part.source, tuple) else (part.source,)
    whole = hashlib.sha256()
    for source in sources:
        if isinstance(source, np.ndarray):
            whole.update(str(source.shape).encode())
            whole.update(np.ascontiguousarray(source).data)
        else:
            assert isinstance(source, bytes)  # `Record.check` allows pixels and bytes only
            whole.update(source)
    return whole.hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
