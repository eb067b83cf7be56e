# SPDX-License-Identifier: Apache-2.0
"""Questions to the embedded models about two pictures, a video and a PDF page, each answer beside what was drawn.

Prints a table for `tiny` and one for `small`. Writes an annotated PNG for each question to `tiny` and one report.html,
and fails if `tiny` is wrong. `small` was trained after these inputs were chosen; it is shown, right or wrong.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import finesight
from finesight.api.artifacts import Artifacts, save_report
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.geometry import iou
from finesight.parse.answer import Answer
from finesight.parse.numbers import read_count

ABOUT = """The model tiny is a demonstration: 10.8 million parameters, trained on drawn text and icons only.
These inputs were chosen so that it reads them. Its scores on others are in src/finesight/assets/tiny/README.md.
"""
ABOUT_SMALL = """
The model small has a text decoder of 135 million parameters, and reads scanned text better than tiny; it cannot point
or count. Its scores are in src/finesight/assets/small/README.md.
"""
LONGEST = 64
"""Tokens of an answer of `small`, which repeats points and boxes."""
MEDIA = Path(__file__).parent / "media"
READ = "Read all the text in the image."
FIND = "Locate every red circle in the image and output the coordinates in JSON format."
COUNT = "How many red circles are there in the image?"
CIRCLES = tuple(finesight.Box(x, y, x + 48, y + 48) for x, y in ((44, 125), (144, 57), (48, 61)))
Truth: TypeAlias = str | int | tuple[finesight.Box, ...]
"""What was drawn: a text, how many things, or a box around each, in pixels."""

MIN_IOU = 0.5
"""A box counts as right from this overlap on, the field's usual bound."""


@dataclass(frozen=True)
class Question:
    """One row of the demo."""

    part: ImagePart | VideoPart
    text: str
    truth: Truth


QUESTIONS = (
    Question(ImagePart(source=MEDIA / "ticket.png"), READ, "Museum ticket"),
    Question(ImagePart(source=MEDIA / "shapes.png"), FIND, CIRCLES),
    Question(ImagePart(source=MEDIA / "shapes.png"), COUNT, len(CIRCLES)),
    Question(VideoPart(source=MEDIA / "sign.mp4"), READ, "Train station"),
    Question(
        ImagePart(source=MEDIA / "page.pdf", page=0), READ, "Reading room\nOpen Monday\nSecond door"
    ),
)


def main(out: Path) -> int:
    """Ask everything, write everything; returns the exit code."""
    print(ABOUT)
    kept = ask("tiny")
    num_right = sum(one_right for _, one_right in kept)
    for number, (artifacts, _) in enumerate(kept, 1):
        artifacts.save_overlays(out / str(number))  # a folder each: one picture is asked twice
    save_report(out / "report.html", [artifacts for artifacts, _ in kept], title="finesight demo")
    print(f"{num_right} of {len(QUESTIONS)} answers are right. Boxes are x1 y1 x2 y2 in pixels.")
    print(
        f"Annotated copies are in {out}/1 to {out}/{len(QUESTIONS)}, all of it in {out}/report.html."
    )
    print(ABOUT_SMALL)
    ask("small", max_new_tokens=LONGEST)
    return 0 if num_right == len(QUESTIONS) else 1


def ask(name: str, *, max_new_tokens: int = 1024) -> list[tuple[Artifacts, bool]]:
    """Ask a model everything and print its table; returns each answer, and whether it is right."""
    model = finesight.load(name)
    table = Table("input", "question", "answer", "drawn", "right", title=f"finesight demo: {name}")
    kept = []
    for question in QUESTIONS:
        conversation = Conversation((Message("user", (question.part, TextPart(question.text))),))
        answer = model.answer(conversation, max_new_tokens=max_new_tokens)
        right = is_right(answer, question.truth)
        kept.append((Artifacts(conversation, answer, model.processor.config), right))
        cells = (
            Path(answer.media[0].source).name,
            question.text,
            shown(answer),
            drawn(question.truth),
            "yes" if right else "NO",
        )
        table.add_row(*map(escape, cells))
    Console().print(table)
    return kept


def is_right(answer: Answer, truth: Truth) -> bool:
    """Whether an answer says what was drawn: the same text or number, or one box on each thing."""
    if isinstance(truth, str):
        return answer.text.strip() == truth
    if isinstance(truth, int):
        return read_count(answer.text) == truth
    found = [box.original for box in answer.boxes if box.original is not None]
    on_each = all(any(iou(box, thing) >= MIN_IOU for box in found) for thing in truth)
    return on_each and len(found) == len(truth)


def shown(answer: Answer) -> str:
    """The answer as a person reads it: its boxes, or its count with points, else its text."""
    boxes = tuple(box.original for box in answer.boxes if box.original is not None)
    if boxes:
        return drawn(boxes)
    if answer.points:
        return f"{read_count(answer.text)}, at {len(answer.points)} points"
    return answer.text


def drawn(truth: Truth) -> str:
    """Boxes one a line, in whole pixels; a text or a number as it is."""
    if not isinstance(truth, tuple):
        return str(truth)
    return "\n".join(f"{box.x1:.0f} {box.y1:.0f} {box.x2:.0f} {box.y2:.0f}" for box in truth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    sys.exit(main(parser.parse_args().out))
