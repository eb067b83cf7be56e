# SPDX-License-Identifier: Apache-2.0
"""Save answers as overlays (PNG files) and as a report (one HTML page).

The media are opened again in their original size, since the model saw them resized. The source
files are not changed, and files are written atomically.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import Conversation, ImagePart, TextPart, VideoPart
from finesight.errors import FinesightError
from finesight.media.image import load_image
from finesight.media.pdf import load_page
from finesight.media.video import open_video
from finesight.parse.answer import Answer
from finesight.present.marks import spans_of
from finesight.present.overlay import draw_answer, save_png
from finesight.present.report import ReportEntry, write_report
from finesight.present.sheet import MOST_FRAMES, chosen_frames, contact_sheet

_LONGEST_NAME = 150
"""Largest number of bytes of the source's name in an overlay's name; file systems allow names of 255."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """One question with its answer, ready to be drawn.

    Attributes:
        conversation: the question and its media.
        answer: its answer.
        config: the processor configuration with the frame budgets of the answer.
        seconds: seconds of each stage, shown in reports.
    """

    conversation: Conversation
    answer: Answer
    config: ProcessorConfig = field(default_factory=ProcessorConfig)
    seconds: dict[str, float] = field(default_factory=dict)

    def save_overlays(self, folder: Path, *, taken: Collection[Path] = ()) -> list[Path]:
        """Draw the answer on a copy of every picture, and on a contact sheet of every video.

        Args:
            folder: created if missing; files are named after their sources.
            taken: files of other answers, whose names are not used again.

        Returns:
            The files, in order of appearance.

        Raises:
            FinesightError: a source cannot be opened again, or the folder cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FinesightError(f"folder {folder} cannot be created: {error.strerror}") from error
        paths = self._paths(folder, taken)
        for index, (part, path) in enumerate(zip(self._parts(), paths, strict=True)):
            image = self._picture(part, index)
            if isinstance(part, ImagePart):
                image = draw_answer(image, self.answer, media_index=index)
            save_png(image, path)
        return paths

    def report_entry(self) -> ReportEntry:
        """The question and answer as a section of a report."""
        pictures = {index: self._picture(part, index) for index, part in enumerate(self._parts())}
        return ReportEntry(
            question=self._question(),
            answer=self.answer,
            pictures=pictures,
            timings=self.seconds,
        )

    def _parts(self) -> list[ImagePart | VideoPart]:
        return list(self.conversation.media())

    def _question(self) -> str:
        texts = [
            part.text
            for message in self.conversation.messages
            if message.role == "user"
            for part in message.parts
            if isinstance(part, TextPart)
        ]
        return "\n".join(texts)

    def _paths(self, folder: Path, taken: Collection[Path]) -> list[Path]:
        """A distinct file for each item."""
        paths: list[Path] = []
        for record in self.answer.media:
            name = re.sub(r"[^\w.-]+", "_", Path(record.source).stem)
            name = name.encode()[:_LONGEST_NAME].decode(errors="ignore") or record.kind
            page = "" if record.page is None else f"-page{record.page + 1}"
            numbers = chain([""], (f"-{number}" for number in count(2)))
            tried = (folder / f"{name}{page}{number}.answer.png" for number in numbers)
            paths.append(next(path for path in tried if path not in taken and path not in paths))
        return paths

    def _picture(self, part: ImagePart | VideoPart, index: int) -> Image.Image:
        """The original picture, or a contact sheet of the frames the model saw."""
        if isinstance(part, VideoPart):
            return self._sheet(part, index)
        if part.page is not None:
            return load_page(part.source, part.page)
        return load_image(part.source)

    def _sheet(self, part: VideoPart, index: int) -> Image.Image:
        clip = open_video(part, self.config)
        shown = clip.only(chosen_frames(clip.num_frames, MOST_FRAMES))
        return contact_sheet(
            [Image.fromarray(frame) for frame in shown.frames()],
            shown.clock.source_seconds,
            spans=spans_of(self.answer, media_index=index),
        )


def save_report(path: Path, artifacts: Iterable[Artifacts], *, title: str = "finesight") -> None:
    """Write questions, media and answers as one self-contained HTML page.

    Raises:
        FinesightError: a source cannot be opened again, or the file cannot be written.
    """
    entries = (entry.report_entry() for entry in artifacts)
    write_report(path, entries, title=title, parents=True)
