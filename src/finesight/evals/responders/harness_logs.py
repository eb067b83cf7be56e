# SPDX-License-Identifier: Apache-2.0
"""Import outputs logged by lmms-eval and VLMEvalKit as stored outputs of our items.

The harness is detected by its fields: the sample log of lmms-eval (`--log_samples`, one JSON object per line with
`doc_id` and `filtered_resps`; seen in 0.7.3) and the result table of VLMEvalKit (TSV, JSON or XLSX with `index` and
`prediction`; seen in ms-vlmeval 0.0.20).

Outputs are matched with items by the column that contains the most item ids. A log without such a column, as current
versions of lmms-eval write it, is matched by row number: `doc_id` is the row of the split.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

from finesight.errors import EvalError
from finesight.evals.core.formats import Asked
from finesight.evals.core.rows import READERS, Row
from finesight.evals.core.task import Item
from finesight.evals.responders.replay import STORED_COLUMNS, Replay

Harness = Literal["lmms-eval", "VLMEvalKit"]

FIELDS: Mapping[Harness, tuple[str, ...]] = {
    "lmms-eval": ("doc_id", "filtered_resps"),
    "VLMEvalKit": ("index", "prediction"),
}
"""Fields of every row by harness; other files of stored outputs lack them."""

_ID_NAMES = ("index", *(name for name in STORED_COLUMNS["id"] if name not in ("index", "_key")))
_FAILED = "Failed to obtain answer"
"""Prefix of VLMEvalKit's prediction for a question without an answer."""
_LONGEST_CELL = 32_767
"""Maximum characters of a spreadsheet cell; longer answers were truncated when the file was written."""
_CHOICES = ("choices", "options")
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One logged output.

    Attributes:
        where: file and row, for messages.
        ids: identifiers of the question: column -> value.
        place: row of the question in the split, from 0; None if not logged.
        text: the raw answer; None if the model failed or a spreadsheet truncated it.
        target: the logged gold answer; None if there is none.
    """

    where: str
    ids: Mapping[str, str]
    place: int | None
    text: str | None
    target: str | None

    @classmethod
    def of(
        cls,
        row: Row,
        text: str | None,
        target: object,
        ids: Mapping[str, str],
        place: int | None = None,
    ) -> Output:
        """The output of a row; an empty target becomes None."""
        gold = None if target in (None, "") else str(target)
        return cls(where=row.where, ids=ids, place=place, text=text, target=gold)

    @property
    def called(self) -> str:
        """Identifier of the question in its log, for messages."""
        name, value = next(iter(self.ids.items()), ("doc_id", self.place))
        return f"{name} {value}"


@dataclass(frozen=True, slots=True)
class Imported:
    """Outputs of a harness, not yet matched with items; see `match`.

    Attributes:
        harness: that wrote them.
        file: name of their file.
        outputs: in the order of the file.
        declares_resize: see `Replay`.
    """

    harness: Harness
    file: str
    outputs: tuple[Output, ...] = field(repr=False)
    declares_resize: bool = False

    @property
    def name(self) -> str:
        """Name in results."""
        return f"replay of {self.file} ({self.harness})"

    def match(self, items: Iterable[Item]) -> tuple[Replay, list[str]]:
        """Find the output of each item.

        Args:
            items: all items of the benchmark in order.

        Returns:
            The stored answers, and lines of text on how many outputs and items matched.

        Raises:
            EvalError: no output matches any item, two match one item, or a row number exceeds the number of items.
        """
        truths = _by_name(items)
        by, keys = self._keys(list(truths))
        found: dict[str, Output] = {}
        unused: list[str] = []
        for output, key in zip(self.outputs, keys, strict=True):
            if key is None:
                unused.append(output.called)
            elif key in found:
                raise EvalError(
                    f"{output.where}: a second output for item {key!r}; the first: {found[key].where}",
                    hint="give the log of one run with one answer per question",
                )
            else:
                found[key] = output
        targets = {key: each.target for key, each in found.items() if each.target is not None}
        texts = {key: each.text for key, each in found.items() if each.text is not None}
        lines = [f"{len(found)} of {len(truths)} items have an output, matched by {by}"]
        if targets:
            same = sum(gold in set(_leaves(truths[key])) for key, gold in targets.items())
            lines.append(f"the log's target occurs in the truth of {same} of {len(targets)} items")
        lost = "items whose output is lost: the model failed, or its cell was too short"
        lines += _listed("items without an output", [name for name in truths if name not in found])
        lines += _listed(lost, [name for name in truths if name in found and name not in texts])
        lines += _listed("outputs without an item", unused)
        return Replay(self.name, texts, declares_resize=self.declares_resize), lines

    def _keys(self, names: Sequence[str]) -> tuple[str, list[str | None]]:
        """The column of matching, and the item id of each output."""
        known = set(names)
        columns = dict.fromkeys(name for output in self.outputs for name in output.ids)
        hits = {c: sum(output.ids.get(c) in known for output in self.outputs) for c in columns}
        best = max(hits, key=hits.__getitem__, default="")
        if best and hits[best]:
            ids = [output.ids.get(best) for output in self.outputs]
            return f"column {best}", [each if each in known else None for each in ids]
        places = [output.place for output in self.outputs if output.place is not None]
        if len(places) < len(self.outputs):
            tried = ", ".join(columns) or "none"
            raise EvalError(
                f"{self.file} has no output of any of {len(names)} items; columns tried: {tried}; "
                f"the first: {self.outputs[0].called}, the first item: {names[:1]}",
                hint="is it the log of this benchmark, and of this split?",
            )
        if max(places) >= len(names):
            raise EvalError(
                f"{self.file} has an output for row {max(places)}, the copy has {len(names)} items",
                hint="give a copy of the split that lmms-eval ran, in its order",
            )
        return "place in the split", [names[place] for place in places]


def _listed(what: str, names: Sequence[str]) -> list[str]:
    """A line with the number of names and the first of them; empty without names."""
    more = ", ..." if len(names) > _SHOWN else ""
    return [f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}"] if names else []


def harness_of(path: Path) -> Harness | None:
    """The harness that wrote a file of outputs, by the fields of its first row; None if neither did.

    Raises:
        EvalError: the file is missing, cannot be opened, or is a table that needs openpyxl.
    """
    first = next((row for row in _rows(path) if row.error is None), None)
    if first is None:
        return None
    return next((name for name, wanted in FIELDS.items() if set(wanted) <= set(first.found)), None)


def load_outputs(path: Path, *, declares_resize: bool = False) -> Imported | None:
    """Read outputs of another harness; None if neither wrote the file.

    Args:
        path: the file.
        declares_resize: see `Replay`.

    Raises:
        EvalError: a row is broken or does not hold exactly one answer.
    """
    harness = harness_of(path)
    if harness is None:
        return None
    read = _lmms_output if harness == "lmms-eval" else _kit_output
    outputs = []
    for row in _rows(path):
        lacks = [name for name in FIELDS[harness] if name not in row.found]
        if row.error is not None or lacks:
            raise EvalError(f"{row.where}: {row.error or f'no {lacks[0]}, unlike the first row'}")
        outputs.append(read(row))
    return Imported(harness, path.name, tuple(outputs), declares_resize)


def _lmms_output(row: Row) -> Output:
    """`resps` is the raw answer; lmms-eval omits it where `filtered_resps` is equal."""
    values = row.values
    text = values.get("resps", values["filtered_resps"])
    while isinstance(text, list) and len(text) == 1:
        text = text[0]
    if not isinstance(text, str):
        shown = json.dumps(text, ensure_ascii=False)[:80]
        raise EvalError(
            f"{row.where}: the output is no single text: {shown}",
            hint="only logs with one generated answer per question can be scored",
        )
    nested = [
        each
        for each in (*reversed(list(values.values())), values.get("doc"))
        if isinstance(each, dict)
    ]
    ids = {
        name: _plain_id(inner[name])
        for inner in nested  # the document comes last and takes precedence
        for name in _ID_NAMES
        if isinstance(inner.get(name), str | int)
    }
    target = None if values.get("target") == "None" else values.get("target")
    return Output.of(row, text, target, ids, place=int(values["doc_id"]))


def _kit_output(row: Row) -> Output:
    """An empty cell is an empty answer; a failure is written into the cell of the answer."""
    values = row.values
    text = "" if values["prediction"] is None else str(values["prediction"])
    is_cut = ".xlsx, row" in row.where and len(text) >= _LONGEST_CELL
    is_lost = is_cut or text.startswith(_FAILED)
    ids = {name: _plain_id(values[name]) for name in _ID_NAMES if values.get(name) is not None}
    return Output.of(row, None if is_lost else text, values.get("answer"), ids)


def _plain_id(value: Any) -> str:
    """An id as text; spreadsheets turn 7 into 7.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _by_name(items: Iterable[Item]) -> dict[str, Mapping[str, Any]]:
    """Truths in the order of the rows; repeated ids get unique names, so that row numbers stay valid."""
    truths: dict[str, Mapping[str, Any]] = {}
    for number, item in enumerate(items):
        truths[item.id if item.id not in truths else f"{item.id} (again, row {number})"] = (
            item.truth
        )
    return truths


def _leaves(value: Any) -> Iterator[str]:
    """Texts and numbers of a truth without its options, which always contain the target."""
    if isinstance(value, Mapping):
        value = [each for name, each in value.items() if name not in _CHOICES]
    if isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield str(value)


def _rows(path: Path) -> Iterator[Row]:
    """Rows of a file of outputs; empty for folders and other kinds of files, which `Replay.load` reads."""
    if path.suffix == ".xlsx":
        yield from _read_xlsx(path)
    elif path.is_file() and path.suffix in READERS and path.suffix != ".parquet":
        names = frozenset((*_ID_NAMES, "prediction", "answer"))
        yield from READERS[path.suffix](path, Asked(names, frozenset()))


def _read_xlsx(path: Path) -> Iterator[Row]:
    """Rows of the first sheet, with its first line as header."""
    if not path.is_file():
        raise EvalError(f"there is no file {path}")
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise EvalError(
            f"{path.name} is a spreadsheet, and openpyxl is not installed",
            hint="pip install openpyxl; or set PRED_FORMAT=tsv in VLMEvalKit",
        ) from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise EvalError(f"{path} cannot be read as a spreadsheet: {error}") from error
    lines = book.worksheets[0].iter_rows(values_only=True)
    found = tuple(str(name) for name in next(lines, ()))
    for number, cells in enumerate(lines):
        values = dict(zip(found, cells, strict=False))
        yield Row(f"{path}, row {number}", found=found, values=values)
    book.close()
