# SPDX-License-Identifier: Apache-2.0
"""`finesight chat`: a conversation in the terminal.

Each turn sends the whole conversation. Without a terminal, each line of standard input is a turn.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from finesight.cli import options
from finesight.cli.command import command
from finesight.cli.model_choice import DraftingModel
from finesight.cli.names import did_you_mean
from finesight.cli.session import Session
from finesight.conversation import Message, Part, TextPart
from finesight.errors import ConfigError, FinesightError, PromptTooLong

if TYPE_CHECKING:
    from finesight.api.options import AskOptions
    from finesight.cli.chat_history import History

_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?", re.DOTALL)
_PAGES = re.compile(r"(.+?)\s+([\d,-]+)")
_NOT_SET = ("system", "tools", "logprobs")
"""Options that /set does not change: /system does, or the conversation has none."""


@command
def chat(
    *,
    model: DraftingModel,
    asked: options.QuestionOptions,
) -> None:
    """Talk about pictures, videos and PDFs in the terminal.

    A line that is or contains the path of a picture, video or PDF shows it to the model; most terminals paste the
    path of a file that is dropped on them. /help lists the commands, Ctrl-C stops an answer, Ctrl-D ends. Without a
    terminal, each line of standard input is a turn.
    """
    is_interactive = sys.stdin is not None and sys.stdin.isatty()
    session = Session(model, options.given(asdict(asked)), streams=True)
    talk = Chat(session, is_interactive=is_interactive)
    if is_interactive:
        session.load()
        sys.stderr.write(f"{model.name}; /help lists the commands, Ctrl-D ends\n")
    talk.run(_typed() if is_interactive else iter(sys.stdin or ()))
    if talk.has_failed and not is_interactive:
        raise typer.Exit(1)


def _typed() -> Iterator[str]:
    """Lines from the terminal, with a history where readline is present; Ctrl-C drops a line, Ctrl-D ends."""
    with suppress(ImportError):
        import readline  # noqa: F401  # `input` uses it once it is imported
    while True:
        try:
            yield input("> ")
        except KeyboardInterrupt:
            sys.stderr.write("\n")
        except EOFError:
            sys.stderr.write("\n")
            return


class Chat:
    """A conversation with one model.

    Args:
        session: the model, with the options of the command line.
        is_interactive: whether Ctrl-C stops only the answer.

    Attributes:
        history: the turns so far.
        has_failed: whether a line gave an error.
    """

    def __init__(self, session: Session, *, is_interactive: bool) -> None:
        from finesight.cli.chat_history import History

        self._session, self._is_interactive = session, is_interactive
        self.history: History = History()
        self.history.set_system(session.options.get("system", ""))
        self._attached: list[Part] = []
        self.has_failed = False

    def run(self, lines: Iterator[str]) -> None:
        """Answer lines until they end or one is /quit."""
        for line in lines:
            try:
                if line.strip() and not self._take(line.strip()):
                    return
            except FinesightError as error:
                self.has_failed = True
                hint = f"  hint: {error.hint}\n" if error.hint else ""
                sys.stderr.write(f"error: {error.message}\n{hint}")
            except KeyboardInterrupt:  # while a command works; `_ask` has its own
                if not self._is_interactive:
                    raise
                sys.stderr.write("\ninterrupted\n")

    def _take(self, line: str) -> bool:
        """Take one line; False if it ends the conversation."""
        from finesight.cli.chat_line import read_parts

        command = _COMMAND.fullmatch(line)
        if command and command[1] in COMMANDS:
            return COMMANDS[command[1]][2](self, (command[2] or "").strip()) is not False
        parts = read_parts(line, self._session.options)
        if command and all(isinstance(part, TextPart) for part in parts):
            raise ConfigError(
                f"there is no command /{command[1]}", hint=did_you_mean(command[1], [*COMMANDS])
            )
        if any(isinstance(part, TextPart) for part in parts):
            self._ask(parts)
        else:
            self._attach(parts)
        return True

    def _attach(self, parts: list[Part]) -> None:
        """Keep media for the next question."""
        from finesight.conversation import Conversation

        for record in self._session.check(Conversation((Message("user", tuple(parts)),))):
            page = "" if record.page is None else f" page {record.page + 1}"
            size = record.resize.original
            sys.stderr.write(
                f"attached {record.source}{page}: {size.width} x {size.height}, {record.visual_tokens} visual tokens\n"
            )
        self._attached += parts

    def _ask(self, parts: list[Part]) -> None:
        """Ask a question and print the answer; after an error the conversation is as before."""
        question = Message("user", (*self._attached, *parts))
        self._attached = []
        num_noted = sum(1 for _ in self.history.conversation().media())
        events = self._session.events(self.history.conversation(question), num_noted=num_noted)
        text, reply = "", None
        try:
            for event in events:
                text += event.text
                reply = event.reply
                sys.stdout.write(event.text + ("" if reply is None else "\n"))
                sys.stdout.flush()
        except KeyboardInterrupt:
            if not self._is_interactive:
                raise
        except PromptTooLong as error:
            hint = f"{error.hint}, or shorten the conversation with /undo or /reset"
            raise PromptTooLong(error.message, hint=hint) from error
        finally:
            events.close()
        if not text and reply is None:
            sys.stderr.write("\nstopped before the first word; the question is not kept\n")
            return
        self.history.add(question, text, was_stopped=reply is None)
        if reply is None:
            sys.stderr.write("\nstopped; what was written so far is kept\n")
        else:
            self._session.ended(reply)

    def image(self, words: str) -> None:
        """Attach a picture, video or PDF given by path or address, with pages."""
        from finesight.cli.chat_line import is_address, local_file, media_parts, unquoted

        if not words:
            raise ConfigError("/image has no path", hint="/image PATH, or /image scan.pdf 1-3")
        paged = _PAGES.fullmatch(words)
        path, pages = (paged[1], paged[2]) if paged and not _exists(words) else (words, None)
        if not _exists(path):
            path = unquoted(path)
        source = path if is_address(path) else local_file(path)
        self._attach(media_parts(source, self._session.options, pages=pages))

    def system(self, text: str) -> None:
        """Set the system message, or remove it."""
        self.history.set_system(text)
        sys.stderr.write("system message set\n" if text else "system message removed\n")

    def reset(self, _: str) -> None:
        """Start again; system message and settings stay."""
        self.history.clear()
        self._attached = []
        sys.stderr.write("new conversation\n")

    def undo(self, _: str) -> None:
        """Remove attached media, or else the last question and its answer."""
        if self._attached:
            self._attached = []
            sys.stderr.write("attached media removed\n")
        elif self.history.undo():
            sys.stderr.write("last question and answer removed\n")
        else:
            raise ConfigError("there is no question to remove")

    def save(self, name: str) -> None:
        """Write the conversation to a file."""
        path = _file("/save", name)
        self.history.save(path)
        sys.stderr.write(f"wrote {path}\n")

    def load(self, name: str) -> None:
        """Read a conversation from a file; it replaces this one."""
        from finesight.cli.chat_history import History

        path = _file("/load", name)
        self.history = History.load(path)
        self._attached = []
        sys.stderr.write(f"{len(self.history.turns)} turns of {path}\n")

    def set(self, words: str) -> None:
        """Change an option from the next question on; without a value, take the checkpoint's."""
        from finesight.api.options import AskOptions, checked_options

        name, _, text = words.partition(" ")
        session = self._session
        if not name:
            for key, each in {**asdict(session.sampling), **session.options}.items():
                if key not in _NOT_SET:
                    sys.stderr.write(f"{key} {each}\n")
            return
        known = [each for each in AskOptions.__annotations__ if each not in _NOT_SET]
        name = name.replace("-", "_")
        if name not in known:
            raise ConfigError(f"/set has no option {name}", hint=did_you_mean(name, known))
        changed: dict[str, Any] = {**session.options, name: _value(text.strip())}
        session.use(checked_options(cast("AskOptions", changed)))
        sys.stderr.write(f"{name} {session.options.get(name, 'as in the checkpoint')}\n")

    def help(self, _words: str) -> None:
        """List the commands."""
        width = max(len(f"/{name} {argument}") for name, (argument, *_) in COMMANDS.items())
        for name, (argument, text, *_) in COMMANDS.items():
            sys.stderr.write(f"{f'/{name} {argument}':<{width}}  {text}\n")


COMMANDS: Mapping[str, tuple[str, str, Callable[[Chat, str], bool | None]]] = {
    "image": ("PATH [PAGES]", "attach a picture, video or PDF to the next question", Chat.image),
    "system": ("TEXT", "set the system message; without a text, remove it", Chat.system),
    "reset": ("", "start a new conversation; system message and options stay", Chat.reset),
    "undo": ("", "remove attached media, or else the last question and its answer", Chat.undo),
    "save": ("FILE", "write the conversation as JSON", Chat.save),
    "load": ("FILE", "read a conversation; it replaces this one", Chat.load),
    "set": ("NAME VALUE", "change an option, such as temperature 0.7; alone, list them", Chat.set),
    "help": ("", "list the commands", Chat.help),
    "quit": ("", "end, as Ctrl-D does", lambda _chat, _words: False),
}
"""Name of a command -> its argument, its meaning, and its handler, which returns False to end."""


def _value(text: str) -> Any:
    """A value of /set: a number, true or false, else a text; None if it is empty."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text


def _exists(name: str) -> bool:
    try:
        return Path(name).expanduser().is_file()
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # a name that is too long, a zero byte, no home folder
        return False


def _file(command: str, name: str) -> Path:
    """The file that a command names."""
    from finesight.cli.chat_line import unquoted

    if not name:
        raise ConfigError(f"{command} has no file name", hint=f"{command} conversation.json")
    try:
        return Path(name if _exists(name) else unquoted(name).replace("\0", "")).expanduser()
    except RuntimeError as error:  # the home folder of an unknown user
        raise ConfigError(f"{name} names no file: {error}") from error
