# SPDX-License-Identifier: Apache-2.0
"""A chat at the prompt and while it is interrupted; answers are scripted."""

from __future__ import annotations

import builtins

import pytest

from finesight.cli import chat
from finesight.cli.chat import Chat
from finesight.conversation import Message, StreamEvent, TextPart
from finesight.errors import DecodeError
from tests.support.replies import reply


class Script:
    """Answers with what the question says to do."""

    def __init__(self):
        self.options = {}
        self.asked = []
        self.num_ended = 0

    def events(self, conversation, *, num_noted=0):
        question = conversation.messages[-1].parts[-1].text
        self.asked.append(conversation)
        if question == "early":
            raise KeyboardInterrupt
        if question == "broken":
            raise DecodeError("it is broken", hint="mend it")
        yield StreamEvent(text="Half", num_tokens=1)
        if question == "late":
            raise KeyboardInterrupt
        yield StreamEvent(text=" whole.", num_tokens=2, reply=reply("Half whole."))

    def ended(self, reply):
        self.num_ended += 1
        if self.asked[-1].messages[-1].parts[-1].text == "after":
            raise KeyboardInterrupt


def talk(*lines, is_interactive=True):
    session = Script()
    found = Chat(session, is_interactive=is_interactive)
    found.run(iter(lines))
    return found, session


def turns(found):
    return [(turn.role, turn.parts[0].text) for turn in found.history.turns]


def test_a_stopped_answer_is_kept_and_marked(capsys):
    found, session = talk("late", "next")
    assert turns(found) == [
        *(("user", "late"), ("assistant", "Half")),
        *(("user", "next"), ("assistant", "Half whole.")),
    ]
    assert found.history.stopped == {1}
    assert session.asked[1].messages[1] == Message("assistant", (TextPart("Half"),))
    shown = capsys.readouterr()
    assert shown.out == "HalfHalf whole.\n"
    assert "stopped; what was written so far is kept" in shown.err


def test_a_question_without_a_word_of_answer_is_not_kept(capsys):
    found, _ = talk("early", "next")
    assert turns(found) == [("user", "next"), ("assistant", "Half whole.")]
    assert "the question is not kept" in capsys.readouterr().err


def test_an_interrupt_after_the_answer_keeps_it():
    found, _ = talk("after", "next")
    assert len(found.history.turns) == 4
    assert found.history.stopped == set()


@pytest.mark.parametrize("line", ["early", "late", "after"])
def test_an_interrupt_ends_a_pipe(line):
    with pytest.raises(KeyboardInterrupt):
        talk(line, is_interactive=False)


def test_an_error_is_printed_with_its_hint(capsys):
    found, _ = talk("broken", "next")
    assert found.has_failed
    assert turns(found) == [("user", "next"), ("assistant", "Half whole.")]
    assert "error: it is broken\n  hint: mend it\n" in capsys.readouterr().err


def test_quit_ends():
    _, session = talk("/quit", "next")
    assert session.asked == []


def test_at_the_prompt_ctrl_c_drops_a_line_and_ctrl_d_ends(monkeypatch):
    typed = iter(["one", KeyboardInterrupt(), "two", EOFError(), "three"])

    def read(prompt):
        assert prompt == "> "
        entry = next(typed)
        if isinstance(entry, BaseException):
            raise entry
        return entry

    monkeypatch.setattr(builtins, "input", read)
    assert list(chat._typed()) == ["one", "two"]
