# SPDX-License-Identifier: Apache-2.0
"""Rows of any content are records or problems with a reason, in every format; nothing else is raised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finesight.data.formats.config import FORMATS, ImportConfig
from finesight.data.formats.reading import Reading
from finesight.data.formats.rows import REASONS, Problem
from finesight.data.record import Record
from finesight.data.stored import decode_record, encode_record
from finesight.errors import DataError

KEYS = st.sampled_from(
    (
        *("messages", "conversations", "prompt", "completion", "chosen", "rejected", "input"),
        *("image", "images", "video", "videos", "objects", "tools", "system", "id", "history"),
        *("instruction", "output", "rejected_response", "rejected_messages", "label", "channel"),
        *("preferred_output", "non_preferred_output", "data_path", "caption", "question", "path"),
        *("role", "content", "from", "value", "loss", "weight", "tool_calls", "type", "text"),
        *("bbox", "ref", "bbox_type", "image_id", "name", "arguments", "function", "url", "bytes"),
        *("annotations", "categories", "category_id", "file_name", "width", "height", "iscrowd"),
    )
)
TEXTS = st.sampled_from(
    (
        *("", "user", "assistant", "system", "tool", "human", "gpt", "function_call", "a.png"),
        *("<image>", "<image>\nWhere?", "<video>", "<bbox> <ref-object>", "norm1", "real", "text"),
        *('{"bbox_2d": [1, 2, 30, 40]}', '"point_2d": [NaN, 1]', "{{place:0}}", "<points x1='1'>"),
        *('<p data-bbox="1 2 3 4">', "<|box_start|>(1,2),(3,4)<|box_end|>", "image", "\ud800"),
        *('{"name": "f", "arguments": {}}', "[]", "http://127.0.0.1/a.png", "../a.png", "\0"),
    )
) | st.text(max_size=5)
NUMBERS = st.integers(-3, 60) | st.floats(allow_nan=True) | st.booleans() | st.none()
VALUES = st.recursive(
    TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": TEXTS,
            "from": TEXTS,
            "content": TEXTS | VALUES,
            "value": TEXTS | VALUES,
            "loss": NUMBERS,
            "tool_calls": VALUES,
        },
    ),
    max_size=4,
)
ROWS = st.dictionaries(KEYS, VALUES | TURNS, max_size=8) | VALUES


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("rows")
    Image.new("RGB", (50, 60)).save(made / "a.png")
    return made


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "yolo"])
@given(rows=st.lists(ROWS, min_size=1, max_size=3))
def test_rows_of_any_content_are_records_or_problems(folder, name, rows):
    path = folder / f"{name}.json"
    whole = {"images": [], "annotations": [], "categories": []}
    if name == "coco":
        fields = [row if isinstance(row, list) else [row] for row in rows]
        whole = dict(zip(whole, [*fields, [], []], strict=False))
    path.write_text(json.dumps(whole if name == "coco" else rows))
    try:
        found = list(Reading(path, ImportConfig(format=name)))
    except DataError:
        assert name == "coco"
        return
    for one in found:
        if isinstance(one, Problem):
            assert one.reason in REASONS
            assert one.place
            continue
        assert isinstance(one, Record)
        files, body = encode_record(one)
        back = decode_record([content for _, content in files], body)
        assert (back.places, back.rejected) == (one.places, one.rejected)
