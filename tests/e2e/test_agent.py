# SPDX-License-Identifier: Apache-2.0
"""`finesight agent` on a page: with the embedded model, from a trace, without a model, and used wrongly."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

import finesight as package
from finesight.apps.agent.ends import check_scripts
from finesight.apps.agent.gate import Gate
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions, Expectation
from finesight.geometry import Size
from finesight.screen.web import WebScreen
from tests.support.agent_players import Planned
from tests.support.pages import needs_browser

PAGE = """<!doctype html><meta charset="utf-8"><body style="font: 20px sans-serif">
<h1>Lights</h1><button onclick="document.title = this.textContent = 'Lights are on'">Turn on</button>
<form method="post" action="about:blank"><button>Delete all</button></form></body>"""
SIZE = ("--window", "400x300")


@pytest.fixture
def page(tmp_path) -> Path:
    path = tmp_path / "lights.html"
    path.write_text(PAGE, encoding="utf-8")
    return path


def traced(page, folder, plan):
    with closing(WebScreen(page, size=Size(400, 300))) as screen:
        player = Planned(screen, plan)
        return run_on(screen, "Turn on the light.", player, "p", AgentOptions(), Gate(), folder=folder)  # fmt: skip


@needs_browser
def test_the_embedded_model_works_on_a_page(finesight, page, tmp_path):
    words = ("agent", "Click on the button Turn on.", "--browser", page, *SIZE, "--steps", 2)
    outcome = finesight(*words, "--trace", "t", "--report", "r.html", "--json", "--no-judge")
    assert outcome.code in (0, 1), outcome.err
    assert "Traceback" not in outcome.err
    values = json.loads(outcome.out)
    assert values["num_steps"] == len(values["steps"]) > 0
    assert values["end"] in ("steps", "terminated", "unreadable", "stuck")
    assert values["model"] == "tiny"
    for name in ("t/meta.json", "t/steps.jsonl", "t/result.json", "t/report.html", "r.html"):
        assert (tmp_path / name).is_file()
    again = finesight(*words, "--trace", "t")
    assert again.code == 2
    assert "holds a finished run" in again.err


@needs_browser
def test_a_trace_is_replayed_and_repeated(finesight, page, tmp_path):
    run = traced(page, tmp_path / "t", [("click", "Turn on"), ("success",)])
    assert run.is_done
    words = ("agent", "Turn on the light.", "--browser", page, *SIZE)
    replayed = finesight(*words, "--replay", "t", "--expect", "text:Lights are on")
    assert replayed.code == 0, replayed.err
    assert replayed.out == "claimed: success; verified: done\n"
    assert "step 1: left click [changed]" in replayed.err
    repeated = finesight("agent", "--browser", page, *SIZE, "--macro", "t", "--json")
    assert repeated.code == 0, repeated.err
    assert json.loads(repeated.out)["end"] == "terminated"
    page.write_text(PAGE.replace("Turn on", "Off"), encoding="utf-8")
    other = finesight(*words, "--replay", "t")
    assert other.code == 1
    assert "differs: step 1: before was" in other.err


@needs_browser
def test_a_trace_is_compared_and_becomes_training_data(finesight, page, tmp_path):
    run = traced(page, tmp_path / "t", [("click", "Turn on"), ("success",)])
    assert run.verified.value is True
    compared = finesight("agent", "--compare", "t", "--max-new-tokens", 8, "--json")
    assert compared.code == 0, compared.err
    values = json.loads(compared.out)
    assert (values["num_compared"], values["model"]) == (2, "tiny")
    assert compared.err.count("step ") == 2
    exported = finesight("agent", "--export", "t", "--out", "rows")
    assert exported.code == 0, exported.err
    assert exported.out == f"2 steps written to {Path('rows') / 'rows.jsonl'}\n"
    imported = finesight("data", "import", "rows/rows.jsonl", "--out", "shards", "--json")
    assert imported.code == 0, imported.err
    assert json.loads(imported.out)["num_records"] == 2
    words = ("agent", "--export", "t", "--format", "playwright", "--out", "again.py")
    scripted = finesight(*words)
    assert (scripted.code, scripted.out) == (0, "2 steps written to again.py\n"), scripted.err
    assert "page.mouse.click(" in (tmp_path / "again.py").read_text(encoding="utf-8")
    values = json.loads(finesight(*words, "--json").out)
    assert values == {"steps": 2, "left_out": 0, "files": ["again.py"]}
    phone = finesight("agent", "--export", "t", "--format", "adb", "--out", "again.sh")
    assert (phone.code, "give --format playwright" in phone.err) == (2, True)


@needs_browser
def test_a_dry_run_proposes(finesight, page, tmp_path):
    traced(page, tmp_path / "t", [("click", "Delete all"), ("failure",)])
    words = ("agent", "Delete all.", "--browser", page, *SIZE, "--replay", "t", "--dry-run")
    outcome = finesight(*words)
    assert outcome.out.startswith("proposed: left click")
    assert "(would be refused)" in outcome.out
    terminal = finesight(*words, "--approve", "terminal")
    assert "The agent wants to left click on button 'Delete all'" in terminal.err
    assert "no answer: refused" in terminal.err


@needs_browser
def test_the_python_door(page, tmp_path):
    with closing(WebScreen(page, size=Size(400, 300))) as screen:
        run = package.agent(
            "Turn on the light.",
            screen,
            model=Planned(screen, [("click", "Turn on"), ("success",)]),
            options=AgentOptions(expectations=(Expectation("js", "document.title === 'Lights are on'"),)),
            trace=tmp_path / "trace",
        )  # fmt: skip
        assert screen.browser.is_open
    assert run.is_done
    assert run.verified.details == ("js:document.title === 'Lights are on': yes, it is True",)
    with pytest.raises(package.ConfigError, match="approve is 'maybe'"):
        package.agent("x", page, approve="maybe")
    with pytest.raises(package.ConfigError, match=r"http://example\.org/"):  # not over TLS
        package.agent("x", page, approve="http://example.org/")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("agent", "x"), "there is no screen"),
        (("agent", "--browser", "p.html"), "there is no task"),
        (("agent", "x", "--browser", "p.html", "--expect", "colour:red"), "is no expectation"),
        (("agent", "x", "--browser", "p.html", "--manner", "low"), "needs each step in words"),
        (("agent", "x", "--browser", "p.html", "--function", "eval"), "no function 'eval'"),
        (("agent", "x", "--browser", "p.html", "--secret", "hunter2"), "is no secret"),
        (("agent", "x", "--browser", "p.html", "--secret", "a@http://b"), "has no value"),
        (("agent", "x", "--browser", "p.html", "--window", "big"), "--window is 'big'"),
        (("agent", "x", "--browser", "p.html", "--expect", "url:(("), "is no regular expression"),
        (("agent", "x", "--browser", "p.html", "--expect", "state:button"), "no role, name and"),
        (("agent", "x", "--browser", "p.html", "--expect", "state:button/"), "no role, name and"),
        (("agent", "x", "--browser", "p.html", "--expect", "state:button/Go"), "no role, name and"),
        (("agent", "x", "--browser", "p.html", "--expect", "state:button/A/"), "no role, name and"),
        (
            ("agent", "x", "--browser", "p.html", "--instruction", "a"),
            "instructions have no effect",
        ),
        (("agent", "x", "--browser", "p.html", "--network"), "--network would have no effect"),
        (("agent", "x", "--browser", "p.html", "--approval-seconds", "9"), "nobody is asked"),
        (("agent", "x", "--browser", "p.html", "--app", "a=b"), "--app would have no effect"),
        (("mcp", "--desktop", "xterm", "--allow-origin", "http://a"), "--allow-origin would have"),
        (
            ("agent", "x", "--phone", "practice", "--allow-origin", "http://a"),
            "with --phone practice",
        ),
        (("agent", "x", "--phone", "practice", "--app", "a=b"), "--app would have no effect"),
        (("agent", "x", "--display", ":7", "--window", "9x9"), "--window would have no effect"),
        (("agent", "x", "--desktop", "xterm", "--scale", "2"), "--scale would have no effect"),
        (("agent", "x", "--browser", "p.html", "--macro", "t"), "the task would have no effect"),
        (
            ("agent", "--browser", "p.html", "--macro", "t", "--expect", "text:a"),
            "--expect would have",
        ),
        (("agent", "x", "--browser", "p.html", "--replay", "t"), "t holds no trace"),
        (("agent", "--browser", "p.html", "--macro", "t"), "t holds no trace"),
        (("agent", "x", "--browser", "."), "--browser .: this file is a folder"),
        (("agent", "x", "--browser", "p.html", "--approve", "maybe"), "--approve is 'maybe'"),
        (
            ("agent", "x", "--browser", "p.html", "--approve", "http://example.org/?key=1"),
            "approvals cannot come from 'http://example.org/'",
        ),
        (("agent", "--compare", "t"), "t holds no trace"),
        (
            ("agent", "x", "--compare", "t", "--manner", "low", "--out", "o"),
            "the task and --manner and --out would have no effect with --compare",
        ),
        (("agent", "--export", "t"), "--export needs a folder"),
        (
            ("agent", "--export", "t", "--out", "o", "--model", "m"),
            "--model would have no effect with --export",
        ),
        (("agent", "--export", "t", "--out", "o"), "t holds no trace"),
        (
            ("agent", "x", "--browser", "p.html", "--all-steps"),
            "--all-steps has no effect without --export",
        ),
        (
            ("agent", "x", "--browser", "p.html", "--format", "adb"),
            "--format has no effect without --export",
        ),
        (("agent", "--export", "t", "--format", "adb"), "--export needs a file"),
        (
            ("agent", "--export", "t", "--format", "adb", "--out", "o", "--all-steps"),
            "--all-steps has no effect with --format adb",
        ),
        (
            ("agent", "--export", "t", "--export", "u", "--format", "adb", "--out", "o"),
            "--export was given 2 times",
        ),
    ],
)
def test_wrong_use_is_said(finesight, words, message):
    outcome = finesight(*words)
    assert outcome.code == 2
    assert message in outcome.err


@needs_browser
@pytest.mark.parametrize("script", ["nonsense(((", "a b", "'"])
def test_a_script_that_cannot_be_parsed_is_said_before_the_model_is_loaded(finesight, page, script):
    words = ("agent", "x", "--browser", page, *SIZE, "--model", "no/model")
    outcome = finesight(*words, "--expect", f"js:{script}")
    assert outcome.code == 2
    assert f"expectation js:{script} is no JavaScript: SyntaxError" in outcome.err


@needs_browser
@pytest.mark.parametrize(
    "script",
    ["1 + 1", "() => true", "function () { return 1 }", "let a = 1; a", "{b: 1}", "undefined.x"],
)
def test_a_script_is_parsed_but_not_run_at_the_start(page, script):
    with closing(WebScreen(page, size=Size(400, 300))) as screen:
        check_scripts([Expectation("js", script)], screen)
        check_scripts([Expectation("js", "document.title = 'ran'")], screen)
        assert screen.browser.evaluate("document.title") == ""


@needs_browser
def test_a_check_that_fails_is_not_a_done_task(page):
    with closing(WebScreen(page, size=Size(400, 300))) as screen:
        player = Planned(screen, [("success",)])
        options = AgentOptions(expectations=(Expectation("text", "Lights"),))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("finesight.apps.agent.loop.verify", fails)
            run = run_on(screen, "Turn on the light.", player, "p", options, Gate())
    assert run.claimed == "success"
    assert run.verified.value is None
    assert not run.is_done


def fails(*given):
    raise package.FinesightError("the tree is gone")


@needs_browser
def test_an_origin_that_cannot_be_read(finesight, page):
    outcome = finesight("agent", "x", "--browser", page, "--allow-origin", "example")
    assert outcome.code == 2
    assert "'example' is not an origin" in outcome.err
