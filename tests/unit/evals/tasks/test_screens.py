# SPDX-License-Identifier: Apache-2.0
"""Tasks on screens: tiny copies in each stated layout, clicks and steps against the truth."""

from __future__ import annotations

import pytest

from finesight.evals.core import registry
from finesight.evals.core.task import Answered, CoordinateFrame
from finesight.evals.tasks.screens import (
    mobile,
)
from finesight.geometry import Size
from tests.support.benchmark_copies import (
    as_json,
    cell,
    check_whole,
    items,
    jsonl,
    named,
    parquet,
    save,
    words,
)

SCREEN = (640, 480)


def check_clicks(task, folder):
    asked = check_whole(task, folder, shuffled=0.0)
    tool = asked[0].conversation.tools[0]["function"]
    assert tool["name"] == "computer_use"
    assert "resolution is 644x476" in tool["description"]
    assert words(asked[0]) == "[]press 0"
    assert items(task, folder, 1)[0].conversation.tools == ()
    assert task.score([20, 20], {"box": [10, 10, 20, 20]})["hit"] == 1.0
    assert task.score([20.5, 15], {"box": [10, 10, 20, 20]})["hit"] == 0.0
    assert task.score(None, {"box": [10, 10, 20, 20]}) == {"hit": 0.0, "wrong_format": 1.0}
    return asked


def test_screenspot(tmp_path):
    rows = [
        {
            "file_name": f"{n}.png",
            "image": cell(n, SCREEN),
            "instruction": f"press {n}",
            "bbox": [0.25 * n, 0.1, 0.25 * n + 0.2, 0.2],
            "data_type": "icon" if n % 2 else "text",
            "data_source": ("ios", "windows", "forum", "android")[n],
        }
        for n in range(4)
    ]
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    asked = check_clicks(registry.task("screenspot"), tmp_path)
    assert asked[1].truth["box"] == pytest.approx([160, 48, 288, 96])
    groups = [item.tags["group"] for item in asked]
    assert groups == ["mobile text", "desktop icon", "web text", "mobile icon"]


def test_screenspot_v2(tmp_path):
    for n, platform in enumerate(("desktop", "mobile", "web")):
        save(tmp_path / "screenspotv2_image" / f"{n}.png", n, SCREEN)
        row = {
            "img_filename": f"{n}.png",
            "instruction": f"press {n}",
            "bbox": [100 * n, 10, 50, 20],
            "data_type": "text",
            "data_source": platform,
        }
        as_json(tmp_path / f"screenspot_{platform}_v2.json", [row])
    asked = check_clicks(registry.task("screenspot_v2"), tmp_path)
    assert asked[1].truth["box"] == [100, 10, 150, 30]


def test_screenspot_pro(tmp_path):
    rows = []
    for n in range(4):
        save(tmp_path / "images" / "cad" / f"{n}.png", n, SCREEN)
        rows.append(
            {
                "img_filename": f"cad/{n}.png",
                "instruction": f"press {n}",
                "bbox": [100 * n, 10, 100 * n + 50, 30],
                "ui_type": "icon",
                "platform": "linux",
                "group": "CAD",
                "application": "freecad",
            }
        )
    as_json(tmp_path / "annotations" / "freecad_linux.json", rows)
    asked = check_clicks(registry.task("screenspot_pro"), tmp_path)
    assert asked[0].tags["application"] == "freecad"


ACTIONS = (
    {"action_type": "open_app", "app_name": "Clock"},
    {"action_type": "click", "x": 100, "y": 50},
    {"action_type": "input_text", "text": "7:30"},
    {"action_type": "scroll", "direction": "down"},
    {"action_type": "navigate_back"},
    {"action_type": "navigate_home"},
    {"action_type": "long_press", "x": 600, "y": 400},
    {"action_type": "wait"},
)


@pytest.mark.parametrize(
    "task", named("android_control_high", "android_control_low"), ids=lambda task: task.name
)
def test_android_control(tmp_path, task):
    save(tmp_path / "screens" / "0.png", 0, SCREEN)
    rows = [
        {
            "episode_id": 17,
            "step": n,
            "goal": "Set an alarm.",
            "step_instruction": f"do {n}",
            "screenshot": "screens/0.png",
            "action": action,
            "elements": [[90, 40, 120, 60], [0, 0, 640, 480]],
        }
        for n, action in enumerate(ACTIONS)
    ]
    jsonl(tmp_path / "android_control.jsonl", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    said = words(asked[2])
    assert said.startswith("The user query:  Set an alarm.")
    is_low = task.name == "android_control_low"
    assert ("\nCurrent step query: do 2\n" in said) == is_low
    assert ("Step 1: do 0; Step 2: do 1; []" in said) == is_low
    (number,) = (n for n, prompt in enumerate(task.prompts) if prompt.name == "cookbook")
    assert (
        "Task progress (You have done the following operation on the current device):"
        ' Step 1: {"name": "mobile_use", "arguments": {"action": "open", "text": "Clock"}};'
        ' Step 2: {"name": "mobile_use", "arguments": {"action": "click", "coordinate":'
        " [101, 50]}}; []"
    ) in words(items(task, tmp_path, number)[2])  # 644 x 476 is what the model sees of 640 x 480
    assert asked[0].conversation.tools[0]["function"]["name"] == "mobile_use"
    click = asked[1].truth
    assert task.score({"kind": "click", "point": [119, 41]}, click) == {"type": 1.0, "exact": 1.0}
    assert task.score({"kind": "click", "point": [125, 41]}, click) == {"type": 1.0, "exact": 0.0}
    assert task.score({"kind": "long_press", "point": [100, 50]}, click)["exact"] == 0.0
    assert task.score({"kind": "type", "text": "7:30 "}, asked[2].truth)["exact"] == 0.0
    assert task.score({"kind": "scroll", "direction": "up"}, asked[3].truth)["exact"] == 0.0
    assert task.score({"kind": "home"}, asked[4].truth) == {"type": 0.0, "exact": 0.0}


def test_steps_are_read_in_pixels_of_the_original():
    frames = (CoordinateFrame("resized", Size(1080, 2400), Size(540, 1200)),)

    def read(arguments: str):
        call = f'<tool_call>{{"name": "mobile_use", "arguments": {arguments}}}</tool_call>'
        return mobile.READ_STEP.read(Answered(call, {}, frames))

    assert read('{"action": "click", "coordinate": [10, 20]}') == {
        "kind": "click",
        "point": [20, 40],
    }
    up = '{"action": "swipe", "coordinate": [270, 900], "coordinate2": [270, 300]}'
    assert read(up) == {"kind": "scroll", "direction": "down"}
    assert read('{"action": "system_button", "button": "Back"}') == {"kind": "back"}
    assert read('{"action": "terminate", "status": "failure"}') == {"kind": "impossible"}
    assert read('{"action": "fly"}') is None
    assert mobile.READ_STEP.read(Answered("I would click.", {}, frames)) is None


def test_without_elements_a_near_click_counts():
    assert mobile.reaches([110, 10], [100, 10], [], [1000, 1000])
    assert not mobile.reaches([300, 10], [100, 10], [], [1000, 1000])


def test_aitz(tmp_path):
    task = registry.task("aitz")
    save(tmp_path / "test" / "general" / "E1" / "E1_0.png", 0, SCREEN)
    moves = (
        (4, "", [0.1, 0.5], [0.1, 0.5]),
        (4, "", [0.8, 0.5], [0.2, 0.5]),
        (3, "tea", [-1, -1], [-1, -1]),
        (5, "", [-1, -1], [-1, -1]),
        (7, "", [-1, -1], [-1, -1]),
        (10, "", [-1, -1], [-1, -1]),
    )
    rows = [
        {
            "episode_id": "E1",
            "step_id": n,
            "instruction": "Buy tea.",
            "image_full_path": "general/E1/E1_0.png",
            "result_action_type": kind,
            "result_action_text": text,
            "result_touch_yx": str(touch),
            "result_lift_yx": str(lift),
            "ui_positions": "[[40, 300, 20, 40]]",
            "subset": "general",
        }
        for n, (kind, text, touch, lift) in enumerate(moves)
    ]
    as_json(tmp_path / "test" / "general" / "E1" / "E1.json", rows)
    asked = check_whole(task, tmp_path, shuffled=0.0)
    assert asked[0].truth["step"] == {"kind": "click", "point": [320.0, 48.0]}
    assert asked[0].truth["elements"] == [[300, 40, 340, 60]]
    assert asked[1].truth["step"] == {"kind": "scroll", "direction": "down"}
    assert [item.tags["kind"] for item in asked[2:]] == ["type", "back", "enter", "done"]
