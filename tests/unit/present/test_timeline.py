# SPDX-License-Identifier: Apache-2.0
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from finesight.present.marks import PALETTE, TimeSpan
from finesight.present.sheet import MOST_FRAMES, chosen_frames, contact_sheet
from finesight.present.timeline import axis_ends, lanes_of, ticks, timeline_svg


def span(start, end, label="", number=1):
    return TimeSpan(
        start_seconds=start,
        end_seconds=end,
        label=label,
        colour=PALETTE[(number - 1) % len(PALETTE)],
        number=number,
    )


def test_events_that_overlap_lie_in_lanes():
    spans = [span(0, 5), span(3, 8), span(5, 6), span(20, 20), span(20, 21)]
    assert lanes_of(spans) == [0, 1, 0, 0, 0]
    assert lanes_of(spans, shortest_seconds=2) == [0, 1, 0, 0, 1]


def test_the_axis_holds_clip_and_events():
    assert axis_ends([span(-1, 3), span(5, 30)], 0, 10) == (-1, 30)
    first, last = axis_ends([], 5, 5)
    assert last > first == 5


@pytest.mark.parametrize(("first", "last"), [(0, 0.1), (0, 9), (10, 12.5), (0, 3600), (0, 10**6)])
def test_ticks_are_round_and_few(first, last):
    found = ticks(first, last)
    assert 1 <= len(found) <= 12
    assert all(first <= tick <= last + 1e-6 for tick in found)


def test_the_svg_is_well_formed_whatever_the_labels_say():
    spans = [span(0, 5, '</text><script>alert("x")</script>&', 1), span(3, 3, "猫" * 300, 2)]
    root = ElementTree.fromstring(timeline_svg(spans, start_seconds=0, end_seconds=10))
    names = {element.tag.split("}")[1] for element in root.iter()}
    assert names == {"svg", "path", "text", "g", "title", "rect"}
    assert "00:03.00 – 00:03.00" in "".join(root.itertext())


def test_the_svg_of_no_events_is_an_axis():
    ElementTree.fromstring(timeline_svg([], start_seconds=0, end_seconds=0))


@pytest.mark.parametrize(
    ("num", "most", "chosen"),
    [(3, 5, [0, 1, 2]), (10, 4, [0, 3, 6, 9]), (5, 1, [0]), (2, 2, [0, 1])],
)
def test_frames_are_thinned_evenly(num, most, chosen):
    assert chosen_frames(num, most) == chosen


def test_a_contact_sheet_shows_frames_and_events():
    frames = [Image.new("RGB", (320, 180), (shade, shade, shade)) for shade in range(0, 240, 40)]
    seconds = [float(index) for index in range(len(frames))]
    spans = [span(1, 2, "walks", 1), span(2, 4, "音楽", 2)]
    sheet = contact_sheet(frames, seconds, spans=spans)
    plain = contact_sheet(frames, seconds)
    assert sheet.width == plain.width == 1280
    assert sheet.height > plain.height
    colours = {colour for _, colour in sheet.getcolors(1_000_000)}
    assert {PALETTE[0], PALETTE[1]} <= colours


@pytest.mark.parametrize("size", [(1920, 1080), (100, 900), (1, 1)])
@pytest.mark.parametrize("num", [1, 2, MOST_FRAMES + 10])
def test_any_number_and_shape_of_frames(size, num):
    sheet = contact_sheet([Image.new("L", size)] * num, list(range(num)), spans=[span(0, 0)])
    assert sheet.width == 1280


@pytest.mark.parametrize(("frames", "seconds"), [(0, 0), (2, 1)])
def test_frames_and_times_go_together(frames, seconds):
    with pytest.raises(ValueError, match="frames"):
        contact_sheet([Image.new("L", (8, 8))] * frames, [0.0] * seconds)
