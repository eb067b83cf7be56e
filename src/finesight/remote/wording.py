# SPDX-License-Identifier: Apache-2.0
"""Error messages for clients: with the names of the fields of a request, and the field that is at fault.

Most errors come from code that also serves Python and the command line, and are written for those. Here their names
and hints are replaced by those of the API in which the request was written. Hints that only the operator of a server
can follow are removed. Names between quotes are values of the client and stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from finesight.errors import FinesightError, OutOfBlocks, PromptTooLong
from finesight.remote.dialects import GUIDED
from finesight.sampling import CONSTRAINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The names of one API.

    Attributes:
        names: name in Python -> names in a request; of several, the one that was given.
        prompts: fields with the prompt; of several, the one that was given.
        files: kind of a file -> how it is given.
    """

    names: Mapping[str, tuple[str, ...]]
    prompts: tuple[str, ...]
    files: Mapping[str, str]


_TIMES = {"start_seconds": ("video_start",), "end_seconds": ("video_end",)}
_CONSTRAINTS = (*GUIDED, "text", "structured_outputs", "response_format")

CHAT = Dialect(
    names={"max_new_tokens": ("max_completion_tokens", "max_tokens"), **_TIMES},
    prompts=("prompt", "input", "messages"),
    files={
        "PDF": 'send it in a part of type "file"',
        "video": 'send it in a part of type "video_url"',
        "picture": 'send it in a part of type "image_url"',
    },
)
"""OpenAI's API; `RESPONSES` is that of one of its endpoints."""
RESPONSES = Dialect(
    names={"max_new_tokens": ("max_output_tokens",), **_TIMES},
    prompts=("input",),
    files={
        "PDF": 'send it in a part of type "input_file"',
        "video": 'send it in a part of type "video_url"',
        "picture": 'send it in a part of type "input_image"',
    },
)
APPS = Dialect(
    names={"max_new_tokens": ("max_tokens",)},
    prompts=("file_data", "file_url"),
    files={
        "PDF": "send it to /v1/apps/read",
        "video": "send one of its frames as a picture",
        "picture": "send it to /v1/apps/locate or /v1/apps/describe-screen",
    },
)
"""The applications of a server."""
OLLAMA = Dialect(
    names={"max_new_tokens": ("num_predict",), "repetition_penalty": ("repeat_penalty",)},
    prompts=("prompt", "input", "messages"),
    files={
        "PDF": "send it to /v1/chat/completions",
        "video": "send it to /v1/chat/completions",
        "picture": "send it in images",
    },
)

PHRASES: Mapping[str, str] = {
    r"raise deadline_seconds, or ": "",
    r"; max_waiting is (\d+)": r"; at most \1 may",
    r", or raise (max_waiting|kv_cache_gb|max_image_pixels|the time limit|the byte limit)": "",
    r", max_step_tokens or kv_cache_gb": "",
    r"download the file and give its path(, or allow private addresses)?": (
        "send the file itself, as a data: address"
    ),
    r"give a path, bytes, an open file, or a data:, file:, http: or https: address": (
        "give a data:, http: or https: address"
    ),
    r"; page numbers in Python count from 0": "",
    r"pip install pillow-heif, or convert": "convert",
    r"give them as tools=\[\.\.\.\], in OpenAI's form": "give them in tools",
    r"\bsampling has (?=\w+=)": "",
}
"""Pattern of words for Python and the command line -> what a client reads instead."""

_FILES = r"give it as a (PDF|video|picture): \w+= in Python, --\w+ on the command line"
_QUOTES = r"(?<![\w'\"`.-])"
_PLACE = re.compile(
    r"message (?P<message>\d+)(?:, tool call (?P<call>\d+))?(?:, part (?P<part>\d+))?\b"
    r"|input item (?P<item>\d+)\b|tool (?P<tool>\d+)\b"
)
_NAMED = re.compile(r"unknown field '(\w+)'|(\w+) is missing")
_FIRST = re.compile(r"\w+")


def worded(error: FinesightError, dialect: Dialect, given: Collection[str] = ()) -> str:
    """The message of an error with its hint, in the words of a dialect.

    Args:
        error: the error.
        dialect: of the request.
        given: fields that the request has.
    """
    text = _reworded(str(error), dialect, given)
    first = _FIRST.match(text)
    if first and first[0] in CONSTRAINTS and (field := _constraint(given)):
        return field + text[first.end() :]
    return text


def _constraint(given: Collection[str]) -> str | None:
    """The field of a request that constrains its answer."""
    return next((each for each in _CONSTRAINTS if each in given), None)


def field_at_fault(
    error: FinesightError, dialect: Dialect, given: Collection[str] = ()
) -> str | None:
    """The field of a request that an error is about, such as `messages[0].content[1]`; None if it is about no field.

    Args:
        error: the error.
        dialect: of the request.
        given: fields that the request has.
    """
    if isinstance(error, (PromptTooLong, OutOfBlocks)):
        return _chosen(dialect.prompts, given)
    message = _reworded(error.message, dialect, given)
    if place := _PLACE.match(message):
        return _path(place)
    if named := _NAMED.match(message):
        return named[1] or named[2]
    first = _FIRST.match(message)
    name = first[0] if first else ""
    if name in CONSTRAINTS:
        return _constraint(given)
    return name if name in given else None


def _path(place: re.Match[str]) -> str:
    if place["item"] is not None:
        return f"input[{place['item']}]"
    if place["tool"] is not None:
        return f"tools[{place['tool']}]"
    path = f"messages[{place['message']}]"
    if place["call"] is not None:
        path += f".tool_calls[{place['call']}]"
    return path if place["part"] is None else f"{path}.content[{place['part']}]"


def _reworded(text: str, dialect: Dialect, given: Collection[str]) -> str:
    for pattern, other in PHRASES.items():
        text = re.sub(pattern, other, text)
    text = re.sub(_FILES, lambda match: dialect.files[match[1]], text)
    for name, names in dialect.names.items():
        text = re.sub(_QUOTES + rf"{name}\b", _chosen(names, given), text)
    return text


def _chosen(names: Sequence[str], given: Collection[str]) -> str:
    """The one of several names that a request has; the last one if it has none."""
    return next((name for name in names if name in given), names[-1])
