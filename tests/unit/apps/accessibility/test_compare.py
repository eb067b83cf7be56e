# SPDX-License-Identifier: Apache-2.0
"""Changes between two descriptions, and elements that a phrase names."""

from __future__ import annotations

from finesight.apps.accessibility.compare import changes, find
from finesight.apps.accessibility.records import ScreenDescription, SeenElement, in_rows
from finesight.apps.evidence import Coverage, Found
from finesight.geometry import Box, Size


def seen(role, name, x=0, y=0, **more):
    return SeenElement(role=role, name=name, box=Box(x, y, x + 80, y + 20), **more)


def screen(*elements):
    coverage = Coverage(unit="parts", total=1, seen=(0,))
    return ScreenDescription(source="s", size=Size(400, 300), elements=elements, coverage=coverage)


def test_nothing_changed():
    one = screen(
        seen("button", "Save"), seen("button", "Save", 100), seen("StaticText", "x", 0, 50)
    )
    assert changes(one, one) == []


def test_each_kind_of_change_is_named():
    before = screen(
        seen("button", "Save"),
        seen("textbox", "Name", 0, 40, value="A"),
        seen("checkbox", "Wi-Fi", 0, 80),
        seen("StaticText", "3 items", 0, 120),
        seen("link", "Help", 0, 160),
        seen("button", "Old", 200, 0),
    )
    after = screen(
        seen("button", "Save", states=("disabled",)),
        seen("textbox", "Name", 0, 40, value="AB"),
        seen("checkbox", "Wi-Fi", 0, 80, states=("checked",)),
        seen("StaticText", "4 items", 0, 120),
        seen("link", "Help", 200, 160),
        seen("button", "New", 200, 200),
    )
    found = changes(before, after)
    assert [each.spoken() for each in found] == [
        "states: Save, button, disabled (was no state)",
        "value: Name, text field, AB (was A)",
        "states: Wi-Fi, check box, checked (was no state)",
        "renamed: 4 items (was 3 items)",
        "moved: Help, link (was 40, 170)",
        "appeared: New, button",
        "disappeared: Old, button",
    ]
    assert found[1].to_dict()["before"]["value"] == "A"
    assert found[-1].to_dict()["after"] is None


def test_equal_names_are_matched_by_the_nearest_place():
    before = screen(seen("button", "Add", 0, 0), seen("button", "Add", 0, 100))
    after = screen(seen("button", "Add", 0, 100))
    [gone] = changes(before, after)
    assert (gone.kind, gone.before.box.y1) == ("disappeared", 0)


def test_a_phrase_finds_controls_by_name_and_role():
    guess = Found(value="Search")
    one = screen(
        seen("StaticText", "Submit your report", 0, 0),
        seen("button", "Submit", 0, 100),
        seen("button", "", 200, 0, suggestion=guess),
        seen("link", "Cancel", 0, 200),
    )
    assert find(one, "submit button")[0].role == "button"
    assert find(one, "search")[0].suggestion is guess
    assert find(one, "cancel")[0].name == "Cancel"
    assert find(one, "purple elephant") == []


def test_lines_are_built_from_places():
    boxes = [Box(100, 2, 150, 22), Box(0, 0, 50, 20), Box(0, 40, 50, 60), Box(60, 45, 90, 55)]
    assert in_rows(boxes) == [[1, 0], [2, 3]]
    assert in_rows([]) == []
