# SPDX-License-Identifier: Apache-2.0
"""TempCompass: action, direction, speed, order and change of attributes in short videos, asked in three forms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from finesight.conversation import VideoPart
from finesight.errors import EvalError
from finesight.evals.core.task import Answered, Extractor, Task
from finesight.evals.extract.robust import DENIED, NOT_BEFORE, ROBUST_LETTER
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Row, reader, same, split_files
from finesight.evals.tasks.shared.questions import Broken, Piece, Question, prompt
from finesight.evals.tasks.video import clips

FORMS = {
    "multi-choice": "Please directly give the best option:",
    "yes_no": "Please answer yes or no:",
    "caption_matching": "Please directly give the best option:",
}
COLUMNS = {"video": ("video_id", "video"), **same("question", "answer")}
OPTIONAL = {"aspect": ("dim",)}
_LABELLED = re.compile(r"^((?:(?:Caption|Sentence|Option) )?[A-D1-4])[.:] ?(.*)$", re.MULTILINE)
_STATING = re.compile(
    r"\b(?:best|correct|right|answer)\b[^.:\n]{0,120}?(?:\bis\b:?|:)[\s\"'*(]{1,4}", re.IGNORECASE
)
_LONGEST_OPTION = 500  # characters
_NEITHER = re.compile(r"\bneither\b", re.IGNORECASE)
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_ALONE = re.compile(r"\b(yes|no)\b(?=\s*(?:[^\w\s]|$))", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"\b(?:yes(?: or |/)no|no(?: or |/)yes"
    r"|no (?:reasonable )?(?:doubts?|question|uncertainty|ambiguity|mistake|mistaking|denying|wonder))\b",
    re.IGNORECASE,
)


def options(text: str, answer: str) -> list[list[str]]:
    """Labels and texts of the options a question lists, such as `A` or `Caption 1`; none for yes or no.

    Raises:
        EvalError: the answer is none of them.
    """
    if answer in ("yes", "no"):
        return []
    found = [[match[1], match[2].strip()] for match in _LABELLED.finditer(text)]
    if not any(answer.startswith(label) for label, _ in found):
        raise EvalError(f"answer {answer!r} is none of the options {[label for label, _ in found]}")
    return found


def _make(form: str, row: Row, folder: Path) -> Question:
    answer = str(row["answer"]).strip()
    listed = options(row["question"], answer)
    right = next((label for label, _ in listed if answer.startswith(label)), answer)
    video = VideoPart(source=clips.video_file(str(row["video"]), folder, "videos"))
    return Question(
        id=row.where.rpartition("/")[2],
        text=row["question"],
        truth={"options": listed, "answer": right},
        oracle=answer,
        media=(video,),
        hint=FORMS[form],
        cluster=str(row["video"]),
        tags={"form": form, **({"aspect": row["aspect"]} if row.get("aspect") else {})},
    )


def questions(folder: Path) -> Iterator[Question | Broken]:
    """Reads the three forms, each a folder of its own."""
    for form in FORMS:
        files = [f"{form}/{file}" for file in split_files("test")]

        def make(row: Row, below: Path, form: str = form) -> Question | Sequence[Question]:
            made = _make(form, row, below)
            return replace(made, id=f"{form}/{made.id}")

        yield from reader([*files, f"{form}.json"], COLUMNS, make, optional=OPTIONAL)(folder)


def ask(asked: Question) -> list[Piece]:
    """Video, question with its options, the form's own wish."""
    return [*asked.media, f"{asked.text}\n{asked.hint}"]


def read_option(answered: Answered) -> str | None:
    """Yes or no, or the label of the one option that is said: as any letter is read, if labels are letters."""
    text = answered.text.strip()
    listed = answered.truth["options"]
    if not listed:
        return _yes_or_no(text)
    labels = [str(label) for label, _ in listed]
    words = [str(said) for _, said in listed]
    if labels == list(ascii_uppercase[: len(labels)]):
        letter: str | None = ROBUST_LETTER.read(Answered(text, {"choices": words}))
        return letter
    bare = text.strip("(*.): ").lower()
    for label in labels:
        opens = re.match(rf"{re.escape(label.lower())}(?![a-z0-9])(?! or\b)(?!{DENIED})", bare)
        if opens or bare == label.split()[-1].lower():  # "1" is enough for Option 1
            return label
    if (said := named_label(text, listed)) is not None:
        return said
    place = (
        None if _NEITHER.search(text) else ROBUST_LETTER.read(Answered(text, {"choices": words}))
    )
    return labels[ascii_uppercase.index(place)] if place else None


def _yes_or_no(text: str) -> str | None:
    """How the answer opens, or else the first of yes and no that stands for itself, or else the first of any kind."""
    text = _NO_ANSWER.sub("-", text)  # "no doubt" says neither
    opening = _YES_NO.match(text.lstrip(" \t\n*_\"'`(["))
    found = opening or _ALONE.search(text) or _YES_NO.search(text)
    return found[1].lower() if found else None


def named_label(text: str, listed: Sequence[Sequence[str]]) -> str | None:
    """The label of the one option that an answer says to be the best, or else of the only one that it names.

    A label that is a single letter or digit counts only behind "option" or where it is said to be the best, because a
    sentence may begin with A.

    Args:
        text: the answer.
        listed: label and words of each option.
    """
    known = {str(label).lower(): str(label) for label, _ in listed}
    either = "|".join(re.escape(label) for label in sorted(known, key=len, reverse=True))
    if not either or _NEITHER.search(text):
        return None
    label = re.compile(rf"(?:option )?({either})(?=[.:)*\"',]|\s*$)", re.IGNORECASE)
    said = set()
    for stated in _STATING.finditer(text):
        if found := label.match(text, stated.end()):
            said.add(known[found[1].lower()])
        tail = text[stated.end() : stated.end() + _LONGEST_OPTION].lower()
        said |= {str(name) for name, words in listed if words and tail.startswith(words.lower())}
    if said:
        return said.pop() if len(said) == 1 else None
    mention = rf"(?<!not the ){NOT_BEFORE}(\boption )?\b({either})(?![\w'’-])(?!{DENIED})"
    named = {
        known[found[2].lower()]
        for found in re.finditer(mention, text, re.IGNORECASE)
        if found[1] or len(found[2]) > 1
    }
    return named.pop() if len(named) == 1 else None


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The right label, or the right one of yes and no."""
    return {"correct": float(parsed is not None and parsed == truth["answer"])}


TASKS = (
    Task(
        name="tempcompass",
        title="TempCompass, three forms",
        source="TempCompass, arXiv 2403.00476",
        layout="the folders multi-choice, yes_no and caption_matching of lmms-lab/TempCompass, each with test-*.parquet"
        " (video_id, question, answer, dim), and videos/{video_id}.mp4; column names from general knowledge",
        prompts=(prompt("official", "the code published with TempCompass", questions, ask),),
        budget=clips.BUDGET,
        sampling=clips.SHORT_ANSWER,
        extractors=(Extractor("tempcompass-option", f"3+{ROBUST_LETTER.version}", read_option),),
        score=score,
        aggregate=average(by=("form", "aspect")),
        main="accuracy/macro/form",
        chance=0.42,
        published=report_tables.row(report_tables.VIDEO, "67.1 73.8 74.8 71.7 64.4"),
        notes=(
            "published numbers are the mean of four forms; captions need a judge and are the task tempcompass_captions",
            "the published reading asks a language model where no rule fits; here such an answer is wrong",
        ),
    ),
)
