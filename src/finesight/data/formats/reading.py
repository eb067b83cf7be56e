# SPDX-License-Identifier: Apache-2.0
"""Reads a file or folder of any known format as records; a row that cannot be used is a problem with its reason.

The format is recognised from the columns of the first row, from `dataset_info.json` beside the file, or from the files
of a folder. A format given by the user is not questioned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from finesight.data.formats import coco, qwen, swift, trl, yolo
from finesight.data.formats import openai_chat as openai
from finesight.data.formats.captions import CAPTIONS, PICTURES
from finesight.data.formats.captions import read_row as read_caption
from finesight.data.formats.config import FormatName, Frame, ImportConfig
from finesight.data.formats.containers import container_of, rows_of
from finesight.data.formats.draft import Draft, RecordMaker, Tally
from finesight.data.formats.llama_factory import info_of
from finesight.data.formats.llama_factory import read_row as read_llama_factory
from finesight.data.formats.media import MediaFolders
from finesight.data.formats.rows import Problem, Row, RowRefused
from finesight.data.record import Record
from finesight.errors import ConfigError, DataError

__all__ = ["Reading"]

_ROWS_TO_RECOGNISE = 100
_TABLES = ("captions.csv", "metadata.csv", "metadata.jsonl")
_SWIFT_COLUMNS = frozenset({"objects", "rejected_response", "rejected_messages", "channel"})
_TRL_COLUMNS = frozenset({"completion", "chosen", "rejected"})


class Reading:
    """The records and problems of a file or folder, in its order; can be read repeatedly.

    Args:
        path: a file, or a folder.
        config: settings; those that are not given are chosen here.

    Attributes:
        format: the format.
        is_recognised: whether it was recognised from the content instead of given.
        frame: what coordinates in texts count; None leaves texts as they are.
        is_default_frame: whether that is the default of the format instead of given.
        tally: counts of the last pass.

    Raises:
        ConfigError: there is no such file, or its format is not known.
        DataError: it cannot be opened.
    """

    def __init__(self, path: Path, config: ImportConfig | None = None) -> None:
        self._path = path
        self._config = config or ImportConfig()
        if not path.exists():
            raise ConfigError(f"there is no file or folder {path}")
        self.is_recognised = self._config.format is None
        try:
            self._files = _files_of(path)
            self.format: FormatName = self._config.format or _recognised(path, self._files)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        chosen = self._config.coordinates or ("resized" if self.format == "qwen" else "original")
        self.frame: Frame | None = None if chosen == "none" else chosen
        self.is_default_frame = self._config.coordinates is None
        self.tally = Tally()
        folder = path if path.is_dir() else path.parent
        for given in self._config.media:
            if not given.is_dir():
                raise ConfigError(
                    f"there is no folder {given}", hint="--media is a folder of media"
                )
        self._media = MediaFolders(self._config.media or (folder,), fetches=self._config.fetch)

    def __iter__(self) -> Iterator[Record | Problem]:
        self.tally = Tally()
        name = {"file": self._path.name, "format": self.format}
        maker = RecordMaker(name, self._config, self.frame, self._media, self.tally)
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", self._path.stem)[:40] or "row"
        for number, (row, draft) in enumerate(self._drafts()):
            try:
                if isinstance(draft, RowRefused):
                    raise draft
                yield maker.make(draft, row, f"{slug}-{number:07d}")
            except RowRefused as refused:
                yield Problem(row.place, refused.reason, refused.message, refused.hint)

    def _drafts(self) -> Iterator[tuple[Row, Draft | RowRefused]]:
        if self.format == "coco":
            yield from coco.read_file(self._path, self._config.question)
            return
        if self.format == "yolo":
            if (settings := yolo.config_of(self._path)) is None:
                raise ConfigError(f"{self._path} has no data.yaml", hint="is it a YOLO data set?")
            yield from yolo.read_folder(settings, self.tally.notes)
            return
        if not self._files:
            raise ConfigError(f"{self._path} holds no file of the format {self.format}")
        for file in self._files:
            read = self._reader(file)
            for row in _unpacked(rows_of(file)):
                try:
                    if row.refused:
                        raise row.refused
                    yield row, read(row)
                except RowRefused as refused:
                    yield row, refused

    def _reader(self, file: Path) -> Any:
        """The function from rows to drafts."""
        if self.format in ("llama-factory", "alpaca"):
            return partial(read_llama_factory, info=info_of(file))
        if self.format == "captions":
            return partial(read_caption, question=self._config.question)
        readers = {"qwen": qwen, "swift": swift, "trl": trl, "openai": openai}
        return readers[self.format].read_row


def _unpacked(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows; a list of rows as single ones."""
    for row in rows:
        if isinstance(row.value, list) and all(isinstance(each, dict) for each in row.value):
            for number, each in enumerate(row.value, 1):
                yield replace(row, place=f"{row.place}, sample {number}", value=each)
        else:
            yield row


def _files_of(path: Path) -> list[Path]:
    """Files of rows: the path itself, or those of a folder."""
    if path.is_file():
        return [path]
    for name in _TABLES:
        if (path / name).is_file():
            return [path / name]
    for pattern in ("*.parquet", "data/*.parquet", "*.tar", "*.jsonl"):
        if found := sorted(path.glob(pattern)):
            if found[0].with_suffix(".index.json").exists():
                raise ConfigError(
                    f"{path} is a data set of shards already", hint="train on the folder itself"
                )
            return found
    return []


def _recognised(path: Path, files: list[Path]) -> FormatName:
    """The format of a file or folder.

    Raises:
        ConfigError: it is not known.
    """
    if yolo.config_of(path) is not None:
        return "yolo"
    if not files:
        raise ConfigError(
            f"{path} holds nothing to read",
            hint="a folder holds captions.csv, data.yaml (YOLO), parquet files, tars or JSONL",
        )
    if (info := info_of(files[0])) is not None:
        return "alpaca" if info.is_alpaca else "llama-factory"
    container = container_of(files[0])
    if container == "csv":
        return "captions"
    if container == "jsonl" and coco.is_coco(files[0]):
        return "coco"
    for number, row in enumerate(_unpacked(rows_of(files[0]))):
        if isinstance(row.value, dict) and row.refused is None:
            if name := _by_columns(row.value):
                return name
            listed = ", ".join(map(str, row.value))[:200]
            raise ConfigError(
                f"{row.place}: the format is not known; its columns are {listed}",
                hint="--format says what it is; see docs/how-to/your-data.md",
            )
        if number >= _ROWS_TO_RECOGNISE:
            break
    raise ConfigError(f"{files[0]} has no row that can be read", hint="is the file complete?")


def _by_columns(values: dict[str, Any]) -> FormatName | None:
    """The format of a row by the names of its columns; None if no format has them."""
    columns = {key for key, value in values.items() if value is not None}
    if "instruction" in columns or columns >= {"query", "response"}:
        return "alpaca"
    if "conversations" in columns:
        return "llama-factory" if columns & {"images", "videos", "chosen"} else "qwen"
    if "messages" in columns and columns & _SWIFT_COLUMNS:
        return "swift"
    if columns & _TRL_COLUMNS:
        return "trl"
    if "messages" in columns:
        if columns & {"images", "videos", "image"}:
            return "swift" if _has_marks(values["messages"]) else "trl"
        return "swift" if _has_loss(values["messages"]) else "openai"
    if isinstance(values.get("input"), dict) and "messages" in values["input"]:
        return "openai"
    return "captions" if columns & {*PICTURES} and columns & {*CAPTIONS} else None


def _has_marks(messages: Any) -> bool:
    return isinstance(messages, list) and any(
        isinstance(one, dict) and "<image>" in str(one.get("content")) for one in messages
    )


def _has_loss(messages: Any) -> bool:
    return isinstance(messages, list) and any(
        isinstance(one, dict) and one.keys() & {"loss", "loss_scale"} for one in messages
    )
