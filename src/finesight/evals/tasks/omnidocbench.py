# SPDX-License-Identifier: Apache-2.0
"""OmniDocBench: whole pages to Markdown, by edit distance over the page; smaller is better."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from finesight.conversation import Sampling
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.task import Task
from finesight.evals.tasks import _published, _qa
from finesight.evals.tasks._common import Question, prompt
from finesight.evals.tasks._rows import Row, picture, reader, same
from finesight.evals.tasks._sums import average

COLUMNS = same("layout_dets", "page_info")
LANGUAGES = {"en": ("english",), "zh": ("simplified_chinese", "en_ch_mixed")}
LEFT_OUT = frozenset(
    {"figure", "abandon", "header", "footer", "page_number", "page_footnote", "mask"}
)
WISH = (
    "You are an AI assistant specialized in converting PDF images to Markdown format. Convert the page: recognise all"
    " text; write formulas in LaTeX, with \\( \\) within a line and \\[ \\] on lines of their own; write tables as HTML"
    " in <table>; ignore figures; keep the structure clear. Give the Markdown and nothing else."
)
_FENCE = re.compile(r"^```\w*\n?|\n?```$")


def page_text(blocks: Sequence[Mapping[str, Any]]) -> str:
    """What stands on a page, in reading order."""
    kept = [
        each
        for each in blocks
        if not each.get("ignore") and str(each.get("category_type")) not in LEFT_OUT
    ]
    ordered = sorted(kept, key=_place)
    parts = (each.get("html") or each.get("latex") or each.get("text") or "" for each in ordered)
    return "\n\n".join(str(part) for part in parts if part)


def _place(block: Mapping[str, Any]) -> float:
    """Where a block comes in reading order; blocks without a place come last."""
    order = block.get("order")
    return float("inf") if order is None else float(order)


def _of(language: str, row: Row, folder: Path) -> Question | Sequence[Question]:
    info = row["page_info"]
    attributes = info.get("page_attribute") or {}
    text = page_text(row["layout_dets"])
    if attributes.get("language") not in LANGUAGES[language] or not text:
        return ()
    name = str(info["image_path"])
    return Question(
        id=name,
        text=WISH,
        truth={"text": text},
        oracle=text,
        media=(picture(name, folder / "images", folder),),
        tags={"source": str(attributes.get("data_source", "other"))},
    )


def tidy(text: str) -> str:
    """Text without the fence around it, without Markdown's signs and without blanks."""
    return re.sub(r"[\s#*`]+", "", _FENCE.sub("", text.strip()))


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Normalised edit distance to the page."""
    said, there = tidy(str(parsed or "")), tidy(truth["text"])
    return {"edits": float(Levenshtein.normalized_distance(said, there)) if said else 1.0}


def _task(language: str, title: str, published: str) -> Task:
    def make(row: Row, folder: Path) -> Question | Sequence[Question]:
        return _of(language, row, folder)

    questions = reader(("OmniDocBench.json",), COLUMNS, make, pictures=())
    return Task(
        name=f"omnidocbench_{language}",
        title=f"OmniDocBench, {title}, whole page",
        source="OmniDocBench, arXiv 2412.07626",
        layout="OmniDocBench.json, a list of pages with layout_dets (category_type, order, text, latex, html) and"
        " page_info (image_path, page_attribute), and images/; field names from general knowledge",
        prompts=(
            prompt(
                "official", "after OmniDocBench's prompt for Qwen2-VL", questions, _qa.ending("")
            ),
        ),
        sampling=Sampling(max_new_tokens=32000),
        extractors=(WHOLE_TEXT,),
        score=score,
        aggregate=average("edits", name="edit_distance", by=("source",), failed=1.0),
        main="edit_distance",
        higher_is_better=False,
        unit=1.0,
        chance=1.0,
        published=_published.row(_published.OCR, published),
        notes=(
            "one distance over the whole page; the authors match blocks first and take the mean over text, formulas,"
            " tables and order, so published numbers are only a direction",
            "the wording follows the five parts of the authors' prompt, shortened",
        ),
    )


TASKS = (
    _task("en", "English", ".330 .230 .265 .275 .226 .308 .409"),
    _task("zh", "Chinese", ".381 .281 .435 .324 .324 .398 .543"),
)
