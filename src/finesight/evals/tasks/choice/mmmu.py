# SPDX-License-Identifier: Apache-2.0
"""MMMU: college examinations in thirty subjects, options or a short answer, up to seven pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Extractor, Task
from finesight.evals.extract.mcq import (
    CAN_INFER,
    MMMU_LMMS,
    MMMU_OFFICIAL,
    MMMU_OFFICIAL_RANDOM,
    ROBUST_LETTER,
)
from finesight.evals.extract.mmmu_open import MMMU_OPEN, is_open_correct
from finesight.evals.judge.rules import OPEN_ANSWER
from finesight.evals.tasks.choice import mmmu_fields
from finesight.evals.tasks.choice.multiple_choice import (
    DIRECT,
    LMMS,
    QWEN,
    ask_qwen,
    ask_qwen_at_marks,
    at_marks,
    is_letter,
    lettered,
)
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.columns import row_reader
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, either, prompts

ONE_WORD = "Answer the question using a single word or phrase."
THINK = (
    " If you are uncertain or the problem is too complex, make a reasoned guess based on the information provided."
    " Avoid repeating steps indefinitely—provide your best guess even if unsure. Determine whether to think step by"
    " step based on the difficulty of the question, considering all relevant information before answering."
)


def ask_lmms(question: Question) -> list[Piece]:
    """Question, options and a wish, pictures where they are mentioned."""
    options = f"{lettered(question.choices)}\n\n{DIRECT}" if question.choices else f"\n{ONE_WORD}"
    return at_marks(f"{question.text}\n{options}", question.media)


def ask_paper_thinking(question: Question) -> list[Piece]:
    """Qwen's words with leave to think."""
    return [*ask_qwen_at_marks(question), THINK]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """A letter is compared, a short answer searched for the gold ones."""
    if truth["choices"]:
        return is_letter(parsed, truth)
    return {"correct": float(parsed is not None and is_open_correct(parsed, truth["golds"]))}


def _reader(name: str, letters: Extractor) -> Extractor:
    """Letters by this rule, short answers by the official one."""
    version = f"{letters.version}+{MMMU_OPEN.version}"
    return either(name, version, lambda truth: letters if truth["choices"] else MMMU_OPEN)


OFFICIAL = _reader("mmmu-official", MMMU_OFFICIAL)


def build(benchmark: Benchmark) -> Task:
    """MMMU as Qwen, lmms-eval and VLMEvalKit ask it."""
    read = row_reader(benchmark, mmmu_fields.question)
    return benchmark.task(
        prompts(
            read,
            Wording("paper", QWEN, ask_qwen_at_marks),
            Wording("paper-cot", f"{QWEN}, with its sentence on thinking", ask_paper_thinking),
            Wording("lmms-eval", LMMS, ask_lmms),
            Wording("vlmevalkit", f"{QWEN}, pictures first", ask_qwen),
        ),
        (
            OFFICIAL,
            _reader("mmmu-official-random", MMMU_OFFICIAL_RANDOM),
            _reader("mmmu-lmms", MMMU_LMMS),
            _reader("mmmu-can-infer", CAN_INFER),
            _reader("mmmu-robust", ROBUST_LETTER),
        ),
        score,
        average(by=benchmark.by),
        judge=OPEN_ANSWER,
    )


TASKS: Mapping[str, Build] = {"mmmu": build}
