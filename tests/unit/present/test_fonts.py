# SPDX-License-Identifier: Apache-2.0
from PIL import ImageFont

from finesight.present import fonts


def test_a_machine_without_fonts_still_writes(monkeypatch):
    monkeypatch.setattr(fonts, "_font_paths", lambda: ())
    fonts._best_path.cache_clear()
    fonts._latin_path.cache_clear()
    try:
        for text in ("plain", "猫"):
            assert fonts.font_for(text, 20).getbbox(text)[2] > 0
    finally:
        fonts._best_path.cache_clear()
        fonts._latin_path.cache_clear()


def test_a_broken_font_file_is_passed_over(monkeypatch, tmp_path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"not a font")
    assert fonts._missing(str(broken), frozenset("é猫")) == set("é猫")


def test_a_font_is_known_by_what_it_cannot_draw():
    assert fonts._missing(None, frozenset("a猫")) == {"猫"}


def test_sizes_are_kept():
    font = fonts.font_for("hello", 31)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert font.size == 31
