# SPDX-License-Identifier: Apache-2.0
"""Imports a file of training data as shards, with the bytes of its media unchanged.

The folder appears when everything is written. Beside the shards it has `import.json`: source and its digest, settings,
and how many rows were left out, by reason.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from finesight import files
from finesight.data.formats.config import FRAMES, ImportConfig
from finesight.data.formats.reading import Reading
from finesight.data.formats.rows import Problem, Reason
from finesight.data.record import Record
from finesight.data.shards import write_shard
from finesight.errors import DataError

__all__ = ["IMPORT_FILE", "ImportSummary", "import_file", "notes_of", "source_digest"]

IMPORT_FILE = "import.json"
_SHARD_RECORDS = 1000
_LISTED = 5
_LISTED_WHEN_SKIPPED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """What an import read.

    Attributes:
        format: of the file.
        num_records: records written.
        dropped: rows that could not be used, by reason.
        problems: the first of them.
        notes: sentences for the user: recognised format, coordinates, columns that are not used.
    """

    format: str
    num_records: int
    dropped: dict[Reason, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields in plain types."""
        return asdict(self)


def import_file(
    path: Path,
    out: Path,
    config: ImportConfig | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> ImportSummary:
    """Import a file of training data as shards.

    Args:
        path: a file or folder of any known format.
        out: folder of the shards; must not exist, or be empty.
        config: settings.
        progress: called with the number of rows done.

    Raises:
        ConfigError: the format is not known, or the file does not exist.
        DataError: rows cannot be used and `bad_rows` is "stop", no row can be used, or the folder cannot be written.
    """
    config = config or ImportConfig()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists already", hint="give another folder, or remove it")
    reading = Reading(path, config)
    kept = _Kept(reading, stops=config.bad_rows == "stop", progress=progress)
    records = iter(kept)
    with files.whole_folder(out, error=DataError, replaces=False) as draft:
        number = 0
        while (first := next(records, None)) is not None:
            some = chain([first], islice(records, _SHARD_RECORDS - 1))
            write_shard(draft / f"data-{number:05d}.tar", some)
            number += 1
        if kept.problems and config.bad_rows == "stop":
            raise _stopped(path, kept)
        if not kept.num_records:
            raise DataError(f"{path} has no row that can be used: {dict(kept.dropped)}")
        summary = ImportSummary(
            format=reading.format,
            num_records=kept.num_records,
            dropped=dict(kept.dropped),
            problems=tuple(kept.problems[:_LISTED_WHEN_SKIPPED]),
            notes=notes_of(reading),
        )
        body = {
            "source": str(path.absolute()),
            "sha256": source_digest(path),
            "config": config.model_dump(mode="json"),
        }
        files.write_json(draft / IMPORT_FILE, body | summary.as_json(), error=DataError)
    return summary


def source_digest(path: Path) -> str | None:
    """SHA-256 of a file of rows; None for a folder."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Kept:
    """The records of a reading; its problems are counted, and end it if it stops."""

    def __init__(
        self, reading: Reading, *, stops: bool, progress: Callable[[int], None] | None
    ) -> None:
        self._reading = reading
        self._stops = stops
        self._progress = progress
        self.num_records = 0
        self.dropped: Counter[Reason] = Counter()
        self.problems: list[Problem] = []

    def __iter__(self) -> Iterator[Record]:
        for number, found in enumerate(self._reading, 1):
            if self._progress is not None:
                self._progress(number)
            if isinstance(found, Record):
                self.num_records += 1
                yield found
                continue
            self.dropped[found.reason] += 1
            if len(self.problems) < _LISTED_WHEN_SKIPPED:
                self.problems.append(found)
            if self._stops and len(self.problems) >= _LISTED:
                return


def _stopped(path: Path, kept: _Kept) -> DataError:
    listed = "\n".join(f"  {problem}" for problem in kept.problems)
    number = f"{len(kept.problems)}{' or more' if len(kept.problems) == _LISTED else ''}"
    return DataError(
        f"{path}: {number} rows cannot be used:\n{listed}",
        hint=f"finesight data check {path} lists all; --bad-rows skip leaves them out",
    )


def notes_of(reading: Reading) -> tuple[str, ...]:
    """Notes for the user about a file that was read."""
    tally = reading.tally
    how = "recognised from the content" if reading.is_recognised else "as given"
    notes = [f"format: {reading.format} ({how})"]
    if tally.guessed:
        fits = ", ".join(f"{frame} {tally.fitting[frame]:,}" for frame in FRAMES)
        notes.append(
            f"coordinates in texts: {tally.guessed:,} boxes and points, read as {reading.frame}"
            f"{', the default of this format' if reading.is_default_frame else ''}; "
            f"inside their picture if read as: {fits}"
        )
    notes += [
        f"column {name} is not used ({number:,} rows)"
        for name, number in tally.ignored.most_common()
    ]
    notes += [f"{what}: {number:,}" for what, number in tally.notes.items()]
    return tuple(notes)
