# SPDX-License-Identifier: Apache-2.0
"""Turned pages and photographed sheets: read upright, with places on the page as it came."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from finesight.apps.document.pages import PageAddress, load
from finesight.apps.document.read import ReadOptions
from finesight.apps.document.turned import turned_box
from finesight.apps.document.upright import CORNERS_PROMPT, read_upright
from finesight.errors import RemoteError
from finesight.geometry import Box, Size, iou
from tests.support.app_responders import SURE, UNSURE, answered, asked
from tests.support.documents import boxes_of, lines_below, write_pdf

TEXTS = ["Annual report of the harbour", "Ships that came in: twelve", "Ships that left: nine"]
OPTIONS = ReadOptions(max_pixels=400_000, upright=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upright")
    return write_pdf(folder / "report.pdf", [lines_below(TEXTS, gap=60)])


@pytest.fixture(scope="module")
def scan(path):
    """The page without a text layer."""
    return replace(load(PageAddress(path, 0, 1, is_pdf=True)), lines=())


class Reader:
    """Reads the page if it sees it upright, else guesses; knows the corners of a sheet."""

    most_difference = 1.0

    def __init__(self, pixels, lines, corners=(), has_logprobs=True):
        self.pixels, self.lines, self.corners = pixels, lines, corners
        self.has_logprobs, self.calls = has_logprobs, []

    def respond(self, conversations, sampling):
        return [self.reply(asked(one)) for one in conversations]

    def reply(self, question):
        self.calls.append(question.text)
        seen = question.pictures[0]
        if question.text == CORNERS_PROMPT:
            points = []
            for x, y in self.corners:
                placed = question.numbers(Box(x, y, x, y))
                points.append({"point_2d": placed[:2], "label": "corner"})
            return answered(question, f"```json\n{json.dumps(points)}\n```")
        is_upright = (
            seen.shape == self.pixels.shape and self.difference(seen) < self.most_difference
        )
        if not is_upright:
            row = {"bbox_2d": [10, 10, 90, 40], "text_content": "jo ueqiso"}
            return self.kept(answered(question, json.dumps([row]), logprob=UNSURE))
        rows = [
            {"bbox_2d": question.numbers(box), "text_content": text} for text, box in self.lines
        ]
        text = "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]"
        if question.text.startswith("QwenVL HTML"):
            lines = [
                f'<p data-bbox="{" ".join(map(str, row["bbox_2d"]))}">{row["text_content"]}</p>'
                for row in rows
            ]
            text = "<html><body>\n" + "\n".join(lines) + "\n</body></html>"
        return self.kept(answered(question, text, logprob=SURE))

    def difference(self, seen):
        return float(np.abs(seen.astype(float) - self.pixels).mean())

    def kept(self, reply):
        return reply if self.has_logprobs else replace(reply, logprobs=())


@pytest.mark.parametrize("turn", range(4))
def test_a_turned_page_is_read_and_its_boxes_are_on_the_page_as_it_came(path, scan, turn):
    came = replace(scan, pixels=np.ascontiguousarray(np.rot90(scan.pixels, -turn)))
    reader = Reader(scan.pixels, boxes_of(path))
    read = read_upright(came, reader, OPTIONS)
    assert (read.turn, read.status) == (turn, "read")
    assert [one.block.text for one in read.blocks] == TEXTS
    height, width = scan.pixels.shape[:2]
    assert read.size == Size(*came.pixels.shape[1::-1])
    for one, (_, box) in zip(read.blocks, boxes_of(path), strict=True):
        assert iou(one.box, turned_box(box, Size(width, height), -turn)) > 0.9
    assert len(reader.calls) == 5


def test_quarter_turns_of_boxes_are_those_of_pixels():
    pixels = np.zeros((40, 60), np.uint8)
    pixels[5:15, 20:50] = 1
    for turns in range(-4, 5):
        box = turned_box(Box(20, 5, 50, 15), Size(60, 40), turns)
        rows, columns = np.nonzero(np.rot90(pixels, turns))
        assert (box.x1, box.y1) == (columns.min(), rows.min())
        assert (box.x2, box.y2) == (columns.max() + 1, rows.max() + 1)


def test_a_page_with_a_text_layer_is_not_asked_about(path):
    page = load(PageAddress(path, 0, 1, is_pdf=True))
    reader = Reader(page.pixels, boxes_of(path))
    read = read_upright(page, reader, OPTIONS)
    assert len(reader.calls) == 1
    assert read.turn == 0


def test_without_probabilities_the_page_stays_and_says_so(path, scan):
    read = read_upright(scan, Reader(scan.pixels, boxes_of(path), has_logprobs=False), OPTIONS)
    assert read.turn == 0
    assert read.problems == ("the page was not turned: the answers have no log-probabilities",)
    assert [one.block.text for one in read.blocks] == TEXTS


def test_an_error_of_the_question_does_not_lose_the_page(path, scan):
    class Broken(Reader):
        def respond(self, conversations, sampling):
            if len(conversations) == 4:
                raise RemoteError("the endpoint answered 500")
            return super().respond(conversations, sampling)

    read = read_upright(scan, Broken(scan.pixels, boxes_of(path)), OPTIONS)
    assert read.problems == (
        "whether the page is upright could not be asked: the endpoint answered 500",
    )
    assert [one.block.text for one in read.blocks] == TEXTS


# ------------------------------------------------------------------------------------------ photographed sheets


def photograph(scan):
    """The page on a dark table, seen from the side, and its corners."""
    height, width = scan.pixels.shape[:2]
    corners = [(140, 80), (140 + 0.8 * width, 130), (100 + 0.88 * width, 900), (60, 860)]
    rows = []
    for (u, v), (x, y) in zip(
        [(0, 0), (width, 0), (width, height), (0, height)], corners, strict=True
    ):
        rows.append(([x, y, 1, 0, 0, 0, -u * x, -u * y], u))
        rows.append(([0, 0, 0, x, y, 1, -v * x, -v * y], v))
    numbers = np.linalg.solve(np.array([row for row, _ in rows]), np.array([to for _, to in rows]))
    photo = Image.fromarray(scan.pixels).transform(
        (width, 1000), Image.Transform.PERSPECTIVE, list(numbers), Image.Resampling.BICUBIC,
        fillcolor=(60, 50, 40),
    )  # fmt: skip
    return np.asarray(photo), corners


def test_a_photographed_sheet_is_straightened(path, scan):
    pixels, corners = photograph(scan)
    came = replace(scan, pixels=pixels)

    class Flat(Reader):
        """Sees the straightened sheet at its own size."""

        most_difference = 12.0

        def reply(self, question):
            seen = question.pictures[0]
            height, width = seen.shape[:2]
            if question.text != CORNERS_PROMPT:
                whole = Image.fromarray(scan.pixels).resize((width, height))
                x, y = width / scan.pixels.shape[1], height / scan.pixels.shape[0]
                self.pixels = np.asarray(whole)
                self.lines = [
                    (text, Box(box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y))
                    for text, box in boxes_of(path)
                ]
            return super().reply(question)

    options = replace(OPTIONS, upright=False, is_photo=True)
    read = read_upright(came, Flat(scan.pixels, [], corners=corners[2:] + corners[:2]), options)
    assert [one.block.text for one in read.blocks] == TEXTS
    assert not read.problems
    assert read.size == Size(pixels.shape[1], pixels.shape[0])
    for one in read.blocks:
        box = one.box
        ink = pixels[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)].mean(2)
        assert ink.min() < 110, "the text is inside of its box"
        assert ink.mean() > 180


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        ([], "0 corners were found, not 4"),
        ([(10, 10), (12, 10), (12, 12), (10, 12)], "its corners enclose 0% of the picture"),
    ],
)
def test_without_four_corners_the_photograph_is_read_as_it_came(path, scan, corners, reason):
    reader = Reader(scan.pixels, boxes_of(path), corners=corners)
    read = read_upright(scan, reader, replace(OPTIONS, upright=False, is_photo=True))
    assert read.problems == (f"the sheet was not straightened: {reason}",)
    assert [one.block.text for one in read.blocks] == TEXTS
