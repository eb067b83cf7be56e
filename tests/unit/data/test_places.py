# SPDX-License-Identifier: Apache-2.0
"""Places of records: stored in original pixels, written in the pixels that the model sees."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.batch import IGNORE_INDEX
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.encode import EncoderConfig, TrainingEncoder
from finesight.data.places import Place, escaped, mark
from finesight.data.record import Record
from finesight.data.stored import decode_record, encode_record
from finesight.errors import RecordInvalid
from finesight.geometry import Box

META = {"split": "train", "generator": "test"}


def picture(width, height) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def user(*parts) -> Message:
    return Message(
        "user", tuple(TextPart(part) if isinstance(part, str) else part for part in parts)
    )


def answer(text) -> Message:
    return Message("assistant", (TextPart(text),))


def located(width=640, height=480, box=(100, 50, 300, 250), **changes) -> Record:
    """A picture and the box of something in it."""
    text = f'[{{"bbox_2d": [{mark(0)}], "label": "dog"}}]'
    values = {
        "id": "r",
        "conversation": Conversation(
            (user(ImagePart(source=picture(width, height)), "Where?"), answer(text))
        ),
        "places": (Place("box", 0, box),),
        "meta": META,
    } | changes
    return Record(**values)


def learned(processor, record, seed=0, **config) -> str:
    """The targets of a sample as text."""
    record.check()
    encoder = TrainingEncoder(EncoderConfig(jitter=0.0, **config), processor)
    sample = encoder.encode(record, np.random.default_rng(seed)).sample
    labels = sample.labels[sample.labels != IGNORE_INDEX].tolist()
    return processor.tokenizer.decode(labels).strip()


def shown_size(processor, part) -> tuple[int, int]:
    size = processor.measure(part).resize.resized
    return size.width, size.height


def test_a_box_is_written_in_pixels_of_the_resized_picture(tiny_processor):
    record = located(101, 67, (10, 7, 91, 60))
    width, height = shown_size(tiny_processor, ImagePart(source=picture(101, 67)))
    assert (width, height) != (101, 67)
    (found,) = json.loads(learned(tiny_processor, record))
    expected = [10 * width / 101, 7 * height / 67, 91 * width / 101, 60 * height / 67]
    assert found == {"bbox_2d": [round(value) for value in expected], "label": "dog"}


def test_the_pixel_budget_of_the_picture_decides(tiny_processor):
    part = ImagePart(source=picture(1000, 500), max_pixels=28 * 28 * 50)
    record = located(1000, 500, (0, 0, 1000, 500))
    talk = Conversation((user(part, "Where?"), record.conversation.messages[1]))
    (found,) = json.loads(learned(tiny_processor, replace(record, conversation=talk)))
    assert found["bbox_2d"] == [0, 0, *shown_size(tiny_processor, part)]


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (29, 31), (2000, 1500)])
def test_tiny_and_huge_pictures_keep_their_whole_box(tiny_processor, size):
    part = ImagePart(source=picture(*size))
    (found,) = json.loads(learned(tiny_processor, located(*size, (0, 0, *size))))
    assert found["bbox_2d"] == [0, 0, *shown_size(tiny_processor, part)]


def test_each_place_follows_its_own_picture(tiny_processor):
    sizes = ((60, 90), (300, 200), (45, 45))
    parts = tuple(ImagePart(source=picture(*size)) for size in sizes)
    record = located(
        conversation=Conversation(
            (user(*parts, "Points?"), answer(" ".join(mark(index) for index in (2, 0, 1))))
        ),
        places=tuple(
            Place("point", index, (width / 2, height))
            for index, (width, height) in enumerate(sizes)
        ),
    )
    shown = [shown_size(tiny_processor, part) for part in parts]
    expected = [f"{shown[index][0] // 2}, {shown[index][1]}" for index in (2, 0, 1)]
    assert learned(tiny_processor, record) == " ".join(expected)


def test_a_place_in_a_video_is_in_pixels_of_its_frames(tiny_processor):
    video = VideoPart(source=(picture(100, 50),) * 4, sample_fps=2.0, min_pixels=28 * 28)
    record = located(
        conversation=Conversation((user(video, "Where?"), answer(mark(0)))),
        places=(Place("box", 0, (50, 0, 100, 50)),),
    )
    width, height = shown_size(tiny_processor, video)
    assert learned(tiny_processor, record) == f"{width // 2}, 0, {width}, {height}"


def test_a_picture_shown_as_a_video_has_the_numbers_of_its_frames(tiny_processor):
    record = located(101, 67, (0, 0, 101, 67))
    written = {learned(tiny_processor, record, seed, video_share=1.0) for seed in range(3)}
    (found,) = {tuple(json.loads(text)[0]["bbox_2d"]) for text in written}
    video = VideoPart(source=(picture(101, 67),) * 2, sample_fps=1.0, min_pixels=28 * 28)
    assert found == (0, 0, *shown_size(tiny_processor, video))


def test_single_numbers_of_a_place_are_written(tiny_processor):
    numbers = " ".join(mark(0, number) for number in range(4))
    record = located(56, 56, (14, 0, 28, 56))
    talk = (record.conversation.messages[0], answer(f'<p data-bbox="{numbers}">x</p>'))
    record = replace(record, conversation=Conversation(talk))
    assert learned(tiny_processor, record) == '<p data-bbox="14 0 28 56">x</p>'


def test_what_a_user_wrote_stays_text(tiny_processor):
    for text in ("{{place:0}}", "{{place:literal}}", "{{place:9.1}} {{place:", "{{{{place:0}}}}"):
        record = located(56, 56, (14, 0, 28, 56))
        talk = (record.conversation.messages[0], answer(escaped(text) + mark(0)))
        record = replace(record, conversation=Conversation(talk))
        assert learned(tiny_processor, record) == text + "14, 0, 28, 56"
        plain = (record.conversation.messages[0], answer(text))
        record = replace(record, places=(), conversation=Conversation(plain))
        assert learned(tiny_processor, record) == text


def test_places_of_questions_in_any_order_are_written(tiny_processor):
    turns = [(f"What is at [{mark(n)}]?", f"thing {n}") for n in range(3)]
    record = replace(
        Record.of_picture(id="r", image=picture(56, 56), turns=turns, meta=META),
        places=tuple(Place("point", 0, (10 * n, 5)) for n in range(3)),
    )
    record.check()
    encoder = TrainingEncoder(EncoderConfig(jitter=0.0, max_turns=2), tiny_processor)
    sample = encoder.encode(record, np.random.default_rng(1)).sample
    said = tiny_processor.tokenizer.decode(sample.input_ids.tolist())
    asked = re.findall(r"at \[(\d+), 5\]\?.*?thing (\d)", said, re.DOTALL)
    assert len(asked) == 2
    assert all(int(x) == 10 * int(n) for x, n in asked)


def test_a_picture_that_is_a_file_has_the_size_of_its_upright_pixels(tiny_processor):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (112, 56)).save(file, "JPEG", exif=exif)
    record = located(
        conversation=Conversation(
            (user(ImagePart(source=file.getvalue()), "Where?"), answer(mark(0)))
        ),
        places=(Place("box", 0, (0, 0, 56, 112)),),
    )
    assert learned(tiny_processor, record) == "0, 0, 56, 112"
    with pytest.raises(RecordInvalid, match="outside its picture of 56 x 112 pixels"):
        replace(record, places=(Place("box", 0, (0, 0, 112, 56)),)).check()


def stored(record: Record) -> Record:
    files, body = encode_record(record)
    return decode_record([content for _, content in files], body)


def test_places_and_the_worse_answer_come_back_from_their_bytes():
    record = located(rejected=(answer(f"[{mark(1)}]"),))
    record = replace(record, places=(*record.places, Place("point", 0, (1.5, 2.25))))
    record.check()
    back = stored(record)
    back.check()
    assert back.places == record.places
    assert back.rejected == record.rejected
    _, body = encode_record(located(places=()))
    assert b"places" not in body
    assert b"rejected" not in body


def test_a_worse_answer_follows_the_same_question(tiny_processor):
    record = located(56, 56, (14, 0, 28, 56), rejected=(answer(f"no [{mark(0)}]"),))
    assert learned(tiny_processor, record.with_rejected) == "no [14, 0, 28, 56]"
    assert record.with_rejected.conversation.messages[0] == record.conversation.messages[0]
    assert record.with_rejected.rejected == ()
    with pytest.raises(RecordInvalid, match="there is no worse answer"):
        _ = located().with_rejected


TALK = located().conversation
SHOWN = ImagePart(source=picture(28, 28))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"places": (Place("box", 1, (0, 0, 5, 5)),)}, r"places\[0\].* there are 1"),
        ({"places": (Place("box", -1, (0, 0, 5, 5)),)}, r"places\[0\]"),
        ({"places": (Place("box", 0, (0, 0, 5)),)}, "has 3 numbers, expected 4"),
        ({"places": (Place("point", 0, (0, 0, 5, 5)),)}, "has 4 numbers, expected 2"),
        ({"places": (Place("point", 0, (float("nan"), 0)),)}, "not finite"),
        ({"places": (Place("box", 0, (5, 0, 5, 9)),)}, "has no area"),
        ({"places": (Place("box", 0, (9, 0, 5, 9)),)}, "has no area"),
        ({"places": (Place("box", 0, (0, 0, 642, 9)),)}, "outside its picture of 640 x 480"),
        ({"places": (Place("point", 0, (-2, 9)),)}, "outside its picture"),
        ({"allows": ("move",)}, "may be moved"),
        ({"conversation": Conversation((TALK.messages[0], answer(mark(1))))}, "refers to place 1"),
        ({"conversation": Conversation((TALK.messages[0], answer(mark(0, 4))))}, "does not have"),
        ({"rejected": (answer(mark(3)),)}, "refers to place 3"),
        ({"rejected": (answer(" "),)}, r"rejected\[0\].* is empty"),
        ({"rejected": (user("No."),)}, "there is no assistant message in the worse"),
        ({"rejected": (answer("No."), user("No."))}, "its role is 'user'"),
        ({"rejected": (Message("assistant", (SHOWN, TextPart("x"))),)}, "has a picture"),
        ({"rejected": (Message("tool", (TextPart("No."),)),)}, "no assistant message in the worse"),
        ({"rejected": (answer("No."),), "any_order": True}, "any_order is set"),
        ({"rejected": (answer("No."),), "conversation": Conversation((answer("x"),)), "places": ()},
         "no user message"),
    ],
)  # fmt: skip
def test_a_broken_place_or_worse_answer_is_named(changes, message):
    with pytest.raises(RecordInvalid, match=message):
        located(**changes).check()


def test_a_box_that_exceeds_its_picture_by_a_pixel_is_cut(tiny_processor):
    record = located(56, 56, (-0.5, 0, 56.9, 56))
    (found,) = json.loads(learned(tiny_processor, record))
    assert found["bbox_2d"] == [0, 0, 56, 56]
    assert Place("box", 0, (0, 0, 5, 5)).values == (0, 0, 5, 5)
    assert Box(*record.places[0].values).x2 == 56.9
