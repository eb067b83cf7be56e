# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finesight.data.record import Glyph, Record, SceneObject, decode_record, encode_record
from finesight.errors import RecordInvalid


def a_record(**changes) -> Record:
    image = np.random.default_rng(0).integers(0, 256, (28, 56, 3), dtype=np.uint8)
    record = Record(
        id="text-00000-00001",
        family="text",
        image=image,
        turns=(("Read all the text in the image.", 'é "x"\n漢'),),
        glyphs=(Glyph("é", 5.25, 14.0, 0), Glyph("漢", 30.0, 14.0, 6)),
        objects=(SceneObject((1, 2, 30, 20), "cat"),),
        meta={"split": "train", "generator": "test/1", "seed": 7},
    )
    return replace(record, **changes)


def test_a_record_comes_back_from_its_bytes():
    record = a_record()
    record.check()
    back = decode_record(*encode_record(record))
    assert np.array_equal(back.image, record.image)
    assert back.turns == record.turns
    assert back.objects == record.objects
    assert [glyph.char for glyph in back.glyphs] == ["é", "漢"]
    assert back.glyphs[0].x == pytest.approx(5.25, abs=0.06)  # one decimal is stored
    assert back.meta == record.meta
    back.image[0, 0] = 0  # the loader may write into it


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"image": np.zeros((28, 30, 3), np.uint8)}, "image"),
        ({"image": np.zeros((28, 28), np.uint8)}, "image"),
        ({"image": np.zeros((28, 28, 3), np.float32)}, "image"),
        ({"image": np.zeros((0, 28, 3), np.uint8)}, "image"),
        ({"id": ""}, "id"),
        ({"id": "a/b"}, "id"),
        ({"turns": ()}, "turns"),
        ({"turns": (("Q", " "),)}, "turns[0]"),
        ({"glyphs": (Glyph("a", -1.0, 3.0, 0),)}, "glyphs[0]"),
        ({"glyphs": (Glyph(" ", 1.0, 3.0, 0),)}, "glyphs[0]"),
        ({"glyphs": (Glyph("a", 1.0, 3.0, 2), Glyph("b", 2.0, 3.0, 2))}, "glyphs[1]"),
        ({"objects": (SceneObject((5, 5, 5, 9), "cat"),)}, "objects[0]"),
        ({"objects": (SceneObject((5, 5, 57, 9), "cat"),)}, "objects[0]"),
        ({"objects": (SceneObject((5, 5, 9, 9), ""),)}, "objects[0]"),
        ({"meta": {"split": "train", "seed": 1}}, "meta"),
        ({"meta": {"split": "test", "seed": 1, "generator": "g"}}, "meta"),
    ],
)
def test_a_broken_field_is_named(changes, field):
    with pytest.raises(RecordInvalid) as caught:
        a_record(**changes).check()
    assert f", {field}:" in caught.value.message


@pytest.mark.parametrize(
    ("png", "body"),
    [
        (lambda png: png[:40], lambda body: body),
        (lambda png: b"", lambda body: body),
        (lambda png: png, lambda body: body[:-3]),
        (lambda png: png, lambda body: b"[]"),
        (lambda png: png, lambda body: body.replace(b'"turns"', b'"turn"')),
    ],
)
def test_broken_bytes_are_an_error(png, body):
    good_png, good_body = encode_record(a_record())
    with pytest.raises(RecordInvalid):
        decode_record(png(good_png), body(good_body))
