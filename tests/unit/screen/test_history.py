# SPDX-License-Identifier: Apache-2.0
"""The four manners of writing earlier steps, as whole prompts; `--update-golden` writes the files anew."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from finesight.conversation import Conversation, ImagePart
from finesight.errors import ConfigError
from finesight.geometry import Point, Size
from finesight.screen.act import Act
from finesight.screen.history import MANNERS, PastStep, act_in_words, call_as_json, turns
from finesight.screen.tools import EXTRAS, computer_use, extra_tool, mobile_use
from tests.support.written import prompt_of

FOLDER = Path(__file__).parents[2] / "golden" / "agent"
GOAL = "Open the file manager app and view the au_uu_SzH3yR2.mp3 file in MUSIC Folder"
CELL_9 = "20285d0ed6996f0553f67b914c4342fb864eb0cfdafaa445ab6dd4e193d3b33f"
"""SHA-256 of the prompt that cell 9 of the notebook mobile_agent prints."""
SCREEN = ImagePart(source="a.png")


def past(number):
    call = call_as_json("computer_use", {"action": "left_click", "coordinate": [10 * number, 20]})
    return PastStep(
        call=call,
        words=f"I opened item {number}.",
        reply=f"<tool_call>\n{call}\n</tool_call>",
        screen=SCREEN,
        instruction=f"open item {number}",
    )


@pytest.mark.parametrize("manner", MANNERS)
def test_the_prompt_of_a_manner(manner, update_golden):
    messages = turns(manner, "Find it.", [past(n) for n in range(1, 7)], SCREEN, instruction="look")
    text = prompt_of(Conversation(messages, tools=(computer_use(Size(1288, 728)),)))
    path = FOLDER / f"{manner}.txt"
    if update_golden:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_default_is_the_prompt_of_the_notebook():
    call = call_as_json("mobile_use", {"action": "open", "text": "File Manager"})
    step = PastStep(call=call, words="", reply="", screen=SCREEN)
    asked = Conversation(
        turns("cookbook", GOAL, [step], SCREEN), tools=(mobile_use(Size(1092, 2408)),)
    )
    assert hashlib.sha256(prompt_of(asked).encode()).hexdigest() == CELL_9


def test_pictures_are_few_and_old_coordinates_are_gone():
    many = [past(n) for n in range(1, 12)]
    assert len(list(Conversation(turns("window", "g", many, SCREEN)).media())) == 5
    for manner in ("cookbook", "thinking", "low"):
        asked = Conversation(turns(manner, "g", many, SCREEN, instruction="now"))
        assert len(list(asked.media())) == 1
    text = prompt_of(Conversation(turns("window", "g", many, SCREEN)))
    assert "Step 7: I opened item 7." in text
    assert "[70, 20]" not in text
    assert "[80, 20]" in text


def test_remarks_follow_the_screen():
    asked = Conversation(turns("cookbook", "g", [], SCREEN, remarks=["One.", "Two."]))
    assert "<|vision_end|>\nOne.\nTwo.<|im_end|>" in prompt_of(asked)


def test_low_needs_an_instruction():
    with pytest.raises(ConfigError, match="needs the current step in words"):
        turns("low", "g", [], SCREEN)


def test_steps_in_words_have_no_coordinates():
    assert act_in_words(Act(kind="left_click", point=Point(5, 6))) == "left click"
    assert act_in_words(Act(kind="scroll", pixels=-50.0)) == "scroll down"
    assert act_in_words(Act(kind="key", keys=("ctrl", "a"))) == "key ctrl+a"
    assert act_in_words(Act(kind="type", text="x")) == 'type "x"'


@pytest.mark.parametrize("name", EXTRAS)
def test_further_functions_leave_the_official_tool_alone(name):
    tool = extra_tool(name)
    assert tool["function"]["name"] == name
    assert tool["function"]["parameters"]["required"] == ["text"]
    parameters = computer_use(Size(1288, 728))["function"]["parameters"]
    assert name not in parameters["properties"]["action"]["enum"]
