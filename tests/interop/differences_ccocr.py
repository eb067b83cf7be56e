# SPDX-License-Identifier: Apache-2.0
"""Differences in CC-OCR. VLMEvalKit carries the code of its authors, lmms-eval a copy with changes."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.interop.compare import Case, Difference


def _is(case: Case, kind: str) -> bool:
    return str(case.pair.truth["kind"]) == kind


def _page(kind: str, gold: str) -> dict[str, Any]:
    return {"track": "doc_parsing", "kind": kind, "subset": kind, "answer": gold}


def _object(gold: dict[str, Any]) -> dict[str, Any]:
    return {"track": "kie", "kind": "open", "subset": "CORD", "answer": gold}


_ATTRIBUTE = re.compile(r"<\w+ \w")
_LIST_OF_TEXTS = re.compile(r'\[(?:true|")')


CC_OCR = (
    Difference(
        name="tabs around a molecule",
        rules=("kit_cc_ocr", "lmms_cc_ocr"),
        holds=lambda case: _is(case, "molecular") and case.pair.answer != case.pair.answer.strip(),
        example=("\tCCO\n", _page("molecular", "CCO"), 1.0, 0.75),
        right="ours",
        why="An answer is trimmed before any rule reads it. The authors' code does so for words of scenes, and here"
        " takes out blanks and ends of lines, but counts a tab as an atom.",
    ),
    Difference(
        name="fences of a page",
        rules=("lmms_cc_ocr",),
        holds=lambda case: _is(case, "doc") and "```" in case.pair.answer,
        example=("```latex\nabcd\n```", _page("doc", "abcd"), 4 / 9, 1.0),
        right="ours",
        why="The authors' code takes what stands between the first two fences, with the word `latex` behind the first."
        " lmms-eval leaves the word out, and leaves fences in that have none; neither made the published numbers.",
    ),
    Difference(
        name="attributes of a table",
        rules=("lmms_cc_ocr",),
        holds=lambda case: (
            _is(case, "table")
            and _ATTRIBUTE.search(case.pair.answer + case.pair.truth["answer"]) is not None
        ),
        example=(
            '<table border="1"><tr><td>a</td></tr></table>',
            _page("table", "<table><tr><td>a</td></tr></table>"),
            0.0,
            1.0,
        ),
        right="ours",
        why='The authors\' code takes all blanks out before it reads the table: `<table border="1">` is no table then,'
        " and a cell with a span is an element of its own kind. lmms-eval keeps them; its number is the fairer one,"
        " and not the one that was published.",
    ),
    Difference(
        name="a fence that never ends",
        rules=("lmms_cc_ocr",),
        holds=lambda case: (
            case.pair.truth["track"] == "kie"
            and case.pair.answer.count("```") == 1
            and case.ours == 0.0
        ),
        example=('```json\n{"a": "1"}', _object({"a": "1"}), 0.0, 1.0),
        right="ours",
        why="In the authors' code a fence that is not closed makes the answer no JSON: it looks for a fence before it"
        " adds one, and finds the opening one. lmms-eval mends this.",
    ),
    Difference(
        name="texts of a list",
        rules=("lmms_cc_ocr",),
        holds=lambda case: (
            case.pair.truth["track"] == "kie"
            and _LIST_OF_TEXTS.search(case.pair.answer + json.dumps(case.pair.truth["answer"]))
            is not None
        ),
        example=('{"a": ["5kg"]}', _object({"a": "5 kg"}), 0.0, 1.0),
        right="ours",
        why="The authors' code tidies blanks and wide letters of values and of objects in lists, not of texts in lists,"
        " and passes over truth values there; lmms-eval tidies the texts and counts the values.",
    ),
)
