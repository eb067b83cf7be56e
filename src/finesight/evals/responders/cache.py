# SPDX-License-Identifier: Apache-2.0
"""Cache of replies on disk, keyed by request, sampling and responder.

Entries are written atomically, so several processes may share a folder.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finesight import files
from finesight.conversation import Conversation, MediaRecord, Reply, Sampling, TokenLogprob, Usage
from finesight.evals.core.digests import digest, request_digest, sampling_values
from finesight.geometry import Clock, Resize, Size


def reply_path(folder: Path, responder: str, asked: Conversation, sampling: Sampling) -> Path:
    """Path of a cached reply, named by the digest of its key.

    Raises:
        MediaError: a picture or video does not exist.
    """
    values = {"request": request_digest(asked), "responder": responder}
    key = digest({**values, "sampling": sampling_values(sampling)})
    return folder / key[:2] / f"{key}.json"


def read_reply(path: Path) -> Reply | None:
    """A cached reply; None if it is missing or damaged."""
    try:
        return _reply(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_reply(path: Path, reply: Reply) -> None:
    """Store a reply."""
    # An `OSError` ends the run; a `FinesightError` would count as a failed item.
    files.write_text(path, json.dumps(asdict(reply)), error=None, parents=True)


def _reply(values: dict[str, Any]) -> Reply:
    return Reply(
        text=values["text"],
        token_ids=tuple(values["token_ids"]),
        finish_reason=values["finish_reason"],
        usage=Usage(**values["usage"]),
        media=tuple(_record(each) for each in values["media"]),
        logprobs=tuple(_logprob(each) for each in values["logprobs"]),
        notes=tuple(values.get("notes", ())),  # not in older entries
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
    start, end = values.get("span", (0, 0))  # not in older entries
    return TokenLogprob(values["token_id"], values["text"], values["logprob"], top, (start, end))
