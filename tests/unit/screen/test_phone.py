# SPDX-License-Identifier: Apache-2.0
"""The phone is controlled through the real client of adb; what a step did is read from the practice phone's page."""

from __future__ import annotations

import pytest

from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Point, Size
from finesight.screen.act import Act
from finesight.screen.phone import BUTTONS, Phone
from tests.support.screens import adb_server, free_port, needs_phone, practice_phone

pytestmark = needs_phone
pytest.importorskip("adbutils")


@pytest.fixture(scope="module")
def both():
    with practice_phone(has_keyboard=False) as found:
        yield found


@pytest.fixture
def practice(both):
    both[0].log.clear()
    return both[0]


@pytest.fixture
def phone(both):
    both[1].act(Act(kind="system_button", button="Home"))
    return both[1]


def tap(phone, name):
    found = [one for one in phone.elements() if one.name == name and one.role != "StaticText"]
    phone.act(Act(kind="click", point=found[0].box.center))


def test_a_screenshot_is_the_page_and_the_place_is_the_app_in_front(phone, practice):
    seen = phone.observe()
    assert seen.screenshot.size == (390, 844)
    assert seen.place == "org.practice.home/org.practice.home.Main"
    assert phone.facts["model"] == "Practice phone"
    assert phone.facts["size"] == [390, 844]


def test_the_elements_of_an_earlier_screen_are_not_listed(phone, practice, monkeypatch):
    assert phone.elements()
    said = "ERROR: could not get idle state.\n"
    monkeypatch.setitem(practice._known, "uiautomator", lambda words: (said, 0))
    with pytest.raises(ScreenUnavailable, match="no list of elements: ERROR: could not get idle"):
        phone.elements()


def test_a_click_opens_an_app_and_long_press_and_swipe_differ_from_it(phone, practice):
    tap(phone, "Photos")
    assert practice.state()["app"] == "photos"
    middle = Point(195, 300)
    phone.act(Act(kind="long_press", point=middle, seconds=1))
    assert practice.state()["chosen"] == ["Beach"]
    phone.act(Act(kind="swipe", point=Point(300, 300), point2=Point(60, 300)))
    assert practice.state()["photo"] == 1
    phone.act(Act(kind="click", point=middle))
    assert (practice.state()["chosen"], practice.state()["photo"]) == (["Beach"], 1)


def test_a_swipe_up_scrolls_down(phone, practice):
    phone.act(Act(kind="open", text="Settings"))
    before = next(one.box.y1 for one in phone.elements() if one.name == "Hotspot")
    phone.act(Act(kind="swipe", point=Point(190, 700), point2=Point(190, 620)))
    after = next(one.box.y1 for one in phone.elements() if one.name == "Hotspot")
    assert before - after == pytest.approx(80, abs=30)  # a page keeps its first pixels for a tap


@pytest.mark.parametrize(
    "text",
    ["plain", "two words", "100%s of it", 'it\'s "quoted" $HOME `id` \\ ; rm -rf & | > #', "%"],
)
def test_text_is_typed_as_it_is(phone, practice, text):
    phone.act(Act(kind="open", text="Notes"))
    tap(phone, "New note")
    tap(phone, "Title")
    phone.act(Act(kind="type", text=text))
    assert phone.focused().value == text
    tap(phone, "Save")
    assert practice.state()["notes"][-1]["title"] == text


def test_a_new_line_is_the_key_enter(phone, practice):
    phone.act(Act(kind="open", text="Notes"))
    tap(phone, "New note")
    tap(phone, "Text")
    phone.act(Act(kind="type", text="one\n\ntwo"))
    tap(phone, "Save")
    assert practice.state()["notes"][-1]["text"] == "one\n\ntwo"


def test_text_beyond_ascii_is_refused_without_a_keyboard_for_it(phone, practice):
    with pytest.raises(ActionRefused, match=r"'ü' cannot be typed.*ASCII") as caught:
        phone.act(Act(kind="type", text="Grüße"))
    assert "ADBKeyBoard" in caught.value.hint
    assert not [words for words in practice.log if words[0] == "input" and words[1] == "text"]


def test_a_keyboard_types_any_text_and_the_earlier_one_is_chosen_again():
    with practice_phone(has_keyboard=True) as (_, phone):
        before = phone.shell("settings", "get", "secure", "default_input_method")
        phone.act(Act(kind="open", text="Notes"))
        tap(phone, "New note")
        tap(phone, "Title")
        phone.act(Act(kind="type", text="Grüße 你好 😀"))
        assert phone.focused().value == "Grüße 你好 😀"
        assert phone.shell("settings", "get", "secure", "default_input_method") == before


@pytest.mark.parametrize(("button", "code"), [*BUTTONS.items()])
def test_system_buttons_have_the_key_codes_of_android(phone, practice, button, code):
    phone.act(Act(kind="open", text="Clock"))
    phone.act(Act(kind="system_button", button=button))
    assert ["input", "keyevent", str(code)] in practice.log
    expected = {"Back": "home", "Home": "home", "Menu": "recent", "Enter": "clock"}
    assert practice.state()["app"] == expected[button]


def test_keys_are_named_as_the_tool_names_them(phone, practice):
    volume = practice.state()["volume"]
    for name in ("volume_up", "KEYCODE_VOLUME_UP", "24", "volume up"):
        phone.act(Act(kind="key", text=name))
    assert practice.state()["volume"] == volume + 4
    phone.act(Act(kind="open", text="Contacts"))
    tap(phone, "Search")
    phone.act(Act(kind="type", text="wrong"))
    phone.act(Act(kind="key", text="clear"))
    assert phone.focused().value == ""


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Act(kind="click"), "lacks a point"),
        (Act(kind="click", point=Point(390, 10)), "outside the screen of 390 x 844"),
        (Act(kind="swipe", point=Point(10, 10)), "lacks a point"),
        (Act(kind="left_click", point=Point(1, 1)), "not possible on a phone"),
        (Act(kind="system_button", button="Power"), "unknown"),
        (Act(kind="key", text="no such key"), "Unknown keycode"),
        (Act(kind="key", text="power; reboot"), "no valid name"),
        (Act(kind="open", text="Netflix"), "is on no app"),
        (Act(kind="open", text="o"), "fits org.practice.calculator, "),
    ],
)
def test_a_step_that_is_not_possible_is_refused(phone, practice, act, reason):
    before = practice.state()
    with pytest.raises(ActionRefused, match=reason):
        phone.act(act)
    assert practice.state() == before


def test_apps_open_by_package_by_name_and_by_a_given_name(both, practice):
    port = both[1]._device._client.port
    phone = Phone(practice.address, apps={"My diary": "org.practice.notes"}, port=port)
    for name, app in [
        ("org.practice.clock", "clock"),
        ("SETTINGS", "settings"),
        ("my diary", "notes"),
    ]:
        phone.act(Act(kind="open", text=name))
        assert practice.state()["app"] == app
    wrong = Phone(practice.address, apps={"gone": "org.practice.gone"}, port=port)
    with pytest.raises(ActionRefused, match="No activities found"):
        wrong.act(Act(kind="open", text="gone"))


def test_elements_are_those_of_the_page(phone, practice):
    phone.act(Act(kind="open", text="Settings"))
    true = {(one.role, one.name): one.box for one in practice.elements() if one.name}
    found = [one for one in phone.elements() if one.role == "switch"]
    assert len(found) >= 10
    for one in found:
        assert one.box.x1 == pytest.approx(true["switch", one.name].x1, abs=0.51)
    states = {one.name: "checked" in one.states for one in found}
    assert states["Bluetooth"]
    assert not states["Hotspot"]
    assert phone.element_at(found[0].box.center).name == found[0].name
    assert phone.element_at(Point(1, 840)) is None


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 3.0])
def test_a_touch_lands_within_a_pixel_at_every_scale(scale):
    with practice_phone(scale=scale) as (practice, phone):
        size = phone.size
        assert size == Size(round(390 * scale), round(844 * scale))
        points = [
            Point(1, 1),
            Point(0, 300),
            Point(size.width - 1, size.height - 1),
            Point(101, 203),
        ]
        for point in points:
            phone.act(Act(kind="click", point=point))
        touched = [(x, y) for kind, x, y in practice.touches() if kind == "touchstart"]
        assert len(touched) == len(points)
        for (x, y), point in zip(touched, points, strict=True):
            assert abs(x * scale - point.x) <= 1
            assert abs(y * scale - point.y) <= 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # adbutils' sockets
def test_a_phone_that_drops_off_says_so():
    with practice_phone() as (practice, phone):
        phone.screenshot()
        practice.drop()
        for call in (
            phone.screenshot,
            phone.elements,
            lambda: phone.act(Act(kind="key", text="power")),
        ):
            with pytest.raises(
                ScreenUnavailable, match=r"was not carried out: .*(offline|not found)"
            ):
                call()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # adbutils' sockets
def test_no_phone_is_said_with_a_hint():
    with adb_server() as port:
        with pytest.raises(ScreenUnavailable, match="no phone is reached") as caught:
            Phone(port=port)
        assert "adb devices" in caught.value.hint
        with pytest.raises(ScreenUnavailable, match="is not reached"):
            Phone(f"127.0.0.1:{free_port()}", port=port)


def test_waiting_and_ending_change_nothing(phone, practice):
    before = practice.state()
    phone.act(Act(kind="wait", seconds=0.01))
    phone.act(Act(kind="terminate", status="success"))
    assert practice.state() == before
