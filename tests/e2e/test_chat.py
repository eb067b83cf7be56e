# SPDX-License-Identifier: Apache-2.0
"""`finesight chat` as a user types it, through a pipe and in a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys

import pytest

COMMAND = """
import sys
import time
from finesight.cli.main import main
from finesight.engine.transcript import Transcript

Transcript._ending = lambda *args, **options: time.sleep(0.02)
sys.exit(main())
"""
"""The program with answers that do not end by themselves, slow enough to be stopped before the context is full."""
SHORT = ("--max-new-tokens", "6")


@pytest.fixture
def chat(finesight, tiny_model_folder, monkeypatch):
    """Lines typed into a pipe."""

    def run(*lines, words=SHORT):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return finesight("chat", "--model", tiny_model_folder, *words)

    return run


def saved(path="talk.json"):
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # a name is enough
        return json.load(file)["messages"]


def texts(messages):
    return [
        (entry["role"], "".join(part.get("text", "<medium>") for part in entry["content"]))
        for entry in messages
    ]


def test_a_turn_is_what_ask_answers(chat, finesight, tiny_model_folder, picture_file):
    done = chat(f"{picture_file} What is this?")
    assert done.code == 0, done.err
    words = ("What is this?", "--image", picture_file, "--model", tiny_model_folder, *SHORT)
    assert done.out == finesight("ask", *words).out


def test_each_turn_sees_the_turns_before(chat, finesight, tiny_model_folder, picture_file):
    done = chat(picture_file, "What is this?", "", "And now?", "/save talk.json")
    assert done.code == 0, done.err
    assert f"attached {picture_file}: 112 x 84, 12 visual tokens" in done.err
    assert done.err.count("prompt tokens (12 visual)") == 2
    messages = saved()
    assert [role for role, _ in texts(messages)] == ["user", "assistant"] * 2
    assert texts(messages)[0][1] == "<medium>What is this?"
    answers = [said for role, said in texts(messages) if role == "assistant"]
    assert done.out == "".join(f"{said}\n" for said in answers)
    again = chat("/load talk.json", "/undo", "And now?")
    assert again.out == f"{answers[1]}\n"


def test_undo_and_reset_forget(chat):
    first = chat("Hello").out
    done = chat("Something else", "/undo", "Hello", "/reset", "Hello", "/save talk.json")
    assert done.code == 0, done.err
    assert done.out.splitlines()[1:] == [first.strip("\n")] * 2
    assert len(saved()) == 2


def test_attached_media_are_taken_back(chat, picture_file):
    plain = chat("Hello").out
    done = chat(picture_file, "/undo", "Hello")
    assert done.out == plain
    assert "attached media removed" in done.err


def test_the_system_message_and_its_option(chat, finesight, tiny_model_folder):
    asked = ("Hello", "--system", "Be brief.", "--model", tiny_model_folder, *SHORT)
    expected = finesight("ask", *asked).out
    assert chat("/system Be brief.", "Hello").out == expected
    assert chat("Hello", words=(*SHORT, "--system", "Be brief.")).out == expected
    plain = chat("Hello").out
    assert chat("/system", "Hello", words=(*SHORT, "--system", "Be brief.")).out == plain


def test_options_are_changed_and_listed(chat):
    asked = ("/set max-new-tokens 2", "/set temperature 0.5", "/set", "Hello")
    done = chat(*asked, words=(*SHORT, "--seed", "1"))
    assert done.code == 0, done.err
    assert "2 answer tokens" in done.err
    assert "max_new_tokens 2\ntemperature 0.5\n" in done.err
    back = chat("/set max_new_tokens", "/set")
    assert "max_new_tokens as in the checkpoint" in back.err
    assert "max_new_tokens 1024" in back.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/set temprature 1", "error: /set has no option temprature\n  hint: did you mean temp"),
        ("/set temperature hot", "error: the option temperature='hot'; it must be a number"),
        ("/set top_p 0.5", "has no effect at temperature 0"),
        ("/imge a.png", "error: there is no command /imge\n  hint: did you mean image"),
        ("/image", "error: /image has no path"),
        ("/image none.png", "error: none.png cannot be opened"),
        ("/image notes.txt", "is a text file, not a picture"),
        ("./none.png what?", "error: ./none.png cannot be opened"),
        ("broken.png", "broken.png"),
        ("/undo", "error: there is no question to remove"),
        ("/save", "error: /save has no file name"),
        ("/save talk.txt", "error: talk.txt is no JSON file name"),
        ("/load talk.txt", "error: talk.txt cannot be read"),
        ("/load tools.json", "error: tools.json: tools is 5"),
        ("/save ~nosuchuser/x.json", "names no file"),
        ("/set top_p " + "[" * 2000, "error: "),
        ("word " * 5000, "or shorten the conversation with /undo or /reset"),
    ],
)
def test_an_error_leaves_the_conversation_as_it_was(chat, picture_file, tmp_path, line, said):
    (tmp_path / "notes.txt").write_text("only words in here\n")
    (tmp_path / "broken.png").write_bytes(picture_file.read_bytes()[:40])
    (tmp_path / "tools.json").write_text('{"messages": [], "tools": 5}')
    plain = chat("Hello").out
    done = chat(line, "Hello")
    assert said in done.err
    assert done.out == plain
    assert done.code == 1


def test_a_picture_by_command_with_pages(chat, picture_file, pdf_file, tmp_path):
    shutil.copy(picture_file, tmp_path / "my cat 2.png")
    shutil.copy(pdf_file, tmp_path / "scan.pdf")
    done = chat(
        "/image my cat 2.png", "/image 'scan.pdf' 2-3", "What?", "/save talk.json", "/quit", "x"
    )
    assert done.code == 0, done.err
    (content,) = [entry["content"] for entry in saved() if entry["role"] == "user"]
    media = [(part["image"].rsplit("/", 1)[1], part.get("page")) for part in content[:-1]]
    assert media == [("my cat 2.png", None), ("scan.pdf", 1), ("scan.pdf", 2)]


def test_notes_of_a_medium_are_printed_once(chat, picture, tmp_path):
    picture.save(tmp_path / "two.tif", save_all=True, append_images=[picture])
    done = chat("two.tif What?", "And?")
    assert done.err.count("note: ") == 1, done.err


def test_help_lists_every_command(chat):
    from finesight.cli.chat import COMMANDS

    said = chat("/help").err
    assert all(f"/{name}" in said for name in COMMANDS)


def test_nothing_typed_is_no_error(chat):
    done = chat()
    assert (done.code, done.out) == (0, "")


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, folder, *words):
        self._keys, slave = pty.openpty()
        command = [sys.executable, "-c", COMMAND, "chat", *map(str, words), "--threads", "1"]
        environment = {**os.environ, "TERM": "dumb"}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.screen = ""

    def read(self):
        """Wait until more is on the screen."""
        assert select.select([self._keys], [], [], 120)[0], self.screen
        self.screen += os.read(self._keys, 4096).decode(errors="replace")

    def wait_for(self, wanted, start=0):
        """Read the screen until it shows a text after a place."""
        while wanted not in self.screen[start:]:
            self.read()

    def type(self, keys):
        place = len(self.screen)
        os.write(self._keys, keys.encode())
        return place

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._keys)


@pytest.fixture
def terminal(tiny_model_folder, tmp_path):
    words = ("--max-new-tokens", 4000, "--temperature", 2)
    opened = Terminal(tmp_path, "--model", tiny_model_folder, *words)
    yield opened
    opened.close()


def test_ctrl_c_stops_the_answer_and_keeps_the_conversation(terminal, tmp_path):
    terminal.wait_for("> ")
    start = terminal.type("Hello\n")
    terminal.wait_for("Hello\r\n", start)
    while len(terminal.screen) < start + 60:  # some words of the answer
        terminal.read()
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.wait_for("stopped; what was written so far is kept", start)
    terminal.wait_for("> ", len(terminal.screen) - 5)
    start = terminal.type("/save talk.json\n")
    terminal.wait_for("wrote talk.json", start)
    terminal.type("/quit\n")
    assert terminal.process.wait(timeout=60) == 0
    messages = saved(tmp_path / "talk.json")
    assert [entry["role"] for entry in messages] == ["user", "assistant"]
    assert messages[1]["status"] == "incomplete"
    assert texts(messages)[1][1]
