# SPDX-License-Identifier: Apache-2.0
"""TempCompass: action, direction, speed, order and change of attributes in short videos, in four forms.

Three forms are questions with an answer. The fourth, a benchmark of its own, asks for a caption, which is correct if a
question about the video can be answered from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from string import ascii_uppercase

from finesight.conversation import VideoPart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Answered, Extractor, Item
from finesight.evals.extract.robust import DENIED, NOT_BEFORE, ROBUST_LETTER
from finesight.evals.judge.rules import CAPTION
from finesight.evals.tasks.choice.multiple_choice import is_letter
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, read_rows
from finesight.evals.tasks.shared.questions import Question, Wording, template
from finesight.evals.tasks.video.video_choice import video_file

FORMS = {
    "multi-choice": "Please directly give the best option:",
    "yes_no": "Please answer yes or no:",
    "caption_matching": "Please directly give the best option:",
}
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


def _options(text: str, answer: str) -> list[list[str]]:
    """Labels (`A`, `Caption 1`) and texts of the options in a question; none for yes or no."""
    if answer in ("yes", "no"):
        return []
    found = [[match[1], match[2].strip()] for match in _LABELLED.finditer(text)]
    if not any(answer.startswith(label) for label, _ in found):
        raise EvalError(f"answer {answer!r} is none of the options {[label for label, _ in found]}")
    return found


def _make(form: str, row: Row, folder: Path) -> Question:
    answer = str(row["answer"]).strip()
    listed = _options(row["question"], answer)
    right = next((label for label, _ in listed if answer.startswith(label)), answer)
    video = VideoPart(source=video_file(str(row["video"]), folder, "videos"))
    return Question(
        id=f"{form}/{row.where.rpartition('/')[2]}",
        text=row["question"],
        truth={"options": listed, "answer": right},
        oracle=answer,
        media=(video,),
        hint=FORMS[form],
        cluster=str(row["video"]),
        tags={"form": form, **({"aspect": row["aspect"]} if row.get("aspect") else {})},
    )


def _questions(benchmark: Benchmark, folder: Path) -> Iterator[Question | Item]:
    for form in FORMS:
        files = [*(f"{form}/{file}" for file in benchmark.files), f"{form}.json"]
        yield from read_rows(benchmark, folder, partial(_make, form), files=files)


def _read_option(answered: Answered) -> str | None:
    """Yes or no, or the label of the one option that is chosen; labels A, B, ... are read by `ROBUST_LETTER`."""
    text = answered.text.strip()
    listed = answered.truth["options"]
    if not listed:
        return _yes_or_no(text)
    labels = [str(label) for label, _ in listed]
    words = [str(chosen) for _, chosen in listed]
    if labels == list(ascii_uppercase[: len(labels)]):
        letter: str | None = ROBUST_LETTER.read(Answered(text, {"choices": words}))
        return letter
    bare = text.strip("(*.): ").lower()
    for label in labels:
        opens = re.match(rf"{re.escape(label.lower())}(?![a-z0-9])(?! or\b)(?!{DENIED})", bare)
        if opens or bare == label.split()[-1].lower():  # "1" is enough for Option 1
            return label
    if (chosen := _named_label(text, listed)) is not None:
        return chosen
    place = (
        None if _NEITHER.search(text) else ROBUST_LETTER.read(Answered(text, {"choices": words}))
    )
    return labels[ascii_uppercase.index(place)] if place else None


def _yes_or_no(text: str) -> str | None:
    """The word that opens the answer, else the first yes or no before punctuation, else the first of all."""
    text = _NO_ANSWER.sub("-", text)  # "no doubt" is neither
    opening = _YES_NO.match(text.lstrip(" \t\n*_\"'`(["))
    found = opening or _ALONE.search(text) or _YES_NO.search(text)
    return found[1].lower() if found else None


def _named_label(text: str, listed: Sequence[Sequence[str]]) -> str | None:
    """The label of the one option that an answer calls best or correct, else of the only one that it names.

    A label of one letter or digit counts only after "option" or if it is called best, because a sentence may begin
    with A. `listed` holds the label and text of each option.
    """
    known = {str(label).lower(): str(label) for label, _ in listed}
    either = "|".join(re.escape(label) for label in sorted(known, key=len, reverse=True))
    if not either or _NEITHER.search(text):
        return None
    label = re.compile(rf"(?:option )?({either})(?=[.:)*\"',]|\s*$)", re.IGNORECASE)
    chosen = set()
    for stated in _STATING.finditer(text):
        if found := label.match(text, stated.end()):
            chosen.add(known[found[1].lower()])
        tail = text[stated.end() : stated.end() + _LONGEST_OPTION].lower()
        chosen |= {str(name) for name, words in listed if words and tail.startswith(words.lower())}
    if chosen:
        return chosen.pop() if len(chosen) == 1 else None
    mention = rf"(?<!not the ){NOT_BEFORE}(\boption )?\b({either})(?![\w'’-])(?!{DENIED})"
    named = {
        known[found[2].lower()]
        for found in re.finditer(mention, text, re.IGNORECASE)
        if found[1] or len(found[2]) > 1
    }
    return named.pop() if len(named) == 1 else None


OFFICIAL = "the code published with TempCompass"
OPTION = Extractor("tempcompass-option", f"3+{ROBUST_LETTER.version}", _read_option)


def _caption_question(row: Row, folder: Path) -> Question:
    """One row: the instruction, and the question to be answered from the caption."""
    answer = str(row["mc_answer"]).strip()
    listed = _options(row["mc_question"], answer)
    right = next(each for each in listed if answer.startswith(each[0]))
    return Question(
        id=row.where.rpartition("/")[2],
        text=row["question"],
        truth={"options": listed, "answer": right[0], "asked_of_caption": row["mc_question"]},
        oracle=right[1],
        media=(VideoPart(source=video_file(str(row["video"]), folder, "videos")),),
        cluster=str(row["video"]),
        tags={"aspect": row["aspect"]} if row.get("aspect") else {},
    )


def _read_named(answered: Answered) -> str | None:
    """The label of the one option whose text the caption contains, else of the one that it names."""
    text, options = answered.text.lower(), answered.truth["options"]
    chosen = [str(label) for label, words in options if words and words.lower().rstrip(".") in text]
    if chosen:
        return chosen[0] if len(chosen) == 1 else None
    return _named_label(answered.text, options)


TASKS: Mapping[str, Build] = {
    "tempcompass": build(
        _questions,
        Wording("official", OFFICIAL, template("{text}\n{hint}")),
        extractors=(OPTION,),
        score=is_letter,
    ),
    "tempcompass_captions": build(
        rows(_caption_question),
        Wording("official", OFFICIAL, template()),
        extractors=(Extractor("option-in-words", "3", _read_named),),
        score=is_letter,
        judge=CAPTION,
    ),
}
