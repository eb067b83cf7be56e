# SPDX-License-Identifier: Apache-2.0
import json
from math import inf

import pytest

from finesight.conversation import TokenLogprob
from finesight.errors import ConfigError, ParseError
from finesight.geometry import Box, Point
from finesight.parse.answer import read_answer
from tests.support.replies import picture_record, reply, video_record

# Original 1000 x 500, seen as 504 x 252.
HALF = 1000 / 504


def test_boxes_come_home():
    text = '{"bbox_2d": [0, 63, 252, 126], "label": "x", "sub_label": "y"}'
    (box,) = read_answer(reply(text, picture_record())).boxes
    assert box.box == Box(0, 63 * HALF, 500, 250)
    assert box.box_resized == Box(0, 63, 252, 126)
    assert (box.label, box.attributes, box.media_index) == ("x", {"sub_label": "y"}, 0)
    assert not box.clipped


def test_points_come_home():
    text = '<points x1="252" y1="126" alt="pin">pin</points>'
    (point,) = read_answer(reply(text, picture_record())).points
    assert point.point == Point(500, 250)


@pytest.mark.parametrize("corners", [[-3, 0, 20, 20], [0, 0, 600, 20], [0, 0, 20, 252.5]])
def test_what_leaves_the_picture_is_clipped_and_flagged(corners):
    (box,) = read_answer(reply(json.dumps({"bbox_2d": corners}), picture_record())).boxes
    assert box.clipped
    assert 0 <= box.box.x1 <= box.box.x2 <= 1000
    assert 0 <= box.box.y1 <= box.box.y2 <= 500


def test_swapped_corners_are_flagged():
    (box,) = read_answer(reply('{"bbox_2d": [30, 4, 3, 40]}', picture_record())).boxes
    assert box.swapped
    assert not box.clipped


def test_an_unplaced_box_gives_no_wrong_number():
    answer = read_answer(reply('{"bbox_2d": [1, 2, 3, 4]}', picture_record(), picture_record()))
    (box,) = answer.boxes
    assert box.box_resized == Box(1, 2, 3, 4)
    with pytest.raises(ParseError, match="which picture or video"):
        _ = box.box
    assert answer.to_dict()["boxes"][0]["box"] is None


def test_events_come_back_in_source_time():
    text = "It happens in 0.25 - 1.0 seconds."
    (event,) = read_answer(reply(text, video_record())).events
    assert event.start_seconds == pytest.approx(10.2)
    assert event.end_seconds == 11.5
    assert (event.model_start_seconds, event.model_end_seconds) == (0.25, 1.0)
    assert not event.clipped


def test_a_time_after_the_clip_is_clamped_and_flagged():
    (event,) = read_answer(reply("from 1s to 9s", video_record())).events
    assert event.end_seconds == 12.5  # the last frame lasts as long as the step before it
    assert event.clipped


def test_events_are_read_only_where_a_video_was_shown():
    assert read_answer(reply("from 1s to 9s", picture_record())).events == ()


def test_two_videos_need_a_name():
    media = (video_record("a.mp4"), video_record("b.mp4"))
    first, second = (
        read_answer(reply('Video 2: 0.5 - 1.0 seconds\n{"x": 1}', *media)).events
        + read_answer(reply("0.5 - 1.0 seconds", *media)).events
    )
    assert (first.media_index, first.start_seconds) == (1, 10.4)
    assert second.media_index is None
    with pytest.raises(ParseError):
        _ = second.start_seconds


def test_a_video_without_a_clock_gives_no_source_time():
    answer = read_answer(reply("0.5 - 1.0 seconds", video_record(clock=False)))
    assert answer.events[0].media_index is None
    assert "clock of media 0 is not known" in answer.problems[0].message


def test_clicks_come_home():
    text = (
        '<tool_call>{"name": "computer_use", "arguments": {"action": "left_click", '
        '"coordinate": [252, 900]}}</tool_call>'
    )
    (call,) = read_answer(reply(text, picture_record())).tool_calls
    assert call.points == {"coordinate": Point(500, 500)}
    assert call.clipped
    assert call.arguments["coordinate"] == [252, 900]
    history = (picture_record("old.png"), picture_record("screen.png"))
    assert read_answer(reply(text, *history)).tool_calls[0].media_index is None
    assert read_answer(reply(text, *history), media_index=-1).tool_calls[0].media_index == 1


def test_a_click_without_its_place_is_reported():
    text = (
        '<tool_call>{"name": "computer_use", "arguments": {"action": "left_click", '
        '"coordinate": [100, 50, 120, 70]}}</tool_call>'
    )
    answer = read_answer(reply(text, picture_record()))
    assert answer.tool_calls[0].points == {}
    (problem,) = answer.problems
    assert problem.message == (
        "coordinate of tool call 'computer_use' is [100, 50, 120, 70], not [x, y]"
    )


def test_a_call_without_coordinates_belongs_nowhere():
    text = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>'
    answer = read_answer(reply(text, picture_record(), picture_record()))
    assert answer.tool_calls[0].media_index is None
    assert answer.problems == ()


def test_boxes_within_calls_and_pages_are_not_boxes_of_the_answer():
    call = '<tool_call>{"name": "draw", "arguments": {"bbox_2d": [1, 2, 3, 4]}}</tool_call>'
    page = '```html\n<html><body><p data-bbox="0 0 252 126">{"bbox_2d": [1, 2, 3, 4]}</p></body></html>\n```'
    answer = read_answer(reply(page + call, picture_record()))
    assert answer.boxes == ()
    assert len(answer.tool_calls) == 1
    assert answer.document.blocks[0].box == Box(0, 0, 500, 250)
    assert answer.document_media_index == 0


def test_what_was_only_thought_gives_no_results():
    box = '{{"bbox_2d": [{0}, 2, 30, 40], "label": "{1}"}}'
    point = '{{"point_2d": [{0}, 2], "label": "{1}"}}'
    call = '<tool_call>{{"name": "{1}", "arguments": {{"n": {0}}}}}</tool_call>'
    said = "\n".join((box, point, call))
    thought, answered = said.format(1, "no"), said.format(9, "yes")
    text = f"<think>Perhaps {thought}?</think>\n<answer>{answered}</answer> so."
    answer = read_answer(reply(text, picture_record()))
    assert [found.label for found in (*answer.boxes, *answer.points)] == ["yes", "yes"]
    assert [found.name for found in answer.tool_calls] == ["yes"]
    assert text[slice(*answer.boxes[0].span)] == box.format(9, "yes")
    assert answer.text == text
    cut = read_answer(reply(f"<think>Perhaps {thought}", picture_record(), finish_reason="length"))
    assert (cut.boxes, cut.points, cut.tool_calls, cut.truncated) == ((), (), (), True)
    (event,) = read_answer(
        reply("from 0.25s to 0.5s?</think>\nfrom 0.5s to 1s", video_record())
    ).events
    assert (event.model_start_seconds, event.model_end_seconds) == (0.5, 1.0)


def test_a_page_that_shows_the_tags_of_thoughts_is_whole():
    page = "<html><body><p>Put it in <answer>C</answer>.</p><p>End with </think></p></body></html>"
    for text in (page, f"```html\n{page}\n```", f"<think>A page.</think>\n{page}"):
        answer = read_answer(reply(text, picture_record()))
        words = [block.text for block in answer.document.blocks]
        assert words == ["Put it in <answer>C</answer>.", "End with </think>"]


@pytest.mark.parametrize("reason", ["length", "repetition", "cancelled"])
def test_a_stopped_reply_is_truncated(reason):
    text = "1,2,3,4 cat\n5,6,7,8 do"
    answer = read_answer(reply(text, picture_record(), finish_reason=reason))
    assert answer.truncated
    assert [box.label for box in answer.boxes] == ["cat"]


@pytest.mark.parametrize(
    "text",
    [
        "<think>Let me look",
        "  <think>\nHm",
        "**<think>** Hm",
        "4\n<think>or 5",
        "<THINKING>a <think>b",
    ],
)
def test_a_cut_thought_is_truncated_whatever_the_reason_of_the_end(text):
    assert read_answer(reply(text, picture_record())).truncated


@pytest.mark.parametrize(
    "text",
    [
        "<think>Well.</think>4",
        "4 <think>Well.</think>",
        "<think>Well. <answer>4</answer>",
        "Models write `<think>` first.",
        "Well.</think>",
        "4",
        "",
    ],
)
def test_an_ended_thought_is_not_truncated(text):
    assert not read_answer(reply(text, picture_record())).truncated


@pytest.mark.parametrize(
    "text",
    [
        '[{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [1',
        "```json\n[",
        '<points x1="1" y1="2" alt="a',
        '<tool_call>{"name": "x"',
        '<p data-bbox="1 2 3 4">text',
    ],
)
def test_a_cut_structure_is_truncated(text):
    assert read_answer(reply(text, picture_record())).truncated


def test_plain_text_is_a_plain_answer():
    answer = read_answer(reply("A red square.", picture_record()))
    assert (answer.text, answer.finish_reason, answer.token_ids) == (
        "A red square.",
        "stop",
        (1, 2, 3),
    )
    assert answer.usage.visual_tokens == 162
    assert answer.media[0].resize.original.width == 1000
    assert (answer.boxes, answer.points, answer.events, answer.tool_calls) == ((), (), (), ())
    assert answer.document is None
    assert not answer.truncated


def test_a_wrong_media_index_is_refused():
    with pytest.raises(ConfigError, match="media_index=1"):
        read_answer(reply("x", picture_record()), media_index=1)


def test_the_dictionary_is_plain_json():
    text = (
        '{"bbox_2d": [1, 2, 3, 4], "label": "é", "score": NaN} {"point_2d": [1, 2]} '
        '{"start_time": "00:00.50", "end_time": "00:01"}'
        '<tool_call>{"name": "a", "arguments": {"coordinate": [1, 2]}}</tool_call>'
    )
    made = read_answer(reply(text, video_record())).to_dict()
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert list(made) == [
        "schema_version",
        "text",
        "finish_reason",
        "truncated",
        "boxes",
        "points",
        "events",
        "tool_calls",
        "document",
        "document_media_index",
        "problems",
        "media",
        "usage",
        "token_ids",
        "logprobs",
        "notes",
    ]
    assert list(made["boxes"][0]) == [
        "box",
        "box_resized",
        "label",
        "attributes",
        "media_index",
        "placed_by",
        "clipped",
        "swapped",
    ]
    assert made["media"][0]["frame_seconds"] == [10.0, 10.4, 11.5, 12.0]


def test_log_probabilities_without_infinities():
    from dataclasses import replace

    entry = TokenLogprob(5, "a", -0.5, ((5, "a", -0.5), (6, "b", -inf)))
    made = read_answer(replace(reply("a"), logprobs=(entry,))).to_dict()
    assert made["logprobs"][0]["top"][1]["logprob"] is None
    json.dumps(made, allow_nan=False)
