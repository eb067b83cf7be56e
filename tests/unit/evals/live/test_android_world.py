# SPDX-License-Identifier: Apache-2.0
"""AndroidWorld and MobileMiniWoB++: the package's interface over a telephone that is not there, and stored runs."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from finesight.errors import ActionRefused, EvalError, ScreenUnavailable
from finesight.evals.core.registry import find_prompt, task
from finesight.evals.core.responders import Baseline
from finesight.evals.core.run import run
from finesight.evals.live.android_world import AndroidWorld
from finesight.evals.live.play import Player
from finesight.evals.live.stored import stored_successes
from finesight.geometry import Point
from finesight.screen.act import Act
from finesight.screen.history import call_in_words
from tests.support.benchmark_copies import jsonl


class Phone:
    """Keeps what it is asked for; a page ends by itself after two actions."""

    def __init__(self):
        self.actions, self.num_closed = [], 0

    def reset(self, go_home):
        assert go_home
        self.actions = []

    def get_state(self, wait_to_stabilize):
        assert wait_to_stabilize
        return SimpleNamespace(pixels=np.full((240, 120, 3), len(self.actions), np.uint8))

    def execute_action(self, action):
        self.actions.append(vars(action))

    def close(self):
        self.num_closed += 1


class Alarm:
    """A task of the package: solved once something was clicked."""

    torn_down = 0

    def __init__(self, params):
        self.goal = f"Set the alarm to {params['hour']}."

    @staticmethod
    def generate_random_params():
        return {"hour": random.randrange(10**6)}

    def initialize_task(self, phone):
        self.phone = phone

    def is_successful(self, phone):
        return float(any(action["action_type"] == "click" for action in phone.actions))

    def tear_down(self, phone):
        assert phone is self.phone
        Alarm.torn_down += 1


@pytest.fixture
def package(monkeypatch):
    """A package of the same shape; gives its telephone."""
    phone = Phone()
    registry = SimpleNamespace(get_registry=lambda family: {"SetAlarm": Alarm, "Tap": Alarm})
    contents = {
        "android_world": {},
        "android_world.registry": {"TaskRegistry": lambda: registry},
        "android_world.env": {},
        "android_world.env.env_launcher": {
            "load_and_setup_env": lambda console_port, adb_path: phone
        },
        "android_world.env.json_action": {"JSONAction": SimpleNamespace},
        "android_world.task_evals": {},
        "android_world.task_evals.miniwob": {},
        "android_world.task_evals.miniwob.miniwob_base": {
            "is_episode_terminated": lambda phone: len(phone.actions) >= 2
        },
    }
    for name, values in contents.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    return phone


def test_a_task_is_set_up_from_its_seed_and_torn_down(package):
    environment = AndroidWorld()
    before = Alarm.torn_down
    goals = [
        environment.reset({"task": "SetAlarm", "seed": seed}).instruction for seed in (1, 1, 2)
    ]
    assert goals[0] == goals[1] != goals[2]
    assert environment.observe().screenshot.size == (120, 240)
    environment.close()
    assert (Alarm.torn_down - before, package.num_closed) == (3, 1)
    with pytest.raises(ScreenUnavailable, match="reset comes first"):
        environment.observe()
    with pytest.raises(EvalError, match="has no task 'Fly' among 2"):
        environment.reset({"task": "Fly", "seed": 0})


def test_steps_are_actions_of_the_package(package):
    environment = AndroidWorld()
    environment.reset({"task": "SetAlarm", "seed": 0})
    with pytest.raises(ActionRefused, match="field that was touched"):
        environment.act(Act(kind="type", text="7"))
    for act in (
        Act(kind="click", point=Point(10.4, 20.6)),
        Act(kind="type", text="7"),
        Act(kind="swipe", point=Point(50, 200), point2=Point(50, 20)),
        Act(kind="system_button", button="Back"),
        Act(kind="open", text="Clock"),
        Act(kind="answer", text="7:30"),
        Act(kind="wait", seconds=1),
    ):
        environment.act(act)
    assert package.actions == [
        {"action_type": "click", "x": 10, "y": 21},
        {"action_type": "input_text", "text": "7", "x": 10, "y": 21},
        {"action_type": "scroll", "direction": "down"},
        {"action_type": "navigate_back"},
        {"action_type": "open_app", "app_name": "Clock"},
        {"action_type": "answer", "text": "7:30"},
        {"action_type": "wait"},
    ]
    with pytest.raises(ActionRefused, match=r"has no action for .*Menu"):
        environment.act(Act(kind="system_button", button="Menu"))


def test_a_task_counts_only_if_the_model_says_that_it_is_done(package):
    environment = AndroidWorld()
    environment.reset({"task": "SetAlarm", "seed": 0})
    environment.act(Act(kind="click", point=Point(1, 1)))
    assert environment.evaluate().score == 0.0
    environment.act(Act(kind="terminate", status="success"))
    outcome = environment.evaluate()
    assert outcome.score == 1.0
    assert outcome.facts == {"is_successful": 1.0, "said_done": True}


def test_a_page_ends_by_itself(package, tmp_path):
    copy = jsonl(tmp_path / "tasks.jsonl", [{"task": "Tap"}, {"task": "Tap", "instance": 1}])
    says = call_in_words("mobile_use", {"action": "click", "coordinate": [5, 5]})
    benchmark = task("mobile_miniwob")
    player = Player(
        inner=Baseline("taps", lambda _: says),
        environment=AndroidWorld("miniwob"),
        space="original",
        most_steps=5,
        screens=tmp_path / "screens",
    )
    done = run(
        benchmark,
        benchmark.prompts[0],
        benchmark.prompts[0].items(copy, benchmark.budget),
        player,
        folder=tmp_path / "run",
        space="original",
    )
    assert done.result is not None
    assert (done.result.value, done.result.n) == (1.0, 2)
    assert [sample.parsed["end"] for sample in done.samples] == ["over", "over"]
    assert [sample.parsed["num_steps"] for sample in done.samples] == [2, 2]


def test_a_question_is_answered_with_a_tool_that_can(package, tmp_path):
    asked = []

    def step(item):
        (tool,) = item.conversation.tools
        asked.append(tool["function"]["parameters"]["properties"])
        says = {"action": "terminate", "status": "success"}
        if len(asked) == 1:
            says = {"action": "answer", "text": "7:30"}
        return call_in_words("mobile_use", says)

    benchmark = task("android_world")
    prompt = find_prompt(benchmark, "answer")
    player = Player(
        inner=Baseline("answers", step),
        environment=AndroidWorld(),
        space="original",
        most_steps=5,
        screens=tmp_path / "screens",
        manner=prompt.name,
    )
    copy = jsonl(tmp_path / "tasks.jsonl", [{"task": "SetAlarm"}])
    folder = tmp_path / "run"
    items = prompt.items(copy, benchmark.budget)
    (sample,) = run(benchmark, prompt, items, player, folder=folder, space="original").samples
    assert sample.parsed["end"] == "terminated"
    assert package.actions == [{"action_type": "answer", "text": "7:30"}]
    action, text = asked[0]["action"], asked[0]["text"]["description"]
    assert "* `answer`: Output the answer.\n" in action["description"]
    assert action["enum"].index("answer") == action["enum"].index("type") + 1
    assert "`action=answer`" in text
    assert player.wording != replace(player, manner="progress").wording


@pytest.mark.skipif(find_spec("android_world") is not None, reason="android_world is installed")
def test_a_missing_package_is_named():
    environment = AndroidWorld()
    for ask in (lambda: environment.facts, lambda: environment.reset({"task": "x", "seed": 0})):
        with pytest.raises(EvalError, match="AndroidWorld cannot be played") as caught:
            ask()
        assert "install the package android_world" in caught.value.hint


def table(path, **changes):
    rows = [
        {"task_template": "SetAlarm", "instance_id": 0, "is_successful": 1.0, "goal": "Set it."},
        {"task_template": "SetAlarm", "instance_id": 1, "is_successful": 0.0, "goal": "Set it."},
        {"task_template": "Tap", "instance_id": 0, "is_successful": True, "goal": "Tap."},
    ]
    rows[-1] |= changes
    return jsonl(path, rows)


def scored(copy, stored, folder):
    benchmark = task("android_world")
    return run(
        benchmark,
        benchmark.prompts[0],
        benchmark.prompts[0].items(copy, benchmark.budget),
        stored_successes(stored),
        folder=folder,
        space="original",
    ).result


def test_a_stored_summary_is_added_up_per_task_and_in_total(tmp_path):
    summary = table(tmp_path / "summary.jsonl")
    done = scored(summary, summary, tmp_path / "run")
    assert done.metrics["success"] == pytest.approx(2 / 3)
    assert done.metrics["success/task/SetAlarm"] == 0.5
    assert done.n == 3


def test_episodes_that_were_not_played_are_named(tmp_path):
    copy = table(tmp_path / "tasks.jsonl")
    stored = jsonl(tmp_path / "run.jsonl", [{"task": "Tap", "success": 1}])
    done = scored(copy, stored, tmp_path / "run")
    assert (done.value, done.errors) == (pytest.approx(1 / 3), {"no_answer": 2})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"is_successful": "maybe"}, "success is 'maybe', not a number"),
        ({"is_successful": 2}, "success is 2, not between 0 and 1"),
        ({"task_template": "SetAlarm"}, "a second episode 'SetAlarm/0'"),
    ],
)
def test_a_broken_summary_is_refused(tmp_path, changes, said):
    with pytest.raises(EvalError, match=said):
        stored_successes(table(tmp_path / "summary.jsonl", **changes))
