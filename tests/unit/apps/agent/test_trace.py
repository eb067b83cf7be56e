# SPDX-License-Identifier: Apache-2.0
"""A trace is whole after every step, resumes after a kill, and replays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from finesight.apps.agent.gate import Gate, always
from finesight.apps.agent.job import macro_on, run_on
from finesight.apps.agent.records import AgentOptions
from finesight.apps.agent.replay import Recorded, act_of, differences, read_trace, similarity
from finesight.apps.agent.trace import Trace, read_steps
from finesight.errors import AppError, ConfigError
from finesight.geometry import Point, Size
from finesight.screen.act import Act
from finesight.screen.web import WebScreen
from tests.support.agent_players import Planned
from tests.support.agent_sites import site
from tests.support.pages import needs_browser

PLAN = [
    *(("click", "Search lamps"), ("type", "desk"), ("key", "enter")),
    *(("click", "Add to cart"), ("success",)),
]
OPTIONS = AgentOptions(judges=False)
META = {"goal": "g", "model": "m", "options": {}}


@pytest.fixture(scope="module")
def shop():
    with site() as running:
        yield running


def opened(shop):
    return closing(WebScreen(f"{shop.url}/shop", size=Size(700, 420), settle_seconds=1))


@pytest.fixture(scope="module")
def recorded(shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trace") / "first"
    with opened(shop) as page:
        run = run_on(page, "Search.", Planned(page, PLAN), "p", OPTIONS, Gate(), folder=folder)
    assert run.end == "terminated"
    return folder, run


@needs_browser
def test_a_trace_holds_everything(recorded):
    folder, run = recorded
    meta, steps = read_trace(folder)
    assert meta["goal"] == "Search."
    assert meta["facts"]["screen"] == "web"
    assert steps == list(run.steps)
    assert [step.n for step in steps] == [1, 2, 3, 4, 5]
    stored = {path.stem for path in (folder / "screens").glob("*.png")}
    assert {digest for step in steps for digest in (step.before, step.after) if digest} == stored
    lines = (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    assert [("pending" in json.loads(line)) for line in lines] == [True, False] * 4 + [False]
    assert json.loads((folder / "result.json").read_bytes())["claimed"] == "success"
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert report.count("data:image/") == 6
    assert "Step 4: left click on button &#39;Add to cart&#39;" in report


@needs_browser
def test_recorded_answers_give_the_same_screens_again(recorded, shop, tmp_path):
    _, run = recorded
    with opened(shop) as page:
        player = Recorded(run.steps)
        again = run_on(page, "Search.", player, "p", OPTIONS, Gate(), folder=tmp_path)
    assert differences(run.steps, again.steps) == []
    assert [step.before for step in again.steps] == [step.before for step in run.steps]
    with opened(shop) as page:
        page.browser.evaluate("() => { document.querySelector('h1').textContent = 'Other shop' }")
        other = run_on(page, "Search.", Recorded(run.steps), "p", OPTIONS, Gate())
    assert any("step 1: before was" in each for each in differences(run.steps, other.steps))


@needs_browser
def test_a_macro_needs_no_model_and_stops_where_the_target_differs(recorded, shop, tmp_path):
    folder, run = recorded
    with opened(shop) as page:
        again = macro_on(folder, page, Gate(), folder=tmp_path / "macro")
        assert again.end == "terminated"
        assert again.claimed == "success"
        assert [step.after for step in again.steps] == [step.after for step in run.steps]
        page.browser.open(f"{shop.url}/shop")
        page.browser.evaluate(
            "() => { document.querySelector('input').style.background = 'black' }"
        )
        other = macro_on(folder, page, Gate())
    assert other.end == "differs"
    assert "step 1: the target looks different" in other.problem


def test_similarity_of_surroundings():
    picture = Image.effect_noise((200, 200), 90).convert("RGB")
    assert similarity(picture, picture, Point(100, 100)) == pytest.approx(1)
    assert similarity(picture, picture.filter(ImageFilter.GaussianBlur(4)), Point(100, 100)) < 0.8
    assert similarity(picture, picture.rotate(90), Point(100, 100)) < 0.5
    assert similarity(picture, picture.crop((0, 0, 100, 100)), Point(5, 5)) == 0


def test_steps_survive_as_json():
    act = Act(kind="left_click_drag", point=Point(1.5, 2), keys=("ctrl",), pixels=-3.0)
    assert act_of(json.loads(json.dumps(act.as_json()))) == act


CHILD = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from finesight.apps.agent.gate import Gate
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions
from finesight.geometry import Size
from finesight.screen.web import WebScreen
from tests.support.agent_players import Planned
from tests.unit.apps.agent.test_trace import OPTIONS, PLAN

url, folder, last = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with closing(WebScreen(f"{url}/shop", size=Size(700, 420), settle_seconds=1)) as page:
    player = Planned(page, PLAN)
    def on_step(step):
        if step.n == last:
            os.kill(os.getpid(), signal.SIGKILL)
    run_on(page, "Search.", player, "p", OPTIONS, Gate(), folder=folder, on_step=on_step)
"""


@needs_browser
@pytest.mark.parametrize("last", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 4))])
def test_a_killed_run_goes_on(shop, tmp_path, last):
    folder = tmp_path / "trace"
    root = str(Path(__file__).parents[4])
    path = os.pathsep.join([root, *sys.path])
    child = subprocess.run(
        [sys.executable, "-c", CHILD, shop.url, str(folder), str(last)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert len(read_steps(folder / "steps.jsonl")[0]) == last
    with (folder / "steps.jsonl").open("ab") as lines:
        lines.write(b'{"n": 9, "at_sec')  # a line that the kill cut off
    with opened(shop) as page:
        # the first words in the field are gone with the browser: the plan begins there again unless it was sent
        rest = PLAN[last:] if last >= 3 else PLAN
        run = run_on(page, "Search.", Planned(page, rest), "p", OPTIONS, Gate(), folder=folder)
    assert run.claimed == "success"
    assert [step.n for step in run.steps] == list(range(1, len(run.steps) + 1))
    assert len(run.steps) == last + len(rest)
    assert run.steps[last].place == run.steps[last - 1].place or "?q=" in run.steps[last].place
    assert read_steps(folder / "steps.jsonl")[0] == list(run.steps)


def test_a_step_that_may_have_been_done_is_known(tmp_path):
    trace = Trace(tmp_path, META)
    trace.announce(1, {"kind": "wait"})
    trace.close()
    resumed = Trace(tmp_path, META)
    assert resumed.pending
    assert resumed.steps == []
    resumed.close()


def test_other_settings_and_finished_runs_are_refused(tmp_path):
    Trace(tmp_path, META).close()
    with pytest.raises(ConfigError, match="goal = g, this one has h"):
        Trace(tmp_path, {**META, "goal": "h"})
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a finished run"):
        Trace(tmp_path, META)


def test_two_runs_do_not_share_a_folder(tmp_path):
    first = Trace(tmp_path, META)
    with pytest.raises(AppError, match="another process writes"):
        Trace(tmp_path, META)
    first.close()


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "steps.jsonl").write_text('{"n": 1}\n{"pending": 2}\n')
    with pytest.raises(AppError, match="line 1 is no step"):
        read_steps(tmp_path / "steps.jsonl")
    with pytest.raises(ConfigError, match="holds no trace"):
        read_trace(tmp_path)
    (tmp_path / "meta.json").write_text("{", encoding="utf-8")
    with pytest.raises(AppError, match="is damaged"):
        read_trace(tmp_path)


@needs_browser
def test_consequential_steps_of_a_macro_need_approval_too(shop, tmp_path):
    plan = [("click", "Place order"), ("success",)]
    folder = tmp_path / "order"
    with closing(WebScreen(f"{shop.url}/checkout", size=Size(700, 420))) as page:
        run_on(page, "x", Planned(page, plan), "p", OPTIONS, Gate(approver=always), folder=folder)
        before = shop.digest()
        page.browser.open(f"{shop.url}/checkout")
        run = macro_on(folder, page, Gate())
    assert run.end == "differs"
    assert "not approved" in run.problem
    assert shop.digest() == before
