# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.parse.events import read_events


def events(text, **options):
    return [
        (event.model_start_seconds, event.model_end_seconds, event.label)
        for event in read_events(text, **options).events
    ]


def messages(text, **options):
    return [problem.message for problem in read_events(text, **options).problems]


def test_the_official_list():
    text = (
        '```json\n[{"start_time": "00:00.00", "end_time": "00:21.80", "description": "He cooks."},\n'
        '{"start_time": "00:21.80", "end_time": "01:05.00", "description": "He eats."}]\n```'
    )
    assert events(text) == [(0.0, 21.8, "He cooks."), (21.8, 65.0, "He eats.")]


@pytest.mark.parametrize(
    "text",
    [
        '{"start": 3, "end": 5.5, "event": "a"}',
        '{"Start": 3, "End": 5.5, "event": "a"}',
        '{"startTime": "00:03", "endTime": "00:05.50", "event": "a"}',
        '{"start": 3, "end": 5.5, "event": "a", "points": 10}',
        '{"TimeRange": [3, 5.5], "event": "a"}',
        '{"start_time": "3", "end_time": "5.5s", "label": "a"}',
        '{"timestamp": "3 - 5.5 seconds", "event": "a"}',
        '{"timestamp": "00:03 - 00:05.50", "event": "a"}',
        '{"timestamp": "3.0-5.5", "event": "a"}',
        '{"timestamps": [3, "5.5"], "sentence": "a"}',
        "3 - 5.5 seconds: a",
        "**00:03 - 00:05.50** a",
        "From 3s to 5.5s, a.",
        "[00:03.00 - 00:05.50] a",
    ],
)
def test_every_form_of_one_event(text):
    assert events(text) == [(3.0, 5.5, "a")]


def test_a_sentence_is_its_own_label():
    text = "The given query happens in 64.0 - 72.0 seconds."
    assert events(text) == [(64.0, 72.0, "The given query happens in 64.0 - 72.0 seconds")]


def test_several_events_in_a_line():
    text = "00:01 - 00:02 he comes; 00:03 - 00:04 he goes\n00:05 - 00:06 he is gone"
    assert events(text) == [(1, 2, "he comes"), (3, 4, "he goes"), (5, 6, "he is gone")]


@pytest.mark.parametrize(
    "said",
    [
        '"relevant_windows": [["00:05", "00:10"], [12, 20.5]]',
        '"timestamps": [[5, 10], ["12", "20.5"]]',
        '"moments": ["5 - 10", "00:12 - 00:20.50"]',
        '"intervals": ["5s to 10s", [12, 20.5]]',
    ],
)
def test_several_stretches_of_one_event(said):
    assert events(f'{{{said}, "event": 7}}') == [(5, 10, "7"), (12, 20.5, "7")]


@pytest.mark.parametrize(
    "text",
    [
        '{"windows": 3}',
        '{"moments": ["first", "last"]}',
        '{"timestamps": []}',
        '{"time": 3, "x1": 1, "y1": 2, "x2": 3, "y2": 4}',
    ],
)
def test_what_is_no_stretch_of_time(text):
    assert events(text) == []
    assert messages(text) == []


def test_a_list_of_events_is_left_to_them():
    assert events('{"segments": [{"start": 1, "end": 2, "label": "a"}]}') == [(1, 2, "a")]


def test_times_with_long_decimals():
    text = '{"start": 1.12345678901234567890, "end": "00:02.12345678901234567890"}'
    assert events(text) == [(1.1234567890123457, 2.1234567890123457, "")]
    assert events("1.12345678901234567890 - 2.5 seconds")[0][0] == 1.1234567890123457


def test_a_moment():
    assert events('{"time": "00:05", "event": "bang"}') == [(5.0, 5.0, "bang")]


def test_swapped_ends_are_put_in_order_and_flagged():
    (event,) = read_events("20 - 10 seconds").events
    assert (event.model_start_seconds, event.model_end_seconds, event.swapped) == (10, 20, True)


def test_json_goes_before_sentences():
    text = 'I see it from 1s to 2s: {"start_time": "00:03", "end_time": "00:04"}'
    assert events(text) == [(3.0, 4.0, "")]


def test_a_box_at_a_time_is_a_box():
    assert events('{"time": 3.0, "bbox_2d": [1, 2, 3, 4]}') == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"start_time": "00:03"}', "an event has start_time without the other end"),
        ('{"Start": 1, "start": 2, "end": 3}', "an event has both 'Start' and 'start'"),
        ('{"end": 3}', "an event has end without the other end"),
        ('{"start": "soon", "end": 3}', "'soon' is not a time"),
        ('{"start": null, "end": 3}', "None is not a time"),
        ('{"start": -1, "end": 3}', "-1 is not a time"),
        ('{"timestamp": [1, 2, 3]}', "a time span has 3 ends, not two"),
        ("00:75 - 00:80", "time '00:75' has a field of 60 or more after a colon"),
        ('{"start": "0:00:01:05", "end": 3}', "time '0:00:01:05' counts frames and no frame rate"),
    ],
)
def test_half_an_event_is_reported(value, message):
    assert events(value) == []
    assert messages(value)[0].startswith(message)


def test_a_cut_list_keeps_the_whole_events():
    text = (
        '[{"start_time": "00:00", "end_time": "00:01"}, {"start_time": "00:02", "end_time": "00:1'
    )
    assert events(text) == [(0.0, 1.0, "")]
    assert read_events(text).is_cut
    assert messages(text) == ["the object of an event is not closed"]


def test_a_time_at_the_end_of_a_cut_reply_is_not_trusted():
    assert events("00:01 - 00:1", is_cut=True) == []
    assert messages("00:01 - 00:1", is_cut=True) == ["the last time was cut before its end"]


@pytest.mark.parametrize("text", ["ratio 16:9 and 4:3 (4:3)", "at 16:9", "[2:1]"])
def test_a_ratio_is_no_time(text):
    assert events(text) == []
    assert messages(text) == []
    assert events("at 0:05 (1:02:03)")[0][:2] == (5, 5)
