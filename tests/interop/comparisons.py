# SPDX-License-Identifier: Apache-2.0
"""Everything that is compared."""

from __future__ import annotations

from tests.interop import draws_ocr as ocr
from tests.interop import draws_text as text
from tests.interop.compare import Comparison
from tests.interop.ours import scored_by
from tests.interop.pairs import Draw

SHORT_ANSWERS = (
    Comparison("ANLS", "lmms_anls", scored_by("docvqa", "anls"), text.with_alternatives),
    Comparison("ANLS", "kit_anls", scored_by("infovqa", "anls"), text.with_alternatives),
    Comparison(
        "ANLS, raw lengths",
        "lmms_anls",
        scored_by("docvqa", "anls_raw_lengths"),
        text.with_alternatives,
    ),
    Comparison(
        "ANLS, raw lengths",
        "kit_anls",
        scored_by("infovqa", "anls_raw_lengths"),
        text.with_alternatives,
    ),
    Comparison(
        "relaxed accuracy", "lmms_relaxed", scored_by("chartqa", "score"), text.short_answer
    ),
    Comparison("relaxed accuracy", "kit_relaxed", scored_by("chartqa", "score"), text.short_answer),
    Comparison("VQA accuracy", "lmms_vqa", scored_by("textvqa", "score"), text.ten_people),
    Comparison("VQA accuracy", "kit_vqa", scored_by("textvqa", "score"), text.ten_people),
    Comparison("OCRBench", "lmms_ocrbench", scored_by("ocrbench", "score"), text.ocr_word),
    Comparison("OCRBench", "kit_ocrbench", scored_by("ocrbench", "score"), text.ocr_word),
)

V2 = scored_by("ocrbench_v2_en", "score")
V2_TYPES: dict[str, Draw] = {
    "questions": ocr.question,
    "counting": ocr.counting,
    "grounding": ocr.grounding,
    "questions with places": ocr.question_with_place,
    "spotting": ocr.spotting,
    "pages": ocr.page,
    "key information": ocr.fields,
    "formulas": ocr.formula,
    "handwriting": ocr.handwritten,
    "documents": ocr.document,
    "tables": ocr.table,
    "charts": ocr.chart,
}
READING = tuple(
    Comparison(f"OCRBench v2, {name}", "lmms_ocrbench_v2", V2, draw)
    for name, draw in V2_TYPES.items()
)

COMPARISONS = (*SHORT_ANSWERS, *READING)
