# SPDX-License-Identifier: Apache-2.0
"""A secret is typed by its name, at its origin, into a private field; nobody else sees its value."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from finesight.apps.agent.gate import Gate, always, never
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions, Expectation
from finesight.apps.agent.secrets import Secret, Secrets
from finesight.conversation import MediaRecord, Reply, TextPart, Usage
from finesight.elements import ScreenElement
from finesight.errors import ActionRefused, ConfigError, ScreenUnavailable
from finesight.geometry import Box, Resize, Size
from finesight.screen.environment import Observation
from finesight.screen.history import call_in_words
from finesight.screen.web import WebScreen
from tests.support.agent_players import Planned
from tests.support.agent_sites import site
from tests.support.pages import needs_browser

VALUE = "p&ss wörd-7"
HERE = "http://127.0.0.1:8000"
SECRETS = Secrets([Secret("shop_password", VALUE, HERE), Secret("pin", "49213", "org.bank/")])


def field(kind="password", document=f"{HERE}/login", value=""):
    traits = {"type": kind, "document": document}
    return ScreenElement("textbox", "Password", Box(10, 10, 90, 30), value, traits=traits)


def test_a_value_is_put_in_only_where_it_belongs():
    text = "{{secret:shop_password}}"
    assert SECRETS.typed(text, f"{HERE}/login", field()) == VALUE
    assert SECRETS.typed("plain", "http://other/", field("text")) == "plain"
    for place, control in (
        (f"{HERE}/login", field("text")),
        ("http://127.0.0.1:8001/login", field(document="http://127.0.0.1:8001/login")),
        (f"{HERE}/login", field(document="http://127.0.0.1:8001/frame")),
    ):
        with pytest.raises(ActionRefused, match="secret"):
            SECRETS.typed(text, place, control)
    with pytest.raises(ActionRefused, match="there is no secret 'other'"):
        SECRETS.typed("{{secret:other}}", f"{HERE}/login", field())
    assert SECRETS.typed("{{secret:pin}}", "org.bank/.Main", None) == "49213"
    app = Secrets([Secret("pin", "49213", "org.bank")])
    assert app.typed("{{secret:pin}}", "org.bank/.Main", None) == "49213"
    for secrets, place in ((SECRETS, "org.chat/.Main"), (app, "org.bank.copy/.Main")):
        with pytest.raises(ActionRefused, match="there is no secret 'pin'"):
            secrets.typed("{{secret:pin}}", place, None)


def test_values_are_hidden_in_every_spelling():
    for spelled in (VALUE, "p%26ss%20w%C3%B6rd-7", "p%26ss+w%C3%B6rd-7", "p&amp;ss wörd-7"):
        assert SECRETS.hidden(f"a {spelled} b") == "a {{secret:shop_password}} b"
    assert VALUE not in repr(Secret("shop_password", VALUE, HERE))
    both = Secrets([Secret("user", "anna", HERE), Secret("password", "anna2024!", HERE)])
    assert both.hidden("anna: anna2024!") == "{{secret:user}}: {{secret:password}}"
    assert Secrets().hidden("text") == "text"


def test_private_fields_and_shown_values_are_painted_over():
    picture = Image.effect_noise((100, 100), 80).convert("RGB")
    shown = ScreenElement("StaticText", f"It is {VALUE}.", Box(10, 50, 90, 70))
    masked = SECRETS.masked(picture, [field(), shown])
    assert masked.crop((14, 14, 86, 26)).getcolors() == [(72 * 12, (128, 128, 128))]
    assert masked.crop((14, 54, 86, 66)).getcolors() == [(72 * 12, (128, 128, 128))]
    assert masked.crop((0, 80, 100, 100)) == picture.crop((0, 80, 100, 100))
    assert SECRETS.masked(picture, []) is picture


def test_a_short_secret_is_refused():
    with pytest.raises(ConfigError, match="fewer than 4"):
        Secret("pin", "12", HERE)


class Showing:
    """A screen that shows a value in the name of its only control and in its address."""

    tool, facts = "computer_use", {"screen": "fake"}
    control = ScreenElement(
        "button", f"Copy {VALUE}", Box(10, 10, 90, 30), traits={"target": f"mailto:{VALUE}"}
    )

    def observe(self):
        return Observation(screenshot=Image.new("RGB", (100, 60)), place=f"{HERE}/?{VALUE}")

    def act(self, act):
        raise ScreenUnavailable(f"{VALUE} has closed")

    def elements(self):
        return [self.control]

    def element_at(self, point):
        return self.control

    def focused(self):
        return None

    def close(self):
        """Nothing to do."""


class Clicking:
    """Clicks once; sees screens as they are."""

    def respond(self, conversations, sampling):
        text = call_in_words("computer_use", {"action": "left_click", "coordinate": [50, 20]})
        size = Resize(Size(100, 60), Size(100, 60))
        seen = MediaRecord(kind="image", source="screen", resize=size, visual_tokens=0)
        usage = Usage(0, 0, 0)
        reply = Reply(text=text, token_ids=(), finish_reason="stop", usage=usage, media=(seen,))
        return [reply] * len(conversations)


@pytest.mark.parametrize("approver", [never, always])
def test_what_a_screen_says_is_stored_without_values(tmp_path, approver):
    gate = Gate(approver=approver, secrets=Secrets([Secret("shop_password", VALUE, HERE)]))
    goal = f"Copy {VALUE}."
    options = AgentOptions(
        most_steps=1, expectations=(Expectation("url", "never"),), regrounds=False
    )
    run = run_on(Showing(), goal, Clicking(), "p", options, gate, folder=tmp_path)
    assert run.end == ("steps" if approver is never else "screen_gone")
    if approver is never:
        assert run.steps[0].element["name"] == "Copy {{secret:shop_password}}"
        assert "mailto:{{secret:shop_password}}" in run.steps[0].problem
    written = (path for path in tmp_path.rglob("*") if path.suffix in (".json", ".jsonl", ".html"))
    stored = [path.read_text(encoding="utf-8") for path in written]
    assert len(stored) == 4
    assert not any("wörd-7" in text or "w\\u00f6rd" in text for text in stored)


@needs_browser
def test_a_login_leaves_no_trace_of_the_value(tmp_path):
    with site() as shop, closing(WebScreen(f"{shop.url}/account", size=Size(700, 420))) as page:
        shop.pages["/account"] += f"<p>Do not write down: {VALUE.replace('&', '&amp;')}</p>"
        page.browser.open(f"{shop.url}/account")
        secrets = Secrets([Secret("shop_password", VALUE, shop.url)])
        plan = [
            ("click", "Comment"),
            ("type", "{{secret:shop_password}}"),
            ("click", "Password"),
            ("type", "{{secret:shop_password}}"),
            ("click", "Enter"),
            ("success",),
        ]
        player = Planned(page, plan)
        gate = Gate(approver=always, secrets=secrets)
        run = run_on(page, "Log in.", player, "p", AgentOptions(), gate, folder=tmp_path)
        assert shop.state["logins"] == [{"password": [VALUE]}]
    assert "only into private fields" in run.steps[1].problem
    assert "Secrets that can be typed by these names: {{secret:shop_password}}" in player.questions[0].text  # fmt: skip
    told = [
        part.text
        for question in player.questions
        for message in question.conversation.messages
        for part in message.parts
        if isinstance(part, TextPart)
    ]
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for spelled in (VALUE, "p%26ss", "p&amp;ss", "p\\u0026ss", "wörd-7", "w\\u00f6rd"):
        assert not any(spelled in text for text in told)
        assert not any(spelled.encode() in content for content in stored)
    for path in Path(tmp_path, "screens").glob("*.png"):
        with Image.open(path) as screen:
            assert_masked(screen, run, path.stem)


def assert_masked(screen, run, digest):
    """Where the page shows the value, the stored screen has one colour only."""
    if not any(step.before == digest for step in run.steps[:4]):
        return
    line = screen.convert("RGB").crop((20, 165, 120, 175))
    assert (128, 128, 128) in {colour for _, colour in line.getcolors()}
