# SPDX-License-Identifier: Apache-2.0
"""PubTabNet: tables of scientific articles as pictures, wanted as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Answered, Extractor, Task
from finesight.evals.metrics.tables import teds
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.columns import Row, picture, reader, record
from finesight.evals.tasks.shared.questions import Piece, Question, prompt
from finesight.parse.document_html import PAGE_PROMPT, PAGE_SYSTEM, PAGE_SYSTEM_LONG

COOKBOOK = "the document cookbook of Qwen2.5-VL"
QUESTION = "Write the table in the image as HTML, one <table> and nothing else."
COLUMNS = {"id": ("filename",), "html": ("html",), "split": ("split",)}
_TABLE = re.compile(r"<table\b.*?(?:</table>|\Z)", re.DOTALL | re.IGNORECASE)
_HEAD_CELL = re.compile(r"(</?)th\b", re.IGNORECASE)


def table_of(structure: Sequence[str], cells: Sequence[Mapping[str, Any]]) -> str:
    """HTML of an annotation: the contents of its cells put into the tokens of its structure.

    Raises:
        ValueError: there are not as many cells as places for them.
    """
    contents = ["".join(cell["tokens"]) for cell in cells]
    places = sum(token == "</td>" for token in structure)
    if places != len(contents):
        raise ValueError(f"{len(contents)} cells for {places} places")
    waiting = iter(contents)
    inner = "".join(f"{next(waiting)}{token}" if token == "</td>" else token for token in structure)
    return f"<html><body><table>{inner}</table></body></html>"


def question(row: Row, folder: Path) -> Question:
    """One row."""
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


def ask_qwenvl(asked: Question) -> list[Piece]:
    """QwenVL HTML: the words before the picture, as in the cookbook."""
    return [PAGE_PROMPT, *asked.media]


def _first(answered: Answered) -> str | None:
    found = _TABLE.search(answered.text)
    return found[0] if found else None


def _first_with_heads(answered: Answered) -> str | None:
    found = _first(answered)
    return None if found is None else _HEAD_CELL.sub(r"\1td", found)


HTML_TABLE = Extractor("html-table", "3", _first, keeps_text=True)
"""The first table, to its end or to the end of the answer."""
HEADS_AS_CELLS = Extractor("html-table-heads-as-cells", "3", _first_with_heads, keeps_text=True)
"""The same with `th` taken for `td`, which is all that the benchmark writes."""


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """TEDS with and without the contents of the cells."""
    if parsed is None:
        return {"teds": 0.0, "structure": 0.0}
    said, gold = str(parsed), truth["html"]
    return {"teds": teds(said, gold), "structure": teds(said, gold, structure_only=True)}


questions = reader(
    ("PubTabNet_Examples.jsonl", "PubTabNet_2.0.0.jsonl"), COLUMNS, question, pictures=()
)

TASKS = (
    Task(
        name="pubtabnet",
        title="PubTabNet",
        source="PubTabNet, arXiv 1911.10683; github.com/ibm-aur-nlp/PubTabNet",
        layout="PubTabNet_Examples.jsonl (or PubTabNet_2.0.0.jsonl) with filename, split, html.structure.tokens and"
        " html.cells; the pictures beside it, or in a folder named after the split",
        prompts=(
            prompt("html", "this project's wording", questions, open_questions.ending("")),
            prompt("qwenvl-html", COOKBOOK, questions, ask_qwenvl, system=PAGE_SYSTEM),
            prompt(
                "qwenvl-html-long",
                f"{COOKBOOK}, with the system text that it defines and does not pass",
                questions,
                ask_qwenvl,
                system=PAGE_SYSTEM_LONG,
            ),
        ),
        sampling=Sampling(max_new_tokens=4096),
        extractors=(HTML_TABLE, HEADS_AS_CELLS),
        score=score,
        aggregate=joined(
            average("teds", name="teds", by=("kind",)), average("structure", name="structure")
        ),
        main="teds",
        notes=(
            "numbers of this are not in the report",
            "the 20 published examples are training pictures of the benchmark; they say little, and nothing of its"
            " validation score",
            "a th is not read as a cell unless the second rule of reading is chosen",
        ),
    ),
)
