# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.errors import ParseError
from finesight.parse.times import parse_time, read_spans


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("64.0", 64.0),
        ("64", 64.0),
        ("3.2s", 3.2),
        ("3.2 seconds", 3.2),
        ("00:21.80", 21.8),
        ("00:21,80", 21.8),
        ("1:02:03.04", 3723.04),
        ("12:34.56s", 754.56),
        ("75:10", 4510.0),
        ("1h2m3s", 3723.0),
        ("1 hour 2 minutes and 3 seconds", 3723.0),
        ("2 min", 120.0),
        ("1分5秒", 65.0),
    ],
)
def test_times(text, seconds):
    assert parse_time(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize("text", ["", "soon", "00:75", "1:75:00", "1:2:3:4:5", "-3", "5 - 6", "3x"])
def test_what_is_no_time(text):
    with pytest.raises(ParseError):
        parse_time(text)


def test_frames_are_refused():
    with pytest.raises(ParseError, match="frame rate"):
        parse_time("1:02:03:04")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("The given query happens in 64.0 - 72.0 seconds.", 64.0, 72.0),
        ("The event happens in the 24.3 - 30.4 seconds.", 24.3, 30.4),
        ("from 3.2s to 5s", 3.2, 5.0),
        ("0.0s to 5.0s", 0.0, 5.0),
        ("From 00:12 to 00:20", 12.0, 20.0),
        ("between 3 and 5 seconds", 3.0, 5.0),
        ("The event starts at 4 and ends at 8.", 4.0, 8.0),
        ("starts at 4\nends at 8", 4.0, 8.0),
        ("The start time is 3s and the end time is 5s.", 3.0, 5.0),
        ("00:00.00 - 00:21.80: a man", 0.0, 21.8),
        ("[1:02:03.04 – 1:02:05]", 3723.04, 3725.0),
        ("12:34.56s to 13:00.00s", 754.56, 780.0),
        ("from 1 - 2 minutes", 60.0, 120.0),
        ("1m 5s to 1m 10s", 65.0, 70.0),
        ("从3.2秒到5秒", 3.2, 5.0),
        ("20 - 10 seconds", 20.0, 10.0),
        ("at 3.2 seconds", 3.2, 3.2),
        ("It ends in 3 minutes and 5 seconds", 185.0, 185.0),
    ],
)
def test_sentences(text, start, end):
    (span,) = read_spans(text)
    assert (span.start_seconds, span.end_seconds) == pytest.approx((start, end))


@pytest.mark.parametrize(
    "text",
    [
        "5 - 15",
        "2-3 people",
        "2024-05-06",
        "at 5:30 pm",
        "between 3.2 and 5.1",
        "room 00:75 - 00:80",
    ],
)
def test_numbers_that_do_not_say_that_they_are_times(text):
    assert read_spans(text) == ()


def test_bare_numbers_on_request():
    (span,) = read_spans("5 - 15", bare_numbers=True)
    assert (span.start_seconds, span.end_seconds) == (5.0, 15.0)


def test_a_fraction_is_never_dropped():
    """Fails if a match may stop within a number."""
    (span,) = read_spans("00:01.25 - 00:21.80: he sits")
    assert span.end_seconds == 21.8
