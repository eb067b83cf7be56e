# SPDX-License-Identifier: Apache-2.0
"""Tables and charts of OCRBench v2, converted to HTML tables and compared by TEDS.

Source: "OCRBench v2" (2024), the evaluation code of the authors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from finesight.evals.metrics.literal import read_object
from finesight.evals.metrics.tables import teds

_PARTS = ("<body", "<table")


def table_score(text: str, gold: str, question: str) -> float:
    """TEDS of an answer in HTML or Markdown, as the question asks for or else as the gold answer is written.

    HTML starts at the first `<body` or `<table`; an answer without either scores 0.
    """
    asked = question.lower()
    if "html" not in asked and ("markdown" in asked or "<t" not in gold):
        return teds(_from_markdown(text), _from_markdown(gold))
    start = next((text.index(part) for part in _PARTS if part in text), None)
    return teds(_as_table(text[start:]), _as_table(gold)) if start is not None else 0.0


def chart_score(text: str, gold: Mapping[str, Any]) -> float:
    """TEDS of two tables of keys and values; 0 if the answer contains no object."""
    pred = read_object(text)
    return teds(_from_object(pred), _from_object(gold)) if pred else 0.0


def _as_table(html: str) -> str:
    """Puts rows without a table into one; the HTML parser closes open elements."""
    flat = html.replace("\n", "")
    return flat if "<table" in flat else f"<table>{flat}"


def _from_markdown(text: str) -> str:
    """Rows between bars; the second line, the separator, is left out."""
    fenced = re.sub(r"^```\w{0,12}|```$", "", text.strip()).strip()
    lines = fenced.split("\n")
    rows = [line.strip().split("|")[1:-1] for line in (lines[0], *lines[2:])]
    cells = ("".join(f"<td>{cell.strip() or ' '}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table>{body}</table>"


def _from_object(data: Mapping[str, Any]) -> str:
    """One row per key; the characters of a value are separated by blanks, as in the authors' code."""
    rows = "".join(
        f"<tr><td>{key}</td><td>{' '.join(str(value))}</td></tr>" for key, value in data.items()
    )
    return f"<table>{rows}</table>"
