# SPDX-License-Identifier: Apache-2.0
"""Questions about a page, with answers as printed.

Transcriptions and pages in QwenVL HTML are asked only of pages whose answer is short enough. A question about what the
page does not show is answered by "The document does not show ...".
"""

from __future__ import annotations

import html
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from finesight.data.builders.pages.reading import Area, Reading
from finesight.data.builders.pages.sheet import Fact, Grid, Sheet
from finesight.data.builders.pages.wording import COLUMNS, FIELDS, KEYS_OF
from finesight.data.builders.transcription import draw_question
from finesight.parse.document_html import PAGE_PROMPT

__all__ = ["PageTurn", "Questioner"]

EXTRACT = (
    "Extract the following fields as JSON: {keys}.",
    "Extract {keys} as JSON.",
    "Read these fields and output them in JSON format: {keys}.",
)
READ_BOX = ("Read the text of the box {box}.", "What is written in the box {box}?")
FIND_TEXT = (
    'Locate the text "{text}", output its bbox coordinates using JSON format.',
    'Where is the text "{text}"? Output its bbox coordinates in JSON format.',
)
PRICE = ("What is the price of {name}?", "How much is {name}?")
AMOUNT = ("What is the amount for {name}?", "How much was paid for {name} in all?")
QUANTITY = ("What is the quantity of {name}?", "How many units of {name} are listed?")
CELL = (
    'What is in the column "{column}" for {name}?',
    'What does the column "{column}" show for {name}?',
)
VALUE = ("What is the {spoken} of {name}?", "What is the {spoken} for {name}?")
SINGULAR = frozenset((
    "Price", "Cost", "Fee", "Budget", "Share", "Growth", "Rate", "Margin", "Date", "Deadline", "Code", "ID",
    "Reference", "Score", "Weight", "Length", "Average", "Year", "City", "Town", "Station", "Branch", "Project",
    "Team", "Unit price", "Amount", "Line total", "Quantity",
))  # fmt: skip
"""Headings that stand for one value of a row; a question may use them without quotation marks."""
MARKDOWN = ("Convert the table to Markdown.", "Output the table as a Markdown table.")
TABLE_HTML = ("Convert the table to HTML.", "Output the table as HTML.")
HEADERS = ("What are the column headers of the table?", "List the column headers of the table.")
QUESTION_TRIES = 6
EMPTY_SHARE = 0.3
"""Share of the questions about empty cells that are kept."""
MAX_READ = 300
"""Most characters of the answer to a question about one box."""
MAX_FIND = 60
"""Most characters of a text whose box is asked for."""


@dataclass(frozen=True, slots=True)
class PageTurn:
    """A question with its answer.

    Attributes:
        question: text of the user.
        answer: as printed, or in the format asked for.
        kind: read, html, read_box, find, field, extract, cell, markdown, table_html, headers or absent.
        name: what is asked for: a key, a cell; may be empty.
    """

    question: str
    answer: str
    kind: str
    name: str = ""

    @property
    def task(self) -> dict[str, Any]:
        """Kind and name, for the record's meta."""
        return {"kind": self.kind, "name": self.name}


class Questioner:
    """Asks about one page.

    Args:
        rng: random generator.
        sheet: what the page says.
        reading: where it says it.
        max_answer: most characters of an answer.
    """

    def __init__(self, rng: random.Random, sheet: Sheet, reading: Reading, max_answer: int) -> None:
        self.rng = rng
        self.sheet = sheet
        self.reading = reading
        self.max_answer = max_answer
        self.facts = _facts(sheet)

    def fields(self) -> list[PageTurn]:
        """One question for each field of the page."""
        return [self._field(fact) for fact in self.facts]

    def transcription(self) -> PageTurn | None:
        """The text of the whole page; None if it is too long."""
        question = draw_question(self.rng)
        return self._short(PageTurn(question, self.reading.text, "read"))

    def draw(self, count: int, absent_share: float) -> list[PageTurn]:
        """Up to `count` different questions, of kinds that suit the page.

        Args:
            count: most questions.
            absent_share: share of questions about what the page does not show.
        """
        makers, weights = zip(*self._makers(), strict=True)
        found: dict[str, PageTurn] = {}
        for _ in range(count):
            is_absent = self.rng.random() < absent_share
            for _ in range(QUESTION_TRIES):
                turn = self._absent() if is_absent else self.rng.choices(makers, weights)[0]()
                if turn is not None and f"{turn.kind}/{turn.name}" not in found:
                    found[f"{turn.kind}/{turn.name}"] = turn
                    break
        return list(found.values())

    def _makers(self) -> list[tuple[Callable[[], PageTurn | None], float]]:
        makers: list[tuple[Callable[[], PageTurn | None], float]] = [
            (self.transcription, 0.25),
            (self._html, 0.12),
            (self._read_box, 0.16),
            (self._find, 0.1),
        ]
        if self.facts:
            makers += [(self._some_field, 0.5), (self._extract, 0.12)]
        if self.sheet.grid is not None:
            is_table = self.sheet.kind == "table"
            makers += [(self._cell, 0.45 if is_table else 0.2)]
            makers += (
                [(self._markdown, 0.12), (self._table_html, 0.06), (self._headers, 0.05)]
                if is_table
                else []
            )
        return makers

    def _short(self, turn: PageTurn) -> PageTurn | None:
        return turn if len(turn.answer) <= self.max_answer else None

    def _html(self) -> PageTurn | None:
        return self._short(PageTurn(PAGE_PROMPT, self.reading.html(), "html"))

    def _area(self, most: int) -> Area | None:
        """A text with a box; None if it is longer than `most`."""
        areas = [
            area
            for area in self.reading.areas
            if area.box and area.text and area.kind not in ("ul", "table")
        ]
        area = self.rng.choice(areas)
        return area if len(area.text) <= most else None

    def _read_box(self) -> PageTurn | None:
        area = self._area(min(MAX_READ, self.max_answer))
        if area is None or area.box is None:
            return None
        question = self.rng.choice(READ_BOX).format(box=list(area.box))
        return PageTurn(question, area.text, "read_box", str(area.box))

    def _find(self) -> PageTurn | None:
        area = self._area(MAX_FIND)
        if (
            area is None
            or area.box is None
            or self.reading.text.count(area.text) != 1
            or "\n" in area.text
        ):
            return None
        row = json.dumps({"bbox_2d": list(area.box), "text_content": area.text}, ensure_ascii=False)
        question = self.rng.choice(FIND_TEXT).format(text=area.text)
        return PageTurn(question, f"```json\n[\n\t{row}\n]\n```", "find", area.text)

    def _some_field(self) -> PageTurn:
        return self._field(self.rng.choice(self.facts))

    def _field(self, fact: Fact) -> PageTurn:
        return PageTurn(self.rng.choice(FIELDS[fact.key][1]), fact.value, "field", fact.key)

    def _missing(self) -> list[str]:
        """Keys of fields that a page of this kind may have and this one has not."""
        present = {fact.key for fact in self.facts}
        if "cash" in present:
            present.add("payment")
        if self.sheet.kind == "form" and self.sheet.lines:  # the line names a company
            present.add("company")
        return [key for key in KEYS_OF[self.sheet.kind] if key not in present]

    def _extract(self) -> PageTurn | None:
        facts = self.rng.sample(self.facts, min(len(self.facts), self.rng.randint(2, 5)))
        values: dict[str, str | None] = {fact.key: fact.value for fact in facts}
        if self._missing() and self.rng.random() < 0.15:
            values[self.rng.choice(self._missing())] = None
        keys = ", ".join(f'"{key}"' for key in values)
        question = self.rng.choice(EXTRACT).format(keys=keys)
        answer = f"```json\n{json.dumps(values, ensure_ascii=False)}\n```"
        return self._short(PageTurn(question, answer, "extract", keys))

    def _absent(self) -> PageTurn | None:
        if self.sheet.grid is not None and self.sheet.kind == "table" and self.rng.random() < 0.7:
            return self._absent_column(self.sheet.grid)
        missing = self._missing()
        if not missing:
            return None
        key = self.rng.choice(missing)
        phrase, questions = FIELDS[key]
        return PageTurn(
            self.rng.choice(questions), f"The document does not show {phrase}.", "absent", key
        )

    def _absent_column(self, grid: Grid) -> PageTurn:
        """A question about a column that the table does not have, under any of its names."""
        shown = {header.casefold() for header in grid.headers}
        others = [
            names for names in COLUMNS.values() if not shown & {name.casefold() for name in names}
        ]
        header, name = self.rng.choice(self.rng.choice(others)), self.rng.choice(grid.rows)[0]
        question = self.rng.choice(_cell_wordings(header)).format(
            column=header, spoken=_spoken(header), name=name
        )
        return self._not_shown(question, header, name)

    @staticmethod
    def _not_shown(question: str, header: str, name: str) -> PageTurn:
        what = (
            f"the {_spoken(header)} of {name}" if header in SINGULAR else f'"{header}" for {name}'
        )
        return PageTurn(
            question, f"The document does not show {what}.", "absent", f"{header} of {name}"
        )

    def _cell(self) -> PageTurn | None:
        grid = self.sheet.grid
        if grid is None or len(grid.headers) < 2:
            return None
        row, column = self.rng.choice(grid.rows), self.rng.randrange(1, len(grid.headers))
        name, value, header = row[0], row[column], grid.headers[column]
        is_table = self.sheet.kind == "table"
        wordings = _cell_wordings(header) if is_table else self._item_wordings(row, column)
        if not wordings:
            return None
        question = self.rng.choice(wordings).format(
            column=header, spoken=_spoken(header), name=name
        )
        if not value:
            is_asked = self.rng.random() < EMPTY_SHARE
            return self._not_shown(question, header, name) if is_asked else None
        return PageTurn(question, value, "cell", f"{header} of {name}")

    def _item_wordings(self, row: Sequence[str], column: int) -> Sequence[str]:
        """How to ask for a cell of a table of items, whose headers may not be shown; none if that is ambiguous.

        Its columns are item, quantity (optional), unit price (only after a quantity), amount.
        """
        last = len(row) - 1
        if column == last and last < 3:
            return PRICE if last == 1 or row[1] == "1" else AMOUNT
        if column == 1:
            return QUANTITY
        has_headers = any(area.kind == "th" for area in self.reading.areas)
        return CELL if has_headers else ()

    def _markdown(self) -> PageTurn | None:
        grid = self.sheet.grid
        return (
            None
            if grid is None
            else self._short(PageTurn(self.rng.choice(MARKDOWN), _markdown(grid), "markdown"))
        )

    def _table_html(self) -> PageTurn | None:
        grid = self.sheet.grid
        return (
            None
            if grid is None
            else self._short(PageTurn(self.rng.choice(TABLE_HTML), _table(grid), "table_html"))
        )

    def _headers(self) -> PageTurn | None:
        grid = self.sheet.grid
        return (
            None
            if grid is None
            else PageTurn(self.rng.choice(HEADERS), ", ".join(grid.headers), "headers")
        )


def _facts(sheet: Sheet) -> list[Fact]:
    shop = [Fact("shop", "", sheet.title)] if sheet.kind == "receipt" else []
    return [*shop, *sheet.all_facts]


def _cell_wordings(header: str) -> Sequence[str]:
    return CELL + VALUE + VALUE if header in SINGULAR else CELL


def _spoken(header: str) -> str:
    """A heading within a sentence: singular ones in lower case, unless they are capitals."""
    return header.lower() if header in SINGULAR and not header.isupper() else header


def _markdown(grid: Grid) -> str:
    rules = tuple("---:" if is_number else "---" for is_number in grid.numeric)
    return "\n".join(f"| {' | '.join(row)} |" for row in (grid.headers, rules, *grid.rows))


def _table(grid: Grid) -> str:
    lines = [f"<tr>{''.join(f'<th>{html.escape(text)}</th>' for text in grid.headers)}</tr>"]
    lines += [
        f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in grid.rows
    ]
    return "\n".join(("<table>", *lines, "</table>"))
