# SPDX-License-Identifier: Apache-2.0
"""The report card as files: JSON, a drawing, and one page with right and wrong answers as pictures.

A row that a model was never trained for is marked as such. The rows it was trained for are listed in `trained_on.json`
beside its weights: a JSON list of rows, where `text_*` means all that begin with it. Without the file nothing is
claimed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html import escape
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment
from markupsafe import Markup

from finesight.errors import EvalError
from finesight.evals.suites.card_page import CARD_PAGE, CARD_STYLE
from finesight.evals.suites.card_rows import Example, RowScore
from finesight.present.report import data_address
from finesight.present.report_page import STYLE

TRAINED_FILE = "trained_on.json"
EXAMPLES_PER_ROW = 4
"""Right answers shown per row, and as many wrong ones."""

Trained = Literal["trained", "not trained", "not stated"]

_BAR, _GAP, _LABEL, _WIDTH = 12, 18, 250, 400
_LONGEST_TEXT = 600


@dataclass(frozen=True, slots=True)
class NoData:
    """A row that could not be scored.

    Attributes:
        row: its name.
        needs: what is missing.
        how: what to do.
    """

    row: str
    needs: str
    how: str


def read_trained(folder: Path) -> tuple[str, ...] | None:
    """Rows that a model was trained for, as patterns; None where nothing is stated.

    Args:
        folder: of the model.

    Raises:
        EvalError: `trained_on.json` is there and is no list of texts.
    """
    path = folder / TRAINED_FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvalError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise EvalError(
            f"{path} holds {found!r}"[:200], hint='write a list of rows: ["text_*", "count"]'
        )
    return tuple(found)


def trained_for(row: str, patterns: Sequence[str] | None) -> Trained:
    """Whether a model was trained for a row."""
    if patterns is None:
        return "not stated"
    return "trained" if any(fnmatchcase(row, each) for each in patterns) else "not trained"


def write_card(
    out: Path,
    content: Mapping[str, Any],
    rows: Sequence[RowScore],
    *,
    trained: Sequence[str] | None,
    no_data: Sequence[NoData] = (),
) -> None:
    """Write `card.json`, `card.svg` and `card.html`, each whole or not at all.

    Args:
        out: folder; it is made if it is not there.
        content: what `card.json` holds, the same as is printed.
        rows: of the card.
        trained: rows the model was trained for; None where that is not stated.
        no_data: rows that could not be scored.

    Raises:
        EvalError: the folder cannot be written to.
    """
    states = {row.row: trained_for(row.row, trained) for row in rows}
    drawing = draw_rows(rows, states)
    page = _page(str(content["model"]), rows, states, drawing, no_data)
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    files = {"card.json": text, "card.svg": drawing, "card.html": page}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, whole in files.items():
            draft = out / f".{name}.part"
            draft.write_text(whole, encoding="utf-8", errors="replace")
            draft.replace(out / name)
    except OSError as error:
        raise EvalError(
            f"report card {out} cannot be written: {error.strerror or error}",
            hint="name a folder that you may write to",
        ) from error


def draw_rows(rows: Sequence[RowScore], states: Mapping[str, Trained]) -> str:
    """Two bars per row, seeing and blind, as SVG; rows that were not trained for are hatched and marked.

    Args:
        rows: of the card.
        states: by name of the row.
    """
    step = 2 * _BAR + _GAP
    height = step * len(rows) + 2 * _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABEL + _WIDTH + 60}" height="{height}"'
        ' font-family="sans-serif" font-size="12" role="img" aria-label="share right by row">',
        '<defs><pattern id="h" width="6" height="6" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><rect width="6" height="6" fill="#e8c48c"/>'
        '<line x1="0" y1="0" x2="0" y2="6" stroke="#9a4b00" stroke-width="2"/></pattern></defs>',
        f'<rect width="100%" height="100%" fill="#ffffff"/><text x="{_LABEL}" y="13" fill="#5c6068">'
        "share right, 0 to 1: on pictures, and below it on blank ones</text>",
    ]
    for number, row in enumerate(rows):
        parts += _bars(row, states[row.row], 2 * _GAP - 8 + number * step)
    return "".join([*parts, "</svg>\n"])


def _bars(row: RowScore, state: Trained, top: int) -> list[str]:
    seen, blind = (min(1.0, max(0.0, value)) for value in row.shares)
    mark = " (not trained)" if state == "not trained" else ""
    colour = "url(#h)" if state == "not trained" else "#2b6cb0"
    label = escape(f"{row.row}{mark}, n={row.num_items}")
    return [
        f'<text x="{_LABEL - 8}" y="{top + _BAR + 3}" text-anchor="end" fill="#1c1d20">{label}</text>',
        f'<rect x="{_LABEL}" y="{top}" width="{seen * _WIDTH:.1f}" height="{_BAR}" fill="{colour}"/>',
        f'<rect x="{_LABEL}" y="{top + _BAR}" width="{blind * _WIDTH:.1f}" height="{_BAR}" fill="#b5b8bf"/>',
        f'<text x="{_LABEL + seen * _WIDTH + 4:.1f}" y="{top + _BAR - 2}" fill="#1c1d20">{seen:.3f}</text>',
    ]


def _page(
    model: str,
    rows: Sequence[RowScore],
    states: Mapping[str, Trained],
    drawing: str,
    no_data: Sequence[NoData],
) -> str:
    shown = [
        {
            "score": row,
            "state": states[row.row],
            "groups": [
                (title, [_shown(each) for each in row.examples if each.is_right is is_right])
                for title, is_right in (("Right", True), ("Wrong", False))
            ],
        }
        for row in rows
    ]
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(CARD_PAGE).render(
        title=f"Report card: {model}",
        rows=shown,
        no_data=no_data,
        style=Markup(STYLE + CARD_STYLE),
        drawing=Markup(drawing),  # every label in it is escaped
    )


def _shown(example: Example) -> dict[str, Any]:
    """One answer as the page takes it."""
    return {
        "id": example.id,
        "picture": data_address(example.picture, longest_side=480),
        "question": _short(example.question),
        "wanted": _short(example.wanted),
        "said": _short(example.said),
        "blind": _short(example.blind),
    }


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
