# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.record import Glyph, Record, SceneObject, Truth, asked_about
from finesight.data.stored import decode_record, encode_record
from finesight.errors import RecordInvalid

META = {"split": "train", "generator": "test/1", "seed": 7}
GLYPHS = (Glyph("é", 5.25, 14.0, 0), Glyph("漢", 30.0, 14.0, 6))


def pixels(height=28, width=56) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def a_record(**changes) -> Record:
    record = Record.of_picture(
        id="text-00000-00001",
        image=changes.pop("image", pixels()),
        turns=changes.pop("turns", (("Read all the text in the image.", 'é "x"\n漢'),)),
        truth=Truth(
            glyphs=changes.pop("glyphs", GLYPHS),
            objects=changes.pop("objects", (SceneObject((1, 2, 30, 20), "cat"),)),
        ),
        allows=("move", "invert"),
        meta=META,
    )
    return replace(record, **changes)


def stored(record: Record) -> Record:
    """The record as it comes back."""
    files, body = encode_record(record)
    return decode_record([content for _, content in files], body)


def test_a_record_comes_back_from_its_bytes():
    record = a_record()
    record.check()
    back = stored(record)
    back.check()
    assert np.array_equal(back.picture, record.picture)
    assert back.turns == record.turns
    assert back.truth[0].objects == record.truth[0].objects
    assert [glyph.char for glyph in back.truth[0].glyphs] == ["é", "漢"]
    assert back.truth[0].glyphs[0].x == pytest.approx(5.25, abs=0.06)  # one decimal is stored
    assert (back.meta, back.allows, back.any_order) == (META, ("move", "invert"), True)
    back.picture[0, 0] = 0  # the loader may write into it


def jpeg(height: int, width: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(height, width)).save(file, "JPEG")
    return file.getvalue()


def a_talk() -> Record:
    """All that a conversation may contain: a file, pixels, a video, a system message, tools, a turn without targets."""
    weather = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object"}},
    }
    call = {"name": "weather", "arguments": {"place": "Ulm"}}
    messages = (
        Message("system", (TextPart("Be short."),)),
        Message(
            "user",
            (
                ImagePart(source=jpeg(30, 45), max_pixels=5000),
                TextPart("and "),
                ImagePart(source=pixels(17, 31)),
                TextPart("differ how?"),
            ),
        ),
        Message("assistant", (TextPart("In size."),), is_target=False),
        Message(
            "user", (VideoPart(source=(pixels(), pixels()), sample_fps=2.0), TextPart("And it?"))
        ),
        Message("assistant", (), tool_calls=(call,)),
        Message("tool", (TextPart("sunny"),)),
        Message("assistant", (TextPart("It is still."),)),
    )
    truth = (Truth(), Truth(objects=()), Truth())
    return Record(
        id="talk", conversation=Conversation(messages, (weather,)), truth=truth, meta=META
    )


def test_a_conversation_of_any_shape_comes_back():
    record = a_talk()
    record.check()
    back = stored(record)
    back.check()
    ours, theirs = record.conversation, back.conversation
    assert [message.role for message in theirs.messages] == [m.role for m in ours.messages]
    assert [m.is_target for m in theirs.messages] == [m.is_target for m in ours.messages]
    assert [m.tool_calls for m in theirs.messages] == [m.tool_calls for m in ours.messages]
    assert theirs.tools == ours.tools
    assert back.truth == record.truth
    photo, drawn, video = theirs.media()
    assert (photo.source.shape, photo.max_pixels) == ((30, 45, 3), 5000)
    assert np.array_equal(drawn.source, pixels(17, 31))
    assert [frame.shape for frame in video.source] == [(28, 56, 3)] * 2
    assert video.sample_fps == 2.0
    assert [text for _, text in back.turns] == ["In size.", ""]


def test_files_are_stored_as_they_are_and_named_by_what_they_are():
    video = VideoPart(source=b"\0\0\0\x18ftypmp42 and so on", fps=1.0)
    record = Record(
        id="v", conversation=asked_about((video,), (("What happens?", "Rain."),)), meta=META
    )
    record.check()
    files, body = encode_record(replace(a_talk(), id="t"))
    assert [name for name, _ in files] == ["0.jpg", "1.png", "2.png", "3.png"]
    assert files[0][1] == jpeg(30, 45)
    assert b'"image":"0.jpg"' in body
    files, _ = encode_record(record)
    assert [name for name, _ in files] == ["0.mp4"]
    (back,) = stored(record).conversation.media()
    assert (back.source, back.fps) == (video.source, 1.0)


def test_a_page_of_a_document_comes_back_as_its_pixels():
    file = io.BytesIO()
    pages = [Image.new("RGB", (60, 40), colour) for colour in ("white", "red")]
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:])
    part = ImagePart(source=file.getvalue(), page=1)
    record = Record(id="page", conversation=asked_about((part,), (("Colour?", "Red."),)), meta=META)
    record.check()
    back = stored(record)
    (shown,) = back.conversation.media()
    assert shown.page is None
    assert np.median(back.picture.reshape(-1, 3), axis=0).tolist() == pytest.approx(
        [255, 0, 0], abs=4
    )


TWO = (Message("user", (TextPart("Q"),)), Message("assistant", (TextPart("A"),)))
SHOWN_LATE = (*TWO, Message("user", (ImagePart(source=pixels()), TextPart("Q"))), TWO[1])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"image": np.zeros((28, 28), np.uint8)}, "media[0]"),
        ({"image": np.zeros((28, 28, 3), np.float32)}, "media[0]"),
        ({"image": np.zeros((0, 28, 3), np.uint8)}, "media[0]"),
        ({"image": "picture.png"}, "media[0]"),
        ({"id": ""}, "id"),
        ({"id": "a/b"}, "id"),
        ({"turns": ()}, "messages"),
        ({"turns": (("Q", " "),)}, "messages[1]"),
        ({"glyphs": (Glyph("a", -1.0, 3.0, 0),)}, "truth[0].glyphs[0]"),
        ({"glyphs": (Glyph(" ", 1.0, 3.0, 0),)}, "truth[0].glyphs[0]"),
        ({"glyphs": (Glyph("a", 1.0, 3.0, 2), Glyph("b", 2.0, 3.0, 2))}, "truth[0].glyphs[1]"),
        ({"objects": (SceneObject((5, 5, 5, 9), "cat"),)}, "truth[0].objects[0]"),
        ({"objects": (SceneObject((5, 5, 57, 9), "cat"),)}, "truth[0].objects[0]"),
        ({"objects": (SceneObject((5, 5, 9, 9), ""),)}, "truth[0].objects[0]"),
        ({"truth": (Truth(), Truth())}, "truth"),
        ({"conversation": Conversation(TWO[:1])}, "messages"),
        ({"conversation": Conversation((TWO[0], *TWO))}, "messages"),
        ({"conversation": Conversation(SHOWN_LATE)}, "messages"),
        ({"meta": {"split": "train", "seed": 1}}, "meta"),
        ({"meta": {"split": "test", "seed": 1, "generator": "g"}}, "meta"),
    ],
)
def test_a_broken_field_is_named(changes, field):
    with pytest.raises(RecordInvalid) as caught:
        a_record(**changes).check()
    assert f", {field}:" in caught.value.message


def test_truth_needs_pixels():
    record = a_talk()
    with pytest.raises(RecordInvalid, match=r"truth\[2\]: .* expected a picture as pixels"):
        replace(record, truth=(Truth(), Truth(), Truth(objects=()))).check()
    with pytest.raises(RecordInvalid, match="it has no picture"):
        _ = Record(id="x", conversation=Conversation(TWO), meta=META).picture


def test_values_that_json_does_not_know_are_named():
    with pytest.raises(RecordInvalid, match="text-00000-00001' cannot be written as JSON"):
        encode_record(a_record(meta={**META, "what": object()}))


@pytest.mark.parametrize(
    ("png", "body"),
    [
        (lambda png: png[:40], lambda body: body),
        (lambda png: b"", lambda body: body),
        (lambda png: png, lambda body: body[:-3]),
        (lambda png: png, lambda body: b"[]"),
        (lambda png: png, lambda body: body.replace(b'"messages"', b'"message"')),
        (lambda png: png, lambda body: body.replace(b'"meta"', b'"extra":1,"meta"')),
        (lambda png: png, lambda body: body.replace(b"0.png", b"7.png")),
    ],
)
def test_broken_bytes_are_an_error(png, body):
    ((_, good_png),), good_body = encode_record(a_record())
    with pytest.raises(RecordInvalid):
        decode_record([png(good_png)], body(good_body))
