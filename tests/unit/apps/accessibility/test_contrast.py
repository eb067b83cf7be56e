# SPDX-License-Identifier: Apache-2.0
"""Contrast of drawn texts against the values of WCAG, and where it cannot be measured."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from finesight.apps.accessibility.contrast import contrast_of
from finesight.apps.accessibility.describe import describe
from finesight.apps.accessibility.page import write_descriptions
from finesight.elements import ScreenElement
from finesight.geometry import Box
from finesight.present.fonts import font_for
from tests.support.app_responders import Oracle
from tests.support.interfaces import listing

BOX = Box(10, 10, 150, 40)


def drawn(text: str, background: str) -> np.ndarray:
    image = Image.new("RGB", (200, 60), background)
    ImageDraw.Draw(image).text((14, 12), "Total 12", fill=text, font=font_for("Total 12", 20))
    return np.asarray(image)


@pytest.mark.parametrize(
    ("text", "background", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#000000", 21.0),
        ("#767676", "#ffffff", 4.54),
        ("#777777", "#ffffff", 4.48),
        ("#ff0000", "#ffffff", 4.0),
    ],
)
def test_the_ratio_is_that_of_the_two_colours(text, background, ratio):
    found = contrast_of(drawn(text, background), BOX)
    assert found.ratio == pytest.approx(ratio, abs=0.01)
    assert found.is_low == (ratio < 4.5)
    assert (found.to_dict()["text"], found.to_dict()["background"]) == (text, background)


def test_without_an_even_background_or_a_text_nothing_is_measured():
    noise = np.random.default_rng(0).integers(0, 256, (60, 200, 3), dtype=np.uint8)
    assert contrast_of(noise, BOX) is None
    assert contrast_of(np.full((60, 200, 3), 90, np.uint8), BOX) is None
    assert contrast_of(noise, Box(300, 10, 350, 40)) is None
    assert contrast_of(noise, Box(1, 1, 2, 2)) is None


def test_a_description_names_the_texts_with_low_contrast():
    pixels = drawn("#aaaaaa", "#ffffff")
    elements = [
        ScreenElement("StaticText", "Total 12", BOX),
        ScreenElement("button", "", Box(160, 10, 190, 40)),
    ]
    found = describe(pixels, Oracle(lambda question: listing(question, elements)))
    assert [one.name for one in found.low_contrast] == ["Total 12"]
    assert found.to_dict()["low_contrast"] == [0]
    assert str(found.low_contrast[0].contrast) == "2.3, #aaaaaa on #ffffff"
    assert found.elements[1].contrast is None


def test_the_report_shows_every_measured_contrast_and_calls_a_low_one_low(tmp_path):
    pixels = np.hstack([drawn("#aaaaaa", "#ffffff"), drawn("#000000", "#ffffff")])
    elements = [
        ScreenElement("StaticText", "Total 12", BOX),
        ScreenElement("StaticText", "Sum", Box(210, 10, 350, 40)),
        ScreenElement("button", "", Box(160, 10, 190, 40)),
    ]
    found = describe(pixels, Oracle(lambda question: listing(question, elements)))
    write_descriptions(tmp_path / "report.html", [(found, Image.fromarray(pixels), [])])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "1 texts with a contrast under 4.5" in page
    assert "low: 2.3, #aaaaaa on #ffffff" in page
    assert page.count(">low: ") == 1
    assert "21.0, #000000 on #ffffff" in page
