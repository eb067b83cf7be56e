# SPDX-License-Identifier: Apache-2.0
"""Recording of web pages: what is asked, where it is, and what is left out."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from finesight.browser.browser import Browser
from finesight.errors import EvalError
from finesight.evals.screens import miniwob, web_pages
from finesight.evals.screens.record import Screen, Target, write_set
from finesight.geometry import Box
from tests.support.pages import needs_browser

PAGE = """<!doctype html><style>* {{ position: absolute; margin: 0; }}</style>
<link rel="stylesheet" crossorigin href="/look.css">
<button style="left: 100px; top: 50px">&#xf0e0; Save it</button>
<button style="left: 300px; top: 50px">Twice</button><button style="left: 400px; top: 50px">Twice</button>
<button style="left: 100px; top: 200px; width: 90px">Covered</button>
<div style="left: 90px; top: 190px; width: 200px; height: 80px; background: white"></div>
<div style="left: 500px; top: 500px; width: 90px; height: 22px"><p>Something else</p></div>
<div style="left: 500px; top: 500px; width: 90px; height: 0; overflow: hidden"><a href="#">Folded away</a></div>
<input style="left: 100px; top: 350px" aria-label="Your name">
<a href="#" style="left: 100px; top: 1000px">Far below</a>
<a href="#" aria-label="Settings" style="left: 500px; top: 300px; width: 30px; height: 30px"></a>
"""
CORE = """Math.seedrandom = (seed) => { window.seed = seed; };
var WOB_DONE_GLOBAL = false, WOB_RAW_REWARD_GLOBAL = 0;
var core = { startEpisodeReal() { WOB_DONE_GLOBAL = false; WOB_RAW_REWARD_GLOBAL = 0; genProblem(); } };
function end(reward) { WOB_DONE_GLOBAL = true; WOB_RAW_REWARD_GLOBAL = reward; }
"""
TASK = """<!doctype html><script>{core}
function genProblem() {{
  document.querySelector("#query").textContent = "Click  the {name} one.";
  document.querySelector("#area").innerHTML = ["left", "right"].map((side, place) =>
    `<button style="position: absolute; top: 100px; left: ${{10 + 80 * place}}px; width: 40px; height: 20px"
      onclick="end(({rule}) ? 1 : -1)">x</button>`).join("");
}}
</script><body style="margin: 0"><div id="query"></div><div id="area"></div></body>"""


def open_lines(folder):
    return (folder / "elements.jsonl").read_text().splitlines()


def test_a_set_is_written_whole_and_replaces_another(tmp_path):
    target = Target(instruction='Click on "ä".', box=Box(1, 2.04, 30, 20), kind="icon")
    picture = Image.new("RGB", (60, 40))

    def draw(name):
        return Screen(name=name, source="site", picture=picture, targets=(target, target))

    assert write_set([draw("a"), draw("b")], tmp_path / "set") == 4
    assert write_set([draw("c")], tmp_path / "set") == 2
    assert [path.name for path in (tmp_path / "set" / "images").iterdir()] == ["c.png"]
    lines = open_lines(tmp_path / "set")
    assert json.loads(lines[0]) == {
        "file_name": "c.png",
        "instruction": 'Click on "ä".',
        "bbox": [1, 2.0, 30, 20],
        "data_type": "icon",
        "data_source": "site",
    }
    many = [draw(f"n{number}") for number in range(9)]
    write_set(many, tmp_path / "set")
    shown = [json.loads(line)["file_name"] for line in open_lines(tmp_path / "set")]
    assert len(set(shown[:9])) > 5  # the first part is of many screens
    write_set(many, tmp_path / "set")
    assert shown == [json.loads(line)["file_name"] for line in open_lines(tmp_path / "set")]
    with pytest.raises(EvalError, match="no page gave an element"):
        write_set([], tmp_path / "set")
    assert len(open_lines(tmp_path / "set")) == 18
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_set_whose_drawing_fails_leaves_the_older_one(tmp_path):
    target = Target(instruction="Click", box=Box(1, 2, 30, 20), kind="icon")
    screen = Screen(name="a", source="site", picture=Image.new("RGB", (60, 40)), targets=(target,))

    def broken(*before):
        yield from before
        raise EvalError("the page does not load")

    with pytest.raises(EvalError, match="does not load"):
        write_set(broken(), tmp_path / "new" / "set")
    assert list(tmp_path.iterdir()) == []
    write_set([screen], tmp_path / "set")
    with pytest.raises(EvalError, match="does not load"):
        write_set(broken(screen), tmp_path / "set")
    assert len(open_lines(tmp_path / "set")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_folders_that_are_missing_are_named(tmp_path):
    with pytest.raises(EvalError, match="holds none of sb_admin_2, gentelella"):
        next(web_pages.screens([tmp_path]))
    with pytest.raises(EvalError, match="has no miniwob"):
        next(miniwob.screens([tmp_path]))


@needs_browser
def test_elements_with_a_name_of_their_own_that_are_on_top(tmp_path):
    site = tmp_path / "gentelella" / "dist"
    (site / "production").mkdir(parents=True)
    (site / "look.css").write_text("button { width: 60px; height: 24px; }")
    (site / "production" / "index.html").write_text(PAGE.format())
    (screen,) = web_pages.screens([tmp_path])
    assert (screen.name, screen.picture.size) == ("gentelella-index", (1280, 800))
    found = {target.instruction: target for target in screen.targets}
    assert set(found) == {
        *('Click on "Save it".', 'Click into the field "Your name".', 'Click on "Settings".')
    }
    save = found['Click on "Save it".'].box
    assert (save.x1, save.y1, save.width, save.height) == (100, 50, 60, 24)  # the style was read
    assert found['Click on "Settings".'].kind == "icon"


@pytest.fixture(scope="module")
def browser():
    with Browser(miniwob.VIEWPORT, scale=miniwob.SCALE) as started:
        yield started


@needs_browser
@pytest.mark.parametrize(
    ("name", "rule", "box"),
    [
        ("right", "this.style.left === '90px'", (270, 300, 390, 360)),
        ("seeded", "(seed === 2) === (this.style.left === '90px')", (30, 300, 150, 360)),
        ("any", "true", None),
        ("none", "false", None),
    ],
)
def test_the_reward_says_where_to_click(browser, tmp_path, name, rule, box):
    page = tmp_path / f"click-{name}.html"
    page.write_text(TASK.format(core=CORE, name=name, rule=rule))
    screen = miniwob.episode(browser, page, 1)
    if box is None:
        assert screen is None
        return
    (target,) = screen.targets
    assert target.instruction == f"Click the {name} one."
    assert (target.box.x1, target.box.y1, target.box.x2, target.box.y2) == box
    assert screen.picture.size == (480, 630)
