# SPDX-License-Identifier: Apache-2.0
"""Small pages in the manner of MiniWoB++ are solved by the agent with their solutions, and by chance seldom."""

from __future__ import annotations

from contextlib import closing

import pytest

from benchmarks import agent
from benchmarks.agent import Acting
from finesight.apps.agent.gate import Gate
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions
from finesight.errors import ConfigError
from finesight.evals.live.miniwob import MiniWob
from finesight.geometry import Point
from finesight.screen.act import Act
from tests.support.miniwob_pages import PAGES, write_pages
from tests.support.pages import needs_browser

OPTIONS = AgentOptions(judges=False, regrounds=False, most_steps=5)


@needs_browser
@pytest.mark.parametrize(("page", "seed"), [("click-two", 1), ("click-two", 2), ("type-word", 3)])
def test_solutions_are_played_to_their_end(tmp_path, page, seed):
    folder = write_pages(tmp_path)
    solutions = folder / "solutions.js"
    with closing(MiniWob(folder, pages=PAGES, solutions=solutions)) as environment:
        environment.reset({"page": page, "seed": seed})
        gate = Gate(blocks=False)
        run = run_on(environment, "", Acting(lambda _: environment.solution()), "s", OPTIONS, gate)
        assert run.end == "over"
        assert run.goal.startswith(("Click on", "Type "))
        assert environment.evaluate().score == 1.0
        assert all(step.gate["level"] != "consequential" for step in run.steps)
        environment.reset({"page": page, "seed": seed})
        corner = Acting(lambda _: Act(kind="left_click", point=Point(300, 400)))
        assert run_on(environment, "", corner, "s", OPTIONS, gate).end == "stuck"
        assert environment.evaluate().score == 0.0


def test_the_benchmark_needs_the_pages(monkeypatch):
    monkeypatch.delenv(agent.DATA, raising=False)
    with pytest.raises(ConfigError, match="names no folder"):
        next(agent.bench_agent())
