# SPDX-License-Identifier: Apache-2.0
"""CC-OCR as its authors score it: F1 of words, similarity of pages, F1 of fields.

Known weaknesses, kept because they affect published numbers:

* the word after the first fence of a page, such as "latex", counts as text of the page;
* blanks are removed from a table before parsing: `<table border="1">` is no longer a table, and a cell with a span
  becomes an unknown element whose content is not compared;
* an unclosed fence before fields makes the answer invalid JSON;
* fields are normalised (width of letters, blanks), but the texts of a list are not.

Source: "CC-OCR: A Comprehensive and Challenging OCR Benchmark" (2024) and the code that was published with it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rapidfuzz.distance import Levenshtein

from finesight.evals.metrics.tables import teds

_BY_CHARACTER = frozenset(("Arabic", "Japanese", "Korean"))
_PREAMBLE = re.compile(
    r"\\(?:documentclass|geometry)\{.*?\}|\\usepackage(?:\[.*?\])?\{.*?\}"
    r"|\\(?:begin|end)\{document\}|\\noindent"
)
_JSON_FENCE = re.compile(r"```json(.*?)```", re.DOTALL)
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", ord("、"): ","}
_HAN = "\u4e00-\u9fff"
_SPACING = (
    (re.compile(r"\s+"), " "),
    (re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}a-zA-Z0-9])|(?<=[a-zA-Z0-9]) (?=[{_HAN}])"), ""),
    (re.compile(r"(?<![0-9]) ?([,.!?:;]) ?"), r"\1 "),
    (re.compile("(?<=[0-9])(?=[a-zA-Z])|(?<=[a-zA-Z])(?=[0-9])"), " "),
    (re.compile(r" +"), " "),
)

Field = tuple[str, str]
"""Dotted path of keys, and value."""


def reading_f1(text: str, gold: str, *, subset: str, is_scene: bool) -> float:
    """F1 of the bags of tokens of two texts, 0..1.

    Args:
        text: the answer.
        gold: the truth.
        subset: name; Chinese, Japanese, Korean and Arabic subsets are split into characters.
        is_scene: keep only Latin letters and digits of words.
    """
    pred, wanted = (Counter(_tokens(each, subset, is_scene)) for each in (text, gold))
    total = pred.total() + wanted.total()
    return 2 * (pred & wanted).total() / total if total else 0.0


def _tokens(text: str, subset: str, is_scene: bool) -> list[str]:
    plain = text.replace("###", "").replace("***", "")
    if subset in _BY_CHARACTER or "zh" in subset:
        return [letter.lower() for letter in "".join(plain.split())]
    words = [word.lower() for word in plain.split()]
    if is_scene:
        words = [re.sub("[^a-z0-9]+", "", word) for word in words]
    return [word for word in words if word]


def page_score(text: str, gold: str, kind: str) -> float:
    """Similarity of a page, 0..1: TEDS of a table, else one minus the normalised edit distance without blanks.

    Args:
        text: the answer.
        gold: the truth.
        kind: "doc", "table", "formula" or "molecular".
    """
    if kind == "table":
        wanted = gold.replace(" ", "").replace("\n", "")
        return teds(*(f"<html><body>{each}</body></html>" for each in (_table(text), wanted)))
    pred, wanted = text.replace("\n", "").replace(" ", ""), gold.replace(" ", "")
    if kind == "doc":
        pred, wanted = _page(text), wanted.replace("\n", "")
    elif kind == "formula":
        pred = text.replace("\n", " ").replace("```latex", "").replace("```", "")
        pred = pred.replace("\t", "").replace(" ", "")
    else:
        pred = pred.replace("<smiles>", "").replace("</smiles>", "")
    return float(Levenshtein.normalized_similarity(pred, wanted))


def _page(text: str) -> str:
    parts = _PREAMBLE.sub("", text).split("```")
    return (parts[1] if len(parts) > 1 else parts[0]).replace(" ", "").replace("\n", "")


def _table(text: str) -> str:
    parts = _PREAMBLE.sub("", text).split("```html")
    body = (parts[1] if len(parts) > 1 else parts[0]).replace("```", "")
    return body.replace(" ", "").replace("\n", "").replace("，", ",")  # full-width comma


def field_counts(text: str, gold: Any) -> tuple[int, int]:
    """Numbers of correct fields, and of wrong or missing fields; an answer without valid JSON has no fields."""
    pred, wanted = Counter(_read_fields(text)), Counter(fields(gold))
    num_right = (pred & wanted).total()
    return num_right, pred.total() + wanted.total() - 2 * num_right


def fields_f1(num_right: float, num_wrong: float) -> float:
    """F1 of counts of fields, 0..1."""
    total = 2 * num_right + num_wrong
    return 2 * num_right / total if total else 0.0


def fields(value: Any, key: str = "") -> Iterator[Field]:
    """Fields of a nested object; indices of lists are not part of the key, None is the text "None"."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, f"{key}.{name}" if key else name)
    elif not isinstance(value, list):
        yield key, (_tidy(value) if isinstance(value, str) else str(value)).strip()
    elif all(isinstance(each, dict) for each in value):
        for each in value:
            yield from fields(each, key)
    else:
        plain = (str(each).strip() for each in value if type(each) in (str, int, float))
        yield from ((key, each) for each in plain if each)


def _read_fields(text: str) -> list[Field]:
    fenced = _JSON_FENCE.search(text)
    whole = (fenced[1] if fenced else text).strip().replace("\n", "")
    try:
        return list(fields(json.loads(whole)))
    except (ValueError, RecursionError):
        return []


def _tidy(text: str) -> str:
    """Narrow letters, and the authors' spacing: no blank within Chinese, one after punctuation."""
    tidied = text.translate(_WIDE)
    for pattern, put in _SPACING:
        tidied = pattern.sub(put, tidied)
    return tidied
