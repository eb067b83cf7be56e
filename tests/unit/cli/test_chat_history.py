# SPDX-License-Identifier: Apache-2.0
"""The conversation of a chat: turns are taken back whole, and a file restores all of it."""

from __future__ import annotations

import json

import pytest

from finesight.cli.chat_history import History
from finesight.conversation import ImagePart, Message, TextPart, VideoPart
from finesight.errors import ConfigError


def question(text, *media):
    return Message("user", (*media, TextPart(text)))


@pytest.fixture
def history():
    found = History()
    found.set_system("Be brief.")
    picture = ImagePart(source="/a b.png", page=2, max_pixels=3136)
    found.add(question("What?", picture), "A cat.", was_stopped=False)
    found.add(
        question("And?", VideoPart(source="/c.mp4", fps=2.0)), "Half an ans", was_stopped=True
    )
    return found


def test_the_conversation_has_all_turns(history):
    more = question("More?")
    conversation = history.conversation(more)
    assert [message.role for message in conversation.messages] == [
        *("system", "user", "assistant", "user", "assistant", "user")
    ]
    assert conversation.messages[-1] == more
    assert len(history.turns) == 4


def test_undo_removes_a_question_with_its_answer(history):
    assert history.undo()
    assert [turn.parts[-1].text for turn in history.turns] == ["What?", "A cat."]
    assert history.stopped == set()
    assert history.undo()
    assert not history.undo()
    assert history.system is not None


def test_clear_keeps_the_system_message(history):
    history.clear()
    assert [message.role for message in history.conversation().messages] == ["system"]
    history.set_system("")
    assert history.conversation().messages == ()


@pytest.mark.parametrize("has_system", [True, False])
def test_a_file_restores_the_conversation(history, tmp_path, has_system):
    if not has_system:
        history.set_system("")
    history.save(tmp_path / "talk.json")
    assert History.load(tmp_path / "talk.json") == history
    entries = json.loads((tmp_path / "talk.json").read_text())["messages"]
    assert [entry.get("status") for entry in entries if entry["role"] == "assistant"] == [
        None,
        "incomplete",
    ]


def test_tools_of_a_conversation_stay(tmp_path):
    tool = {"type": "function", "function": {"name": "look"}}
    path = tmp_path / "talk.json"
    path.write_text(json.dumps({"messages": [], "tools": [tool]}))
    loaded = History.load(path)
    assert loaded.conversation().tools == (tool,)
    loaded.save(path)
    assert History.load(path) == loaded


def test_messages_of_other_programs_are_read(tmp_path):
    path = tmp_path / "talk.json"
    path.write_text(
        '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]'
    )
    assert [turn.role for turn in History.load(path).turns] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"\x89PNG", "is not JSON"),
        (b"3", "has no list of messages"),
        (b'{"model": "tiny"}', "has no list of messages"),
        (b'[{"role": "cat", "content": "Hi"}]', "message 0: role is 'cat'"),
        (b'[{"role": "user", "content": "Hi", "mood": "good"}]', "unknown key 'mood'"),
    ],
)
def test_what_is_no_conversation_is_refused(tmp_path, content, said):
    path = tmp_path / "talk.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        History.load(path)
    assert said in raised.value.message


def test_only_json_files_are_written(history, tmp_path):
    (tmp_path / "cat.png").write_bytes(b"picture")
    with pytest.raises(ConfigError, match="no JSON file name"):
        history.save(tmp_path / "cat.png")
    assert (tmp_path / "cat.png").read_bytes() == b"picture"
    with pytest.raises(ConfigError, match="cannot be written"):
        history.save(tmp_path / "none" / "talk.json")
