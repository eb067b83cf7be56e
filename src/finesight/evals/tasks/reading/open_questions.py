# SPDX-License-Identifier: Apache-2.0
"""Open questions on one picture: ChartQA, DocVQA, InfographicVQA, OCRBench and TextVQA.

The truth of a question is `golds`, a list of accepted answers. The benchmarks differ in the metric; see `TASKS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Score
from finesight.evals.extract.text import VERBATIM, WHOLE_TEXT
from finesight.evals.metrics.anls import anls, anls_raw_lengths
from finesight.evals.metrics.ocrbench import ocrbench_hit
from finesight.evals.metrics.relaxed import relaxed_match
from finesight.evals.metrics.vqa import vqa_accuracy
from finesight.evals.tasks.shared.aggregates import means
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, texts
from finesight.evals.tasks.shared.questions import Question, Wording, template

ONE_PHRASE = "Answer the question using a single word or phrase."
ONE_WORD = "Answer the question with a single word."
SHORT = "Please try to answer the question with short words or phrases if possible."


def short_answer(lmms: str) -> tuple[Wording, ...]:
    """Qwen's request for a short answer, the default, and that of lmms-eval."""
    return (
        Wording(
            "vlmevalkit", "VLMEvalKit's custom prompt of Qwen2-VL", template(f"{{text}}\n{SHORT}")
        ),
        Wording("lmms-eval", "lmms-eval", template(f"{{text}}\n{lmms}")),
    )


PLAIN = Wording("official", "the question as it stands", template())


def _read_row(row: Row, folder: Path) -> Question:
    """A row with `question`, `golds` and `image`; `id` and `picture_id` are optional."""
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


def _read_chartqa(row: Row, folder: Path) -> Question:
    """A row of ChartQA; copies name the human half human_test, test_human or 0."""
    half = str(row["half"])
    is_human = half == "0" or "human" in half
    return replace(_read_row(row, folder), tags={"half": "human" if is_human else "augmented"})


def _read_textvqa(row: Row, folder: Path) -> Question:
    """A row of TextVQA; the question is capitalised, as in both harnesses."""
    made = _read_row(row, folder)
    most_given = Counter(made.truth["golds"]).most_common(1)[0][0]
    return replace(made, text=made.text[:1].upper() + made.text[1:], oracle=most_given)


def _read_ocrbench(row: Row, folder: Path) -> Question:
    """A row of OCRBench; the comparison depends on its kind, and for formulas on the data set."""
    made, kind = _read_row(row, folder), row["kind"]
    dataset = str(row.get("dataset", kind))
    truth = {**made.truth, "kind": dataset if dataset == "HME100k" else kind}
    return replace(made, truth=truth, tags={"kind": kind, "dataset": dataset})


def best(metric: Callable[[str, str], float | bool]) -> Score:
    """The best value of a metric over the gold answers, as part `score`; None is 0."""

    def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
        if parsed is None:
            return {"score": 0.0}
        golds: Sequence[str] = truth["golds"]
        return {"score": max(float(metric(str(parsed), gold)) for gold in golds)}

    return score


def _score_textvqa(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Agreement with the annotators; an empty answer is 0."""
    answered = parsed is not None and str(parsed).strip()
    return {"score": float(vqa_accuracy(str(parsed), truth["golds"])) if answered else 0.0}


def _score_ocrbench(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return {"score": float(ocrbench_hit(str(parsed or ""), truth["golds"], truth["kind"]))}


def _score_documents(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """ANLS, and the variant of other harnesses, which do not treat blanks as an empty answer."""
    text = "" if parsed is None else str(parsed)
    golds = truth["golds"]
    return {
        "anls": anls(text, golds) if text.strip() else 0.0,
        "anls_raw_lengths": anls_raw_lengths(text, golds),
    }


ACCURACY = means({"score": "accuracy"})
DOCUMENTS = build(
    rows(_read_row),
    *short_answer(ONE_PHRASE),
    extractors=(VERBATIM,),
    score=_score_documents,
    total=means({"anls": "anls", "anls_raw_lengths": "anls_raw_lengths"}),
)
TASKS: Mapping[str, Build] = {
    "chartqa": build(
        rows(_read_chartqa),
        *short_answer(ONE_WORD),
        extractors=(WHOLE_TEXT,),
        score=best(relaxed_match),
        total=ACCURACY,
    ),
    "docvqa": DOCUMENTS,
    "infovqa": DOCUMENTS,
    "ocrbench": build(
        rows(_read_ocrbench),
        PLAIN,
        extractors=(WHOLE_TEXT,),
        score=_score_ocrbench,
        total=ACCURACY,
    ),
    "textvqa": build(
        rows(_read_textvqa),
        *short_answer(ONE_PHRASE),
        extractors=(WHOLE_TEXT,),
        score=_score_textvqa,
        total=ACCURACY,
    ),
}
