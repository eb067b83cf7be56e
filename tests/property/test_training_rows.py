# SPDX-License-Identifier: Apache-2.0
"""Good rows with random changes are records or problems with a reason, in every format; nothing else is raised."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finesight.data.formats.config import FORMATS, ImportConfig
from finesight.data.formats.reading import Reading
from finesight.data.formats.rows import REASONS, Problem
from finesight.data.record import Record
from finesight.data.stored import decode_record, encode_record
from finesight.errors import ConfigError, DataError

CALL = {"name": "zoom", "arguments": {"coordinate": [1, 2]}}
TOOL = {"type": "function", "function": {"name": "zoom"}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **keys):
    return {"role": "assistant", "content": content, **keys}


def human(value):
    return {"from": "human", "value": value}


def gpt(value):
    return {"from": "gpt", "value": value}


PARTS = [{"type": "image"}, {"type": "text", "text": "x"}]
GOOD: dict[str, list[Any]] = {
    "qwen": [{"id": 1, "image": ["a.png", "a.png"], "data_path": "",
              "conversations": [human("<image><image>x"), gpt("y")]}],
    "swift": [{"messages": [user("<image>Where <ref-object>?"), assistant("<bbox>", loss=True)],
               "images": ["a.png"], "tools": [TOOL], "channel": "c",
               "objects": {"ref": ["x"], "bbox": [[1, 2, 30, 40]], "image_id": [0], "bbox_type": "real"},
               "rejected_messages": [user("x"), assistant("y")]}],
    "trl": [{"prompt": [user(PARTS)], "chosen": [assistant("y")], "rejected": [assistant([PARTS[1]])],
             "images": [{"bytes": None, "path": "a.png"}], "tools": json.dumps([TOOL])}],
    "openai": [
        {"messages": [user([{"type": "image_url", "image_url": {"url": "a.png"}}, PARTS[1]]),
                      assistant(None, tool_calls=[{"type": "function", "function": CALL}]),
                      {"role": "tool", "content": "z"},
                      assistant('"bbox_2d": [1, 2, 30, 40]', weight=1)], "tools": [TOOL]},
        {"input": {"messages": [user("x")], "tools": []},
         "preferred_output": [assistant("y")], "non_preferred_output": [assistant("z")]},
    ],
    "llama-factory": [
        {"conversations": [human("<image>x"), {"from": "function_call", "value": json.dumps(CALL)},
                           {"from": "observation", "value": "q"}, gpt("y")],
         "images": ["a.png"], "tools": json.dumps([TOOL]), "system": "s"},
        {"conversations": [human("x")], "chosen": gpt("y"), "rejected": gpt("z")},
    ],
    "alpaca": [{"instruction": "<image>x", "input": "i", "output": "y", "history": [["a", "b"]],
                "images": ["a.png"]}, {"query": "x", "response": "y"}],
    "captions": [{"image": "a.png", "caption": "c", "question": "q"}],
    "coco": [{"images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 60}],
              "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}],
              "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]}],
}  # fmt: skip
JUNK = st.sampled_from(
    (
        *(None, "", 0, -1, 1.5, float("nan"), float("inf"), True, 10**30, "x", "\ud800", "\0"),
        *("user", "assistant", "tool", "system", "<image>", "<bbox>", "a.png", "gone.png", "[1]"),
        *("{{place:0}}", '"bbox_2d": [1, 2, 30, 40]', '"point_2d": [NaN, 1]', "<points x1='1'>"),
        *('<p data-bbox="1 2 3 4">', "<|box_start|>(1,2),(3,4)<|box_end|>", "http://127.0.0.1/a"),
    )
) | st.sampled_from(
    (
        *([], {}, [[]], [None], {"a": 1}, ["a.png"], [1, 2, 3, 4], [1, 2], [[1, 2], [3, 4]]),
        *({"type": "image"}, {"type": "image", "image": "a.png"}, {"bytes": "x"}),
        *({"type": "video", "video": "a.png"}, '{"name": 1}'),
        assistant([{"type": "image", "image": "a.png"}]),
    )
)
NAMES = st.sampled_from(
    ("extra", "image", "images", "videos", "objects", "system", "loss", "tool_calls", "label")
)
CHANGES = st.tuples(
    st.integers(0, 60), st.sampled_from(("replace", "replace", "delete", "repeat", "add")), NAMES, JUNK
)  # fmt: skip


def places_in(value: Any, owner: Any = None, key: Any = None) -> Iterator[tuple[Any, Any]]:
    """Owner and key of every value inside a value."""
    if owner is not None:
        yield owner, key
    if isinstance(value, (dict, list)):
        for inner in value if isinstance(value, dict) else range(len(value)):
            yield from places_in(value[inner], value, inner)


def changed(row: Any, change: tuple[int, str, str, Any]) -> Any:
    number, action, name, junk = change
    row = copy.deepcopy(row)
    found = list(places_in(row))
    if not found:
        return junk
    owner, key = found[number % len(found)]
    if action == "delete":
        del owner[key]
    elif action == "repeat" and isinstance(owner, list):
        owner.insert(key, copy.deepcopy(owner[key]))
    elif action == "add" and isinstance(owner, dict):
        owner[name] = copy.deepcopy(junk)
    else:
        owner[key] = copy.deepcopy(junk)
    return row


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("rows")
    Image.new("RGB", (50, 60)).save(made / "a.png")
    return made


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "yolo"])
@given(number=st.integers(0, 1), changes=st.lists(CHANGES, max_size=3), is_forced=st.booleans())
def test_changed_rows_are_records_or_problems(folder, name, number, changes, is_forced):
    row = GOOD[name][number % len(GOOD[name])]
    for change in changes:
        row = changed(row, change)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(row if name == "coco" else [row]))
    try:
        found = list(Reading(path, ImportConfig(format=name if is_forced else None)))
    except (ConfigError, DataError):
        assert changes
        assert name == "coco" or not is_forced
        return
    assert changes or [type(one) for one in found] == [Record]
    for one in found:
        if isinstance(one, Problem):
            assert one.reason in REASONS
            assert one.place
            continue
        files, body = encode_record(one)
        back = decode_record([content for _, content in files], body)
        assert (back.places, back.rejected) == (one.places, one.rejected)
