# SPDX-License-Identifier: Apache-2.0
"""Whatever a model writes, reading it gives an answer; what it writes properly, it gives back exactly."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.parse.answer import read_answer
from finesight.parse.events import read_events
from finesight.parse.grounding import read_grounding
from finesight.parse.json_block import find_blocks, walk
from finesight.parse.times import parse_time
from tests.support.replies import picture_record, reply, video_record

# Backspace and form feed are left out: before a letter their escapes are read as LaTeX.
characters = st.characters(exclude_categories=("Cs",), exclude_characters="\b\f")
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(characters, max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
containers = st.lists(values, max_size=5) | st.dictionaries(
    st.text(characters, max_size=8), values, max_size=5
)
sides = st.integers(0, 4096)
objects = st.fixed_dictionaries(
    {
        "bbox_2d": st.tuples(sides, sides, sides, sides).map(list),
        "label": st.text(characters, max_size=20),
    }
)
PIECES = (
    "{", "}", "[", "]", '"', "'", ",", ":", "```", "```json", "\n", " ", "\\", "bbox_2d", "point_2d",
    "1", "2.5", "-3", "null", "<", ">", "</", "<points x1=\"1\" y1=\"2\">", "</points>", "<p ",
    'data-bbox="1 2 3 4"', "<table>", "<td>", "<tr>", "<html>", "</body>", "<tool_call>", "</tool_call>",
    "name", "arguments", "00:01.50", " - ", "3s", "from", "to", "Picture 1", "start_time", "end_time",
    '"x": ', '"y": ', '"coordinate": ', "[1, 2, 3, 4]", "<bbox>", "<ref>", "NaN", "9" * 400, "9" * 300, "\\frac",
    "<|box_start|>", "(1,2)", "<|box_end|>", "1,2,3,4 cat", "//", "/*", "#", "é", "\ud83d", "\x00", "&#",
)  # fmt: skip


@given(containers, st.sampled_from((None, 2)))
@settings(max_examples=200, deadline=None)
def test_proper_json_is_read_as_json(value, indent):
    text = json.dumps(value, indent=indent)
    (block,) = find_blocks(f"```json\n{text}\n```")
    assert block.value == value
    assert block.state == "closed"


@given(st.lists(objects, max_size=6), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_a_list_cut_anywhere_gives_the_whole_objects_before_the_cut(listed, share):
    lines = [json.dumps(item, ensure_ascii=False) for item in listed]
    text = "```json\n[\n\t" + ",\n\t".join(lines) + "\n]\n```"
    cut = text[: round(len(text) * share)]
    found = read_grounding(cut).boxes
    whole = [item for item, line in zip(listed, lines, strict=True) if line in cut]
    expected = len(whole) if len(set(lines)) == len(lines) else len(found)
    assert len(found) == expected
    for box, item in zip(found, listed, strict=False):
        assert box.label == item["label"]
        xs, ys = sorted(item["bbox_2d"][::2]), sorted(item["bbox_2d"][1::2])
        assert (box.box_resized.x1, box.box_resized.x2) == tuple(xs)
        assert (box.box_resized.y1, box.box_resized.y2) == tuple(ys)


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_text_gives_an_answer(text, is_cut):
    media = (video_record(), picture_record("a.png"), picture_record("b.png"))
    answer = read_answer(reply(text, *media, finish_reason="length" if is_cut else "stop"))
    json.dumps(answer.to_dict(), allow_nan=False)
    for thing in (*answer.boxes, *answer.points, *answer.events, *answer.problems):
        assert 0 <= thing.span[0] <= thing.span[1] <= len(text)
    for block in find_blocks(text):
        assert all(isinstance(visit.members, dict) for visit in walk(block))


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_unicode_gives_an_answer(text):
    json.dumps(read_answer(reply(text, video_record())).to_dict(), allow_nan=False)


@given(sides, sides, sides, sides)
def test_boxes_end_up_inside_their_picture(x1, y1, x2, y2):
    text = json.dumps({"bbox_2d": [x1, y1, x2, y2]})
    (box,) = read_answer(reply(text, picture_record())).boxes
    assert 0 <= box.box.x1 <= box.box.x2 <= 1000
    assert 0 <= box.box.y1 <= box.box.y2 <= 500
    assert box.clipped == (max(x1, x2) > 504 or max(y1, y2) > 252)


def written(hundredths):
    """As `mm:ss.ff`, or `h:mm:ss.ff` from one hour on."""
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:" if hours else ""
    return f"{head}{minutes:02d}:{rest // 100:02d}.{rest % 100:02d}"


@given(st.integers(0, 99 * 360_000))
def test_times_survive_being_written_and_read(hundredths):
    assert round(parse_time(written(hundredths)) * 100) == hundredths


@given(st.integers(0, 360_000), st.integers(0, 360_000))
def test_events_survive_being_written_and_read(first, second):
    start, end = sorted((first, second))
    (event,) = read_events(f"{written(start)} - {written(end)}: something happens").events
    assert round(event.model_start_seconds * 100) == start
    assert round(event.model_end_seconds * 100) == end
    assert event.label == "something happens"
