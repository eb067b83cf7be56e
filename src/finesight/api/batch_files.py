# SPDX-License-Identifier: Apache-2.0
"""Input and output of `finesight batch`, JSON lines in the OpenAI batch format.

The output is the only state of a batch. Each of its lines has two digests: `id`, of the item's `custom_id`, and
`response.request_id`, of the rest of the item's line. So a later run knows which items are answered, and whether the
input is still the same. A killed process leaves at most one incomplete line, which the next run cuts off.

Memory: two digests of 16 bytes per item. Lines are read one at a time, with three times the memory of the line: its
bytes, its text and its values, then its values and two forms of its longest string.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from finesight.errors import ConfigError, FinesightError
from finesight.files import lock, whole_file
from finesight.inputs import shown

URL = "/v1/chat/completions"

_KEYS = {"custom_id", "method", "url", "body"}
_ID, _REQUEST = "batch_req_", "req_"
_PIECE_BYTES = 2**20

_SECONDS_BETWEEN_SYNCS = 1.0
"""A written line is kept if the process ends; it is kept in a power failure after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the input.

    Attributes:
        number: of the line, from 1.
        id: digest of `custom_id`; of the whole line if it has none.
        request: digest of the rest of the line; spaces have no effect, the order of keys has.
        custom_id: None if the line has none.
        body: of the request, as read from JSON.
        error: why the line is no request; None if it is one.
    """

    number: int
    id: bytes
    request: bytes
    custom_id: str | None
    body: Any = None
    error: ConfigError | None = None

    def result(self, status: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """The line of the output for this line.

        Args:
            status: HTTP status.
            body: of the response; of a status other than 200, `{"error": {"code": ..., "message": ..., ...}}`.
        """
        error = None if status == 200 else {key: body["error"][key] for key in ("code", "message")}
        return {
            "id": f"{_ID}{self.id.hex()}",
            "custom_id": self.custom_id,
            "response": {
                "status_code": status,
                "request_id": f"{_REQUEST}{self.request.hex()}",
                "body": body,
            },
            "error": error,
        }


_MOST_DEPTH = 100
"""Levels of lists and objects in a line; a chat request with tools has a dozen."""


def read_lines(path: Path) -> Iterator[Line]:
    """Read the lines of an input; blank lines are left out.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for number in count(1):
            raw = file.readline()  # by `for`, the file would hold the line while it is used
            if not raw:
                return
            if not raw.removeprefix(_BYTE_ORDER_MARK if number == 1 else b"").isspace():
                values = _values(number, raw)
                del raw
                yield values if isinstance(values, Line) else _read_line(number, values)
                del values


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def _values(number: int, raw: bytes) -> dict[str, Any] | Line:
    """The object of a line with a `custom_id`; a `Line` with an error if it is none."""
    if number == 1:
        raw = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return _broken(number, raw, f"it is not JSON: {error}")
    if _depth(values) > _MOST_DEPTH:  # how deep Python can read depends on who calls
        return _broken(number, raw, f"its values are nested more than {_MOST_DEPTH} deep")
    if not isinstance(values, dict):
        return _broken(number, raw, f"it is {shown(values)}, not an object")
    custom_id = values.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        return _broken(number, raw, f"custom_id is {shown(custom_id)}, not a text")
    return values


def _read_line(number: int, values: dict[str, Any]) -> Line:
    custom_id = values["custom_id"]
    request = {name: value for name, value in values.items() if name != "custom_id"}
    reason = _unusable(values)
    return Line(
        number=number,
        id=_digest([f"id {custom_id}"]),
        request=_digest(json.JSONEncoder().iterencode(request)),
        custom_id=custom_id,
        body=values.get("body"),
        error=ConfigError(f"line {number}: {reason}", hint=_FORM) if reason else None,
    )


_FORM = f'a line is {{"custom_id": ..., "method": "POST", "url": "{URL}", "body": {{...}}}}'


def _depth(values: Any) -> int:
    """Number of levels of lists and objects, counted without recursion up to just over the limit."""
    level, depth = [values], 0
    while depth <= _MOST_DEPTH:
        level = [
            each
            for one in level
            if isinstance(one, (dict, list))
            for each in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            break
        depth += 1
    return depth


def _broken(number: int, raw: bytes, reason: str) -> Line:
    """A line without a usable `custom_id`."""
    digest = _digest([b"line ", raw.strip()])
    error = ConfigError(f"line {number}: {reason}", hint=_FORM)
    return Line(number=number, id=digest, request=digest, custom_id=None, error=error)


def _unusable(values: Mapping[str, Any]) -> str:
    """Why a line with a `custom_id` is no request; empty if it is one."""
    if unknown := values.keys() - _KEYS:
        return f"unknown key {shown(min(unknown))}"
    for name, expected in (("method", "POST"), ("url", URL)):
        if values.get(name) != expected:
            return f"{name} is {shown(values.get(name))}, not {expected}"
    return "" if isinstance(values.get("body"), dict) else "it has no body"


def _digest(parts: Iterable[str | bytes]) -> bytes:
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)
    return found.digest()


@dataclass(frozen=True, slots=True)
class Finished:
    """What one line of the output says.

    Attributes:
        id: see `Line.id`.
        request: see `Line.request`.
        custom_id: of the item.
        failed: whether it has an error instead of an answer.
        model: name of the model that answered; None for an error.
    """

    id: bytes
    request: bytes
    custom_id: str | None
    failed: bool
    model: str | None

    @classmethod
    def of(cls, raw: bytes) -> Finished:
        """Read a line.

        Raises:
            ValueError, LookupError, TypeError: it is no line that a batch writes.
        """
        values = json.loads(raw)
        response = values["response"]
        failed = response["status_code"] != 200
        return cls(
            id=bytes.fromhex(values["id"].removeprefix(_ID)),
            request=bytes.fromhex(response["request_id"].removeprefix(_REQUEST)),
            custom_id=values["custom_id"],
            failed=failed,
            model=None if failed else response["body"]["model"],
        )


class Output:
    """The output file, locked against other processes until it is closed.

    Args:
        path: the file; it and its folder are created if missing.

    Attributes:
        is_torn: whether `finished` found an incomplete last line; `keep` cuts it off.

    Raises:
        FinesightError: another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        path = path.resolve()  # a file is replaced at the end of a link, not the link
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file: BinaryIO = lock(path)
        self._replaced: BinaryIO | None = None
        self._last_sync = time.monotonic()
        self.is_torn = False

    def finished(self) -> Iterator[tuple[int, int, Finished]]:
        """Start, end and content of each whole line.

        Raises:
            ConfigError: a line was not written by a batch.
        """
        with self._path.open("rb") as file:
            start = 0
            for number, raw in enumerate(file, 1):
                try:
                    found = Finished.of(raw)
                except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                    found = None
                if found is not None and raw.endswith(b"\n"):
                    yield start, start + len(raw), found
                    start += len(raw)
                elif _is_torn(raw) and not file.read(1):
                    self.is_torn = True
                    return
                else:
                    raise ConfigError(
                        f"{self._path}, line {number} was not written by finesight batch",
                        hint="give a new file for the output",
                    )

    def keep(self, spans: Sequence[tuple[int, int]]) -> None:
        """Keep only these bytes, given by start and end; the file is replaced atomically unless it is only cut off."""
        if not spans or (len(spans) == 1 and spans[0][0] == 0):
            self._file.truncate(spans[0][1] if spans else 0)
            return
        with whole_file(self._path) as draft, self._path.open("rb") as old:
            kept = lock(draft)  # before it gets the name of the output
            try:
                kept.truncate(0)
                for start, end in spans:
                    _copy(old, kept, start, end)
                kept.flush()
            except BaseException:
                kept.close()
                raise
        # The file before stays locked: another process may have opened it, and not yet tried its lock.
        self._replaced, self._file = self._file, kept

    def append(self, results: Sequence[Mapping[str, Any]]) -> int:
        """Append lines in one write; returns the offset of the first.

        Raises:
            FinesightError: the file cannot be written, as on a full disk.
        """
        try:
            self._file.seek(0, os.SEEK_END)
            offset = self._file.tell()
            self._file.write(b"".join(_encoded(each) for each in results))
            self._file.flush()
            if time.monotonic() - self._last_sync > _SECONDS_BETWEEN_SYNCS:
                os.fsync(self._file.fileno())
                self._last_sync = time.monotonic()
        except OSError as error:
            raise self._unwritable(error) from error
        return offset

    def read(self, offset: int) -> dict[str, Any]:
        """The line at an offset."""
        with self._path.open("rb") as file:
            file.seek(offset)
            values: dict[str, Any] = json.loads(file.readline())
        return values

    def close(self) -> None:
        """Flush the file to disk and close it."""
        if self._replaced is not None:
            self._replaced.close()
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> FinesightError:
        return FinesightError(
            f"{self._path} cannot be written: {error.strerror or error}",
            hint="free some space, then run the same command: finished items are kept",
        )


def _copy(source: BinaryIO, target: BinaryIO, start: int, end: int) -> None:
    """Append a range of bytes of a file to another one, a piece at a time."""
    source.seek(start)
    for begin in range(start, end, _PIECE_BYTES):
        target.write(source.read(min(_PIECE_BYTES, end - begin)))


def _is_torn(raw: bytes) -> bool:
    """Whether these bytes can be the beginning of a line, or zeros that a power failure leaves."""
    start = f'{{"id": "{_ID}'.encode()
    return raw[: len(start)] == start[: len(raw)] or not raw.strip(b"\0")


def _encoded(values: Mapping[str, Any]) -> bytes:
    """One line of JSON; half of a surrogate pair is escaped."""
    try:
        return json.dumps(values, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(values).encode() + b"\n"
