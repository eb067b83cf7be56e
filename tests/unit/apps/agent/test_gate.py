# SPDX-License-Identifier: Apache-2.0
"""Which steps need approval, who gives it, and what a refusal leaves behind."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from PIL import Image

from finesight.apps.agent.gate import Gate, Proposal, always, in_time, never
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions
from finesight.apps.agent.risk import Risk, risk_of
from finesight.elements import ScreenElement
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act
from finesight.screen.web import WebScreen
from tests.support.agent_labels import CONSEQUENTIAL, HARMLESS, KINDS
from tests.support.agent_players import Blind, Planned
from tests.support.agent_sites import HEAD, site
from tests.support.pages import needs_browser

CLICK = Act(kind="left_click", point=Point(5, 5))


def element(role="button", name="", **traits):
    return ScreenElement(role, name, Box(0, 0, 10, 10), traits=traits)


@pytest.fixture(scope="module")
def shop():
    with site() as running:
        yield running


@pytest.fixture(scope="module")
def page(shop):
    with closing(WebScreen(f"{shop.url}/shop", size=Size(900, 1600), settle_seconds=1)) as screen:
        yield screen


@pytest.mark.parametrize("language", CONSEQUENTIAL)
def test_labels_of_five_languages_read_from_pixels(language):
    stopped = [risk_of(CLICK, None, text=each).level for each in CONSEQUENTIAL[language]]
    assert stopped == ["consequential"] * 12
    passed = [risk_of(CLICK, None, text=each).level for each in HARMLESS[language]]
    assert passed == ["edit"] * 25


@needs_browser
@pytest.mark.parametrize(
    "language",
    ["de", *(pytest.param(each, marks=pytest.mark.slow) for each in ("en", "fr", "es", "zh"))],
)
def test_controls_of_a_page_in_a_language(page, language):
    """12 acts with consequences are all found; at most 3 of 100 harmless ones are called so."""
    risky = [
        KINDS[i % len(KINDS)].format(label=each) for i, each in enumerate(CONSEQUENTIAL[language])
    ]
    plain = [kind.format(label=each) for kind in KINDS for each in HARMLESS[language]]
    listed = "".join(f"<span class=it>{each}</span> " for each in (*risky, *plain))
    page.browser.show(f"{HEAD}<style>form {{ display: inline }}</style>{listed}", Size(900, 1600))
    places = page.browser.evaluate(
        "() => [...document.querySelectorAll('.it :is(button, a, div)')].map((each) => {"
        " const box = each.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })"
    )
    assert len(places) == 112
    levels = [risk_of(CLICK, page.element_at(Point(*place))).level for place in places]
    assert levels[:12] == ["consequential"] * 12
    assert levels[12:].count("consequential") <= 3


@pytest.mark.parametrize(
    ("act", "control", "expected"),
    [
        (Act(kind="scroll", pixels=5.0), None, "read"),
        (Act(kind="wait", seconds=1.0), None, "read"),
        (Act(kind="type", text="x"), element("textbox"), "edit"),
        (
            Act(kind="type", text="4111"),
            element("textbox", autocomplete="cc-number"),
            "consequential",
        ),
        (CLICK, element("button", "Go", type="submit", method="post"), "consequential"),
        (
            CLICK,
            element("button", "Go", type="submit", target="http://a/x", document="http://a/"),
            "edit",
        ),
        (
            CLICK,
            element("button", "Go", type="submit", target="http://b/x", document="http://a/"),
            "consequential",
        ),
        (
            CLICK,
            element("button", "Go", type="submit", method="get", holds="password"),
            "consequential",
        ),
        (CLICK, element("button", "Choose", type="file"), "consequential"),
        (CLICK, element("link", "Write to us", target="mailto:a@b.example"), "consequential"),
        (CLICK, element("link", "The report", download="yes"), "consequential"),
        (CLICK, element("iframe", "advert"), "consequential"),
        (CLICK, element("button", "OK", near="Delete the folder? OK Cancel"), "consequential"),
        (CLICK, element("button", "", near="Send the message?"), "consequential"),
        (CLICK, element("button", "Cancel", near="Delete the folder? OK Cancel"), "edit"),
        (
            CLICK,
            element("link", "Your parcel was sent and the bank will send a letter to you"),
            "edit",
        ),
        (CLICK, element("textbox", "Send to"), "edit"),
        (Act(kind="key", keys=("Enter",)), element("textbox", "q", form="q", method="get"), "edit"),
        (
            Act(kind="key", keys=("Return",)),
            element("textbox", "q", form="q", method="post"),
            "consequential",
        ),
        (
            Act(kind="key", keys=("enter",)),
            element("textbox", form="q", method="get", submit="Pay now"),
            "consequential",
        ),
        (
            Act(kind="key", keys=("enter",)),
            element("textbox", type="multiline", form="q", method="post"),
            "edit",
        ),
        (
            Act(kind="key", keys=("ctrl", "enter")),
            element("textbox", "text", type="multiline"),
            "consequential",
        ),
        (Act(kind="key", keys=("space",)), element("button", "Delete"), "consequential"),
        (Act(kind="key", keys=("ctrl", "w")), None, "consequential"),
        (Act(kind="key", keys=("Delete",)), element("listitem", "photo.png"), "consequential"),
        (Act(kind="key", keys=("Delete",)), element("textbox", "Name"), "edit"),
        (
            Act(kind="type", text="hello\n"),
            element("textbox", "q", form="q", method="post"),
            "consequential",
        ),
        (Act(kind="open_url", text="http://b/"), None, "consequential"),
        (
            Act(kind="system_button", button="Enter"),
            element("textbox", "q", form="q", method="post"),
            "consequential",
        ),
        (Act(kind="system_button", button="Home"), None, "read"),
        (Act(kind="click", point=Point(1, 1)), element("button", "Löschen"), "consequential"),
    ],
)
def test_the_risk_of_a_step(act, control, expected):
    assert risk_of(act, control).level == expected


def proposal(risk=None, act=CLICK, place="http://a:80/x"):
    risk = risk or Risk("consequential", "pay", "it says pay")
    return Proposal(
        act=act, risk=risk, element=None, place=place, goal="g", picture=Image.new("RGB", (9, 9))
    )


def test_approval_once_and_for_a_kind_at_an_origin():
    answers = iter(["allow", "allow_kind", "refuse", "refuse"])
    gate = Gate(approver=lambda _: next(answers))
    assert gate.rule(proposal()).allowed
    assert gate.rule(proposal()).by == "approver"
    assert gate.rule(proposal()).by == "granted"
    assert not gate.rule(proposal(place="http://b:80/x")).allowed
    other = gate.rule(proposal(Risk("consequential", "delete", "")))
    assert not other.allowed
    assert "not approved" in other.reason


def test_an_approver_may_give_another_step():
    other = Act(kind="wait", seconds=1.0)
    ruling = Gate(approver=lambda _: other).rule(proposal())
    assert ruling.allowed
    assert ruling.act == other


def test_another_step_with_a_secret_of_another_place_is_refused():
    other = Act(kind="type", text="{{secret:card}}")
    ruling = Gate(approver=lambda _: other).rule(proposal())
    assert not ruling.allowed
    assert "there is no secret 'card'" in ruling.reason


def test_no_answer_in_time_is_a_refusal():
    begun = time.monotonic()
    ruling = Gate(approver=in_time(lambda _: time.sleep(5) or "allow", 0.1)).rule(proposal())
    assert not ruling.allowed
    assert time.monotonic() - begun < 2


def test_record_mode_decides_and_blocks_nothing():
    ruling = Gate(approver=never, blocks=False).rule(proposal())
    assert ruling.allowed
    assert ruling.by == "record"
    assert ruling.risk.level == "consequential"


@needs_browser
def test_an_order_needs_approval(page, shop):
    plan = [("click", "Street"), ("type", "Elm 3"), ("click", "Place order"), ("success",)]

    def play(gate):
        page.browser.open(f"{shop.url}/checkout", Size(700, 420))
        return run_on(page, "Order it.", Planned(page, plan), "p", AgentOptions(judges=False), gate)

    before = shop.digest()
    run = play(Gate())
    assert run.steps[2].gate["kind"] == "pay"
    assert shop.digest() == before
    asked = []
    run = play(Gate(approver=lambda each: asked.append(each) or "allow"))
    assert len(shop.state["orders"]) == 1
    assert shop.state["orders"][0]["street"] == ["Elm 3"]
    assert run.steps[2].gate["by"] == "approver"
    assert asked[0].element.name == "Place order"
    assert asked[0].picture.size == (700, 420)


@needs_browser
def test_a_screen_without_elements_is_read(page, shop):
    page.browser.open(f"{shop.url}/mail", Size(700, 420))
    before = shop.digest()
    player = Planned(page, [("click", "Mark as read"), ("click", "Delete"), ("success",)])
    run = run_on(Blind(page), "Tidy up.", player, "p", AgentOptions(judges=False), Gate())
    assert [step.gate["level"] for step in run.steps] == ["edit", "consequential", "read"]
    assert shop.digest() == before
    run = run_on(
        Blind(page),
        "x",
        Planned(page, [("click", "Delete"), ("success",)]),
        "p",
        AgentOptions(judges=False),
        Gate(approver=always),
    )
    assert shop.digest() != before
