# SPDX-License-Identifier: Apache-2.0
"""What the three ScreenSpot benchmarks share: an instruction, a screen, and the box that a click must hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.places import FIRST_POINT
from finesight.evals.tasks.grounding.places import size_of
from finesight.evals.tasks.screens import screen_questions
from finesight.evals.tasks.shared.columns import Row, picture
from finesight.evals.tasks.shared.questions import Question, Read, prompt
from finesight.screen.tools import computer_use

_PLATFORMS = {
    **dict.fromkeys(("ios", "android", "mobile"), "mobile"),
    **dict.fromkeys(("windows", "macos", "desktop"), "desktop"),
}
_FOLDERS = ("images", "screenspotv2_image", "screenspot_imgs", "")
NOTE = "accuracy over samples, edges included; with another wording users got 10 to 50 points less"


def kinds(row: Row) -> dict[str, str]:
    """Text or icon, the platform, and both together."""
    platform = _PLATFORMS.get(str(row["data_source"]).lower(), "web")
    kind = str(row["data_type"])
    return {"kind": kind, "platform": platform, "group": f"{platform} {kind}"}


def question(row: Row, folder: Path, box: Sequence[float], tags: Mapping[str, str]) -> Question:
    """A row with its box as corners in pixels."""
    shown = picture(row.get("image") or row["file_name"], *(folder / name for name in _FOLDERS))
    size = size_of(shown)
    return Question(
        id=f"{row['file_name']} {' '.join(f'{value:g}' for value in box)} {row['instruction']}",
        text=str(row["instruction"]),
        truth={"box": list(box), "screen": [size.width, size.height]},
        oracle=screen_questions.click_in_words(box),
        media=(shown,),
        cluster=str(row["file_name"]),
        tags=tags,
    )


def task(
    read: Read,
    *,
    name: str,
    title: str,
    source: str,
    layout: str,
    published: Mapping[str, float],
    note: str,
    by: Sequence[str] = ("kind", "platform", "group"),
) -> Task:
    """A benchmark of clicks, broken down by these tags."""
    return Task(
        name=name,
        title=title,
        source=source,
        layout=layout,
        prompts=(
            screen_questions.tool_prompt(
                "cookbook",
                screen_questions.COOKBOOK,
                read,
                screen_questions.ask_click,
                computer_use,
            ),
            prompt("point", "a plain wish for a point", read, screen_questions.ask_point),
        ),
        sampling=Sampling(max_new_tokens=512),
        extractors=(FIRST_POINT,),
        score=screen_questions.score_click,
        aggregate=screen_questions.click_accuracy(by),
        main="accuracy",
        published=published,
        notes=(note, NOTE),
    )
