# SPDX-License-Identifier: Apache-2.0
"""Which files a client may name: data in the request, allowed hosts, and files of allowed folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from finesight.conversation import Conversation, ImagePart, Part, TextPart
from finesight.errors import FetchRefused, FinesightError, about_item
from finesight.media.fetch import FetchPolicy
from finesight.media.source import localize, path_of, scheme_of, source_name

_EVERY_HOST = "*"
_FETCHED = ("http", "https")
_SENT = ("data", *_FETCHED)
"""Schemes whose files do not come from the disk of this server."""
_TEXTS = ("text", "arguments", "output")
_SCHEME_LETTERS = 8
_MOST_VIDEO_BYTES = 2**30
_VIDEO_SECONDS = 120.0


def fetch_policy(hosts: Sequence[str]) -> FetchPolicy:
    """Limits of fetching for a server; private addresses are refused whatever the hosts are."""
    return FetchPolicy(
        hosts=None if _EVERY_HOST in hosts else tuple(hosts),
        max_video_bytes=_MOST_VIDEO_BYTES,
        video_timeout_seconds=_VIDEO_SECONDS,
    )


def is_fetched(conversation: Conversation) -> bool:
    """Whether a picture or video of a conversation comes from another host."""
    for part in conversation.media():
        sources = part.source if isinstance(part.source, tuple) else (part.source,)
        if any(isinstance(each, str) and scheme_of(each) in _FETCHED for each in sources):
            return True
    return False


def names_address(body: Any) -> bool:
    """Whether a part of a message in a request names a file of another host; texts do not count.

    Args:
        body: plain JSON, not checked yet.
    """
    waiting = [body.get(name) for name in ("messages", "input")] if isinstance(body, dict) else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [each for name, each in value.items() if not _is_text(name, each)]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and scheme_of(value[:_SCHEME_LETTERS]) in _FETCHED:
            return True
    return False


def _is_text(name: str, value: Any) -> bool:
    return name in _TEXTS or (name == "content" and isinstance(value, str))


@contextmanager
def placed(conversation: Conversation, *, by_message: bool = False) -> Iterator[None]:
    """Say in errors about a picture or video which one of the request it is.

    Args:
        conversation: the request.
        by_message: name the message and its part; else the place among all pictures and videos. For dialects whose
            messages are those of the conversation.
    """
    try:
        yield
    except FinesightError as error:
        if error.item is not None:
            error.message = f"{_place(conversation, error.item, by_message)}: {error.message}"
            error.item = None
        raise


def _place(conversation: Conversation, item: int, by_message: bool) -> str:
    if not by_message:
        return f"picture or video {item + 1} of {sum(1 for _ in conversation.media())}"
    places = [
        (number, index, message.parts[:index])
        for number, message in enumerate(conversation.messages)
        for index, part in enumerate(message.parts)
        if not isinstance(part, TextPart)
    ]
    number, index, before = places[item]
    # Several pages stand for one part of the request, and shift the numbers of the parts after them.
    is_shifted = any(isinstance(part, ImagePart) and part.page is not None for part in before)
    return f"message {number}" if is_shifted else f"message {number}, part {index}"


class MediaAccess:
    """Decides on each file that a client names.

    Args:
        policy: of hosts.
        folders: from which files may be read.
    """

    def __init__(self, policy: FetchPolicy, folders: Sequence[Path]) -> None:
        self._policy = policy
        self._folders = tuple(folder.resolve() for folder in folders)

    def checked(self, conversation: Conversation) -> Conversation:
        """A conversation whose paths are replaced by those of the real files.

        Raises:
            FetchRefused: a path is not in an allowed folder.
        """
        numbers = count()

        def allowed(part: Part) -> Part:
            if isinstance(part, TextPart):
                return part
            with about_item(next(numbers)):
                if isinstance(part.source, tuple):
                    return replace(part, source=tuple(self._allowed(each) for each in part.source))
                return replace(part, source=self._allowed(part.source))

        messages = tuple(
            replace(message, parts=tuple(allowed(part) for part in message.parts))
            for message in conversation.messages
        )
        return replace(conversation, messages=messages)

    def open_file(self, address: str) -> bytes | Path:
        """The file at an address, for documents whose pages have to be counted.

        Raises:
            MediaError: it may not be opened, or cannot be.
        """
        return localize(self._allowed(address), policy=self._policy, kind="document").data

    def _allowed(self, source: Any) -> Any:
        """The source itself, or the real path of a file on this machine."""
        if not isinstance(source, str) or scheme_of(source) in _SENT:
            return source  # bytes of the request, a file opened before, or an address that the policy decides on
        path = path_of(source)
        try:
            real = None if path is None else path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):  # not there, a zero byte, a loop of links
            real = None
        for folder in self._folders:
            if real is not None and real.is_relative_to(folder):
                return real
        raise FetchRefused(  # the same words whether or not the file exists
            f"{source_name(source)} is not a file in a folder that this server reads from",
            hint="send the file itself, as a data: address",
        )
