# SPDX-License-Identifier: Apache-2.0
import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from finesight.errors import FinesightError
from finesight.parse.answer import read_answer
from finesight.present.page import LONGEST_SIDE
from finesight.present.report import ReportEntry, render_report, write_report
from tests.support.replies import picture_record, reply, video_record

EVIL = """</pre><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7 * 7 }}"'"""
BOXES = (
    '[{"bbox_2d": [0, 63, 252, 126], "label": "cup", "sub_label": "blue"},'
    ' {"bbox_2d": [600, 4, 3, 40], "label": "plate"}]'
)


class Page(HTMLParser):
    """Tags, attributes and text as a browser sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((name, value or "") for name, value in attrs)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def entry(text, *media, question="What?", **options):
    reason = options.pop("finish_reason", "stop")
    return ReportEntry(
        question=question, answer=read_answer(reply(text, *media, finish_reason=reason)), **options
    )


def page_of(*entries):
    return Page(render_report(entries))


def test_question_answer_and_facts_are_shown():
    page = page_of(entry(BOXES, picture_record("cake.png"), timings={"decode": 1.5}))
    for expected in (
        "What?",
        "cake.png",
        "original 1000 × 500",
        "model saw 504 × 252",
        "162 visual tokens",
        "finish: stop",
        "decode: 1.50 s",
        "0, 125, 500, 250",
        "0, 63, 252, 126",
        "clipped, corners swapped",
        '{"sub_label": "blue"}',
    ):
        assert expected in page.text, expected


def test_nothing_of_model_or_user_becomes_markup():
    text = f'[{{"bbox_2d": [1, 2, 3, 4], "label": "</td><script>x</script>", "k": "<i>"}}] {EVIL}'
    report = render_report(
        [entry(text, picture_record(EVIL), question=EVIL, timings={EVIL: 1.0})], title=EVIL
    )
    page = Page(report)
    assert "script" not in page.tags
    assert "i" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "{{ 7 * 7 }}" in page.text


def test_events_of_a_model_cannot_break_the_timeline():
    text = (
        '{"start_time": "00:00.50", "end_time": "00:01", "description": "</svg><script>x</script>"}'
    )
    page = page_of(entry(text, video_record()))
    assert "svg" in page.tags
    assert "script" not in page.tags
    assert "00:10.40 – 00:11.50" in page.text
    assert "4 frames, 00:10.00 – 00:12.00" in page.text


def test_nothing_is_fetched():
    report = render_report(
        [entry(BOXES, picture_record(), pictures={0: Image.new("L", (1000, 500))})]
    )
    sources = [value for name, value in Page(report).attributes if name in ("src", "href")]
    assert len(sources) == 1
    assert all(source.startswith("data:image/") for source in sources)
    assert "default-src 'none'" in report
    assert "http://" not in report.replace("http://www.w3.org/2000/svg", "")


def embedded(report):
    data = re.search(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)", report)
    return Image.open(io.BytesIO(base64.b64decode(data.group(1))))


def test_pictures_carry_the_marks_and_a_bounded_size():
    picture = Image.new("RGB", (4000, 2000), "white")
    record = picture_record(original=(4000, 2000))
    image = embedded(render_report([entry(BOXES, record, pictures={0: picture})]))
    assert max(image.size) == LONGEST_SIDE
    assert len(image.convert("RGB").getcolors(1_000_000)) > 1
    assert picture.getextrema() == ((255, 255),) * 3


def test_stopped_and_unread_answers_say_so():
    page = page_of(entry('[{"bbox_2d": [1, 2', picture_record(), finish_reason="length"))
    assert "truncated" in page.text
    assert "JSON is cut at character" in page.text
    assert "warn" in [value for name, value in page.attributes if name == "class"]


def test_unplaced_boxes_say_so():
    page = page_of(entry(BOXES, picture_record(), picture_record()))
    assert "picture not known" in page.text
    assert "Picture 2" in page.text


def test_points_calls_and_pages():
    arguments = '{"action": "left_click", "coordinate": [252, 126]}'
    call = f'<tool_call>{{"name": "computer_use", "arguments": {arguments}}}</tool_call>'
    page = page_of(
        entry('{"point_2d": [252, 126], "label": "pin"}', picture_record()),
        entry(call, picture_record(), finish_reason="tool_calls"),
        entry("", picture_record(page=2)),
    )
    for expected in (
        "pin",
        "500, 250",
        "computer_use",
        "left_click",
        "page 3",
        "(the answer is empty)",
    ):
        assert expected in page.text, expected


def test_numbers_in_tables_are_those_in_the_picture():
    text = '{"bbox_2d": [1, 2, 3, 4]} {"point_2d": [5, 6]} {"bbox_2d": [7, 8, 9, 10]}'
    report = render_report([entry(text, picture_record())])
    assert re.findall(r'class="swatch"[^>]*>(\d+)<', report) == ["1", "2", "3"]


def test_the_file_is_written_whole_or_not_at_all(tmp_path):
    write_report(tmp_path / "r.html", [entry("猫 \ud800", picture_record())])
    assert "猫" in (tmp_path / "r.html").read_text(encoding="utf-8")
    with pytest.raises(FinesightError, match="cannot be written"):
        write_report(tmp_path / "missing" / "r.html", [])
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
