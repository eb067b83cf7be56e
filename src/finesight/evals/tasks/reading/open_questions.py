# SPDX-License-Identifier: Apache-2.0
"""Open questions on one picture: ChartQA, DocVQA, InfographicVQA, OCRBench and TextVQA.

The truth of such a question is `golds`, right answers of which any will do. The benchmarks differ in the metric that
compares an answer with them; see `TASKS` at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Extractor, Score, Task
from finesight.evals.extract.text import VERBATIM, WHOLE_TEXT
from finesight.evals.metrics.anls import anls, anls_raw_lengths
from finesight.evals.metrics.ocrbench import ocrbench_hit
from finesight.evals.metrics.relaxed import relaxed_match
from finesight.evals.metrics.vqa import vqa_accuracy
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.columns import Row, picture, row_reader, texts
from finesight.evals.tasks.shared.questions import Ask, Piece, Question, Wording, prompts

ONE_PHRASE = "Answer the question using a single word or phrase."
ONE_WORD = "Answer the question with a single word."
SHORT = "Please try to answer the question with short words or phrases if possible."


def ending(words: str) -> Ask:
    """The picture, the question, and these words on a line of their own."""

    def ask(question: Question) -> list[Piece]:
        return [*question.media, f"{question.text}\n{words}" if words else question.text]

    return ask


def short_answer(lmms: str) -> tuple[Wording, ...]:
    """Qwen's wish for a short answer first, that of lmms-eval beside it."""
    return (
        Wording("vlmevalkit", "VLMEvalKit's custom prompt of Qwen2-VL", ending(SHORT)),
        Wording("lmms-eval", "lmms-eval", ending(lmms)),
    )


PLAIN = Wording("official", "the question as it stands", ending(""))


def read_row(row: Row, folder: Path) -> Question:
    """A row with `question`, `golds` and `image`; `id` and `picture_id` may be there."""
    golds = texts(row["golds"])
    cluster = row.get("picture_id")
    return Question(
        id=str(row.get("id", row.where)),
        text=str(row["question"]),
        truth={"golds": list(golds)},
        oracle=golds[0],
        media=(picture(row["image"], folder, folder / "images"),),
        cluster=None if cluster is None else str(cluster),
    )


def read_chartqa(row: Row, folder: Path) -> Question:
    """A row; copies write the half as human_test, test_human or 0."""
    half = str(row["half"])
    is_human = half == "0" or "human" in half
    return replace(read_row(row, folder), tags={"half": "human" if is_human else "augmented"})


def read_textvqa(row: Row, folder: Path) -> Question:
    """A row; the question begins with a capital, as both harnesses write it."""
    made = read_row(row, folder)
    most_given = Counter(made.truth["golds"]).most_common(1)[0][0]
    return replace(made, text=made.text[:1].upper() + made.text[1:], oracle=most_given)


def read_ocrbench(row: Row, folder: Path) -> Question:
    """A row; how an answer is compared depends on its kind, and for formulas on the data set."""
    made, kind = read_row(row, folder), row["kind"]
    dataset = str(row.get("dataset", kind))
    truth = {**made.truth, "kind": dataset if dataset == "HME100k" else kind}
    return replace(made, truth=truth, tags={"kind": kind, "dataset": dataset})


def best(metric: Callable[[str, str], float | bool]) -> Score:
    """The best value of a metric over the gold answers, as part `score`; no answer is 0."""

    def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
        if parsed is None:
            return {"score": 0.0}
        golds: Sequence[str] = truth["golds"]
        return {"score": max(float(metric(str(parsed), gold)) for gold in golds)}

    return score


def score_textvqa(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Agreement with the ten people; no answer is 0."""
    answered = parsed is not None and str(parsed).strip()
    return {"score": float(vqa_accuracy(str(parsed), truth["golds"])) if answered else 0.0}


def score_ocrbench(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """A gold answer stands in the answer."""
    return {"score": float(ocrbench_hit(str(parsed or ""), truth["golds"], truth["kind"]))}


def score_documents(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Similarity to the nearest gold answer, and as other harnesses reckon it, who let blanks count as an answer."""
    text = "" if parsed is None else str(parsed)
    golds = truth["golds"]
    return {
        "anls": anls(text, golds) if text.strip() else 0.0,
        "anls_raw_lengths": anls_raw_lengths(text, golds),
    }


def questions(
    *wordings: Wording,
    score: Score,
    read: Callable[[Row, Path], Question] = read_row,
    parts: Sequence[str] = ("score",),
    extractor: Extractor = WHOLE_TEXT,
) -> Build:
    """A benchmark of open questions.

    Args:
        wordings: ways to ask, the default first.
        score: compares an answer with the gold ones.
        read: makes a question of a row.
        parts: of the score; each is averaged under its own name, a single `score` as accuracy.
        extractor: what of an answer is compared.
    """

    def build(benchmark: Benchmark) -> Task:
        means = [
            average(part, name="accuracy" if part == "score" else part, by=benchmark.by)
            for part in parts
        ]
        return benchmark.task(
            prompts(row_reader(benchmark, read), *wordings), (extractor,), score, joined(*means)
        )

    return build


documents = questions(
    *short_answer(ONE_PHRASE),
    score=score_documents,
    parts=("anls", "anls_raw_lengths"),
    extractor=VERBATIM,
)

TASKS: Mapping[str, Build] = {
    "chartqa": questions(*short_answer(ONE_WORD), score=best(relaxed_match), read=read_chartqa),
    "docvqa": documents,
    "infovqa": documents,
    "ocrbench": questions(PLAIN, score=score_ocrbench, read=read_ocrbench),
    "textvqa": questions(*short_answer(ONE_PHRASE), score=score_textvqa, read=read_textvqa),
}
