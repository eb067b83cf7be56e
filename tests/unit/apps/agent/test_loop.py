# SPDX-License-Identifier: Apache-2.0
"""The agent on real pages: what it does, what came of it, and when it ends."""

from __future__ import annotations

from contextlib import closing

import pytest

from finesight.apps.agent.gate import Gate, always
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions, Expectation
from finesight.geometry import Size
from finesight.screen.web import WebScreen
from tests.support.agent_players import Planned
from tests.support.agent_sites import site
from tests.support.pages import needs_browser

pytestmark = needs_browser


@pytest.fixture(scope="module")
def shop():
    with site() as running:
        yield running


@pytest.fixture(scope="module")
def page(shop):
    with closing(WebScreen(f"{shop.url}/shop", size=Size(700, 420), settle_seconds=1)) as screen:
        yield screen


def play(screen, address, plan, *, gate=None, folder=None, yes=True, **options):
    screen.browser.open(address)
    player = Planned(screen, plan, yes=yes)
    run = run_on(
        screen, "Do it.", player, "planned", AgentOptions(**options), gate or Gate(), folder=folder
    )
    return run, player


def verdicts(run):
    return [step.effect and step.effect["verdict"] for step in run.steps]


def test_a_search_is_done_and_verified(page, shop):
    plan = [("click", "Search lamps"), ("type", "desk"), ("key", "enter"), ("success",)]
    expected = (
        Expectation("url", r"\?q=desk$"),
        Expectation("text", "1 lamp found for desk"),
        Expectation("js", "document.title === ''"),
    )
    run, player = play(page, f"{shop.url}/shop", plan, expectations=expected)
    assert run.end == "terminated"
    assert run.claimed == "success"
    assert run.verified.value is True, run.verified.details
    assert verdicts(run) == ["changed", "changed", "changed", None]
    assert all(step.gate["level"] != "consequential" for step in run.steps)
    assert player.questions[-1].text.endswith('"keys": ["enter"]}}; ')


def test_a_claim_is_not_a_proof(page, shop):
    run, _ = play(
        page, f"{shop.url}/shop", [("success",)], expectations=(Expectation("text", "42 lamps"),)
    )
    assert run.claimed == "success"
    assert run.verified.value is False
    assert not run.is_done


def test_the_judge_is_asked_where_nothing_is_expected(page, shop):
    run, _ = play(page, f"{shop.url}/shop", [("success",)], yes=False)
    assert run.claimed == "success"
    assert run.verified.value is False
    assert run.verified.how == "judge"
    assert run.verified.score.value is not None


def test_a_dead_click_is_seen_and_asked_for_again_once(page, shop):
    run, player = play(page, f"{shop.url}/dead", [("click", "Go"), ("click", "Real"), ("success",)])
    first = run.steps[0]
    assert first.effect["verdict"] == "changed"
    assert first.regrounded
    assert len(first.replies) == 2
    assert "Went" in {each.name for each in page.elements()}
    assert max(player.questions[1].pictures[0].shape) < 700


def test_a_click_that_stays_dead_is_told_and_ends_in_three(page, shop):
    run, player = play(page, f"{shop.url}/dead", [("click", "Go")], most_steps=9)
    assert run.end == "stuck"
    assert len(run.steps) == 3
    assert verdicts(run) == ["unchanged"] * 3
    asked = [
        each
        for each in player.questions
        if "user query" in each.text and max(each.pictures[0].shape) == 700
    ]
    assert "changed nothing" not in asked[0].text
    assert "The last action changed nothing on the screen." in asked[1].text
    assert "You have repeated the same actions" in asked[2].text
    assert not run.is_done


def test_without_hints_the_prompt_is_the_official_one(page, shop):
    run, player = play(page, f"{shop.url}/dead", [("click", "Go")], hints=False, regrounds=False)
    assert run.end == "stuck"
    assert all(each.text.endswith(("device): ", "; ")) for each in player.questions)


def test_a_cycle_of_two_steps_ends_as_well(page, shop):
    swap = "this.textContent = this.textContent === 'A' ? 'B' : 'A'"
    shop.pages["/swap"] = f'<button type=button onclick="{swap}">A</button>'
    plan = [("click", "A"), ("click", "B")] * 6
    run, _ = play(page, f"{shop.url}/swap", plan)
    assert run.end == "stuck"
    assert (
        len(run.steps) <= 7
    )  # the first screen is another one: the mouse is not over the button yet


def test_a_late_page_is_waited_for(page, shop):
    run, _ = play(page, f"{shop.url}/late", [("click", "Open the late page"), ("success",)])
    assert verdicts(run)[0] == "changed"
    assert run.steps[1].place.endswith("/slow")
    assert shop.requests.count("/slow") == 1


def test_a_target_that_moves_away_is_not_clicked(page, shop):
    before = shop.digest()
    run, _ = play(
        page, f"{shop.url}/moving", [("click", "Prize"), ("failure",)], gate=Gate(approver=always)
    )
    assert "another control has moved" in run.steps[0].problem
    assert verdicts(run)[0] == "error"
    assert shop.digest() == before


def test_dialogs_are_dismissed_and_told(page, shop):
    run, player = play(page, f"{shop.url}/modal", [("click", "Ask"), ("failure",)])
    assert run.claimed == "failure"
    assert "it said: 'Really?'" in player.questions[-1].text


def test_a_confirmation_in_the_page_needs_approval(page, shop):
    before = shop.digest()
    plan = [("click", "Options"), ("click", "OK"), ("click", "Cancel"), ("success",)]
    run, player = play(page, f"{shop.url}/modal", plan)
    refused = run.steps[1]
    assert refused.gate["kind"] == "delete"
    assert not refused.gate["allowed"]
    assert "was not performed: it was not approved" in player.questions[2].text
    assert verdicts(run) == ["changed", "error", "changed", None]
    assert shop.digest() == before


def test_answers_that_cannot_be_read_end_the_run(page, shop):
    run, player = play(page, f"{shop.url}/shop", [("text", "I would click on it.")])
    assert run.end == "unreadable"
    assert len(run.steps) == 3
    assert "could not be read: the answer has no tool call" in player.questions[1].text


def test_other_functions_are_offered_on_request(page, shop):
    plan = [("call", "note", "the code is 7"), ("call", "answer", "seven"), ("success",)]
    run, player = play(page, f"{shop.url}/shop", plan, extras=("note", "answer"))
    assert run.answer == "seven"
    assert run.notes == ("the code is 7",)
    assert "Your notes: the code is 7" in player.questions[2].text
    run, _ = play(page, f"{shop.url}/shop", [("call", "note", "x")])
    assert run.end == "unreadable"


def test_a_dry_run_proposes_and_does_nothing(page, shop):
    before = (shop.digest(), len(shop.requests))
    run, _ = play(
        page, f"{shop.url}/mail", [("click", "Delete")], gate=Gate(approver=always), dry_run=True
    )
    assert run.end == "dry_run"
    assert run.steps[0].gate["level"] == "consequential"
    assert shop.digest() == before[0]
    assert len(shop.requests) == before[1] + 1  # the page itself


def test_budgets_and_the_file_stop_end_a_run(page, shop, tmp_path):
    plan = [("scroll", -10), ("scroll", 10), ("wait", 0.1)]
    run, _ = play(page, f"{shop.url}/shop", plan, most_steps=2)
    assert run.end == "steps"
    run, _ = play(page, f"{shop.url}/shop", plan, most_seconds=0.01)
    assert run.end == "seconds"
    (tmp_path / "STOP").touch()
    run, _ = play(page, f"{shop.url}/shop", plan, folder=tmp_path)
    assert run.end == "stopped"
    assert not (tmp_path / "result.json").exists()


def test_a_screen_that_closes_ends_the_run_and_keeps_its_steps(shop, tmp_path):
    with closing(WebScreen(f"{shop.url}/shop", size=Size(500, 300))) as screen:
        player = Planned(screen, [("wait", 0.1), ("wait", 0.2)])
        options = AgentOptions(judges=False)
        run = run_on(
            screen,
            "x",
            player,
            "p",
            options,
            Gate(),
            folder=tmp_path,
            on_step=lambda _: screen.close(),
        )
    assert run.end == "screen_gone"
    assert "the browser is closed" in run.problem
    assert len(run.steps) == 1
    assert (tmp_path / "result.json").exists()
    assert (tmp_path / "report.html").exists()
