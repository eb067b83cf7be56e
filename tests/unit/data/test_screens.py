# SPDX-License-Identifier: Apache-2.0
"""Screens: the truth is where the picture shows it, and every answer fits its question."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from finesight.apps.grounding.prompts import LOCATE_PROMPTS
from finesight.config.load import read_recipe
from finesight.conversation import MediaRecord
from finesight.data.build import BuildConfig
from finesight.data.builders.screens import naming
from finesight.data.builders.screens.builder import Screens, ScreensConfig
from finesight.data.builders.screens.elements import ROLES, Element, Screen
from finesight.data.builders.screens.mobile import MOBILE
from finesight.data.builders.screens.questions import POINT_XML, REFER, ask, ask_click, ask_text
from finesight.data.builders.screens.styles import OWN_STYLES, SHEET_SPLITS
from finesight.data.builders.screens.templates import DESKTOP
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.interface import (
    ICONS,
    LOOKALIKE,
    SET_NAMES,
    SET_SPLITS,
    SITES,
    STYLE_SHEETS,
    read_icon_sets,
)
from finesight.data.sources.words import WordLists
from finesight.errors import DataError
from finesight.evals.core.responders import canned
from finesight.geometry import Point, Resize, Size
from finesight.parse.action import read_action, read_tool_calls
from finesight.parse.answer import read_answer
from finesight.processor.resize import smart_resize
from tests.support.pages import needs_browser

RECIPES = Path(__file__).parents[3] / "recipes" / "small"
SHEET = "body { color: #111; background: #fff } button { padding: 6px }"
PAGE = """<!doctype html><html><head><link rel="stylesheet" crossorigin href="/own.css"></head><body>
<h1>Overview</h1><a href="#">Reports</a> <button>Export</button><input placeholder="Search" type="search">
<div style="position: relative"><button>Hidden one</button>
<div style="position: absolute; inset: 0; background: red"></div></div></body></html>"""
"""A page of a site: its style sheet is named from the root, and one button is covered."""


@pytest.fixture(scope="module")
def screen_assets(assets, tmp_path_factory) -> Path:
    """The small assets folder with icon sets, style sheets and sites of one page each."""
    folder = tmp_path_factory.mktemp("screens")
    for path in assets.iterdir():
        (folder / path.name).symlink_to(path)
    body = '<path d="M3 3h18v18H3z" fill="currentColor"/>'
    for name in SET_NAMES:
        icons = {row[name]: {"body": body} for row in ICONS.values() if name in row}
        write(folder / "npm" / name / "icons.json", json.dumps({"icons": icons}))
    for package, sheets in STYLE_SHEETS.items():
        for sheet in sheets:
            write(folder / "npm" / package / sheet, SHEET)
    for site in SITES:
        page = folder / "npm" / site.folder / site.pattern.replace("*", "index")
        write(page, PAGE.replace("/own.css", "/own.css" if "/" in site.pattern else "own.css"))
        write(folder / "npm" / site.folder / "own.css", "button { color: rgb(0, 0, 200) }")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def a_builder(folder: Path, **options) -> Screens:
    config = ScreensConfig(difficulty=0.0, **options)
    fonts = FontCatalogue.read(folder / "fonts.json")
    return Screens(config, folder, fonts, WordLists.read(folder, config.split))


@pytest.fixture(scope="module")
def builder(screen_assets) -> Screens:
    return a_builder(screen_assets, site_share=0.0, absent_share=0.2)


@pytest.fixture(scope="module")
def records(builder):
    return [builder.record(f"screen-{seed}", seed) for seed in range(24)]


def elements() -> tuple[Element, ...]:
    return (
        Element("button", (10, 10, 60, 30), text="Save", colour="blue"),
        Element("button", (70, 10, 90, 30), icon="trash"),
        Element("link", (10, 40, 60, 60), text="Help"),
        Element("link", (70, 40, 120, 60), text="Help"),
        Element("textbox", (10, 70, 120, 90), name="Email", value=""),
        Element("textbox", (10, 95, 120, 115), name="City", text="Rome", value="Rome"),
        Element("switch", (10, 120, 40, 140), name="Wi-Fi", state="on"),
        Element("heading", (50, 120, 120, 140), text="Cut o", is_whole=False),
    )


def a_screen(shown: tuple[Element, ...] = ()) -> Screen:
    found = shown or elements()
    texts = Counter(element.text for element in found if element.text)
    image = np.zeros((168, 140, 3), np.uint8)
    return Screen(image, found, texts, Counter({"trash": 1}), None, {})


def phrases(screen: Screen, index: int) -> set[str]:
    return {each.phrase for each in screen.references(screen.elements[index])}


def places_of(answer: str, size: Size) -> list[Point]:
    resize = Resize(size, size)
    media = (MediaRecord(kind="image", source="picture", resize=resize, visual_tokens=0),)
    found = read_answer(canned(answer, media=media))
    return [each.point for each in found.points] + [each.box.center for each in found.boxes]


def is_inside(point: Point, box: tuple[int, int, int, int]) -> bool:
    return box[0] <= point.x < box[2] and box[1] <= point.y < box[3]


def test_an_element_is_named_by_what_no_other_has():
    screen = a_screen()
    assert {'"Save"', 'the "Save" button', "the blue button"} <= phrases(screen, 0)
    assert phrases(screen, 1) == {"the trash icon"}
    assert phrases(screen, 2) == set()
    assert phrases(screen, 4) == {'the "Email" field'}
    assert "the switch" in phrases(screen, 6)


def test_a_text_that_stands_elsewhere_too_names_no_element_alone():
    screen = a_screen((Element("button", (10, 10, 60, 30), text="Save"),))
    screen.texts["Save"] = 2
    assert phrases(screen, 0) == {'the "Save" button', "the button"}


def test_icons_that_look_alike_are_not_named():
    shown = (Element("button", (10, 10, 60, 30), icon="redo"),)
    screen = a_screen(shown)
    screen.icons["undo"] = 2
    assert LOOKALIKE["redo"] == "undo"
    assert "the redo icon" not in phrases(screen, 0)


def test_elements_that_are_cut_off_are_not_asked_for():
    screen, rng = a_screen(), random.Random(1)
    assert len(screen.elements) - 1 not in screen.asked()
    for _ in range(40):
        for turn in ask(rng, screen, 4, 0.1):
            assert all(screen.elements[index].is_whole for index in turn.task["objects"])


def test_absent_things_are_not_shown():
    screen, rng = a_screen(), random.Random(2)
    for _ in range(200):
        phrase = naming.absent(rng, screen).phrase
        assert phrase not in ("the trash icon", "the switch")
        assert '"Save"' not in phrase
        assert '"Help"' not in phrase


def test_every_kind_of_question_is_asked_and_answered():
    screen, rng = a_screen(), random.Random(3)
    turns = [turn for _ in range(200) for turn in ask(rng, screen, 4, 0.2)]
    answers: dict[str, set[str]] = {}
    for turn in turns:
        answers.setdefault(turn.task["kind"], set()).add(turn.answer)
    assert {"Yes", "No"} == answers["screen_present"]
    assert answers["screen_state"] == {"Yes"}
    assert {"Rome", 'The field "Email" is empty.'} <= answers["screen_value"]
    assert any("The picture does not show a field" in answer for answer in answers["screen_value"])
    assert answers["screen_icon"] == {"trash"}
    assert answers["screen_role"] <= set(ROLES.values())
    for kind in ("screen_point", "screen_box"):
        assert "none" in answers[kind]
        assert len(answers[kind]) > 4


def test_places_in_answers_lie_in_the_box_of_the_element():
    screen, rng = a_screen(), random.Random(4)
    num_places = 0
    for _ in range(100):
        for turn in ask(rng, screen, 4, 0.1):
            if turn.task["kind"] not in ("screen_point", "screen_box", "screen_every"):
                continue
            places = places_of(turn.answer, screen.size)
            assert len(places) == len(turn.task["objects"])
            for point, index in zip(places, turn.task["objects"], strict=True):
                assert is_inside(point, screen.elements[index].box)
                num_places += 1
    assert num_places > 50


@pytest.mark.parametrize(
    ("tool", "click"), [("computer_use", "left_click"), ("mobile_use", "click")]
)
def test_tool_calls_parse_and_hit_their_element(tool, click):
    screen, rng = a_screen(), random.Random(5)
    for number in range(40):
        turn = ask_click(rng, screen, tool, number % 4 == 0)
        (call,) = read_tool_calls(turn.answer).calls
        action = read_action(call)
        assert action.tool == tool
        if number % 4 == 0:
            assert (action.kind, action.status) == ("terminate", "failure")
        else:
            assert action.kind == click
            assert is_inside(action.point_resized, screen.elements[turn.task["objects"][0]].box)


def test_prompts_are_those_of_locate():
    assert LOCATE_PROMPTS["box"] == REFER
    assert LOCATE_PROMPTS["point"] == POINT_XML


def test_an_evaluation_asks_by_text_alone():
    screen = a_screen()
    turns = [ask_text(random.Random(seed), screen) for seed in range(8)]
    assert {turn.task["name"] for turn in turns} == {"Save"}
    assert all(turn.task["by"] == "text" for turn in turns)
    assert ask_text(random.Random(0), a_screen(elements()[1:2])) is None


def test_nothing_held_out_is_in_training():
    """Every asset and template is in one split, and both splits have some of each kind."""
    icon_splits = set(SET_SPLITS.values())
    templates = {split for table in (DESKTOP, MOBILE) for _, split in table.values()}
    looks = {**OWN_STYLES, **SHEET_SPLITS}
    assert icon_splits == templates == set(looks.values()) == {site.split for site in SITES}
    assert len(looks) == len(OWN_STYLES) + len(SHEET_SPLITS)
    assert set(SHEET_SPLITS) == set(STYLE_SHEETS)
    assert set(SET_NAMES) == set(SET_SPLITS)


def test_every_icon_is_in_both_splits():
    for concept, row in ICONS.items():
        assert {SET_SPLITS[name] for name in row} == {"train", "heldout"}, concept
    assert set(LOOKALIKE) | set(LOOKALIKE.values()) <= set(ICONS)


def test_a_missing_icon_or_package_is_named(screen_assets, tmp_path):
    with pytest.raises(DataError, match="package lucide is missing"):
        read_icon_sets(tmp_path, "train")
    for name in SET_NAMES:
        write(tmp_path / "npm" / name / "icons.json", '{"icons": {}}')
    with pytest.raises(DataError, match=r"icon set lucide lacks .*archive"):
        read_icon_sets(tmp_path, "train")
    with pytest.raises(DataError, match="package adminator-admin-dashboard is missing"):
        SITES[0].pages(tmp_path)
    assert len(read_icon_sets(screen_assets, "heldout")) == 2


@pytest.mark.parametrize(
    "options", [{"width": (250, 784)}, {"width": (784, 784), "height": (784, 784)}]
)
def test_sides_that_would_be_resized_are_refused(options):
    with pytest.raises(ValueError, match=r"multiples of 28|at most 602112"):
        ScreensConfig(**options)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*screens.toml")), ids=lambda path: path.name)
def test_the_recipes_read(path):
    config = read_recipe(path, BuildConfig)
    assert {part.builder for part in config.parts} == {"screens"}
    splits = {part.options.split for part in config.parts}
    assert splits == ({"heldout"} if path.name.startswith("heldout") else {"train"})


@needs_browser
def test_records_are_valid_and_no_picture_is_resized(records):
    for record in records:
        record.check()
        height, width = record.picture.shape[:2]
        assert smart_resize(height, width, max_pixels=602_112) == (height, width)


@needs_browser
def test_a_seed_gives_the_same_record(builder, records):
    again = builder.record("screen-3", 3)
    assert np.array_equal(again.picture, records[3].picture)
    assert (again.turns, again.truth) == (records[3].turns, records[3].truth)


@needs_browser
def test_a_box_contains_the_ink_and_the_characters_of_its_text(builder):
    num_checked = 0
    for seed in range(16):
        screen = builder._screen(random.Random(seed))
        for index in screen.asked():
            element = screen.elements[index]
            x1, y1, x2, y2 = element.box
            if element.role not in ("button", "link", "tab", "menuitem") or not element.text:
                continue
            assert screen.image[y1:y2, x1:x2].std() > 4, element
            if screen.glyphs is None:
                continue
            inside = [
                glyph.char for glyph in screen.glyphs if is_inside(Point(*glyph[1:3]), element.box)
            ]
            assert "".join(inside) == "".join(element.text.split()), element
            num_checked += 1
    assert num_checked > 40


@needs_browser
def test_answers_of_drawn_screens_hit_their_elements(records):
    kinds = Counter()
    for record in records:
        for (_, answer), task in zip(record.turns, record.meta["tasks"], strict=True):
            kinds[task["kind"]] += 1
            boxes = [record.truth[0].objects[index].box for index in task["objects"]]
            if task["kind"] in ("screen_point", "screen_box") and boxes:
                height, width = record.picture.shape[:2]
                (point,) = places_of(answer, Size(width, height))
                assert is_inside(point, boxes[0])
    assert len(kinds) >= 6


@needs_browser
def test_records_with_a_tool_describe_it(screen_assets):
    maker = a_builder(screen_assets, site_share=0.0, tool_share=1.0)
    tools = set()
    for seed in range(8):
        record = maker.record(f"tool-{seed}", seed)
        record.check()
        (tool,) = record.conversation.tools
        height, width = record.picture.shape[:2]
        name = tool["function"]["name"]
        assert f"{width}x{height}" in tool["function"]["description"]
        assert record.conversation.messages[0].role == "system"
        assert all(read_tool_calls(answer).calls[0].name == name for _, answer in record.turns)
        tools.add(name)
    assert tools == {"computer_use", "mobile_use"}


@needs_browser
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_every_template_draws_in_every_size(screen_assets, split):
    maker = a_builder(screen_assets, split=split, site_share=0.0)
    for is_phone, sizes in ((True, ((252, 392), (364, 756))), (False, ((252, 196), (784, 756)))):
        for name, make in maker._templates[is_phone].items():
            for size in sizes:
                rng = random.Random(f"{name}{size}")
                screen = maker._own(rng, maker._faces[0][0], Size(*size), {name: make})
                assert screen.size == Size(*size)
                assert screen.asked(), (name, size)


@needs_browser
def test_pages_of_a_site_list_what_is_seen(screen_assets):
    maker = a_builder(screen_assets, site_share=1.0, width=(392, 392), height=(280, 280))
    screen = maker._screen(random.Random(1))
    texts = {element.text for element in screen.elements}
    assert {"Overview", "Reports", "Export"} <= texts
    assert "Hidden one" not in texts
    assert any(
        element.role == "searchbox" and element.name == "Search" for element in screen.elements
    )
    export = next(element for element in screen.elements if element.text == "Export")
    x1, y1, x2, y2 = export.box
    blue = screen.image[y1:y2, x1:x2].reshape(-1, 3)
    assert (blue[:, 2].astype(int) - blue[:, 0] > 60).any()  # its style sheet was found
    assert screen.glyphs is None


@needs_browser
def test_a_heldout_record_asks_for_one_point_by_text(screen_assets):
    maker = a_builder(screen_assets, split="heldout", asked="text", site_share=0.0)
    for seed in range(3):
        record = maker.record(f"held-{seed}", seed)
        ((question, answer),) = record.turns
        (task,) = record.meta["tasks"]
        assert record.meta["split"] == "heldout"
        assert re.search(re.escape(f'"{task["name"]}"'), question)
        assert json.loads(answer.strip("`").removeprefix("json"))[0]["label"] == task["name"]
