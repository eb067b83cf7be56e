# SPDX-License-Identifier: Apache-2.0
"""The agent with an oracle solves tasks in web applications of others; clicks without looking do not."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from finesight.apps.agent.gate import Gate, always
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions
from finesight.screen.web import WebScreen
from tests.support.app_responders import MAX_PIXELS
from tests.support.pages import needs_browser
from tests.support.screen_tasks import act_of, clicker, solver
from tests.support.web_tasks import SITES, WEB_TASKS, served

REAL = os.environ.get("FINESIGHT_REAL_DATA")
OPTIONS = AgentOptions(
    hints=False,
    regrounds=False,
    judges=False,
    acts_per_minute=1e6,
    max_pixels=MAX_PIXELS,  # as the responder resizes: a size that differs is asked about twice
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder"),
    needs_browser,
]


@pytest.fixture(scope="module")
def origins():
    """Where each site is served."""
    with ExitStack() as stack:
        yield {site: stack.enter_context(served(Path(REAL), site)) for site in SITES}


def solved(tasks, origins, folder, responder=solver):
    """Goals of the tasks that are done."""
    done = []
    for task in tasks:
        screen = WebScreen(f"{origins[task.site]}/{task.page}")
        try:
            screen.observe()
            for words in task.start:
                screen.act(act_of(words, screen))
            assert not task.is_done(screen), task.goal
            shutil.rmtree(folder, ignore_errors=True)
            options = replace(
                OPTIONS, most_steps=len(task.solution) + 1
            )  # the last one ends the task
            gate = Gate(approver=always)
            run_on(screen, task.goal, responder(task, screen), "x", options, gate, folder=folder)
            if task.is_done(screen):
                done.append(task.goal)
        finally:
            screen.close()
    return done


@pytest.mark.parametrize("player", ["oracle", "random", "constant"])
def test_twenty_tasks_in_web_applications(origins, tmp_path, player):
    players = {
        "oracle": solver,
        "random": partial(clicker, seed=0),
        "constant": partial(clicker, seed=None),
    }
    done = solved(WEB_TASKS, origins, tmp_path / "trace", players[player])
    sys.stdout.write(f"\n{player}: {len(done)} of {len(WEB_TASKS)} web tasks\n")
    if player == "oracle":
        assert done == [task.goal for task in WEB_TASKS]
    else:
        assert len(done) < 0.15 * len(WEB_TASKS)
