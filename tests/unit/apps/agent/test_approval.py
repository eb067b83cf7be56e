# SPDX-License-Identifier: Apache-2.0
"""Approval over HTTP: what is posted, which answers count, and that everything else is a refusal with its reason."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from finesight.apps.agent.approval import over_http
from finesight.apps.agent.gate import Gate, Proposal, in_time
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions
from finesight.apps.agent.risk import Risk
from finesight.apps.agent.secrets import Secret, Secrets
from finesight.apps.agent.trace import read_steps
from finesight.elements import ScreenElement
from finesight.errors import ConfigError
from finesight.geometry import Box, Point, Size
from finesight.screen.act import Act
from finesight.screen.web import WebScreen
from tests.support.agent_players import Planned
from tests.support.agent_sites import site
from tests.support.pages import needs_browser

PAY = ScreenElement("button", "Pay", Box(10, 10, 50, 30), traits={"near": "card hunter22"})
SECRETS = Secrets([Secret("card", "hunter22", "http://a:80")])


def proposal(**changed):
    values = {
        "act": Act(kind="left_click", point=Point(20, 20)),
        "risk": Risk("consequential", "pay", "it says Pay"),
        "element": PAY,
        "place": "http://a:80/pay?card=hunter22",
        "goal": "Pay with hunter22.",
        "picture": Image.new("RGB", (90, 60), "white"),
    }
    return Proposal(**{**values, **changed})


@contextmanager
def approving(answer, *, status=200, wait=0.0):
    """A server that gives the same answer to every proposal; yields its URL and what was posted."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(wait)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # nobody waits for a late answer
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/approve?token=t0psecret", posted
        server.shutdown()


def ruled(url, seconds=5.0, **changed):
    return Gate(approver=over_http(url, seconds), secrets=SECRETS).rule(proposal(**changed))


def test_a_proposal_is_posted_with_its_picture_and_without_secrets():
    with approving({"answer": "allow"}) as (url, posted):
        ruling = ruled(url)
    assert (ruling.allowed, ruling.by) == (True, "approver")
    assert ruling.act == proposal().act
    (body,) = posted
    picture = base64.b64decode(body.pop("picture").removeprefix("data:image/png;base64,"))
    with Image.open(io.BytesIO(picture)) as drawn:
        assert len(drawn.convert("RGB").getcolors()) > 1  # the act is drawn on the white screen
    assert body == {
        "goal": "Pay with {{secret:card}}.",
        "words": "left click on button 'Pay'",
        "place": "http://a:80/pay?card={{secret:card}}",
        "tool": "computer_use",
        "arguments": {"action": "left_click", "coordinate": [20, 20]},
        "element": {"role": "button", "name": "Pay", "box": [10, 10, 50, 30]},
        "risk": {"level": "consequential", "kind": "pay", "reason": "it says Pay"},
        "screen": [90, 60],
        "seconds": 5.0,
    }


def test_all_approvers_get_names_of_secrets():
    seen = []
    gate = Gate(approver=lambda each: seen.append(each) or "allow", secrets=SECRETS)
    typed = Act(kind="type", text="hunter22\n")
    traits = {"type": "password"}
    private = ScreenElement("textbox", "Card hunter22", Box(0, 0, 9, 9), "12345", traits=traits)
    ruling = gate.rule(proposal(act=typed, element=private))
    assert ruling.act == typed  # performed as the model gave it
    assert "hunter22" not in repr(seen)
    assert "12345" not in repr(seen)
    assert seen[0].act.text == "{{secret:card}}\n"


def test_refuse_allow_a_kind_and_edit():
    with approving({"answer": "refuse"}) as (url, _):
        ruling = ruled(url)
    assert (ruling.allowed, ruling.reason) == (False, "it was not approved: it says Pay")
    with approving({"answer": "allow_kind"}) as (url, posted):
        gate = Gate(approver=over_http(url, 5), secrets=SECRETS)
        assert [gate.rule(proposal()).by for _ in range(3)] == ["approver", "granted", "granted"]
    assert len(posted) == 1
    edit = {"answer": "edit", "arguments": {"action": "left_click", "coordinate": [70, 40]}}
    with approving(edit) as (url, _):
        ruling = ruled(url)
    assert ruling.allowed
    assert ruling.act == Act(kind="left_click", point=Point(70, 40))


def test_an_edit_does_not_take_a_secret_elsewhere():
    edit = {"answer": "edit", "arguments": {"action": "type", "text": "{{secret:card}}"}}
    with approving(edit) as (url, _):
        assert ruled(url).allowed  # its field is checked when it is typed
        ruling = ruled(url, place="http://b:80/")
    assert not ruling.allowed
    assert "there is no secret 'card' for http://b:80" in ruling.reason


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (b"yes", 200, "is no JSON"),
        (b"\xff\xfe", 200, "is no JSON"),
        (b"[" * 50_000, 200, "the approver failed: RecursionError"),
        (b" " * 70_000, 200, "sent more than 65,536 bytes"),
        ({"answer": "maybe"}, 200, "not one of allow, allow_kind, refuse, edit"),
        (["allow"], 200, "not one of allow"),
        ({"answer": ["allow"]}, 200, "not one of allow"),
        ({"answer": "edit"}, 200, "has no arguments of computer_use"),
        ({"answer": "edit", "arguments": {"action": "buy"}}, 200, "no action 'buy'"),
        ({"answer": "edit", "arguments": {"action": "wait", "time": "1"}}, 200, "not a number"),
        ({"answer": "allow"}, 500, "answered with status 500"),
        ({"answer": "allow"}, 302, "answered with status 302"),
    ],
)
def test_any_other_answer_is_a_refusal(answer, status, reason):
    with approving(answer, status=status) as (url, _):
        ruling = ruled(url)
    assert not ruling.allowed
    assert ruling.reason.startswith("it was not approved: it says Pay; ")
    assert reason in ruling.reason
    assert "t0psecret" not in ruling.reason


def test_no_server_and_a_late_answer_are_refusals():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ruling = ruled(f"http://127.0.0.1:{port}/")
    assert not ruling.allowed
    assert "the connection to http://127.0.0.1:" in ruling.reason
    begun = time.monotonic()
    with approving({"answer": "allow"}, wait=3) as (url, _):
        ruling = ruled(url, seconds=0.2)
        assert time.monotonic() - begun < 2
    assert not ruling.allowed
    assert "within 0.2 s" in ruling.reason


def test_a_function_that_fails_refuses_at_once():
    def broken(_):
        raise ValueError("no network")

    ruling = Gate(approver=in_time(broken, 30)).rule(proposal())
    assert not ruling.allowed
    assert "the approver failed: ValueError('no network')" in ruling.reason


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "ftp://127.0.0.1/", "http://", "http://[::1", "http://127.0.0.1:x/"],
)
def test_answers_come_from_this_machine_or_over_tls(url):
    with pytest.raises(ConfigError):
        over_http(url, 5)
    over_http("https://example.org/approve", 5)
    over_http("http://[::1]:8000/", 5)


@needs_browser
def test_an_edited_step_is_performed_and_told(tmp_path):
    """The approver clicks another control instead: its box, words and call are stored, and the model is told."""
    plan = [("click", "Place order"), ("success",)]
    with site() as shop, closing(WebScreen(f"{shop.url}/checkout", size=Size(700, 420))) as page:
        target = Planned(page, []).place_of("Continue shopping")
        edit = {"action": "left_click", "coordinate": [round(target.x), round(target.y)]}
        before = shop.digest()
        with approving({"answer": "edit", "arguments": edit}) as (url, posted):
            gate = Gate(approver=over_http(url, 10))
            player = Planned(page, plan)
            run = run_on(page, "Order.", player, "p", AgentOptions(judges=False), gate, folder=tmp_path)  # fmt: skip
        assert shop.digest() == before
        assert page.browser.evaluate("location.pathname") == "/shop"
    assert posted[0]["element"]["name"] == "Place order"
    (step, last), _ = read_steps(tmp_path / "steps.jsonl")
    assert step.act == {"kind": "left_click", "point": [round(target.x), round(target.y)]}
    assert step.element["name"] == "Continue shopping"
    assert step.gate["by"] == "approver"
    assert step.effect["verdict"] == "changed"
    shown, sides = step.shown[0], (700, 420)
    wanted = [round(edit["coordinate"][i] * shown[i] / sides[i]) for i in (0, 1)]
    assert json.loads(step.call)["arguments"] == {"action": "left_click", "coordinate": wanted}
    assert "The user has replaced the last action by another one." in last.remarks
    assert run.claimed == "success"
