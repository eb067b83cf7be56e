# SPDX-License-Identifier: Apache-2.0
"""Pictures with captions: `captions.csv` or `metadata.csv` beside them, or a webdataset of pictures and texts.

Columns are a picture (`image`, `file_name`, `file`, `path`), its caption (`caption`, `text`, `answer`), and optionally
a question (`question`, `prompt`).
"""

from __future__ import annotations

from typing import Any

from finesight.conversation import ImagePart
from finesight.data.formats.chat import sources
from finesight.data.formats.draft import Draft, Piece, Turn
from finesight.data.formats.rows import Row, RowRefused, known

__all__ = ["CAPTIONS", "PICTURES", "read_row"]

PICTURES = ("image", "images", "file_name", "file", "filename", "path")
CAPTIONS = ("caption", "text", "answer", "label", "description")
_QUESTIONS = ("question", "prompt")


def read_row(row: Row, question: str) -> Draft:
    """The draft of a row.

    Args:
        row: of a table, or of a webdataset.
        question: if the row has none.

    Raises:
        RowRefused: it cannot be read.
    """
    columns = known(row)
    name = next((name for name in PICTURES if columns.get(name)), None)
    if name is None:
        raise RowRefused(
            "columns", f"there is no picture; its column is one of {', '.join(PICTURES)}"
        )
    pictures: list[Piece] = [
        ImagePart(source=source) for source in sources(columns.pop(name), name)
    ]
    asked = _first(columns, _QUESTIONS) or question
    caption = _first(columns, CAPTIONS)
    turns = [Turn("user", [*pictures, asked]), Turn("assistant", [caption])]
    return Draft(turns=turns, ignored=list(columns))


def _first(columns: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        if isinstance(value := columns.get(name), str):
            return str(columns.pop(name)) if value else ""
    return ""
