# SPDX-License-Identifier: Apache-2.0
"""Small files of training data, drawn here, and how they are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from finesight.conversation import ImagePart, VideoPart
from finesight.data.formats.config import ImportConfig
from finesight.data.formats.reading import Reading
from finesight.data.formats.rows import Problem
from finesight.data.record import Record, text_of
from tests.support.clips import numbered, write_clip


@dataclass
class Read:
    """What was read of a file."""

    reading: Reading
    records: list[Record]
    problems: list[Problem]

    @property
    def only(self) -> Record:
        """Its only record; there is no problem."""
        assert self.problems == []
        (record,) = self.records
        return record

    @property
    def reasons(self) -> list[str]:
        return [problem.reason for problem in self.problems]


@dataclass
class Folder:
    """A folder of training data."""

    path: Path

    def write(self, name: str, value: Any) -> Path:
        """Write a file: rows as JSONL if it is named so, a text or bytes as they are, else JSON."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, bytes):
            target.write_bytes(value)
        elif isinstance(value, str):
            target.write_text(value, encoding="utf-8")
        elif name.endswith(".jsonl"):
            lines = [json.dumps(row, ensure_ascii=False) for row in value]
            target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            target.write_text(json.dumps(value), encoding="utf-8")
        return target

    def picture(self, name: str, size: tuple[int, int] = (100, 60)) -> Path:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size, "white")
        ImageDraw.Draw(image).rectangle((10, 10, 40, 30), fill="red")
        image.save(target)
        return target

    def clip(self, name: str) -> Path:
        """A video of a second, 128 x 72 pixels."""
        return write_clip(self.path / name, numbered(10), fps=10)

    def read(self, name: str, value: Any = None, **config: Any) -> Read:
        """Write a file if its content is given, and read it."""
        target = self.path / name if value is None else self.write(name, value)
        reading = Reading(target, ImportConfig(**config))
        found = list(reading)
        return Read(
            reading,
            [one for one in found if isinstance(one, Record)],
            [one for one in found if isinstance(one, Problem)],
        )


def said(record: Record) -> list[tuple[str, str]]:
    """Role and text of each message, with the marks of places; media as [image] or [video]."""
    turns: list[tuple[str, str]] = []
    for message in record.conversation.messages:
        media = "".join(
            "[image]"
            if isinstance(part, ImagePart)
            else "[video]"
            if isinstance(part, VideoPart)
            else ""
            for part in message.parts
        )
        turns.append((message.role, media + text_of(message)))
    return turns


def answers(record: Record) -> Sequence[str]:
    return [text_of(one) for one in record.rejected]
