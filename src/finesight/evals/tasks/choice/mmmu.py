# SPDX-License-Identifier: Apache-2.0
"""MMMU: college exam questions in 30 subjects, with options or a short answer and up to seven pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.core.rows import literal_list
from finesight.evals.core.task import Extractor
from finesight.evals.extract.mcq import CAN_INFER, MMMU_LMMS, MMMU_OFFICIAL, MMMU_OFFICIAL_RANDOM
from finesight.evals.extract.mmmu_open import MMMU_OPEN, is_open_correct
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.judge.rules import OPEN_ANSWER
from finesight.evals.tasks.choice.multiple_choice import (
    DIRECT,
    LMMS,
    QWEN,
    ask_qwen,
    ask_qwen_at_marks,
    at_marks,
    is_letter,
    letter_of,
    lettered,
    numbered,
)
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, choice_columns, picture, pictures, texts
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, either

ONE_WORD = "Answer the question using a single word or phrase."
THINK = (
    " If you are uncertain or the problem is too complex, make a reasoned guess based on the information provided."
    " Avoid repeating steps indefinitely—provide your best guess even if unsure. Determine whether to think step by"
    " step based on the difficulty of the question, considering all relevant information before answering."
)
DOMAINS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        *("Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine"),
        *("Pharmacy", "Public_Health"),
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        *("Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics"),
        *("Energy_and_Power", "Materials", "Mechanical_Engineering"),
    ),
}
_DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects}


def question(row: Row, folder: Path) -> Question | tuple[()]:
    """A row with options or a free answer and pictures in numbered columns; () for a row of another split."""
    if row.get("split") not in (None, "validation", "val"):
        return ()
    choices, _ = options(row.get("options"))
    choices = choices or choice_columns(row)
    is_open = row.get("kind") in ("open", "short-answer") or not choices
    return as_question(row, () if is_open else choices, folder)


def options(cell: Any) -> tuple[tuple[str, ...], int]:
    """Texts of the options, and their number in the authors' code, which counts a nested list as one option.

    Raises:
        EvalError: the cell is a nested list written as text and cannot be parsed.
    """
    if isinstance(cell, str) and cell.lstrip().startswith("[["):
        cell = literal_list(cell)
    if not isinstance(cell, (list, tuple)):
        cell = texts(cell)
    flat = [one for each in cell for one in (each if isinstance(each, (list, tuple)) else [each])]
    return tuple(str(one) for one in flat), len(cell)


def as_question(row: Row, choices: tuple[str, ...], folder: Path) -> Question:
    """The question of a row; marks of pictures are numbered by position."""
    shown = {n: picture(row[f"image_{n}"], folder) for n in range(1, 8) if row.get(f"image_{n}")}
    if not shown:
        shown = dict(enumerate(pictures(row.get("image"), folder), 1))
    asked = tuple(numbered(text, shown) for text in choices)
    golds = texts(row["answer"])
    answer = letter_of(golds[0], choices) if choices else golds[0]
    identity = str(row["id"])
    subject = row.get("subject") or subject_of(identity)
    return Question(
        id=identity,
        text=numbered(row.get("question") or "", shown),
        truth={"choices": list(asked), "answer": answer, "golds": list(golds)},
        oracle=answer if choices else f"The answer is {answer}",
        media=tuple(shown[number] for number in sorted(shown)),
        choices=asked,
        tags={
            "subject": subject,
            "domain": _DOMAIN_OF.get(subject, "other"),
            "kind": "choice" if choices else "open",
        },
    )


def subject_of(identity: str) -> str:
    """Subject in an id: Art_Theory of `validation_Art_Theory_3`."""
    return "_".join(identity.split("_")[1:-1]) or identity


def _ask_lmms(asked: Question) -> list[Piece]:
    """Question, options and the request for a form of answer, pictures at their marks."""
    rest = f"{lettered(asked.choices)}\n\n{DIRECT}" if asked.choices else f"\n{ONE_WORD}"
    return at_marks(f"{asked.text}\n{rest}", asked.media)


def _ask_paper_thinking(asked: Question) -> list[Piece]:
    """Qwen's prompt with its sentence on thinking."""
    return [*ask_qwen_at_marks(asked), THINK]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Equality of letters; a short answer is correct by the official rule."""
    if truth["choices"]:
        return is_letter(parsed, truth)
    return {"correct": float(parsed is not None and is_open_correct(parsed, truth["golds"]))}


def _reader(name: str, letters: Extractor) -> Extractor:
    version = f"{letters.version}+{MMMU_OPEN.version}"
    return either(name, version, letters, MMMU_OPEN)


OFFICIAL = _reader("mmmu-official", MMMU_OFFICIAL)

TASKS: Mapping[str, Build] = {
    "mmmu": build(
        rows(question),
        Wording("paper", QWEN, ask_qwen_at_marks),
        Wording("paper-cot", f"{QWEN}, with its sentence on thinking", _ask_paper_thinking),
        Wording("lmms-eval", LMMS, _ask_lmms),
        Wording("vlmevalkit", f"{QWEN}, pictures first", ask_qwen),
        extractors=(
            OFFICIAL,
            _reader("mmmu-official-random", MMMU_OFFICIAL_RANDOM),
            _reader("mmmu-lmms", MMMU_LMMS),
            _reader("mmmu-can-infer", CAN_INFER),
            _reader("mmmu-robust", ROBUST_LETTER),
        ),
        score=score,
        judge=OPEN_ANSWER,
    )
}
