# SPDX-License-Identifier: Apache-2.0
"""The agent with an oracle solves tasks on a desktop and on the practice phone; clicks without looking do not."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest

from finesight.apps.agent.gate import Gate, always
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions
from finesight.geometry import Size
from finesight.screen.desktop import Desktop
from finesight.screen.phone import Phone
from finesight.screen.practice.phone import PracticePhone
from tests.support.screen_tasks import (
    DESKTOP_TASKS,
    PHONE_TASKS,
    act_of,
    arranged,
    clicker,
    solver,
)
from tests.support.screens import adb_server, needs_desktop, needs_phone

OPTIONS = AgentOptions(hints=False, regrounds=False, judges=False, acts_per_minute=600)
QUICK = 2
"""Tasks of each kind that the quick tests take."""


@contextmanager
def phones():
    """For each task a phone that nobody has used."""

    @contextmanager
    def new():
        with PracticePhone() as practice:
            phone = Phone(practice.address, port=port)
            try:
                yield phone, practice.state
            finally:
                phone.close()

    with adb_server() as port:
        yield new


@contextmanager
def desktops():
    """For all tasks one desktop, as programs start slowly; each task empties them."""
    desktop = arranged(Desktop([["mousepad"], ["galculator"]], size=Size(960, 720)))

    @contextmanager
    def new():
        yield desktop, lambda: desktop

    try:
        yield new
    finally:
        desktop.close()


def played(task, screen, state, responder, folder):
    """Whether the task is done after a run."""
    for words in task.start:
        screen.act(act_of(words, screen))
    assert not task.is_done(state()), task.goal
    shutil.rmtree(folder, ignore_errors=True)
    options = replace(OPTIONS, most_steps=len(task.solution) + 1)  # the last one ends the task
    run = run_on(screen, task.goal, responder, "x", options, Gate(approver=always), folder=folder)
    return task.is_done(state()), run


def solved(tasks, screens, folder, responder=solver):
    """Goals of the tasks that are done."""
    done = []
    with screens() as new:
        for task in tasks:
            with new() as (screen, state):
                is_done, run = played(task, screen, state, responder(task, screen), folder)
                if is_done:
                    done.append(task.goal)
                assert run.end != "screen_gone"
    return done


@needs_phone
def test_tasks_on_a_phone_are_solved(tmp_path):
    tasks = PHONE_TASKS[:QUICK]
    assert solved(tasks, phones, tmp_path / "trace") == [task.goal for task in tasks]


@needs_desktop
def test_tasks_on_a_desktop_are_solved(tmp_path):
    tasks = (DESKTOP_TASKS[1], DESKTOP_TASKS[6])
    assert solved(tasks, desktops, tmp_path / "trace") == [task.goal for task in tasks]


@pytest.mark.slow
@needs_phone
def test_every_task_on_a_phone_is_solved_and_clicks_without_looking_solve_none(tmp_path):
    assert solved(PHONE_TASKS, phones, tmp_path / "trace") == [task.goal for task in PHONE_TASKS]
    for seed in (0, None):
        blind = solved(PHONE_TASKS, phones, tmp_path / "t", partial(clicker, seed=seed))
        assert len(blind) < 0.15 * len(PHONE_TASKS)


@pytest.mark.slow
@needs_desktop
def test_every_task_on_a_desktop_is_solved_and_clicks_without_looking_solve_none(tmp_path):
    goals = [task.goal for task in DESKTOP_TASKS]
    assert solved(DESKTOP_TASKS, desktops, tmp_path / "trace") == goals
    for seed in (0, None):
        blind = solved(DESKTOP_TASKS, desktops, tmp_path / "t", partial(clicker, seed=seed))
        assert len(blind) < 0.15 * len(DESKTOP_TASKS)


@needs_phone
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # adbutils' sockets
def test_a_phone_that_drops_off_in_mid_run_ends_it_with_the_reason_and_keeps_the_steps(tmp_path):
    task = PHONE_TASKS[0]
    with adb_server() as port, PracticePhone() as practice:
        phone = Phone(practice.address, port=port)
        inner = solver(task, phone)

        class Dropping:
            def respond(self, conversations, sampling):
                replies = inner.respond(conversations, sampling)
                if len(inner.asked) == 2:
                    practice.drop()
                return replies

        run = run_on(phone, task.goal, Dropping(), "x", OPTIONS, Gate(), folder=tmp_path / "trace")
        phone.close()
    assert run.end == "screen_gone"
    assert "was not carried out" in run.problem
    assert len(run.steps) == 1
    assert (tmp_path / "trace" / "steps.jsonl").read_text().count('"words"') >= 1
