# SPDX-License-Identifier: Apache-2.0
"""Captions, COCO, YOLO, webdataset and parquet."""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from finesight.data.encode import EncoderConfig, TrainingEncoder
from finesight.data.formats.config import ImportConfig
from finesight.data.formats.reading import Reading
from finesight.data.formats.rows import Problem
from finesight.data.places import written
from finesight.data.record import SceneObject, text_of
from finesight.errors import ConfigError
from finesight.geometry import Box, Resize, Size
from finesight.parse.grounding import read_grounding
from finesight.processor.processor import Processor
from tests.support.training_files import said


def test_a_folder_of_pictures_with_captions(folder):
    folder.write(
        "captions.csv",
        'image,caption,question\nred.png,"A square, red.",\nblue.jpg,Blue?,Which colour?\n'
        "none.png,Gone.,\nred.png,,\n",
    )
    found = folder.read(".", question="What do you see?")
    assert found.reading.format == "captions"
    assert [said(record) for record in found.records] == [
        [("user", "[image]What do you see?"), ("assistant", "A square, red.")],
        [("user", "[image]Which colour?"), ("assistant", "Blue?")],
    ]
    assert found.reasons == ["missing media", "empty answer"]
    assert found.problems[0].place == "captions.csv, row 3"


def test_a_metadata_file_of_the_hub(folder):
    folder.write("metadata.jsonl", [{"file_name": "red.png", "text": "A square."}])
    assert said(folder.read(".").only)[1] == ("assistant", "A square.")


def test_a_broken_table(folder):
    found = folder.read("captions.csv", 'image,caption\nred.png,a,b\nred.png\n"red.png\n')
    assert found.reasons == ["columns", "columns", "unreadable"]


def test_a_table_with_long_cells(folder):
    """A picture as a data address, and a caption, each longer than the default limit of the module csv."""
    content = base64.b64encode((folder.path / "red.png").read_bytes() + bytes(150_000)).decode()
    caption = "word " * 30_000
    found = folder.read(
        "captions.csv",
        f'image,caption\n"data:image/png;base64,{content}",{caption}\nred.png,Red.\n',
    )
    assert [len(said(record)[1][1]) for record in found.records] == [len(caption), 4]


COCO = {
    "images": [
        {"id": 1, "file_name": "blue.jpg", "width": 300, "height": 200},
        {"id": 2, "file_name": "red.png", "width": 100, "height": 60},
    ],
    "categories": [
        {"id": 1, "name": "dog"},
        {"id": 5, "name": "cat"},
        {"id": 9, "name": "bus"},
    ],
    "annotations": [
        {"image_id": 1, "category_id": 1, "bbox": [150, 100, 30.5, 40]},
        {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]},
        {"image_id": 1, "category_id": 5, "bbox": [200, 100, 100.4, 100]},
    ],
}


def turns_of(record, size=None):
    """Question and answer of each turn, with the numbers of the places as they are in the original."""
    (part,) = record.conversation.media()
    size = Size(*size)
    messages = written(record.conversation.messages, record.places, [Resize(size, size)])
    texts = [text_of(message) for message in messages]
    assert part == record.conversation.messages[0].parts[0]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def test_coco_becomes_questions_of_all_kinds(folder):
    found = folder.read("instances.json", COCO)
    assert (found.reading.format, found.problems) == ("coco", [])
    first, second = found.records
    asked = turns_of(first, (300, 200))
    assert asked["Locate every dog in the image and output the coordinates in JSON format."] == (
        '```json\n[\n\t{"bbox_2d": [10, 20, 40, 60], "label": "dog"},\n\t'
        '{"bbox_2d": [150, 100, 180, 140], "label": "dog"}\n]\n```'
    )
    assert asked["How many dogs are there in the image?"] == (
        '```xml\n<points x1="25" y1="40" x2="165" y2="120" alt="dog">dog</points>\n```\n2'
    )
    assert (
        asked["Locate the cat, output its bbox coordinates using JSON format."]
        == '```json\n[\n\t{"bbox_2d": [200, 100, 300, 200], "label": "cat"}\n]\n```'
    )
    assert "Locate the dog, output its bbox coordinates using JSON format." not in asked
    assert asked["How many buses are there in the image?"] == "0"
    absent = "point to the bus, output its coordinates in XML format <points x y>object</points>"
    assert asked[absent] == "none"
    (listed,) = [text for question, text in asked.items() if "category set" in question]
    assert len(json.loads(listed.removeprefix("```json").removesuffix("```"))) == 3
    (counted,) = [text for question, text in asked.items() if question.startswith("Please first")]
    assert counted.count("bbox_2d") == 3
    assert counted.endswith("]\n```\n3")
    assert first.any_order
    assert first.truth[0].objects == (
        SceneObject((10, 20, 40, 60), "dog"),
        SceneObject((150, 100, 180, 140), "dog"),
        SceneObject((200, 100, 300, 200), "cat"),
    )
    answers = set(turns_of(second, (100, 60)).values())
    assert answers == {"none", "0"}


def test_answers_of_coco_are_read_by_our_own_parser(folder):
    record = folder.read("instances.json", COCO).records[0]
    answer = turns_of(record, (300, 200))[
        "Locate every dog in the image and output the coordinates in JSON format."
    ]
    boxes = [box.box_resized for box in read_grounding(answer).boxes]
    assert boxes == [Box(10, 20, 40, 60), Box(150, 100, 180, 140)]


def test_nothing_is_asked_about_a_crowd(folder):
    crowd = {"image_id": 1, "category_id": 5, "bbox": [0, 0, 9, 9], "iscrowd": 1}
    found = folder.read("x.json", COCO | {"annotations": [*COCO["annotations"], crowd]})
    record = found.records[0]
    questions = turns_of(record, (300, 200))
    assert any(" dog" in question for question in questions)
    assert not any(" cat" in question.replace(" category", "") for question in questions)
    assert record.truth == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bbox": [290, 0, 30, 9]}, "box"),
        ({"bbox": [0, 0, 0, 9]}, "box"),
        ({"bbox": [0, 0, 9]}, "box"),
        ({"bbox": [0, 0, float("nan"), 9]}, "box"),
        ({"bbox": None}, "box"),
        ({"category_id": 3}, "columns"),
        ({"image_id": 7}, "columns"),
    ],
)
def test_a_wrong_annotation_has_its_reason(folder, change, reason):
    wrong = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]} | change
    found = folder.read("x.json", COCO | {"annotations": [wrong]})
    assert found.reasons == [reason]


def test_a_picture_that_was_resized_after_it_was_annotated_is_refused(folder):
    images = [COCO["images"][0] | {"width": 600, "height": 400}]
    found = folder.read("x.json", COCO | {"images": images})
    assert found.reasons == ["box"]
    assert "for 600 x 400 pixels, but the picture has 300 x 200" in found.problems[0].message


@pytest.mark.parametrize("number", [1, None, 2.0])
def test_a_picture_without_an_id_of_its_own_is_refused(folder, number):
    """Its annotations would be lost, and all answers about it "none"."""
    second = COCO["images"][1] | {"id": number}
    found = folder.read("x.json", COCO | {"images": [COCO["images"][0], second]})
    assert found.reasons == (["columns"] * 2 if number == 1 else ["columns"])
    assert len(found.records) == (number != 1)


def test_a_class_that_is_listed_twice_is_asked_about_once(folder):
    twice = COCO["categories"] + [{"id": 0, "name": "dog", "supercategory": "none"}]
    plain, found = (
        folder.read("x.json", COCO | {"categories": each}).records[0]
        for each in (COCO["categories"], twice)
    )
    assert len(found.conversation.messages) == len(plain.conversation.messages)


def yolo(folder, settings="names: [dog, cat]\ntrain: images/train\n", **labels):
    folder.write("set/data.yaml", settings)
    folder.picture("set/images/train/a.png", (200, 100))
    for name, text in labels.items():
        folder.write(f"set/labels/train/{name}.txt", text)


def test_yolo(folder):
    yolo(folder, a="1 0.5 0.5 0.25 0.5\n0 0.1 0.1 0.3 0.1 0.3 0.5 0.2 0.2\n")
    folder.picture("set/images/train/b.jpg")
    found = folder.read("set")
    assert (found.reading.format, found.problems) == ("yolo", [])
    first, second = found.records
    asked = turns_of(first, (200, 100))
    assert (
        asked["Locate the cat, output its bbox coordinates using JSON format."]
        == '```json\n[\n\t{"bbox_2d": [75, 25, 125, 75], "label": "cat"}\n]\n```'
    )
    assert (
        "[20, 10, 60, 50]"
        in asked["Locate the dog, output its bbox coordinates using JSON format."]
    )
    assert set(turns_of(second, (100, 60)).values()) == {"none", "0"}


def test_yolo_without_any_label_file_is_refused(folder):
    """All answers would be "none"; labels in another folder look like this."""
    yolo(folder)
    with pytest.raises(ConfigError, match="none of the 1 pictures under train has a label file"):
        folder.read("set")


def test_yolo_of_a_file_with_a_byte_order_mark(folder):
    yolo(folder, a="\ufeff1 0.5 0.5 0.25 0.5\r\n")
    assert folder.read("set").reasons == []


def test_key_points_of_yolo_are_no_corners(folder):
    settings = "names: [dog, cat]\ntrain: images/train\nkpt_shape: [2, 3]\n"
    yolo(folder, settings, a="1 0.5 0.5 0.25 0.5 0.1 0.1 2 0.9 0.9 2\n")
    ((x1, y1, x2, y2),) = {
        place.values for place in folder.read("set").only.places if place.kind == "box"
    }
    assert (x1, y1, x2, y2) == (75, 25, 125, 75)
    yolo(folder, settings, a="1 0.5 0.5 0.25 0.5")
    assert (
        folder.read("set").problems[0].message.endswith("4 numbers, expected 4 and 6 of key points")
    )
    yolo(folder, settings.replace("[2, 3]", "2"), a="1 0.5 0.5 0.25 0.5")
    with pytest.raises(ConfigError, match="kpt_shape is 2, expected two whole numbers"):
        folder.read("set")


@pytest.mark.parametrize("name", ["set", "set/data.yaml", "instances.json", "."])
def test_paths_may_be_relative(folder, monkeypatch, name):
    yolo(folder, a="1 0.5 0.5 0.25 0.5")
    folder.write("instances.json", COCO)
    folder.write("captions.csv", "image,caption\nred.png,Red.\n")
    monkeypatch.chdir(folder.path)
    found = list(Reading(Path(name)))
    assert found
    assert not [one for one in found if isinstance(one, Problem)]


def test_yolo_exports_with_names_as_a_table_and_other_folders(folder):
    yolo(
        folder, "path: /elsewhere\nnames: {0: dog}\ntrain: ../images/train\nval: images/val\n", a=""
    )
    folder.picture("set/images/val/c.png")
    found = folder.read("set/data.yaml")
    assert len(found.records) == 1
    assert found.reading.tally.notes == {"pictures under val of data.yaml, which are not read": 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("7 0.5 0.5 0.2 0.2", "columns"),
        ("0 0.5 0.5 0.2", "box"),
        ("0 0.5 0.5 0.2 x", "box"),
        ("0 0.9 0.5 0.4 0.2", "box"),
        ("0 nan 0.5 0.4 0.2", "box"),
        ("0 50 50 20 20", "box"),
    ],
)
def test_a_wrong_label_of_yolo_has_its_reason(folder, line, reason):
    yolo(folder, a=line)
    assert folder.read("set").reasons == [reason]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("names: [dog]\n", "no names or no train"),
        ("names: 3\ntrain: images\n", "expected a list"),
        ("names: [dog]\ntrain: gone\n", "there is no picture"),
        ("names: [dog\n", "cannot be read"),
    ],
)
def test_a_wrong_description_of_yolo_is_named(folder, settings, message):
    yolo(folder, settings)
    with pytest.raises(ConfigError, match=message):
        folder.read("set")


def tar(folder, name, members, mode="w"):
    with tarfile.open(folder.path / name, mode) as file:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))


def test_webdataset(folder):
    picture = (folder.path / "red.png").read_bytes()
    talk = [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "Red."}]
    members = {
        "a/001.png": picture,
        "a/001.json": json.dumps({"conversations": talk}).encode(),
        "a/002.seg.png": picture,
        "a/002.json": json.dumps({"conversations": talk}).encode(),
    }
    tar(folder, "talks.tar.gz", members, "w:gz")
    found = folder.read("talks.tar.gz")
    assert (found.reading.format, len(found.records)) == ("llama-factory", 2)
    assert next(found.records[0].conversation.media()).source == picture
    tar(
        folder,
        "captions.tar",
        {"1.png": picture, "1.txt": b"Red.", "2.png": picture, "2.txt": b"\xff"},
    )
    found = folder.read("captions.tar")
    assert said(found.records[0]) == [
        ("user", "[image]Describe this image."),
        ("assistant", "Red."),
    ]
    assert found.reasons == ["unreadable"]


def test_a_truncated_tar(folder):
    picture = (folder.path / "red.png").read_bytes()
    tar(folder, "c.tar", {"1.png": picture, "1.txt": b"Red.", "2.png": picture * 50, "2.txt": b"x"})
    whole = (folder.path / "c.tar").read_bytes()
    found = folder.read("c.tar", whole[: len(whole) // 2])
    assert found.reasons == ["unreadable"]
    assert len(found.records) <= 1


def test_parquet_of_the_library_datasets(folder):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    talk = [
        {
            "role": "user",
            "content": [{"type": "image", "text": None}, {"type": "text", "text": "?"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Red."}]},
    ]
    picture = {"bytes": (folder.path / "red.png").read_bytes(), "path": "x.png"}
    rows = [{"messages": talk, "images": [picture]}, {"messages": talk, "images": []}]
    (folder.path / "data").mkdir()
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder.path / "data" / "train-0.parquet")
    found = folder.read(".")
    assert (found.reading.format, found.reasons) == ("trl", [])
    assert said(found.records[0])[0] == ("user", "[image]?")
    found = folder.read("torn.parquet", b"PAR1 and no more", format="trl")
    assert found.reasons == ["unreadable"]


def test_an_imported_box_is_written_for_the_model(folder, tiny_model_folder):
    processor = Processor.from_folder(tiny_model_folder)
    record = folder.read("instances.json", COCO).records[0]
    encoder = TrainingEncoder(EncoderConfig(jitter=0.0, max_turns=40), processor)
    sample = encoder.encode(record, np.random.default_rng(0)).sample
    text = processor.tokenizer.decode(sample.input_ids.tolist())
    assert "{{place" not in text
    size = sample.vision[0].record.resize.resized
    cat = re.search(r"Locate the cat.*?\[(\d+), (\d+), (\d+), (\d+)\]", text, re.DOTALL)
    assert [int(number) for number in cat.groups()] == [
        round(200 * size.width / 300), round(size.height / 2), size.width, size.height,
    ]  # fmt: skip


def test_a_folder_without_anything_and_shards_are_named(folder):
    (folder.path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds nothing to read"):
        Reading(folder.path / "empty")
    tar(folder, "data-00000.tar", {})
    folder.write("data-00000.index.json", {})
    with pytest.raises(ConfigError, match="shards already"):
        Reading(folder.path)
    with pytest.raises(ConfigError, match="there is no file"):
        Reading(folder.path / "gone.json")
    with pytest.raises(ConfigError, match=r"no data\.yaml"):
        list(Reading(folder.path / "empty", ImportConfig(format="yolo")))


def test_captions_of_coco_are_records_of_their_own(folder):
    captions = [
        {"id": 1, "image_id": 1, "caption": "A dog. "},
        {"id": 2, "image_id": 1, "caption": "A brown dog."},
        {"id": 3, "image_id": 2, "caption": "A cat.", "mood": "glad"},
    ]
    whole = {"images": COCO["images"], "annotations": captions}
    found = folder.read("captions.json", whole)
    assert (found.reading.format, found.problems) == ("coco", [])
    texts = [[text_of(one) for one in record.conversation.messages] for record in found.records]
    assert texts == [
        ["Describe this image.", "A dog."],
        ["Describe this image.", "A brown dog."],
        ["Describe this image.", "A cat."],
    ]
    assert len({record.id for record in found.records}) == 3
    assert found.reading.tally.ignored == {"annotations.mood": 1}
    without = folder.read("captions.json", whole | {"annotations": captions[:2]})
    assert without.reasons == ["columns"]
    boxes = folder.read(
        "captions.json", whole | {"annotations": COCO["annotations"]}, format="coco"
    )
    assert set(boxes.reasons) == {"columns"}


def test_what_coco_has_besides_boxes_is_counted(folder):
    mask = COCO["annotations"][0] | {"segmentation": [[0, 0, 9, 9, 9, 0]], "area": 40.0}
    images = [COCO["images"][0] | {"license": 3}, *COCO["images"][1:]]
    found = folder.read("x.json", COCO | {"annotations": [mask], "images": images})
    assert found.problems == []
    assert found.reading.tally.ignored == {"images.license": 1, "annotations.segmentation": 1}
