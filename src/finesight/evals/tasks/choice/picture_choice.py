# SPDX-License-Identifier: Apache-2.0
"""Multiple choice on pictures: AI2D, BLINK, MMBench, MMStar, MuirBench, RealWorldQA and SEED-Bench-2-Plus.

`_read_row` reads the rows of all but MuirBench and RealWorldQA. The benchmarks differ in the columns of answers and
options, in the official prompt, and in the aggregate; see `TASKS`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.extract.mcq import LMMS_LETTER_AI2D, LMMS_LETTER_BLINK, LMMS_LETTER_MUIRBENCH
from finesight.evals.extract.robust import ROBUST_LETTER
from finesight.evals.extract.text import LAST_LINE
from finesight.evals.judge.rules import OPEN_ANSWER
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.choice.multiple_choice import (
    DIRECT,
    LETTERS,
    LMMS,
    QWEN,
    Letter,
    ask_qwen,
    ask_qwen_at_marks,
    choice,
    is_letter,
    letter_or_place,
    template_at_marks,
)
from finesight.evals.tasks.choice.written_options import split_options
from finesight.evals.tasks.shared.aggregates import circular
from finesight.evals.tasks.shared.build import benchmark_rows, build
from finesight.evals.tasks.shared.columns import (
    Row,
    choice_columns,
    picture,
    pictures,
    tags_of,
    texts,
)
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, either, template

ROTATION = 1_000_000
"""Rows of MMBench that ask the same question have equal indices modulo this number."""
NOTE = "Note: You only need to respond with A, B, C or D without providing any additional information.\n"
_MARK = re.compile(r"<image>")


def _read_row(
    row: Row, folder: Path, benchmark: Benchmark, *, letter: Letter | None = None
) -> Question:
    """A row with `question`, `answer`, pictures, and `options` or columns A to D; `id` and `cluster` are optional.

    `letter` finds the letter of the answer; None for copies that contain the letter.
    """
    choices = texts(row.get("options")) or choice_columns(row)
    if not choices:
        raise EvalError("the row has neither a column options nor columns A to D")
    answer = letter(row["answer"], choices) if letter else str(row["answer"])
    places = (folder, *(folder / name for name in benchmark.folders))
    cluster = row.get("cluster")
    return multiple_choice.question(
        row.get("id", row.where),
        row["question"],
        choices,
        answer,
        [shown for name in benchmark.pictures for shown in pictures(row.get(name), *places)],
        tags=tags_of(row, benchmark.by),
        cluster=None if cluster is None else str(cluster),
    )


def _read_mmbench(row: Row, folder: Path, benchmark: Benchmark) -> Question:
    """A row of MMBench, grouped with the rows that ask the same question with rotated options."""
    index, hint = int(row["id"]), str(row.get("hint") or "")
    group = str(index % ROTATION)
    made = replace(_read_row(row, folder, benchmark), id=str(index), group=group, cluster=group)
    return replace(made, hint="" if hint == "nan" else hint)


def _read_mmstar(row: Row, folder: Path, benchmark: Benchmark) -> Question:
    """A row of MMStar; without columns A to D the question text contains the options."""
    if not choice_columns(row):
        text, options = split_options(str(row["question"]))
        row = replace(row, values={**row.values, "question": text, "options": options})
    return _read_row(row, folder, benchmark)


def _read_muirbench(row: Row, folder: Path, benchmark: Benchmark) -> Question:
    """A row of MuirBench; its `<image>` marks are numbered in the question and then in the options."""
    numbers = itertools.count(1)

    def numbered(text: str) -> str:
        return _MARK.sub(lambda _: f"<image {next(numbers)}>", text)

    text = numbered(row["question"])
    choices = [numbered(option) for option in texts(row["options"])]
    index, counterpart = str(row["idx"]), row.get("counterpart_idx")
    return multiple_choice.question(
        index,
        text,
        choices,
        row["answer"],
        pictures(row["image"], folder),
        tags=tags_of(row, (*benchmark.by, "image_type")),
        cluster="+".join(sorted((index, index if counterpart is None else str(counterpart)))),
    )


def _read_realworldqa(row: Row, folder: Path, benchmark: Benchmark) -> Question:
    if choice_columns(row):
        return _read_row(row, folder, benchmark)
    answer = str(row["answer"]).strip()
    return Question(
        id=str(row.get("id", row.where)),
        text=row["question"],
        truth={"choices": [], "answer": answer},
        oracle=answer,
        media=(picture(row["image"], folder),),
    )


def _ask_realworldqa(asked: Question) -> list[Piece]:
    """As for MMMU if there are options, else the question alone."""
    return ask_qwen(asked) if asked.choices else [*asked.media, asked.text]


def _plain(text: str) -> str:
    """An answer in lower case, without outer blanks and full stop."""
    return text.strip().strip(".").strip().lower()


def _score_realworldqa(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Equality of letters, or of `_plain` short answers."""
    if truth["choices"]:
        return is_letter(parsed, truth)
    return {"correct": float(parsed is not None and _plain(str(parsed)) == _plain(truth["answer"]))}


LETTER_OR_LINE = either("letter-or-line", f"2+{ROBUST_LETTER.version}", ROBUST_LETTER, LAST_LINE)

MMBENCH = choice(benchmark_rows(_read_mmbench), total=circular)
TASKS: Mapping[str, Build] = {
    "ai2d": choice(
        benchmark_rows(partial(_read_row, letter=letter_or_place)),
        extractors=(*LETTERS, LMMS_LETTER_AI2D),
    ),
    "blink": choice(
        benchmark_rows(_read_row),
        ways=(
            Wording("official", "the column prompt of the benchmark", template()),
            Wording("lmms-eval", LMMS, template(f"{NOTE}{{text}}")),
        ),
        extractors=(*LETTERS, LMMS_LETTER_BLINK),
    ),
    "mmbench_cn": MMBENCH,
    "mmbench_en": MMBENCH,
    "mmbench_en_v11": MMBENCH,
    "mmstar": choice(benchmark_rows(_read_mmstar)),
    "muirbench": choice(
        benchmark_rows(_read_muirbench),
        ways=(
            Wording("vlmevalkit", QWEN, ask_qwen_at_marks),
            Wording("lmms-eval", LMMS, template_at_marks(f"{{text}}\n{{options}}\n{DIRECT}")),
        ),
        extractors=(*LETTERS, LMMS_LETTER_MUIRBENCH),
    ),
    "realworldqa": build(
        benchmark_rows(_read_realworldqa),
        Wording("vlmevalkit", QWEN, _ask_realworldqa),
        Wording("lmms-eval", LMMS, template()),
        extractors=(LETTER_OR_LINE,),
        score=_score_realworldqa,
        judge=OPEN_ANSWER,
    ),
    "seed_bench_2_plus": choice(benchmark_rows(_read_row)),
}
