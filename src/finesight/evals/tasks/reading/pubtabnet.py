# SPDX-License-Identifier: Apache-2.0
"""PubTabNet: pictures of tables in scientific articles, converted to HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Answered, Extractor
from finesight.evals.metrics.tables import teds
from finesight.evals.tasks.shared.aggregates import means
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, record
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, template
from finesight.parse.document_html import PAGE_PROMPT, PAGE_SYSTEM, PAGE_SYSTEM_LONG

COOKBOOK = "the document cookbook of Qwen2.5-VL"
QUESTION = "Write the table in the image as HTML, one <table> and nothing else."
_TABLE = re.compile(r"<table\b.*?(?:</table>|\Z)", re.DOTALL | re.IGNORECASE)
_HEAD_CELL = re.compile(r"(</?)th\b", re.IGNORECASE)


def table_of(structure: Sequence[str], cells: Sequence[Mapping[str, Any]]) -> str:
    """HTML of an annotation: the contents of the cells inserted into the tokens of the structure.

    Raises:
        ValueError: the structure has another number of cells.
    """
    places = sum(token == "</td>" for token in structure)
    if places != len(cells):
        raise ValueError(f"{len(cells)} cells for {places} places")
    contents = ("".join(cell["tokens"]) for cell in cells)
    inner = "".join(next(contents) + token if token == "</td>" else token for token in structure)
    return f"<html><body><table>{inner}</table></body></html>"


def _question(row: Row, folder: Path) -> Question:
    html = record(row["html"])
    gold = table_of(html["structure"]["tokens"], html["cells"])
    is_complex = any("span=" in token for token in html["structure"]["tokens"])
    return Question(
        id=str(row["id"]),
        text=QUESTION,
        truth={"html": gold},
        oracle=gold,
        media=(picture(row["id"], folder, folder / str(row["split"])),),
        tags={"kind": "with spans" if is_complex else "plain"},
    )


def _ask_qwenvl(asked: Question) -> list[Piece]:
    """QwenVL HTML: the prompt before the picture, as in the cookbook."""
    return [PAGE_PROMPT, *asked.media]


def _first(answered: Answered) -> str | None:
    found = _TABLE.search(answered.text)
    return found[0] if found else None


def _first_with_heads(answered: Answered) -> str | None:
    found = _first(answered)
    return None if found is None else _HEAD_CELL.sub(r"\1td", found)


HTML_TABLE = Extractor("html-table", "3", _first, keeps_text=True)
"""The first table, up to its end or the end of the answer."""
HEADS_AS_CELLS = Extractor("html-table-heads-as-cells", "3", _first_with_heads, keeps_text=True)
"""The same with `th` replaced by `td`, because the benchmark writes only `td`."""


def _score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    if parsed is None:
        return {"teds": 0.0, "structure": 0.0}
    pred, gold = str(parsed), truth["html"]
    return {"teds": teds(pred, gold), "structure": teds(pred, gold, structure_only=True)}


LONG = f"{COOKBOOK}, with the system text that it defines and does not pass"
TASKS: Mapping[str, Build] = {
    "pubtabnet": build(
        rows(_question),
        Wording("html", "this project's wording", template()),
        Wording("qwenvl-html", COOKBOOK, _ask_qwenvl, PAGE_SYSTEM),
        Wording("qwenvl-html-long", LONG, _ask_qwenvl, PAGE_SYSTEM_LONG),
        extractors=(HTML_TABLE, HEADS_AS_CELLS),
        score=_score,
        total=means({"teds": "teds", "structure": "structure"}),
    )
}
