# SPDX-License-Identifier: Apache-2.0
"""Stretches of time, boxes and points, as models write them; numbers are pixels of the picture."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from tests.interop.pairs import Pair

SIZE = (640, 480)


def interval(chance: random.Random) -> Pair:
    """One event of a video."""
    start = round(chance.uniform(0, 40), 1)
    end = round(start + chance.uniform(0.5, 20), 1)
    first = max(0.0, round(start + chance.uniform(-4, 4), 1))
    last = round(end + chance.uniform(-4, 4), 1)
    clock = (
        f"{int(first) // 60:02d}:{int(first) % 60:02d}",
        f"{int(last) // 60:02d}:{int(last) % 60:02d}",
    )
    way, said = chance.choice(
        (
            ("dash", f"The event happens in the {first} - {last} seconds."),
            ("to", f"It happens from {first} to {last}"),
            ("seconds", f"{first}s to {last}s"),
            ("long dash", f"The event happens in {first} – {last} seconds"),
            ("starts and ends", f"The event starts at {first} and ends at {last}."),
            ("two lines", f"Start time: {first}\nEnd time: {last}"),
            ("clock", f"From {clock[0]} to {clock[1]}"),
            ("clock with dash", f"{clock[0]} - {clock[1]}"),
            ("clock and words", f"The event starts at {clock[0]} and ends at {clock[1]}"),
            ("backwards", f"{last} - {first}"),
            ("JSON", json.dumps([{"start": first, "end": last}])),
            ("list", f"[{first}, {last}]"),
            ("bare", f"{first} - {last}"),
            ("one number", f"It happens at {first}"),
            ("no number", "I cannot tell when"),
            ("another number first", f"There are 3 people. It happens in {first} - {last}."),
            ("two events", f"{first} - {last} and 90 - 95"),
            ("moment", f"{first} - {first}"),
            ("nothing", ""),
        )
    )
    return Pair(way, said, {"span": [start, end]})


def _near(box: Sequence[int], chance: random.Random) -> list[int]:
    return [max(0, value + chance.randint(-25, 25)) for value in box]


def _gold(chance: random.Random) -> list[int]:
    x, y = chance.randint(20, 400), chance.randint(20, 300)
    return [x, y, x + chance.randint(30, 160), y + chance.randint(30, 120)]


def box(chance: random.Random) -> Pair:
    """One box in pixels."""
    gold = _gold(chance)
    said = _near(gold, chance)
    other = [500, 400, 560, 460]
    way, text = chance.choice(
        (
            ("JSON", json.dumps([{"bbox_2d": said, "label": "cat"}])),
            ("fenced", f"```json\n{json.dumps([{'bbox_2d': said, 'label': 'cat'}])}\n```"),
            ("bare", str(said)),
            ("sentence", f"The cat is at {said}."),
            ("object", json.dumps({"bbox": said})),
            ("cut off", json.dumps([{"bbox_2d": said, "label": "cat"}])[:-10]),
            ("two boxes", json.dumps([{"bbox_2d": other}, {"bbox_2d": said}])),
            ("two boxes, right first", json.dumps([{"bbox_2d": said}, {"bbox_2d": other}])),
            ("swapped", str([said[2], said[3], said[0], said[1]])),
            ("decimals", str([value + 0.25 for value in said])),
            ("thousandths", str(_thousandths(said))),
            ("no box", "There is no cat."),
            ("three numbers", str(said[:3])),
            ("nothing", ""),
        )
    )
    x1, y1, x2, y2 = gold
    truth = {"box": gold, "xywh": [x1, y1, x2 - x1, y2 - y1], "size": list(SIZE)}
    return Pair(way, text, truth)


def _thousandths(values: Sequence[int]) -> list[int]:
    return [round(value * 1000 / SIZE[at % 2]) for at, value in enumerate(values)]


def point(chance: random.Random) -> Pair:
    """A click in pixels."""
    gold = _gold(chance)
    x = round((gold[0] + gold[2]) / 2) + chance.choice((0, 0, 5, 40, 90))
    y = round((gold[1] + gold[3]) / 2) + chance.choice((0, 0, 5, 40, 90))
    corner = chance.choice(([gold[0], gold[1]], [gold[2], gold[3]], [gold[2] + 1, gold[3]]))
    way, text = chance.choice(
        (
            ("brackets", f"({x}, {y})"),
            ("list", f"[{x}, {y}]"),
            ("call", f"pyautogui.click(x={x}, y={y})"),
            ("JSON", json.dumps({"x": x, "y": y})),
            ("point_2d", json.dumps([{"point_2d": [x, y], "label": "button"}])),
            ("corner", f"({corner[0]}, {corner[1]})"),
            ("box in a tag", f"<bbox>{x - 9}, {y - 9}, {x + 9}, {y + 9}</bbox>"),
            ("box", json.dumps([{"bbox_2d": [x - 9, y - 9, x + 9, y + 9]}])),
            ("sentence", f"Click on the button at ({x}, {y})."),
            ("bare", f"{x}, {y}"),
            ("shares", f"({x / SIZE[0]:.3f}, {y / SIZE[1]:.3f})"),
            ("number in the text", f"I see 2 buttons and 3 links, click ({x}, {y})"),
            ("no point", "There is no such button."),
            ("nothing", ""),
        )
    )
    x1, y1, x2, y2 = gold
    return Pair(way, text, {"box": [x1, y1, x2, y2], "size": list(SIZE)})


def detections(chance: random.Random) -> Pair:
    """A few pictures with boxes said and boxes there; the answer is not text here."""
    names = ("cat", "dog", "bird")
    pictures = []
    for _ in range(chance.randint(1, 4)):
        gold = [[chance.choice(names), _gold(chance)] for _ in range(chance.randint(0, 4))]
        said = [[label, _near(place, chance)] for label, place in gold if chance.random() < 0.8]
        said += [
            [chance.choice((*names, "fish")), _gold(chance)] for _ in range(chance.randint(0, 2))
        ]
        said += said[:1] if chance.random() < 0.2 else []
        chance.shuffle(said)
        pictures.append({"pred": said, "gold": gold})
    return Pair("pictures", "", {"pictures": pictures, "names": list(names)})
