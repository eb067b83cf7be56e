# SPDX-License-Identifier: Apache-2.0
"""Subtitles of an SRT file: all, or those at the times of the sampled frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from finesight.config.processor import ProcessorConfig
from finesight.conversation import VideoPart
from finesight.media.video import open_video

_TIMES = re.compile(r"\s*(\d+):(\d\d):(\d\d)[,.](\d{1,3})\s*-->\s*(\d+):(\d\d):(\d\d)[,.](\d{1,3})")
_MARKUP = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Subtitle:
    """One entry, visible from `start_seconds` until before `end_seconds`; its text is one line."""

    start_seconds: float
    end_seconds: float
    text: str


def read_srt(text: str) -> list[Subtitle]:
    """Entries of an SRT file in order, without markup; empty entries are left out."""
    found = []
    for block in re.split(r"\n\s*\n", text.replace("\r", "")):
        rows = block.strip().split("\n")
        times = [_TIMES.match(row) for row in rows]
        at = next((number for number, match in enumerate(times) if match), None)
        if at is None or (match := times[at]) is None:
            continue
        line = _MARKUP.sub("", " ".join(rows[at + 1 :])).strip()
        if line:
            clock = [
                part.ljust(3, "0") if n % 4 == 3 else part for n, part in enumerate(match.groups())
            ]
            found.append(Subtitle(_seconds(clock[:4]), _seconds(clock[4:]), line))
    return found


def seen_at(subtitles: Sequence[Subtitle], seconds: Sequence[float]) -> list[Subtitle]:
    """Entries visible at any of these times, each once, in order."""
    return [
        each
        for each in subtitles
        if any(each.start_seconds <= second < each.end_seconds for second in seconds)
    ]


def lines_of(subtitles: Sequence[Subtitle]) -> list[str]:
    """One line per entry; adjacent equal entries give one line."""
    lines: list[str] = []
    for each in subtitles:
        if each.text not in lines[-1:]:
            lines.append(each.text)
    return lines


@lru_cache(maxsize=8)
def frame_seconds(video: VideoPart) -> tuple[float, ...]:
    """Source timestamps of the frames that Qwen2.5-VL's sampling takes from a video.

    Cached for further questions on the same video, because the whole file is read.

    Raises:
        MediaError: the video cannot be opened.
    """
    return open_video(video, ProcessorConfig()).clock.source_seconds


def _seconds(clock: Sequence[str]) -> float:
    hours, minutes, seconds, thousandths = (int(part) for part in clock)
    return hours * 3600 + minutes * 60 + seconds + thousandths / 1000
