# SPDX-License-Identifier: Apache-2.0
"""Answers as plain JSON, results that belong nowhere, and events of replies with several lines."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from finesight.conversation import TokenLogprob, Usage
from finesight.errors import ConfigError
from finesight.parse.answer import read_answer
from finesight.parse.events import read_events
from tests.support.replies import picture_record, reply, video_record

TWO = (picture_record("one.png"), picture_record("two.png"))


def test_everything_around_the_results():
    made = replace(
        reply("hello", picture_record("a.png", page=3), video_record()),
        usage=Usage(prompt_tokens=9, visual_tokens=8, completion_tokens=7, cached_tokens=6),
        logprobs=(
            TokenLogprob(1, "hel", -0.5, ((1, "hel", -0.5), (5, "x", float("-inf"))), (0, 3)),
            TokenLogprob(2, "lo", float("-inf"), (), (3, 5)),
        ),
    )
    found = read_answer(made).to_dict()
    json.dumps(found, allow_nan=False)
    assert found["text"] == "hello"
    assert found["finish_reason"] == "stop"
    assert found["truncated"] is False
    assert found["document"] is None
    assert found["document_media_index"] is None
    assert found["token_ids"] == [1, 2, 3]
    assert found["usage"] == {
        "prompt_tokens": 9,
        "visual_tokens": 8,
        "completion_tokens": 7,
        "cached_tokens": 6,
        "drafted_tokens": 0,
        "accepted_tokens": 0,
    }
    assert found["logprobs"] == [
        {
            "token_id": 1,
            "text": "hel",
            "logprob": -0.5,
            "span": [0, 3],
            "top": [
                {"token_id": 1, "text": "hel", "logprob": -0.5},
                {"token_id": 5, "text": "x", "logprob": None},
            ],
        },
        {"token_id": 2, "text": "lo", "logprob": None, "span": [3, 5], "top": []},
    ]
    picture, video = found["media"]
    assert (
        picture.items()
        >= {
            "kind": "image",
            "source": "a.png",
            "page": 3,
            "original": {"width": 1000, "height": 500},
            "resized": {"width": 504, "height": 252},
            "visual_tokens": 162,
            "frame_seconds": None,
            "notes": [],
        }.items()
    )
    assert (
        video.items()
        >= {
            "kind": "video",
            "page": None,
            "sample_fps": 2.0,
            "frame_seconds": [10.0, 10.4, 11.5, 12.0],
        }.items()
    )


@pytest.mark.parametrize(
    ("text", "kind", "written"),
    [
        ('{"bbox_2d": [1, 2, 3, 4], "label": "cat"}', "boxes", {"box": None}),
        ('{"point_2d": [1, 2], "label": "cat"}', "points", {"point": None}),
    ],
)
def test_a_place_that_could_be_in_either_picture(text, kind, written):
    answer = read_answer(reply(text, *TWO))
    (found,) = answer.to_dict()[kind]
    assert found.items() >= written.items()
    assert found["media_index"] is None
    assert found["placed_by"] == ""
    assert found["clipped"] is False
    (problem,) = answer.problems
    assert "'cat'" in problem.message
    assert "any of 2 media" in problem.message
    start, end = problem.span
    assert "cat" in text[start:end]


def test_a_call_that_could_be_on_either_screen():
    call = {"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [1, 2]}}
    text = f"<tool_call>\n{json.dumps(call)}\n</tool_call>"
    answer = read_answer(reply(text, *TWO))
    (found,) = answer.tool_calls
    assert (found.name, found.points, found.media_index) == ("computer_use", {}, None)
    assert found.arguments["coordinate"] == [1, 2]
    (problem,) = answer.problems
    assert "computer_use" in problem.message
    assert text[slice(*found.span)].startswith("<tool_call>")
    (placed,) = read_answer(reply(text, *TWO), media_index=-1).tool_calls
    assert (placed.media_index, placed.placed_by) == (1, "caller")
    assert text[slice(*placed.span)].startswith("<tool_call>")


def test_a_call_with_one_place_beyond_the_screen():
    """It is flagged even where the last of its places lies within."""
    arguments = {"action": "drag", "coordinate": [9999, 2], "coordinate2": [3, 4]}
    text = f"<tool_call>{json.dumps({'name': 'computer_use', 'arguments': arguments})}</tool_call>"
    (found,) = read_answer(reply(text, picture_record())).tool_calls
    assert found.clipped


def test_a_page_that_could_be_either():
    text = '<html><body><p data-bbox="1 2 3 4">a</p></body></html>'
    answer = read_answer(reply(text, *TWO))
    assert answer.document_media_index is None
    assert answer.document.blocks[0].box is None
    assert any("page" in problem.message for problem in answer.problems)
    placed = read_answer(reply(text, *TWO), media_index=0)
    assert placed.document_media_index == 0
    assert placed.document.blocks[0].box is not None


@pytest.mark.parametrize(
    ("index", "counted"), [(0, 0), (1, 1), (-1, 1), (-2, 0), (2, None), (-3, None)]
)
def test_the_callers_index(index, counted):
    made = reply('{"bbox_2d": [1, 2, 3, 4], "label": "cat"}', *TWO)
    if counted is None:
        with pytest.raises(ConfigError, match=f"media_index={index}, but .* 2 media"):
            read_answer(made, media_index=index)
    else:
        (box,) = read_answer(made, media_index=index).boxes
        assert (box.media_index, box.placed_by) == (counted, "caller")


def test_an_event_of_one_of_two_videos():
    text = '[{"start": 0, "end": 1, "event": "a"}]'
    answer = read_answer(reply(text, video_record("one.mp4"), video_record("two.mp4")))
    (found,) = answer.to_dict()["events"]
    assert (found["start_seconds"], found["media_index"], found["clipped"]) == (None, None, False)
    named = '[{"start": 0, "end": 1, "event": "a", "video_id": 2}]'
    (event,) = read_answer(reply(named, video_record("one.mp4"), video_record("two.mp4"))).events
    assert (event.media_index, event.placed_by) == (1, "name")
    assert named[slice(*event.span)] == named


def test_an_event_beside_a_picture_is_of_the_video():
    (event,) = read_answer(
        reply('[{"start": 0, "end": 1, "event": "a"}]', picture_record(), video_record())
    ).events
    assert (event.media_index, event.placed_by) == (1, "only")
    assert (event.start_seconds, event.end_seconds) == (10.0, 11.5)


# ---------------------------------------------------------------------------------------------------- events


def events(text: str, **options):
    return [
        (event.model_start_seconds, event.model_end_seconds, event.label)
        for event in read_events(text, **options).events
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("00:01 - 00:02 a\n00:03 - 00:04 b", [(1, 2, "a"), (3, 4, "b")]),
        ("First:\n00:01 - 00:02 a\n\n00:03 - 00:04 b\nDone.", [(1, 2, "a"), (3, 4, "b")]),
        (
            "He comes from 1s to 2s.\nHe goes from 3s to 4s.",
            [
                (1, 2, "He comes from 1s to 2s"),
                (3, 4, "He goes from 3s to 4s"),
            ],
        ),
        ("00:01 - 00:02 a\nhe goes from 3s to 4s", [(1, 2, "a"), (3, 4, "he goes from 3s to 4s")]),
        ("he comes 1s to 2s\n00:03 - 00:04 b", [(1, 2, "he comes 1s to 2s"), (3, 4, "b")]),
        (
            "00:01 - 00:02 a; 00:03 - 00:04 b; 00:05 - 00:06 c",
            [(1, 2, "a"), (3, 4, "b"), (5, 6, "c")],
        ),
        ("- 00:01 - 00:02: a\n- 00:03 - 00:04: b", [(1, 2, "a"), (3, 4, "b")]),
        ("00:01 - 00:02\n00:03 - 00:04", [(1, 2, ""), (3, 4, "")]),
    ],
)
def test_labels_of_lines(text, found):
    assert events(text) == found


def test_a_stretch_of_equal_ends_is_not_swapped():
    (said,) = read_events("from 3s to 3s").events
    assert not said.swapped
    (listed,) = read_events('{"start": 3, "end": 3, "event": "a"}').events
    assert not listed.swapped
    (turned,) = read_events('{"start": 4, "end": 3, "event": "a", "why": "b"}').events
    assert turned.swapped
    assert turned.attributes == {"event": "a", "why": "b"}


def test_a_time_of_zero_is_a_time():
    assert events('{"start": 0, "end": 0.5, "event": "a"}') == [(0.0, 0.5, "a")]


def test_an_event_that_lacks_an_end_does_not_stop_the_others():
    text = '[{"start": 1, "event": "a"}, {"start": 2, "end": 3, "event": "b"}]'
    found = read_events(text)
    assert [event.label for event in found.events] == ["b"]
    (problem,) = found.problems
    assert "start" in problem.message
    assert text[slice(*problem.span)] == text


def test_bare_numbers_only_where_they_are_asked_for():
    assert events("5 - 15 a cat") == []
    assert events("5 - 15 a cat", bare_numbers=True) == [(5.0, 15.0, "a cat")]


def test_a_last_time_that_was_cut_is_told():
    text = "00:01 - 00:02 a\n00:03 - 00:0"
    found = read_events(text, is_cut=True)
    assert [event.label for event in found.events] == ["a"]
    (problem,) = found.problems
    assert text[slice(*problem.span)].startswith("00:03")
