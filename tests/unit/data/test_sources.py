# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from finesight.data.sources import assets as assets_module
from finesight.data.sources.concepts import alike, concepts
from finesight.data.sources.font_scan import scan_fonts
from finesight.data.sources.fonts import FontCatalogue, bitmap_of, ranges_of, scripts_of
from finesight.data.sources.icons import FULL_SETS, ICON_SETS, IconLibrary, rasterise_icons
from finesight.data.sources.words import WordLists, split_of_word
from finesight.errors import DataError
from tests.unit.data.conftest import matplotlib_fonts, write_manifest


def test_a_licence_off_the_list_stops_the_installation():
    with pytest.raises(DataError, match="not on the allow-list"):
        assets_module.check_licence("fonts-x", "Proprietary", "all rights reserved")


def test_a_licence_must_stand_in_the_package_itself():
    with pytest.raises(DataError, match="does not say so"):
        assets_module.check_licence("fonts-x", "OFL-1.1", "All rights reserved.")
    assets_module.check_licence("fonts-x", "OFL-1.1", "under the SIL Open Font License")


def test_a_missing_font_package_is_named():
    with pytest.raises(DataError, match="fonts-that-do-not-exist"):
        assets_module.font_asset("fonts-that-do-not-exist", "OFL-1.1")


def test_an_icon_set_under_another_licence_is_refused(tmp_path):
    (tmp_path / "package.json").write_text('{"name": "x", "version": "1", "license": "MIT"}')
    (tmp_path / "info.json").write_text('{"license": {"spdx": "GPL-3.0"}}')
    with pytest.raises(DataError, match=r"GPL-3\.0"):
        assets_module.icon_asset(tmp_path, "MIT")


@pytest.mark.parametrize(
    ("word", "language", "kept"),
    [
        ("house", "en", "house"),
        ("p.m", "en", ""),
        ("дом", "en", ""),
        ("hill", "vi", ""),
        ("τοσ", "el", "τος"),
        ("the", "ru", ""),
    ],
)
def test_word_lists_are_cleaned(word, language, kept):
    assert assets_module._clean_word(word, language) == kept


def test_a_scan_needs_a_manifest(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.json"):
        scan_fonts(tmp_path)


def test_coverage_survives_the_file():
    bitmap = bitmap_of("20-7e,a0-17f,4e00-4e10")
    assert ranges_of(bitmap) == "20-7e,a0-17f,4e00-4e10"
    assert scripts_of(bitmap) == {"latin", "latin-accents"}


def test_the_catalogue_knows_what_faces_draw(assets):
    catalogue = FontCatalogue.read(assets / "fonts.json")
    sans = next(face for face in catalogue.faces if face.path.endswith("DejaVuSans.ttf"))
    assert {"latin", "cyrillic", "greek", "latin-accents"} <= sans.scripts
    assert "han" not in sans.scripts
    assert sans.covers("Größe 12 €")
    assert not sans.covers("漢")
    assert not sans.covers("\U0001f600")


def test_the_split_never_cuts_a_design(assets):
    catalogue = FontCatalogue.read(assets / "fonts.json")
    sides: dict[str, set[str]] = {}
    for face in catalogue.faces:
        sides.setdefault(face.group, set()).add(face.split)
        assert face.licence == "Bitstream-Vera"
    assert all(len(found) == 1 for found in sides.values())


def test_the_same_drawing_counts_once(tmp_path):
    fonts = matplotlib_fonts()[:2]
    copy = tmp_path / "copy.ttf"
    copy.write_bytes(fonts[0].read_bytes())
    write_manifest(tmp_path, [*fonts, copy])
    catalogue, report = scan_fonts(tmp_path)
    assert report.dropped["same drawing as another"] == 1
    assert len(catalogue.faces) == 2


def test_a_broken_font_is_counted_and_left_out(tmp_path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(matplotlib_fonts()[0].read_bytes()[:900])
    write_manifest(tmp_path, [broken])
    catalogue, report = scan_fonts(tmp_path)
    assert not catalogue.faces
    assert report.dropped["broken"] == 1


def test_a_missing_catalogue_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError, match=r"fonts\.json") as caught:
        FontCatalogue.read(tmp_path / "fonts.json")
    assert "finesight data sources" in caught.value.hint


def test_no_face_for_a_script_is_an_error(assets):
    catalogue = FontCatalogue.read(assets / "fonts.json")
    with pytest.raises(DataError, match="hangul"):
        catalogue.choose(random.Random(0), "train", "hangul")


def test_words_stand_on_one_side(assets):
    train, heldout = (WordLists.read(assets, split) for split in ("train", "heldout"))
    for language in train.by_language:
        both = set(train.by_language[language]) & set(heldout.by_language.get(language, ()))
        assert all(len(word) <= 2 for word in both)
    assert not heldout.sentences
    assert split_of_word("Hotel") == split_of_word("hotel")


def test_words_have_the_length_asked_for(words):
    rng = random.Random(1)
    assert all(3 <= len(words.word(rng, "en", 3, 5)) <= 5 for _ in range(50))
    with pytest.raises(DataError, match="30 to 40"):
        words.word(rng, "en", 30, 40)


def test_malformed_words_are_an_error(tmp_path):
    (tmp_path / "words.tsv").write_text("en\thouse\n")
    with pytest.raises(DataError, match="line 1 has 2 fields"):
        WordLists.read(tmp_path, "train")


def test_concepts_have_plain_names():
    table = concepts()
    assert 200 <= len(table) <= 350
    assert all(name == name.lower().strip() and len(name.split()) <= 2 for name in table)
    assert table["cat"] == ("cat", "cat-face")
    assert table["hot dog"] == ("hot-dog",)


def test_look_alikes_know_each_other():
    assert "dove" in alike("bird")
    assert alike("umbrella") == {"umbrella"}
    for name in ("bird", "dove"):
        assert all(name in alike(other) for other in alike(name))


def test_icons_come_back_from_their_files(assets, icons):
    read = IconLibrary.read(assets)
    assert read.drawings == icons.drawings
    assert read.names("train") == read.names("heldout")
    sprite = read.sprite(read.drawings_of("train", "cup")[0])
    assert sprite.size == (91, 71)
    assert sprite.getpixel((45, 35))[3] == 255


def test_icons_that_do_not_fit_their_index_are_an_error(tmp_path, icons):
    icons.save(tmp_path)
    body = json.loads((tmp_path / "icons.json").read_text())
    body["drawings"].pop()
    (tmp_path / "icons.json").write_text(json.dumps(body))
    with pytest.raises(DataError, match="24 sprites"):
        IconLibrary.read(tmp_path)


def _write_icon_sets(assets: Path, names: Sequence[str], *, absent: Mapping[str, str]) -> None:
    """The same square for every name in every set, but for what is `absent`: set to name."""
    body = '<rect x="4" y="2" width="24" height="28" fill="#d22"/>'
    for set_name in ICON_SETS:
        folder = assets / "npm" / set_name
        folder.mkdir(parents=True)
        kept = [name for name in names if name != absent.get(set_name)]
        if set_name == "fxemoji":
            kept = [name.replace("-", "") for name in kept]
        icons = {name: {"body": body} for name in kept}
        Path(folder / "icons.json").write_text(
            json.dumps({"icons": icons, "width": 32, "height": 32})
        )


def test_rasterising_keeps_things_of_three_full_sets_and_trains_each(tmp_path):
    pytest.importorskip("resvg_py")
    _write_icon_sets(
        tmp_path, ["red-apple", "dog"], absent={"twemoji": "dog", "openmoji": "dog"}
    )  # six sets have a dog, but only two full ones
    library = rasterise_icons(tmp_path)
    assert {drawing.name for drawing in library.drawings} == {"apple"}
    assert "fxemoji/red-apple" in {drawing.id for drawing in library.drawings}
    assert len(library.drawings_of("train", "apple")) >= 2
    assert library.drawings[0].box == pytest.approx((14, 7, 98, 105), abs=1)


def test_only_full_sets_hold_drawings_out(tmp_path):
    pytest.importorskip("resvg_py")
    names = ["ant", "bear", "crab", "eagle", "lion", "owl", "panda", "snail", "wolf", "zebra"]
    _write_icon_sets(tmp_path, names, absent={})
    heldout = {d.id for d in rasterise_icons(tmp_path).drawings if d.split == "heldout"}
    assert len(heldout) > 3
    assert {name.partition("/")[0] for name in heldout} <= FULL_SETS
