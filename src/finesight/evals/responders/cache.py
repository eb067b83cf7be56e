# SPDX-License-Identifier: Apache-2.0
"""Answers kept on disk, found again by what was asked: pixels, words, sampling, and who was asked.

Only answers that would come out the same are kept: temperature 0. An entry is written beside its place and moved
there, so a process that dies leaves whole entries or none, and many processes may share a folder.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finesight import files
from finesight.conversation import MediaRecord, Reply, Sampling, TokenLogprob, Usage
from finesight.evals.core.digests import digest, request_digest, sampling_values
from finesight.evals.core.responders import ItemResponder
from finesight.evals.core.task import Item
from finesight.geometry import Clock, Resize, Size


@dataclass(frozen=True, slots=True)
class Cached:
    """An `ItemResponder` that is asked only what it has not answered before.

    Attributes:
        inner: who is asked.
        folder: where answers are kept.
    """

    inner: ItemResponder
    folder: Path

    @property
    def name(self) -> str:
        """Of the inner responder: a kept answer is its answer."""
        return self.inner.name

    @property
    def reads_media(self) -> bool:
        """Of the inner responder."""
        return self.inner.reads_media

    @property
    def declares_resize(self) -> bool:
        """Of the inner responder."""
        return self.inner.declares_resize

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """The kept answer, or a new one, which is then kept."""
        if sampling.temperature > 0:
            return self.inner.answer(item, sampling)
        key = self.key(item, sampling)
        path = self.folder / key[:2] / f"{key}.json"
        kept = _read(path)
        if kept is None:
            kept = self.inner.answer(item, sampling)
            _write(path, kept)
        return kept

    def key(self, item: Item, sampling: Sampling) -> str:
        """Digest of all that decides the answer; errors as in `request_digest`."""
        request = request_digest(item.conversation, reads_media=self.reads_media)
        values: dict[str, Any] = {"request": request, "responder": self.inner.name}
        return digest({**values, "sampling": sampling_values(sampling)})


def _read(path: Path) -> Reply | None:
    """A kept reply; None if there is none, or if the file is not one and must be written anew."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _reply(values)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # another program, or a disk, has been at it
        return None


def _write(path: Path, reply: Reply) -> None:
    # An `OSError` ends the run, where a `FinesightError` would count as a failed item.
    files.write_text(path, json.dumps(asdict(reply)), error=None, parents=True)


def _reply(values: dict[str, Any]) -> Reply:
    return Reply(
        text=values["text"],
        token_ids=tuple(values["token_ids"]),
        finish_reason=values["finish_reason"],
        usage=Usage(**values["usage"]),
        media=tuple(_record(each) for each in values["media"]),
        logprobs=tuple(_logprob(each) for each in values["logprobs"]),
    )


def _record(values: dict[str, Any]) -> MediaRecord:
    resize, clock = values["resize"], values["clock"]
    return MediaRecord(
        kind=values["kind"],
        source=values["source"],
        page=values["page"],
        resize=Resize(Size(**resize["original"]), Size(**resize["resized"])),
        visual_tokens=values["visual_tokens"],
        clock=clock and Clock(tuple(clock["model_seconds"]), tuple(clock["source_seconds"])),
        sample_fps=values["sample_fps"],
        notes=tuple(values["notes"]),
    )


def _logprob(values: dict[str, Any]) -> TokenLogprob:
    top = tuple((token, text, logprob) for token, text, logprob in values["top"])
    return TokenLogprob(values["token_id"], values["text"], values["logprob"], top)
