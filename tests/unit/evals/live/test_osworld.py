# SPDX-License-Identifier: Apache-2.0
"""OSWorld: steps as its package takes them, the loop over a computer that is not there, and stored runs."""

from __future__ import annotations

import io
import json
from importlib.util import find_spec

import pytest
from PIL import Image

from finesight.errors import ActionRefused, AppError, EvalError, ScreenUnavailable
from finesight.evals.core.registry import task
from finesight.evals.core.responders import Baseline
from finesight.evals.core.run import run
from finesight.evals.live.osworld import OsWorld, command
from finesight.evals.live.play import Player
from finesight.evals.live.stored import OsWorldRecords
from finesight.geometry import Point
from finesight.screen.act import Act
from finesight.screen.history import call_in_words
from tests.support.benchmark_copies import as_json

OSWORLD = task("osworld")


def write_task(folder, app, name, func="check", **more):
    content = {"id": name, "instruction": f"Do {name}.", "config": [], "evaluator": {"func": func}}
    return as_json(folder / "examples" / app / f"{name}.json", content | more)


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / "evaluation_examples"
    write_task(folder, "chrome", "bookmark")
    write_task(folder, "chrome", "impossible", "infeasible")
    write_task(folder, "gimp", "crop", ["check_size", "check_file"], conj="and")
    write_task(folder, "gimp", "paint")
    as_json(folder / "test_all.json", {"chrome": ["bookmark"]})
    return folder


def items(folder):
    return list(OSWORLD.prompts[0].items(folder, OSWORLD.budget))


def test_tasks_are_read_by_app_and_lists_are_passed_over(copy):
    found = items(copy)
    assert [item.id for item in found] == [
        "chrome/bookmark",
        "chrome/impossible",
        "gimp/crop",
        "gimp/paint",
    ]
    assert found[1].tags == {"app": "chrome", "feasible": "no"}
    assert found[0].truth["config"]["instruction"] == "Do bookmark."
    with pytest.raises(EvalError, match="holds no task of OSWorld"):
        items(copy / "nowhere")


def test_a_broken_task_is_counted(copy):
    (copy / "examples" / "gimp" / "torn.json").write_text("{")
    as_json(copy / "examples" / "gimp" / "half.json", {"instruction": "Do."})
    broken = [item.truth["broken_row"] for item in items(copy) if "broken_row" in item.truth]
    assert broken[0] == "lacks evaluator, id"
    assert broken[1].startswith("not JSON")


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (Act(kind="left_click", point=Point(10.4, 20.6)), "pyautogui.click(10, 21)"),
        (Act(kind="left_click"), "pyautogui.click()"),
        (Act(kind="double_click", point=Point(1, 2)), "pyautogui.doubleClick(1, 2)"),
        (Act(kind="mouse_move", point=Point(1, 2)), "pyautogui.moveTo(1, 2)"),
        (
            Act(kind="left_click_drag", point=Point(1, 2)),
            "pyautogui.dragTo(1, 2, duration=0.5, button='left')",
        ),
        (Act(kind="type", text="it's\n"), 'pyautogui.typewrite("it\'s\\n")'),
        (Act(kind="key", keys=("Ctrl", "a")), "pyautogui.hotkey('ctrl', 'a')"),
        (Act(kind="scroll", pixels=-3.2), "pyautogui.scroll(-3)"),
        (Act(kind="wait", seconds=1), "WAIT"),
        (Act(kind="terminate", status="success"), "DONE"),
        (Act(kind="terminate", status="failure"), "FAIL"),
    ],
)
def test_steps_are_lines_of_pyautogui(act, said):
    assert command(act) == said


def test_what_pyautogui_would_leave_out_in_silence_is_refused():
    with pytest.raises(ActionRefused, match="cannot type 'é'"):
        command(Act(kind="type", text="café"))
    with pytest.raises(ActionRefused, match="no action 'swipe'"):
        command(Act(kind="swipe"))


class Desktop:
    """A computer that counts its actions; a task is solved if the last of them says so."""

    def __init__(self, *, is_blind=False):
        self.is_blind, self.actions, self.num_closed = is_blind, [], 0

    def reset(self, task_config):
        self.config, self.actions = task_config, []
        return self._seen()

    def step(self, action, pause):
        assert pause > 0
        self.actions.append(action)
        return self._seen(), 0, action in ("DONE", "FAIL"), {}

    def evaluate(self):
        wanted = "FAIL" if self.config["evaluator"]["func"] == "infeasible" else "DONE"
        return 1 if self.actions[-1] == wanted else 0

    def close(self):
        self.num_closed += 1

    def _seen(self):
        data = io.BytesIO()
        Image.new("RGB", (192, 108), (len(self.actions), 0, 0)).save(data, "PNG")
        return {"screenshot": None if self.is_blind else data.getvalue()}


def play(desktop, copy, folder, status):
    environment = OsWorld(make=lambda: desktop)
    says = call_in_words("computer_use", {"action": "terminate", "status": status})
    player = Player(
        inner=Baseline("gives up", lambda _: says),
        environment=environment,
        space="original",
        most_steps=3,
        screens=folder / "screens",
    )
    done = run(
        OSWORLD, OSWORLD.prompts[0], items(copy), player, folder=folder, space="original"
    ).result
    environment.close()
    return done


def test_tasks_are_played_and_scored_by_the_package(copy, tmp_path):
    desktop = Desktop()
    done = play(desktop, copy, tmp_path / "run", "failure")
    assert done.metrics["success"] == 0.25
    assert done.metrics["success/feasible/no"] == 1.0
    assert (desktop.actions, desktop.num_closed) == (["FAIL"], 1)
    assert play(Desktop(), copy, tmp_path / "other", "success").metrics["success"] == 0.75


def test_a_computer_without_a_picture_is_a_failure_of_the_environment(copy, tmp_path):
    done = play(Desktop(is_blind=True), copy, tmp_path / "run", "success")
    assert done.errors == {"environment": 4}
    with pytest.raises(ScreenUnavailable, match="reset comes first"):
        OsWorld(make=Desktop).observe()


@pytest.mark.skipif(find_spec("desktop_env") is not None, reason="desktop-env is installed")
def test_a_missing_package_is_named():
    for ask in (lambda: OsWorld().facts, lambda: OsWorld().reset({"instruction": "x"})):
        with pytest.raises(EvalError, match="OSWorld cannot be played") as caught:
            ask()
        assert "pip install desktop-env" in caught.value.hint


def store(folder, app, name, score, *lines):
    place = folder / "pyautogui" / "screenshot" / "model" / app / name
    place.mkdir(parents=True)
    (place / "result.txt").write_text(f"{score}\n")
    if lines:
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (place / "traj.jsonl").write_text(content, encoding="utf-8")


WRAPPED = "I am\u2028done."
"""A line end of Unicode, which ends no line of a file."""


def line(action, **more):
    return {"step_num": 1, "action": action, "response": f"I do {action}.", "done": False} | more


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    store(
        folder,
        "chrome",
        "bookmark",
        1.0,
        line("pyautogui.click(1, 2)"),
        line("DONE", response=WRAPPED),
    )
    store(folder, "chrome", "impossible", 1, line("FAIL"))
    store(folder, "gimp", "crop", 0.5, line({"action_type": "DONE"}))
    return folder


def scored(copy, results, folder):
    return run(
        OSWORLD,
        OSWORLD.prompts[0],
        items(copy),
        OsWorldRecords(results),
        folder=folder,
        space="original",
    )


def test_a_stored_run_is_added_up_per_app_and_in_total(copy, results, tmp_path):
    done = scored(copy, results, tmp_path / "run")
    assert done.result is not None
    assert done.result.metrics["success"] == 2.5 / 4
    assert done.result.metrics["success/app/chrome"] == 1.0
    assert done.result.metrics["success/app/gimp"] == 0.25
    # as OSWorld's own script counts: only what has a result
    assert done.result.metrics["success_of_played"] == 2.5 / 3
    assert done.result.errors == {"no_answer": 1}
    told = json.loads(done.samples[0].text)
    assert [step["act"]["text"] for step in told["steps"]] == ["pyautogui.click(1, 2)", "DONE"]
    assert told["steps"][1]["answer"] == WRAPPED


@pytest.mark.parametrize(
    ("name", "score", "last", "said"),
    [
        (
            "impossible",
            1.0,
            "DONE",
            "is infeasible and its last action is 'DONE', yet its score is 1",
        ),
        (
            "impossible",
            0.0,
            "FAIL",
            "is infeasible and its last action is 'FAIL', yet its score is 0",
        ),
        ("bookmark", 1.0, "FAIL", "is feasible and its last action is 'FAIL', yet its score is 1"),
    ],
)
def test_a_record_that_contradicts_itself_is_no_result(copy, tmp_path, name, score, last, said):
    store(tmp_path / "results", "chrome", name, score, line("WAIT"), line(last))
    records = OsWorldRecords(tmp_path / "results")
    (item,) = [each for each in items(copy) if each.id == f"chrome/{name}"]
    with pytest.raises(AppError, match=said):
        records.answer(item, OSWORLD.sampling)
    done = scored(copy, tmp_path / "results", tmp_path / "run")
    assert done.result is not None
    assert done.result.errors["environment"] == 1


def test_errors_of_the_script_are_problems_of_their_step(copy, tmp_path):
    lines = (line("WAIT"), {"Error": "Time limit exceeded"})
    store(tmp_path / "results", "gimp", "paint", 0.0, *lines)
    done = scored(copy, tmp_path / "results", tmp_path / "run")
    (sample,) = [each for each in done.samples if each.id == "gimp/paint"]
    assert json.loads(sample.text)["steps"][1]["problem"] == "Time limit exceeded"


def test_two_runs_at_once_and_none_are_refused(results, tmp_path):
    store(results / "again", "chrome", "bookmark", 0.0)
    with pytest.raises(EvalError, match="two results of chrome/bookmark"):
        OsWorldRecords(results)
    with pytest.raises(EvalError, match=r"holds no result\.txt"):
        OsWorldRecords(tmp_path / "nowhere")


def test_a_result_that_is_no_number_is_named(copy, tmp_path):
    store(tmp_path / "results", "gimp", "paint", "well done")
    done = scored(copy, tmp_path / "results", tmp_path / "run")
    (sample,) = [each for each in done.samples if each.id == "gimp/paint"]
    assert "contains 'well done', not a score" in sample.message
