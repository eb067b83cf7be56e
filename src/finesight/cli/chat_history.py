# SPDX-License-Identifier: Apache-2.0
"""The conversation of `finesight chat`, and its file.

The file is JSON, `{"messages": [...]}` in the format of qwen-vl-utils, with absolute paths of media. An answer that was
stopped has `"status": "incomplete"`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finesight.conversation import Conversation, Message, TextPart
from finesight.errors import ConfigError
from finesight.files import write_json
from finesight.inputs import shown
from finesight.text.messages import conversation_from, write_messages

_STOPPED = {"status": "incomplete"}


@dataclass(slots=True)
class History:
    """Turns so far.

    Attributes:
        system: system message; None takes the released template's.
        turns: questions and answers.
        stopped: indices of the answers in `turns` that were stopped.
        tools: tools of a conversation that was loaded.
    """

    system: Message | None = None
    turns: list[Message] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)
    tools: tuple[Mapping[str, Any], ...] = ()

    def conversation(self, *more: Message) -> Conversation:
        """The system message, the turns and further ones."""
        system = [] if self.system is None else [self.system]
        return Conversation((*system, *self.turns, *more), self.tools)

    def set_system(self, text: str) -> None:
        """Replace the system message; an empty text removes it."""
        self.system = Message("system", (TextPart(text),)) if text else None

    def add(self, question: Message, answer: str, *, was_stopped: bool) -> None:
        """Append a question and its answer."""
        self.turns += [question, Message("assistant", (TextPart(answer),) if answer else ())]
        if was_stopped:
            self.stopped.add(len(self.turns) - 1)

    def undo(self) -> bool:
        """Remove the last question and what follows it; False if there is none."""
        questions = [place for place, turn in enumerate(self.turns) if turn.role == "user"]
        if not questions:
            return False
        del self.turns[questions[-1] :]
        self.stopped = {place for place in self.stopped if place < questions[-1]}
        return True

    def clear(self) -> None:
        """Remove all turns; the system message stays."""
        self.turns.clear()
        self.stopped.clear()

    def save(self, path: Path) -> None:
        """Write the conversation.

        Raises:
            ConfigError: the file name does not end in .json, or the file cannot be written.
        """
        if path.suffix.lower() != ".json":  # another file could be a picture
            raise ConfigError(f"{path} is no JSON file name", hint="give a name that ends in .json")
        messages = write_messages(self.conversation().messages)
        first = len(messages) - len(self.turns)
        for place in self.stopped:
            messages[first + place] |= _STOPPED
        tools = {"tools": [dict(tool) for tool in self.tools]} if self.tools else {}
        write_json(path, {"messages": messages, **tools}, error=ConfigError)

    @classmethod
    def load(cls, path: Path) -> History:
        """Read a conversation: an object with `messages`, or a list of messages.

        Raises:
            ConfigError: the file cannot be read, or is no conversation.
        """
        try:
            values = json.loads(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not JSON: {error}") from error
        given = values if isinstance(values, dict) else {"messages": values}
        messages = given.get("messages")
        if not isinstance(messages, list):
            raise ConfigError(f"{path} has no list of messages", hint="write it with /save")
        tools = given.get("tools") or []
        if not isinstance(tools, list):
            raise ConfigError(f"{path}: tools is {shown(tools)}", hint="it is a list of tools")
        found = conversation_from(messages, tools)
        is_system = bool(found.messages) and found.messages[0].role == "system"
        first = 1 if is_system else 0
        stopped = {
            place - first
            for place, entry in enumerate(messages)
            if place >= first and isinstance(entry, dict) and _STOPPED.items() <= entry.items()
        }
        system = found.messages[0] if is_system else None
        return cls(system, list(found.messages[first:]), stopped, found.tools)
