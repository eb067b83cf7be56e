# SPDX-License-Identifier: Apache-2.0
"""A screen as tools of MCP, called by the client of the package `mcp`, in one process and over standard input."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
from contextlib import contextmanager

import pytest
from PIL import Image

from finesight.apps.agent.gate import Gate, always, never
from finesight.apps.agent.loop import Agent
from finesight.apps.agent.records import AgentOptions
from finesight.apps.agent.tools import ScreenTools, server
from finesight.apps.agent.trace import Trace
from finesight.apps.grounding.prompts import LOCATE_ALL_PROMPTS
from finesight.geometry import Box
from finesight.screen.web import WebScreen
from tests.support.app_responders import Oracle
from tests.support.pages import needs_browser

mcp = pytest.importorskip("mcp", reason="mcp is not installed: make setup-screens")
pytestmark = needs_browser

PAGE = """<!doctype html><title>Shop</title><style>body { margin: 0 } button, input { position: absolute; left: 20px;
width: 120px; height: 30px; }</style>
<button style="top: 20px" onclick="document.title = 'more'; this.textContent = 'Less'">More</button>
<button style="top: 70px" onclick="document.title = 'bought'">Buy now</button>
<input style="top: 120px" aria-label="Name"><button style="top: 170px">Nothing</button>"""
MORE = Box(20, 20, 140, 50)


def known(question):
    if question.text == LOCATE_ALL_PROMPTS["box"].format(phrase="the more button"):
        return question.boxes_json([(MORE, "more button")])
    if "Locate" in question.text:
        return "```json\n[]\n```"
    return "More\nBuy now"


@contextmanager
def opened(tmp_path, approver=never, **options):
    page = tmp_path / "shop.html"
    page.write_text(PAGE, encoding="utf-8")
    settings = AgentOptions(hints=False, regrounds=False, judges=False, **options)
    screen = WebScreen(page, settle_seconds=0.5)
    trace = Trace(tmp_path / "trace", {"goal": "", "model": "oracle", "options": {}})
    try:
        yield screen, Agent("", screen, Oracle(known), trace, settings, Gate(approver=approver))
    finally:
        trace.close()
        screen.close()


def calls(target, *wanted):
    """Results of tool calls: whether each is an error, its texts, and its pictures."""

    async def run():
        async with mcp.Client(target) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names == ["look", "locate", "read", "act"]
            return [await client.call_tool(name, arguments) for name, arguments in wanted]

    return asyncio.run(run())


def value(result):
    assert not result.is_error, result.content
    return json.loads(next(part.text for part in result.content if part.type == "text"))


def act(**arguments):
    return "act", {"arguments": arguments}


def test_an_assistant_looks_locates_reads_and_acts(tmp_path):
    with opened(tmp_path) as (screen, agent):
        look, found, absent, read, done = calls(
            server(ScreenTools(agent)),
            ("look", {}),
            ("locate", {"phrase": "the more button"}),
            ("locate", {"phrase": "a unicorn"}),
            ("read", {}),
            act(action="left_click", coordinate=[80, 35]),
        )
        picture = next(part for part in look.content if part.type == "image")
        shown = Image.open(io.BytesIO(base64.b64decode(picture.data)))
        assert list(shown.size) == value(look)["size"] == [1280, 800]
        assert value(look)["place"].endswith("shop.html")
        [hit] = value(found)["found"]
        assert hit["box"] == pytest.approx([20, 20, 140, 50], abs=1)
        assert hit["click"] == pytest.approx([80, 35], abs=1)
        assert hit["score"]["value"] > 0.9
        assert value(absent)["status"] == "absent"
        assert value(read)["text"] == "More\nBuy now"
        assert value(done)["performed"]
        assert value(done)["effect"]["verdict"] == "changed"
        assert value(done)["element"]["name"] == "More"
        assert screen.browser.evaluate("document.title") == "more"
        assert len(agent.trace.steps) == 1


def test_a_step_with_consequences_is_refused_unless_it_is_approved(tmp_path):
    buy = act(action="left_click", coordinate=[80, 85])
    with opened(tmp_path) as (screen, agent):
        [refused] = calls(server(ScreenTools(agent)), buy)
        assert not value(refused)["performed"]
        assert "not approved" in value(refused)["reason"]
        assert value(refused)["gate"]["level"] == "consequential"
        assert screen.browser.evaluate("document.title") == "Shop"
    again = tmp_path / "again"
    again.mkdir()
    with opened(again, always) as (screen, agent):
        [allowed] = calls(server(ScreenTools(agent)), buy)
        assert value(allowed)["performed"]
        assert screen.browser.evaluate("document.title") == "bought"


def test_wrong_arguments_and_steps_are_told_with_the_reason(tmp_path):
    with opened(tmp_path) as (_, agent):
        wrong, outside, nothing = calls(
            server(ScreenTools(agent)),
            act(action="fly"),
            act(action="left_click", coordinate=[5000, 5]),
            act(action="left_click", coordinate=[80, 185]),
        )
        assert wrong.is_error
        assert "has no action 'fly'" in wrong.content[0].text
        assert not value(outside)["performed"]
        assert "outside the screen" in value(outside)["reason"]
        assert value(nothing)["performed"]
        assert value(nothing)["effect"]["verdict"] in (
            "unchanged",
            "changed",
        )  # a focus ring may be drawn


def test_no_step_is_done_after_a_stop_or_a_used_budget_and_a_lost_screen_is_an_error(tmp_path):
    step = act(action="wait", time=0.1)
    with opened(tmp_path, most_steps=1) as (screen, agent):
        first, second = calls(server(ScreenTools(agent)), step, step)
        assert value(first)["performed"]
        assert second.is_error
        assert "no further step is done: steps" in second.content[0].text
        found = server(ScreenTools(agent))
        screen.close()
        [lost] = calls(found, ("look", {}))
        assert lost.is_error
        assert "closed" in lost.content[0].text


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_the_command_serves_on_standard_input_and_output(tmp_path):
    from mcp.client.stdio import StdioServerParameters

    page = tmp_path / "shop.html"
    page.write_text(PAGE, encoding="utf-8")
    words = ["-m", "finesight", "mcp", "--browser", str(page), "--trace", str(tmp_path / "kept")]
    environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PATH": os.environ["PATH"]}
    command = StdioServerParameters(command=sys.executable, args=words, env=environment)
    look, done = calls(command, ("look", {}), act(action="left_click", coordinate=[80, 35]))
    assert value(look)["tool"] == "computer_use"
    assert value(done)["effect"]["verdict"] == "changed"
    assert (tmp_path / "kept" / "steps.jsonl").read_text().count("\n") >= 1
