# SPDX-License-Identifier: Apache-2.0
"""Traces as Playwright and adb scripts: they do again what was done, know no secret, and quote what pages wrote."""

from __future__ import annotations

import ast
import base64
import os
import shlex
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from finesight.apps.agent.gate import Gate, always
from finesight.apps.agent.job import run_on
from finesight.apps.agent.records import AgentOptions, Step
from finesight.apps.agent.scripts import write_script
from finesight.apps.agent.secrets import Secret, Secrets, split_at_secrets, variable_of
from finesight.apps.agent.trace import Trace
from finesight.browser.start import find_chromium
from finesight.errors import AppError, ConfigError
from finesight.geometry import Point, Size
from finesight.screen.act import Act
from finesight.screen.phone import Phone
from finesight.screen.practice.phone import PracticePhone
from finesight.screen.web import WebScreen
from tests.support.agent_players import Planned
from tests.support.agent_sites import site
from tests.support.pages import needs_browser
from tests.support.screen_tasks import PHONE_TASKS, solver
from tests.support.screens import adb_server, needs_phone

OPTIONS = AgentOptions(hints=False, regrounds=False, judges=False, acts_per_minute=1e6)
WEB = {"screen": "web", "viewport": [640, 400], "scale": 2.0}
CARD = "4111-2222-3333"
EVIL = "Go\nimport os; os.system('touch pwned')\n$(touch pwned) `touch pwned` ''' \"\"\" '"
"""A name or a text that a page might write to get out of a comment or a string."""


def recorded(folder, acts, *, facts=WEB, places=("http://127.0.0.1:1/a",), **more):
    """A trace of these acts."""
    trace = Trace(folder, {"goal": EVIL, "facts": facts, "tool": "x"})
    for number, act in enumerate(acts, 1):
        place = places[min(number, len(places)) - 1]
        step = Step(n=number, at_seconds=0, before="", place=place, words=act.kind)
        values = {"act": act.as_json(), "element": {"role": "button", "name": EVIL}, **more}
        trace.keep(
            type(step)(**{**{name: getattr(step, name) for name in step.__slots__}, **values})
        )
    trace.close()
    return folder


def run(command, folder, **environment):
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def statements(script) -> list[str]:
    """What the function `repeat` of a script does, without waiting."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    (repeat,) = [
        one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "repeat"
    ]
    return [text for one in repeat.body if (text := ast.unparse(one)) != "page = settled(context)"]


def test_acts_become_statements_in_css_pixels(tmp_path):
    acts = [
        Act(kind="left_click", point=Point(200, 100)),
        Act(kind="double_click", point=Point(300, 100)),
        Act(kind="right_click"),
        Act(kind="scroll", pixels=-100.0),
        Act(kind="left_click_drag", point=Point(20, 31)),
        Act(kind="key", keys=("ctrl", "a")),
        Act(kind="type", text=EVIL),
        Act(kind="wait", seconds=90.0),
        Act(kind="open_url", text="http://127.0.0.1:1/b"),
        Act(kind="terminate", status="success"),
    ]
    script = tmp_path / "again.py"
    assert write_script(recorded(tmp_path / "t", acts), script, "playwright") == (10, 0)
    assert statements(script) == [
        "page = context.new_page()",
        "page.goto('http://127.0.0.1:1/a')",
        "page.mouse.click(100, 50)",
        "page.mouse.click(150, 50, click_count=2)",
        "page.mouse.click(150, 50, button='right')",
        "page.mouse.wheel(0, 50)",
        "drag(page, (150, 50), (10, 15.5))",
        "page.keyboard.press('Control+a')",
        f"page.keyboard.type({EVIL!r})",
        "page.wait_for_timeout(3000)",
        "page.goto('http://127.0.0.1:1/b')",
        "return page",
    ]
    text = script.read_text(encoding="utf-8")
    assert "viewport={'width': 640, 'height': 400}, device_scale_factor=2.0" in text
    assert "# step 1: left_click (button Go import os" in text


def test_steps_that_were_not_performed_are_comments(tmp_path):
    act = Act(kind="left_click", point=Point(200, 100))
    folder = recorded(tmp_path / "t", [act])
    trace = Trace(folder, {"goal": EVIL, "facts": WEB, "tool": "x"})
    trace.keep(Step(n=2, at_seconds=0, before="", act=act.as_json(), words="click", problem="no\n"))
    trace.keep(Step(n=3, at_seconds=0, before=""))
    trace.close()
    assert write_script(folder, tmp_path / "again.py", "playwright") == (1, 2)
    assert len(statements(tmp_path / "again.py")) == 4
    assert "# step 2: click - not performed: no" in (tmp_path / "again.py").read_text()


def test_secrets_are_split_from_texts():
    assert split_at_secrets("a{{secret: b.c }}{{secret:d}}") == [
        ("a", False),
        ("b.c", True),
        ("d", True),
    ]
    assert split_at_secrets("") == []
    assert variable_of("shop.password-1é") == "FINESIGHT_SECRET_SHOP_PASSWORD_1_"


@needs_browser
def test_a_playwright_script_leaves_the_site_as_the_run_did(tmp_path):
    typed = "Pier 1, 'north' \"end\""
    plan = [
        ("click", "Street"),
        ("type", typed),
        ("click", "Card"),
        ("type", "{{secret:card}}"),
        ("click", "Place order"),
        ("success",),
    ]
    with site() as shop:
        gate = Gate(approver=always, secrets=Secrets([Secret("card", CARD, shop.url)]))
        with closing(WebScreen(f"{shop.url}/checkout", size=Size(640, 400))) as screen:
            run_on(
                screen, "Order.", Planned(screen, plan), "x", OPTIONS, gate, folder=tmp_path / "t"
            )
        assert shop.state["orders"] == [{"street": [typed], "card": [CARD]}]
        script = tmp_path / "again.py"
        write_script(tmp_path / "t", script, "playwright")
        assert CARD not in script.read_text(encoding="utf-8")
        chromium = str(find_chromium())
        code, told = run([sys.executable, script], tmp_path, CHROMIUM=chromium)
        assert (code, "set FINESIGHT_SECRET_CARD" in told) == (1, True), told
        assert len(shop.state["orders"]) == 1
        command = [sys.executable, script, "last.png"]
        code, told = run(command, tmp_path, CHROMIUM=chromium, FINESIGHT_SECRET_CARD=CARD)
        assert code == 0, told
        assert shop.state["orders"][1:] == shop.state["orders"][:1]
    last = (tmp_path / "t" / "steps.jsonl").read_text().splitlines()[-1]
    before = next(path for path in (tmp_path / "t" / "screens").iterdir() if path.stem in last)
    pictures = [
        np.asarray(Image.open(path).convert("L"), float) for path in (before, tmp_path / "last.png")
    ]
    assert np.abs(pictures[0] - pictures[1]).mean() < 1


PHONE = {"screen": "phone"}
PLACES = ("com.example.home/.Main", "com.example.notes/.Main")
FAKE_ADB = """#!/bin/sh
case "$*" in
*default_input_method*) echo com.example.keys/.Ime ;;
*dumpsys*) echo "  mCurrentFocus=Window{1 u0 com.example.notes/.Main}" ;;
esac
printf '%s\\n' "$*" >> log
"""


def adb_log(tmp_path, acts, **environment):
    """What a script of these acts tells adb, and how it ends."""
    source = recorded(tmp_path / "t", acts, facts=PHONE, places=PLACES)
    write_script(source, tmp_path / "again.sh", "adb")
    (tmp_path / "adb").write_text(FAKE_ADB)
    (tmp_path / "adb").chmod(0o755)
    code, told = run(["./again.sh"], tmp_path, ADB=str(tmp_path / "adb"), PAUSE="0", **environment)
    return (tmp_path / "log").read_text(encoding="utf-8").splitlines(), code, told


def test_acts_become_adb_commands(tmp_path):
    acts = [
        Act(kind="open", text="Notes"),
        Act(kind="click", point=Point(10.4, 20.6)),
        Act(kind="long_press", point=Point(10, 20), seconds=2.0),
        Act(kind="swipe", point=Point(1, 2), point2=Point(3, 4)),
        Act(kind="type", text="it's 5%s; $(touch pwned)\n-n"),
        Act(kind="type", text="Grüße"),
        Act(kind="type", text="{{secret:pin}}"),
        Act(kind="key", text="volume_up"),
        Act(kind="system_button", button="Back"),
        Act(kind="terminate", status="success"),
    ]
    log, code, told = adb_log(tmp_path, acts, FINESIGHT_SECRET_PIN="12 '34")
    assert code == 0, told
    assert log == [
        "shell monkey -p com.example.notes -c android.intent.category.LAUNCHER 1",
        "shell input tap 10 21",
        "shell input swipe 10 20 10 20 2000",
        "shell input swipe 1 2 3 4 300",
        "shell input text 'it'\\''s%s5%'",
        "shell input text 's;%s$(touch%spwned)'",
        "shell input keyevent 66",
        "shell input text '-n'",
        "shell settings get secure default_input_method",
        "shell ime enable com.android.adbkeyboard/.AdbIME && ime set com.android.adbkeyboard/.AdbIME",
        "shell am broadcast -a ADB_INPUT_B64 --es msg R3LDvMOfZQ==",
        "shell ime set com.example.keys/.Ime",
        "shell dumpsys window",
        "shell input text '12%s'\\''34'",
        "shell input keyevent KEYCODE_VOLUME_UP",
        "shell input keyevent 4",
    ]
    assert "12 '34" not in (tmp_path / "again.sh").read_text()
    assert not (tmp_path / "pwned").exists()


def test_a_secret_without_a_value_and_another_app_end_the_script(tmp_path):
    acts = [Act(kind="wait", seconds=0.0), Act(kind="type", text="{{secret:pin}}")]
    log, code, told = adb_log(tmp_path, acts)
    assert (code, "FINESIGHT_SECRET_PIN" in told) == (2, True)
    assert log == ["shell dumpsys window"]
    text = (
        (tmp_path / "again.sh").read_text().replace("only_in com.example.notes", "only_in com.bank")
    )
    (tmp_path / "again.sh").write_text(text)
    path = str(tmp_path / "adb")
    code, told = run(["./again.sh"], tmp_path, ADB=path, PAUSE="0", FINESIGHT_SECRET_PIN="1234")
    assert (code, "the app com.bank is not in front" in told) == (1, True)
    assert "input text" not in (tmp_path / "log").read_text()


@needs_phone
def test_an_adb_script_leaves_the_phone_as_the_run_did(tmp_path):
    from adbutils import adb_path

    task = PHONE_TASKS[2]
    with adb_server() as port:
        with PracticePhone() as practice, closing(Phone(practice.address, port=port)) as phone:
            gate = Gate(approver=always)
            run_on(phone, task.goal, solver(task, phone), "x", OPTIONS, gate, folder=tmp_path / "t")
            contacts = practice.state()["contacts"]
            assert task.is_done(practice.state())
        write_script(tmp_path / "t", tmp_path / "again.sh", "adb")
        with PracticePhone() as other:
            environment = {"ADB": adb_path(), "ANDROID_ADB_SERVER_PORT": str(port)}
            code, told = run([adb_path(), "connect", other.address], tmp_path, **environment)
            environment["ANDROID_SERIAL"] = other.address
            assert other.state()["contacts"] != contacts
            code, told = run(["./again.sh"], tmp_path, **environment)
            assert code == 0, told
            assert other.state()["contacts"] == contacts


@pytest.mark.parametrize(
    ("acts", "facts", "form", "error", "told"),
    [
        ([Act(kind="wait")], PHONE, "playwright", ConfigError, "screen 'phone'"),
        ([Act(kind="wait")], {"screen": "desktop"}, "adb", ConfigError, "screen 'desktop'"),
        ([Act(kind="left_click")], WEB, "playwright", AppError, "has no point"),
        ([Act(kind="open", text="Notes")], PHONE, "adb", AppError, "which package"),
        ([Act(kind="fly")], PHONE, "adb", AppError, "'fly' cannot be written"),
        ([Act(kind="fly")], WEB, "playwright", AppError, "'fly' cannot be written"),
        ([], WEB, "playwright", AppError, "nothing to repeat"),
        ([Act(kind="open_url", text="b.html")], WEB, "playwright", AppError, "which address"),
        ([Act(kind="type", text="a\0b")], PHONE, "adb", AppError, "cannot contain"),
        ([Act(kind="type", text="a\ud800")], PHONE, "adb", AppError, "cannot contain"),
        ([Act(kind="wait")], {"screen": "web"}, "playwright", AppError, "damaged: KeyError"),
        ([Act(kind="scroll")], {**WEB, "scale": 0}, "playwright", AppError, "damaged: ZeroDiv"),
        ([Act(kind="wait")], [WEB], "playwright", ConfigError, "screen 'unknown'"),
        ([Act(kind="wait", seconds="1; id")], PHONE, "adb", AppError, "damaged: TypeError"),
        ([Act(kind="click", point=Point("$(id)", 1))], PHONE, "adb", AppError, "damaged: Type"),
        ([Act(kind="mouse_move", point=Point("1", 1))], WEB, "playwright", AppError, "damaged"),
        ([Act(kind="scroll", pixels=float("nan"))], WEB, "playwright", AppError, "not a finite"),
        ([Act(kind="system_button", button="Off")], PHONE, "adb", AppError, "damaged: KeyError"),
        (
            [Act(kind="type", text="{{secret:a.b}}{{secret:a-b}}")],
            WEB,
            "playwright",
            AppError,
            "one variable, FINESIGHT_SECRET_A_B",
        ),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_no_file(
    tmp_path, acts, facts, form, error, told
):
    source = recorded(tmp_path / "t", acts, facts=facts, places=("http://127.0.0.1:1/a",))
    with pytest.raises(error, match=told):
        write_script(source, tmp_path / "again", form)
    assert not (tmp_path / "again").exists()


def test_a_secret_belongs_to_an_origin(tmp_path):
    acts = [Act(kind="type", text="{{secret:pin}}")]
    source = recorded(tmp_path / "t", acts, places=("file:///tmp/a.html",))
    with pytest.raises(AppError, match="page of no origin"):
        write_script(source, tmp_path / "again.py", "playwright")


def test_a_secret_of_a_site_with_the_usual_port_is_typed_there_only(tmp_path, monkeypatch):
    acts = [Act(kind="type", text="{{secret:pin}}")]
    source = recorded(tmp_path / "t", acts, places=("https://shop.example/login",))
    write_script(source, tmp_path / "again.py", "playwright")
    assert statements(tmp_path / "again.py")[2] == (
        "page.keyboard.type(secret(page, 'FINESIGHT_SECRET_PIN', 'https://shop.example:443'))"
    )
    tree = ast.parse((tmp_path / "again.py").read_text(encoding="utf-8"))
    kept = [
        one
        for one in tree.body
        if isinstance(one, ast.FunctionDef) and one.name in ("site", "secret")
    ]
    names = {"sys": sys, "os": os, "urlsplit": urlsplit, "Page": object}
    exec(compile(ast.Module(kept, []), "again.py", "exec"), names)
    monkeypatch.setenv("FINESIGHT_SECRET_PIN", "12345")
    given = ("FINESIGHT_SECRET_PIN", "https://shop.example:443")
    for address in ("https://shop.example/login", "https://shop.example:443/"):
        assert names["secret"](SimpleNamespace(url=address), *given) == "12345"
    for address in (
        "http://shop.example/",
        "https://shop.example:8443/",
        "https://shop.example.evil.example/",
        "https://shop.example:443@evil.example/",
        "about:blank",
    ):
        with pytest.raises(SystemExit, match="is for https://shop"):
            names["secret"](SimpleNamespace(url=address), *given)


def test_a_secret_of_an_unknown_app_is_no_command(tmp_path):
    acts = [Act(kind="type", text="{{secret:pin}}")]
    source = recorded(tmp_path / "t", acts, facts=PHONE, places=("",))
    with pytest.raises(AppError, match="in an unknown app"):
        write_script(source, tmp_path / "again.sh", "adb")


def test_a_file_that_was_opened_is_named_by_its_address(tmp_path):
    acts = [Act(kind="open_url", text="b.html"), Act(kind="wait", seconds=1.0)]
    source = recorded(tmp_path / "t", acts, places=("file:///w/a.html", "file:///w/b.html"))
    write_script(source, tmp_path / "again.py", "playwright")
    assert "page.goto('file:///w/b.html')" in statements(tmp_path / "again.py")


def test_a_step_during_which_the_run_was_killed_is_named(tmp_path):
    for form, facts in (("playwright", WEB), ("adb", PHONE)):
        source = recorded(tmp_path / form, [Act(kind="wait", seconds=0.0)], facts=facts)
        with (source / "steps.jsonl").open("a") as file:
            file.write('{"pending": 2, "act": {"kind": "click"}}\n')
        assert write_script(source, tmp_path / "again", form) == (1, 1)
        assert "# The run was killed during a further step" in (tmp_path / "again").read_text()


def test_damaged_files_are_said(tmp_path):
    source = recorded(tmp_path / "t", [Act(kind="wait")])
    (source / "steps.jsonl").write_text("5\n")
    with pytest.raises(AppError, match="line 1 is no step"):
        write_script(source, tmp_path / "again", "playwright")
    (source / "meta.json").write_text("[]")
    with pytest.raises(AppError, match="holds no object"):
        write_script(source, tmp_path / "again", "playwright")


def test_a_script_replaces_no_file_of_its_trace_and_an_earlier_one_whole(tmp_path):
    source = recorded(tmp_path / "t", [Act(kind="wait", seconds=0.0)], facts=PHONE)
    before = (source / "steps.jsonl").read_bytes()
    for name in ("steps.jsonl", "screens/a.sh"):
        with pytest.raises(ConfigError, match="belongs to the trace"):
            write_script(source, source / name, "adb")
    assert (source / "steps.jsonl").read_bytes() == before
    script = source / "again.sh"
    script.write_text("old")
    script.chmod(0o400)
    assert write_script(source, script, "adb") == (1, 0)
    assert os.access(script, os.X_OK)
    assert "old" not in script.read_text()
    (tmp_path / "file").touch()
    with pytest.raises(AppError, match="cannot be written"):
        write_script(source, tmp_path / "file" / "again.sh", "adb")


@pytest.mark.parametrize(
    "text", ["\r", "\u2028", "\\", "'\\''", "%s", "$IFS", "!!", "{{secret:}}", "\x1b[0m"]
)
def test_odd_texts_stay_texts(tmp_path, text):
    odd = f"a{text}b\n{text}"
    web = recorded(tmp_path / "w", [Act(kind="type", text=odd)])
    write_script(web, tmp_path / "again.py", "playwright")
    assert statements(tmp_path / "again.py")[2] == f"page.keyboard.type({odd!r})"
    log, code, told = adb_log(tmp_path, [Act(kind="type", text=odd)])
    assert code == 0, told
    typed = "".join(
        base64.b64decode(line.rpartition(" ")[2]).decode()
        if "ADB_INPUT_B64" in line
        else "\n"
        if line.endswith("keyevent 66")
        else shlex.split(line)[3].replace("%s", " ")
        for line in log
        if "ADB_INPUT" in line or " input " in line
    )
    assert typed == odd
