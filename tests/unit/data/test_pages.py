# SPDX-License-Identifier: Apache-2.0
"""Drawn documents: the text is the picture's, fields and cells are as printed, nothing held out is trained on."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from finesight.data.build import BuildConfig, build
from finesight.data.builders.pages.builder import LEAST, MOST, Pages, PagesConfig
from finesight.data.builders.pages.content import write_sheet
from finesight.data.builders.pages.names import Names
from finesight.data.builders.pages.photo import Perspective
from finesight.data.builders.pages.sheet import KINDS
from finesight.data.builders.pages.style import PageFaces
from finesight.data.shards import ShardSet
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.words import WordLists, split_of_word
from finesight.errors import DataError
from finesight.parse.document_html import read_document
from tests.support.pages import needs_browser

pytest.importorskip("faker", reason="faker is not installed: make setup-data")

LARGE_FONTS = 1_000_000
"""matplotlib's fonts are larger than those of the default options."""


@pytest.fixture(scope="module")
def fonts(assets) -> FontCatalogue:
    return FontCatalogue.read(assets / "fonts.json")


@pytest.fixture(scope="module")
def builder(fonts, assets):
    def make(**options) -> Pages:
        config = PagesConfig(**{"max_font_bytes": LARGE_FONTS, **options})
        return Pages(config, fonts, WordLists.read(assets, config.split))

    return make


@pytest.fixture(scope="module")
def records(builder):
    """A few pages of each kind with mixed questions."""
    found = []
    for kind in KINDS:
        pages = builder(kinds={kind: 1.0}, turns=(3, 6), columns_share=0.5)
        found += [pages.record(f"{kind}-{seed}", seed) for seed in range(5)]
    return found


def turns_of(records, kind):
    """Record, question and answer of the questions of a kind."""
    return [
        (record, question, answer)
        for record in records
        for (question, answer), task in zip(record.turns, record.meta["tasks"], strict=True)
        if task["kind"] == kind
    ]


def glyph_text(record) -> str:
    return "".join(glyph.char for glyph in record.truth[0].glyphs)


def squeezed(text: str) -> str:
    return "".join(text.split())


@needs_browser
def test_pictures_are_whole_tokens_of_the_allowed_size(records):
    for record in records:
        record.check()
        height, width = record.picture.shape[:2]
        assert width % 28 == height % 28 == 0
        assert LEAST.width <= width <= MOST.width
        assert LEAST.height <= height <= MOST.height
    assert {record.meta["page"] for record in records} == set(KINDS)


@needs_browser
def test_a_transcription_is_the_drawn_characters_in_order(records):
    read = turns_of(records, "read")
    assert len(read) > 5
    for record, _, answer in read:
        glyphs = record.truth[0].glyphs
        assert squeezed(answer) == glyph_text(record)
        assert all(answer[glyph.order] == glyph.char for glyph in glyphs)


@needs_browser
def test_every_character_is_where_its_picture_differs_from_the_paper(builder):
    pages = builder(worn_share=0.0, kinds={"document": 1.0}, other_languages=0.0)
    for seed in range(3):
        record = pages.record(f"a-{seed}", seed)
        gray = record.picture.astype(int).mean(axis=2)
        hits = 0
        for glyph in record.truth[0].glyphs:
            x, y = round(glyph.x), round(glyph.y)
            window = gray[max(0, y - 8) : y + 9, max(0, x - 3) : x + 4]
            hits += bool(window.max() - window.min() > 60)
        assert hits / len(record.truth[0].glyphs) > 0.97


@needs_browser
def test_html_parses_back_to_the_same_text_with_boxes_around_it(records):
    asked = turns_of(records, "html")
    assert asked
    for record, question, answer in asked:
        assert question == "QwenVL HTML "
        page = read_document(answer)
        assert page is not None
        assert not page.problems
        assert squeezed(page.text) == glyph_text(record)
        height, width = record.picture.shape[:2]
        boxes = [block.box_resized for block in page.walk() if block.box_resized]
        assert boxes
        for box in boxes:
            assert 0 <= box.x1 < box.x2 <= width
            assert 0 <= box.y1 < box.y2 <= height
        around = [
            any(
                box.x1 - 1 <= glyph.x <= box.x2 + 1 and box.y1 - 1 <= glyph.y <= box.y2 + 1
                for box in boxes
            )
            for glyph in record.truth[0].glyphs
        ]
        assert all(around)


@needs_browser
def test_the_text_of_a_box_is_the_characters_in_it(records):
    asked = turns_of(records, "read_box")
    assert len(asked) > 5
    for record, question, answer in asked:
        x1, y1, x2, y2 = json.loads(re.search(r"\[.*\]", question).group())
        inside = "".join(
            glyph.char
            for glyph in record.truth[0].glyphs
            if x1 <= glyph.x <= x2 and y1 <= glyph.y <= y2
        )
        # In perspective the box around a slanted text may reach its neighbours.
        assert squeezed(answer) in inside if record.meta["worn"] else squeezed(answer) == inside


@needs_browser
def test_the_box_of_a_text_holds_its_ink(records):
    asked = turns_of(records, "find")
    assert len(asked) > 3
    for record, question, answer in asked:
        (found,) = json.loads(answer.removeprefix("```json").removesuffix("```"))
        assert f'"{found["text_content"]}"' in question
        x1, y1, x2, y2 = found["bbox_2d"]
        gray = record.picture.astype(int).mean(axis=2)[y1:y2, x1:x2]
        assert gray.max() - gray.min() > 40
        glyphs = "".join(
            glyph.char
            for glyph in record.truth[0].glyphs
            if x1 <= glyph.x <= x2 and y1 <= glyph.y <= y2
        )
        assert squeezed(found["text_content"]) in glyphs


@needs_browser
def test_fields_and_cells_are_answered_as_printed(records):
    for kind in ("field", "cell"):
        asked = turns_of(records, kind)
        assert len(asked) > 3
        for record, _, answer in asked:
            assert squeezed(answer) in glyph_text(record)


@needs_browser
def test_json_has_the_keys_asked_for_with_the_printed_values(records):
    asked = turns_of(records, "extract")
    assert asked
    for record, question, answer in asked:
        values = json.loads(answer.removeprefix("```json").removesuffix("```"))
        assert list(values) == re.findall(r'"(\w+)"', question)
        assert all(
            squeezed(value) in glyph_text(record) for value in values.values() if value is not None
        )


@needs_browser
def test_fields_mode_asks_for_each_field_of_the_page_by_itself(builder):
    pages = builder(ask="fields", kinds={"receipt": 1.0})
    record = pages.record("a-0", 3)
    keys = [task["name"] for task in record.meta["tasks"]]
    assert {task["kind"] for task in record.meta["tasks"]} == {"field"}
    assert {"shop", "date", "total"} <= set(keys)
    assert len(keys) == len(set(keys))
    assert "language" not in record.meta


@needs_browser
def test_text_mode_transcribes_pages_of_the_lines_asked_for(builder):
    pages = builder(ask="text", kinds={"document": 1.0}, columns_share=0.0, lines=(10, 25))
    for seed in range(4):
        record = pages.record(f"a-{seed}", seed)
        ((_, answer),) = record.turns
        assert 10 <= answer.count("\n") + 1 <= 25
        assert record.meta["language"]


@needs_browser
def test_what_the_page_does_not_show_is_said_plainly(builder):
    pages = builder(absent_share=1.0)
    asked = Counter()
    for seed in range(12):
        record = pages.record(f"a-{seed}", seed)
        for question, answer in record.turns:
            assert question.endswith("?")
            assert answer.startswith("The document does not show ")
            assert answer.endswith(".")
            asked[record.meta["page"]] += 1
    assert len(asked) > 2


@needs_browser
def test_no_answer_is_longer_than_allowed(builder):
    pages = builder(max_answer=120, turns=(4, 4))
    answers = [answer for seed in range(10) for _, answer in pages.record(f"a-{seed}", seed).turns]
    assert max(map(len, answers)) <= 120


@needs_browser
def test_columns_are_read_one_after_the_other(builder):
    pages = builder(
        ask="text", kinds={"document": 1.0}, columns_share=1.0, worn_share=0.0, lines=(8, 40)
    )
    record = pages.record("a-0", 2)
    glyphs, height = record.truth[0].glyphs, record.picture.shape[0]
    rises = [
        (first, second) for first, second in pairwise(glyphs) if second.y < first.y - 0.15 * height
    ]
    assert len(rises) == 1
    assert rises[0][1].x > record.picture.shape[1] * 0.4


@needs_browser
def test_a_seed_gives_the_same_record_again(builder):
    first, again = (builder().record("a-0", 11) for _ in range(2))
    assert np.array_equal(first.picture, again.picture)
    assert first.turns == again.turns
    assert first.truth == again.truth
    assert builder().record("a-0", 12).turns != first.turns


@needs_browser
def test_a_part_of_pages_is_built(assets, tmp_path):
    options = {"max_font_bytes": LARGE_FONTS}
    part = {"builder": "pages", "name": "pages", "num_records": 2, "options": options}
    config = BuildConfig.model_validate({"assets": assets, "parts": [part]})
    assert build(config, tmp_path).made == 2
    assert [record.meta["generator"] for record in ShardSet(tmp_path)] == ["pages/1"] * 2


@needs_browser
def test_no_held_out_template_font_or_word_is_trained_on(builder, fonts, records):
    split = {face.id: face.split for face in fonts.faces}
    pages = builder(split="heldout")
    for record in [*records, *(pages.record(f"h-{seed}", seed) for seed in range(4))]:
        assert record.meta["template"].startswith(record.meta["split"] + "/")
        assert {split[name] for name in record.meta["fonts"]} == {record.meta["split"]}


def test_each_kind_has_at_least_three_templates_in_each_split(builder):
    for split in ("train", "heldout"):
        pages = builder(split=split)
        texts = {name: page_source(pages, name) for kind in KINDS for name in pages.templates(kind)}
        assert len(set(texts.values())) == len(texts)
        assert all(len(pages.templates(kind)) >= 3 for kind in KINDS)


def test_no_template_is_in_both_splits(builder):
    sources = [
        {page_source(pages, name) for kind in KINDS for name in pages.templates(kind)}
        for pages in (builder(split="train"), builder(split="heldout"))
    ]
    assert not sources[0] & sources[1]


def page_source(pages: Pages, name: str) -> str:
    import finesight.data.builders.pages as package

    return (Path(package.__file__).parent / "templates" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "it", "pt"])
def test_names_belong_to_the_split(assets, split, language):
    names = Names(random.Random(1), WordLists.read(assets, split), language)
    for _ in range(5):
        for name in (names.first(), names.last(), names.city(), names.occupation()):
            words = re.findall(r"\w{3,}", name)
            assert {split_of_word(word) for word in words} <= {split}


@pytest.mark.parametrize("kind", ["receipt", "invoice"])
def test_totals_add_up(assets, kind):
    words = WordLists.read(assets, "train")
    for seed in range(60):
        rng = random.Random(seed)
        sheet = write_sheet(kind, Names(rng, words, "en"), rng.random())
        cents = {fact.key: in_cents(fact.value) for fact in sheet.totals if fact.key != "payment"}
        rows = sheet.grid.rows
        items = sum(in_cents(row[-1]) for row in rows)
        assert items == cents.get("subtotal", cents["total"])
        assert cents["total"] == items + cents.get("tax", 0)
        assert cents.get("change", 0) == cents.get("cash", cents["total"]) - cents["total"]
        if len(rows[0]) == 4:
            assert all(int(row[1]) * in_cents(row[2]) == in_cents(row[3]) for row in rows)


def in_cents(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def test_the_perspective_moves_points_as_it_moves_pixels():
    image = np.full((140, 196, 3), 255, np.uint8)
    places = [(20, 30), (150, 20), (98, 70), (30, 120), (170, 110)]
    for x, y in places:
        image[y - 2 : y + 3, x - 2 : x + 3] = 0
    view = Perspective(random.Random(3), 196, 140, 1.0)
    moved = view.picture(image, (255, 255, 255))
    points = view.points(np.array(places, float) + 0.5)
    assert np.abs(points - (np.array(places) + 0.5)).max() > 1.5
    for x, y in points:
        down, across = np.nonzero(
            moved[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6].mean(axis=2) < 128
        )
        assert abs(across.mean() + int(x) - 5 + 0.5 - x) < 0.6
        assert abs(down.mean() + int(y) - 5 + 0.5 - y) < 0.6


def test_faces_of_a_page_cover_its_text(fonts):
    faces = PageFaces(fonts, "train", LARGE_FONTS)
    face, bold = faces.choose(random.Random(0), "Größe 12 €")
    assert face.covers("Größe 12 €")
    assert bold is None or bold.family == face.family
    with pytest.raises(DataError, match="covers the characters"):
        faces.choose(random.Random(0), "𓀀")


def test_a_limit_below_every_font_file_is_an_error(fonts):
    with pytest.raises(DataError, match="no train face"):
        PageFaces(fonts, "train", 10)


def test_weights_of_kinds_must_have_a_positive_sum():
    with pytest.raises(ValidationError, match="positive sum"):
        PagesConfig(kinds={"form": 0.0})
