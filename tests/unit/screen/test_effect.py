# SPDX-License-Identifier: Apache-2.0
"""What a step changed, from pictures, elements, focus and place."""

from __future__ import annotations

from PIL import Image, ImageDraw

from finesight.elements import ScreenElement
from finesight.geometry import Box, Point
from finesight.screen.effect import changed_share, effect_of, settled

WHITE = Image.new("RGB", (200, 100), "white")
BUTTON = ScreenElement("button", "Go", Box(0, 0, 20, 20))
FIELD = ScreenElement("textbox", "Name", Box(0, 0, 20, 20))


def dotted(x, y, colour="black"):
    picture = WHITE.copy()
    ImageDraw.Draw(picture).rectangle((x, y, x + 9, y + 9), fill=colour)
    return picture


def test_shares_and_noise():
    assert changed_share(WHITE, WHITE) == 0
    assert changed_share(WHITE, dotted(5, 5)) == 100 / 20000
    assert changed_share(WHITE, dotted(5, 5, (250, 250, 250))) == 0
    assert changed_share(WHITE, WHITE.resize((10, 10))) == 1


def test_near_and_elsewhere():
    assert effect_of(WHITE, WHITE, point=Point(9, 9)).verdict == "unchanged"
    near = effect_of(WHITE, dotted(15, 15), point=Point(9, 9))
    assert (near.verdict, near.changed_near) == ("changed", True)
    far = effect_of(WHITE, dotted(150, 70), point=Point(9, 9))
    assert (far.verdict, far.changed_near) == ("elsewhere", False)
    assert effect_of(WHITE, dotted(150, 70)).verdict == "changed"


def test_what_no_pixel_shows():
    assert effect_of(WHITE, WHITE, places=("a", "b")).verdict == "changed"
    named = effect_of(WHITE, WHITE, elements=([BUTTON], [BUTTON, FIELD]))
    assert (named.verdict, named.elements_changed) == ("changed", 1)
    focused = ScreenElement("button", "Go", Box(0, 0, 20, 20), states=("focused",))
    assert effect_of(WHITE, WHITE, elements=([BUTTON], [focused])).verdict == "unchanged"


def test_the_focus_counts_only_where_text_can_be_typed():
    dead = effect_of(WHITE, WHITE, point=Point(9, 9), focus=(None, BUTTON))
    assert (dead.verdict, dead.focus_changed) == ("unchanged", True)
    assert effect_of(WHITE, WHITE, point=Point(9, 9), focus=(None, FIELD)).verdict == "changed"


def test_a_screen_settles_or_is_taken_as_it_is():
    pictures = iter([WHITE, dotted(5, 5), dotted(25, 5), dotted(25, 5)])
    assert settled(lambda: next(pictures), wait=lambda _: None) == dotted(25, 5)
    flip = iter([WHITE, dotted(5, 5)] * 10_000_000)
    assert settled(lambda: next(flip), limit_seconds=0.05, wait=lambda _: None) is not None
