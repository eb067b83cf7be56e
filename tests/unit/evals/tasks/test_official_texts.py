# SPDX-License-Identifier: Apache-2.0
"""What is sent equals, byte for byte, what the notebooks of Qwen2.5-VL print or write.

Digests are SHA-256 over UTF-8 of the printed text. Notebooks: github.com/QwenLM/Qwen2.5-VL at f0af299, cookbooks/.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from finesight.apps.grounding.prompts import locate_question
from finesight.conversation import (
    Conversation,
    ImagePart,
    MediaRecord,
    Message,
    Sampling,
    TextPart,
)
from finesight.evals.core import registry
from finesight.evals.core.task import Item
from finesight.evals.live.play import Player
from finesight.evals.tasks.grounding import odinw13, points, refcoco
from finesight.evals.tasks.shared.questions import Question
from finesight.evals.tasks.video import charades_sta
from finesight.geometry import Resize, Size
from finesight.parse.document_html import PAGE_PROMPT, PAGE_SYSTEM_LONG
from finesight.screen.act import Act
from finesight.screen.history import call_as_json, call_in_words
from finesight.screen.tools import computer_use, mobile_use, mobile_use_short
from finesight.text.chat_template import dump_json
from tests.support.benchmark_copies import as_json, items, jsonl, named, save
from tests.support.fake_environment import Counter
from tests.support.replies import reply
from tests.support.written import prompt_of, system_of

CELL_9 = "20285d0ed6996f0553f67b914c4342fb864eb0cfdafaa445ab6dd4e193d3b33f"
"""mobile_agent, the prompt printed by cell 9."""
CELL_13 = "7a20911b90e355603c51f806c34c3bec63ca85285f9728224e17d7374625492b"
GOAL = "Open the file manager app and view the au_uu_SzH3yR2.mp3 file in MUSIC Folder"
DONE = "Task progress (You have done the following operation on the current device):"
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
PHONE = (1080, 2400)
SHOWN = ImagePart(source="a.png")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prompts(task) -> dict[str, int]:
    return {prompt.name: number for number, prompt in enumerate(task.prompts)}


@pytest.mark.parametrize(
    ("tool", "size", "length", "expected"),
    [
        # mobile_agent, cell 9, between <tools> and </tools>
        (mobile_use, (1092, 2408), 2824, "b0e022bc13f5aa95d5452a5fa47227ac16d3a4d19a1e724a8e285926c26cb4a2"),
        # cookbooks/utils/agent_function_call.py as qwen-agent 0.0.34 writes it
        (computer_use, (1288, 728), 3095, "fa5550331703b9eff389634cec1fe250582950e1dedc59bb593f75d0228a7623"),
        # copies of the maintainers' script for AndroidControl
        (mobile_use_short, (1092, 2408), 2735, "cce10429a53caac10b60ab678ddc22fb28b7524a8d8691a2eb4c7c11777b42c9"),
    ],
)  # fmt: skip
def test_the_text_of_a_tool(tool, size, length, expected):
    text = dump_json(tool(Size(*size)))
    assert len(text) == length
    assert digest(text) == expected


@pytest.mark.parametrize(
    ("tool", "size", "length", "expected"),
    [
        (mobile_use, (1092, 2408), 3226, "08758deb1261464319e7c8e0ad8413c64285da66736b560d809f3754271a15e2"),
        (computer_use, (1288, 728), 3497, "5cd5fac8e8a00730daa9fbbec582a1c39e4aff3acfe091f34a37a6ff4189b6c8"),
    ],
)  # fmt: skip
def test_the_system_turn_with_a_tool(tool, size, length, expected):
    asked = Conversation((Message("user", (TextPart("x"),)),), tools=(tool(Size(*size)),))
    text = system_of(asked)
    assert len(text) == length
    assert digest(text) == expected


def test_a_prompt_written_by_hand_is_that_of_cell_13():
    """A goal in Chinese with no steps, put in the notebook's own words."""
    goal = "在盒马中,打开购物车，结算（到付款页面即可）"
    text = f"The user query:{goal} (You have done the following operation on the current device):"
    turn = Message("user", (TextPart(text), SHOWN))
    asked = Conversation((turn,), tools=(mobile_use(Size(728, 1288)),))
    assert digest(prompt_of(asked)) == CELL_13


def phone_steps(folder, actions, goal=GOAL):
    save(folder / "0.png", 0, PHONE)
    rows = [
        {
            "episode_id": 1,
            "step": number,
            "goal": goal,
            "step_instruction": f"do {number}",
            "screenshot": "0.png",
            "action": action,
        }
        for number, action in enumerate(actions)
    ]
    jsonl(folder / "android_control.jsonl", rows)
    return folder


ACTIONS = (
    {"action_type": "open_app", "app_name": "File Manager"},
    {"action_type": "click", "x": 540, "y": 1200},
    {"action_type": "input_text", "text": "ä"},
)


def test_android_control_asks_as_cell_9(tmp_path):
    high, low = named("android_control_high", "android_control_low")
    folder = phone_steps(tmp_path, ACTIONS)
    assert digest(prompt_of(items(high, folder)[1].conversation)) == CELL_9
    told = prompt_of(items(low, folder, prompts(low)["cookbook"])[1].conversation)
    assert digest(told.replace("\nCurrent step query: do 1", "")) == CELL_9


class Phone(Counter):
    """A telephone with the goal of cell 9."""

    tool = "mobile_use"

    def _observed(self, targets=()):
        return replace(super()._observed(targets), instruction=GOAL)


class Opens:
    """Opens the file manager again and again; says how it resized what it saw."""

    name, reads_media, declares_resize = "opens", True, True

    def __init__(self):
        self.asked = []

    def answer(self, item, sampling):
        self.asked.append(item)
        resize = Resize(Size(*PHONE), Size(1092, 2408))
        seen = MediaRecord(kind="image", source="s", resize=resize, visual_tokens=3)
        said = call_in_words("mobile_use", {"action": "open", "text": "File Manager"})
        return reply(said, seen)


def test_live_play_asks_as_cell_9(tmp_path):
    inner = Opens()
    player = Player(
        inner=inner,
        environment=Phone(PHONE),
        space="resized",
        most_steps=2,
        screens=tmp_path / "screens",
    )
    turn = Message("user", (TextPart("x"),))
    item = Item(id="one", conversation=Conversation((turn,)), truth={"config": {"clicks": 1}})
    player.answer(item, Sampling(max_new_tokens=8))
    assert digest(prompt_of(inner.asked[1].conversation)) == CELL_9


@pytest.mark.parametrize(("seconds", "told"), [(2.0, "2"), (0.5, "0.5")])
def test_live_play_tells_a_step_as_models_write_it(seconds, told):
    waits = Act(kind="wait", seconds=seconds).arguments((1.0, 1.0))
    assert call_as_json("computer_use", waits) == (
        f'{{"name": "computer_use", "arguments": {{"action": "wait", "time": {told}}}}}'
    )


def user_turn(item) -> str:
    return (
        prompt_of(item.conversation).partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
    )


def test_the_low_level_tells_the_step_and_earlier_ones_in_words(tmp_path):
    """X-PLUG/MobileAgent at f7702e4, UI-S1/x/data/agent/mobile_use.py, with its step instructions."""
    asked = items(
        registry.task("android_control_low"), phone_steps(tmp_path, ACTIONS, "Save a file.")
    )
    assert user_turn(asked[0]) == (
        f"The user query:  Save a file.\nCurrent step query: do 0\n{DONE} {PICTURE}"
    )
    assert user_turn(asked[2]) == (
        f"The user query:  Save a file.\nCurrent step query: do 2\n{DONE}"
        f" Step 1: do 0; Step 2: do 1; {PICTURE}"
    )


@pytest.mark.parametrize(("number", "now"), [(0, ""), (1, "\nCurrent step query: do 2")])
def test_the_script_of_the_maintainers_tells_arguments_and_shows_a_shorter_tool(
    tmp_path, number, now
):
    task = registry.task(("android_control_high", "android_control_low")[number])
    folder = phone_steps(tmp_path, ACTIONS, "Save a file.")
    asked = items(task, folder, prompts(task)["maintainers-script"])[2]
    assert user_turn(asked) == (
        f"The user query:  Save a file.{now}\n{DONE}"
        ' Step 1: {"action": "open", "text": "File Manager"};'
        f' Step 2: {{"action": "click", "coordinate": [546, 1204]}}; {PICTURE}'
    )
    assert asked.conversation.tools == (mobile_use_short(Size(1092, 2408)),)


def test_aitz_tells_whole_calls_or_arguments(tmp_path):
    task = registry.task("aitz")
    save(tmp_path / "test" / "general" / "E" / "0.png", 0, PHONE)
    rows = [
        {
            "episode_id": "E",
            "step_id": number,
            "instruction": "Find tea.",
            "image_full_path": "general/E/0.png",
            "result_action_type": 3,
            "result_action_text": "茶",
        }
        for number in range(2)
    ]
    as_json(tmp_path / "test" / "general" / "E" / "E.json", rows)
    told = {name: user_turn(items(task, tmp_path, n)[1]) for name, n in prompts(task).items()}
    arguments = '{"action": "type", "text": "茶"}'
    call = f'{{"name": "mobile_use", "arguments": {arguments}}}'
    before = f"The user query:  Find tea.\n{DONE} Step 1: "
    assert told == {
        "cookbook": f"{before}{call}; {PICTURE}",
        "arguments": f"{before}{arguments}; {PICTURE}",
    }


def test_screenspot_sends_the_computer_tool(tmp_path):
    save(tmp_path / "screenspotv2_image" / "0.png", 0, (1280, 720))
    row = {
        "img_filename": "0.png",
        "instruction": "Reload cache",
        "bbox": [1, 2, 3, 4],
        "data_type": "text",
        "data_source": "web",
    }
    as_json(tmp_path / "screenspot_web_v2.json", [row])
    (asked,) = items(registry.task("screenspot_v2"), tmp_path)
    assert digest(system_of(asked.conversation)) == (
        "5cd5fac8e8a00730daa9fbbec582a1c39e4aff3acfe091f34a37a6ff4189b6c8"
    )
    assert user_turn(asked) == f"{PICTURE}Reload cache"


def test_a_page_is_asked_for_in_qwenvl_html_with_either_system_text(tmp_path):
    """document_parsing: cell 11 defines both texts, cell 13 prints the frame of the call."""
    (task,) = named("pubtabnet")
    html = {"cells": [], "structure": {"tokens": ["<tbody>", "</tbody>"]}}
    jsonl(tmp_path / "PubTabNet_2.0.0.jsonl", [{"filename": "0.png", "split": "val", "html": html}])
    save(tmp_path / "0.png")
    told = {
        name: prompt_of(items(task, tmp_path, number)[0].conversation)
        for name, number in prompts(task).items()
    }

    def whole(system: str, words: str) -> str:
        system_turn = f"<|im_start|>system\n{system}<|im_end|>\n"
        return f"{system_turn}<|im_start|>user\n{words}{PICTURE}<|im_end|>\n<|im_start|>assistant\n"

    assert PAGE_PROMPT == "QwenVL HTML "
    assert told["qwenvl-html"] == whole("You are a helpful assistant", PAGE_PROMPT)
    assert told["qwenvl-html-long"] == whole(PAGE_SYSTEM_LONG, PAGE_PROMPT)
    assert digest(PAGE_SYSTEM_LONG) == (
        "b5eaa23a19a9ab8f02f8495c99a272d445c0b427cad34dc8a1d7d6139c9feea3"
    )


def question(text: str) -> Question:
    return Question(id="0", text=text, truth={}, oracle="", media=(SHOWN,))


def in_words(pieces) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


@pytest.mark.parametrize(
    ("asked", "official"),
    [
        # spatial_understanding
        (
            locate_question("top right brown cake", "box"),
            "Locate the top right brown cake, output its bbox coordinates using JSON format.",
        ),
        (
            locate_question("rolling pin on the far side of the table", "point"),
            "point to the rolling pin on the far side of the table, output its coordinates in XML"
            " format <points x y>object</points>",
        ),
        (
            in_words(points.ask_xml(question("cake"))),
            "point to the cake, output its coordinates in XML format <points x y>object</points>",
        ),
        # QwenLM/Qwen3-VL#991 and #839, by the maintainers
        (
            in_words(refcoco.ask_paper(question("the left cup"))),
            "Locate the left cup in this image and output the bbox coordinates in JSON format.",
        ),
        (
            in_words(odinw13.ask_paper(question("fish"))),
            "Locate every fish in the image and output the coordinates in JSON format.",
        ),
        # video_understanding
        (
            in_words(charades_sta.ask_paper(question("seasoning the steak"))),
            "Give the query: 'seasoning the steak', when does the described content occur in the"
            " video?",
        ),
    ],
)
def test_questions_are_those_of_the_notebooks_and_the_maintainers(asked, official):
    assert asked == official
