# SPDX-License-Identifier: Apache-2.0
"""MMMU-Pro: MMMU made harder, with up to ten options, and once more with the whole question inside the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Budget, Task
from finesight.evals.extract.mcq import CAN_INFER, MMMU_PRO_OFFICIAL, ROBUST_LETTER
from finesight.evals.judge.rules import CHOICE
from finesight.evals.tasks.choice import mmmu_fields, multiple_choice
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import Columns, Row, reader, split_files
from finesight.evals.tasks.shared.questions import TOKEN_PIXELS, Ask, Piece, Question, Read, prompt

STEPS = (
    "Answer the preceding multiple choice question. The last line of your response should be of the following format:"
    " 'Answer: $LETTER' (without quotes) where LETTER is one of options. Think step by step before answering."
)
DIRECT = "Answer with the option letter from the given choices directly."
SEEN = (
    f"{DIRECT} The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes)"
    " where LETTER is one of options."
)
SEEN_STEPS = (
    "Write out the multiple-choice question in the image and then solve it. The last line of your response should be of"
    " the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of options. Think step by step"
    " before answering."
)
COLUMNS = {"id": ("id",), "answer": ("answer",), "options": ("options",), "subject": ("subject",)}
WRITTEN = {**COLUMNS, "question": ("question",)}
PUBLISHED = report_tables.row(report_tables.GENERAL, "51.5 51.9 48.6 46.2 51.1 38.3 31.56")


def question(row: Row, folder: Path) -> Question:
    """A row of either form; the picture of the vision form says the question."""
    choices, seen = mmmu_fields.options(row["options"])
    made = mmmu_fields.as_question(row, choices, folder)
    if seen == len(choices):
        return made
    return replace(made, truth={**made.truth, "num_official_options": seen})


def ask_with(ending: str) -> Ask:
    """Question and options with this request, pictures where they are mentioned."""

    def ask(asked: Question) -> list[Piece]:
        options = multiple_choice.lettered(asked.choices)
        return multiple_choice.at_marks(f"{asked.text}\n{options}\n{ending}", asked.media)

    return ask


def ask_seen(ending: str) -> Callable[[Question], list[Piece]]:
    """The picture and this request; the question stands in the picture."""
    return lambda asked: [*asked.media, ending]


def _read(name: str, columns: Columns) -> Read:
    files = tuple(f"{name}/{file}" for file in split_files("test"))
    return reader(
        (*files, f"{name}.jsonl", *split_files("test")),
        columns,
        question,
        optional=mmmu_fields.OPTIONAL,
        pictures=mmmu_fields.PICTURES,
    )


def _task(name: str, title: str, folder: str, asks: dict[str, Ask], note: str) -> Task:
    read = _read(folder, COLUMNS if folder == "vision" else WRITTEN)
    return Task(
        name=name,
        title=title,
        source="MMMU-Pro, arXiv 2409.02813; github.com/MMMU-Benchmark/MMMU",
        layout=f'the folder "{folder}" of MMMU/MMMU_Pro with test-*.parquet: id, options (a list written as text),'
        " answer, subject, and question with image_1 to image_7, or image where the question is in the picture",
        prompts=tuple(
            prompt(key, "official configuration", read, ask) for key, ask in asks.items()
        ),
        budget=Budget(min_pixels=1280 * TOKEN_PIXELS, max_pixels=5120 * TOKEN_PIXELS),
        sampling=Sampling(max_new_tokens=4096),
        extractors=(MMMU_PRO_OFFICIAL, ROBUST_LETTER, CAN_INFER),
        score=multiple_choice.is_letter,
        judge=CHOICE,
        aggregate=average(by=("subject", "domain")),
        main="accuracy",
        chance=0.25 if "(4" in folder else 0.126,
        published=PUBLISHED if "(4" not in folder else {},
        notes=(
            note,
            "the published number is the mean of the ten-option and the vision form",
            "validation_Accounting_29 has its three options in a list within the list; the authors' code takes them for"
            " one, so that mmmu-pro-official never finds its right answer B; other rules do",
        ),
    )


TASKS = (
    _task(
        "mmmu_pro_standard",
        "MMMU-Pro, ten options",
        "standard (10 options)",
        {"cot": ask_with(STEPS), "direct": ask_with(DIRECT)},
        "half of the overall score",
    ),
    _task(
        "mmmu_pro_vision",
        "MMMU-Pro, question in the picture",
        "vision",
        {"cot": ask_seen(SEEN_STEPS), "direct": ask_seen(SEEN)},
        "half of the overall score; the text of the question is read from the picture",
    ),
    _task(
        "mmmu_pro_four",
        "MMMU-Pro, four options",
        "standard (4 options)",
        {"cot": ask_with(STEPS), "direct": ask_with(DIRECT)},
        "not part of the overall score; numbers for this form are not in the report",
    ),
)
