# SPDX-License-Identifier: Apache-2.0
"""Points on a picture of 1000 by 1000 pixels, where a pixel is a thousandth, so that both readings are one."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.interop import draws_places
from tests.interop.pairs import Pair

SIDE = 1000


def mask(left: int, top: int, right: int, bottom: int) -> dict[str, Any]:
    """Run lengths of a mask that is on in a box, both edges included."""
    width = right - left + 1
    rows = bottom - top + 1
    between = [width, SIDE - width] * (rows - 1)
    runs = [top * SIDE + left, *between, width, SIDE * SIDE - bottom * SIDE - right - 1]
    return {"height": SIDE, "width": SIDE, "runs": runs}


def many(chance: random.Random) -> Pair:
    """Points for a request that counts, or for one that does not."""
    left, top = chance.randint(50, 800), chance.randint(50, 800)
    right, bottom = left + chance.randint(5, 90), top + chance.randint(5, 30)
    count = chance.randint(1, 4)
    said = [
        [
            chance.randint(left, right + chance.choice((0, 0, 9))),
            chance.randint(top, bottom + chance.choice((0, 0, 9))),
        ]
        for _ in range(max(1, count + chance.choice((0, 0, 0, -1, 1))))
    ]
    objects = json.dumps([{"point_2d": point, "label": "cup"} for point in said])
    boxes = json.dumps([{"bbox_2d": [x - 2, y - 2, x + 2, y + 2]} for x, y in said])
    corner = chance.choice(([left, top], [right, bottom], [right + 1, bottom], [left, top - 1]))
    way, text = chance.choice(
        (
            ("Qwen", objects),
            ("fence", f"```json\n{objects}\n```"),
            ("cut off", objects[:-12]),
            ("tuples", str([tuple(point) for point in said])),
            ("lists", str(said)),
            ("sentence", f"They are at {' and '.join(str(tuple(point)) for point in said)}."),
            ("corner", str(tuple(corner))),
            ("shares", str([tuple(value / SIDE for value in point) for point in said])),
            ("halves", str([(x + 0.25, y + 0.25) for x, y in said])),
            ("boxes", boxes),
            ("x and y", json.dumps([{"x": x, "y": y} for x, y in said])),
            ("outside", f"[(1400, 20), ({said[0][0]}, {said[0][1]})]"),
            ("huge", f"[({10**9}, 5)]"),
            ("words", "There are none."),
            ("nothing", ""),
        )
    )
    truth = {
        "mask": mask(left, top, right, bottom),
        "count": count,
        "is_count": chance.random() < 0.5,
        "size": [SIDE, SIDE],
    }
    return Pair(way, text, truth)


def box(chance: random.Random) -> Pair:
    """The boxes of `draws_places`, on the same picture."""
    pair = draws_places.box(chance)
    return Pair(pair.kind, pair.answer, {**pair.truth, "size": [SIDE, SIDE]})


def labelled_boxes(chance: random.Random) -> Pair:
    """Boxes of three kinds of things, all asked for at once."""
    names = ("cat", "dog", "wild bird")
    gold = []
    for _ in range(chance.randint(1, 4)):
        x, y = chance.randint(20, 700), chance.randint(20, 700)
        place = [x, y, x + chance.randint(40, 200), y + chance.randint(40, 200)]
        gold.append([chance.choice(names), place])
    said = [[label, [value + chance.randint(-9, 9) for value in place]] for label, place in gold]
    said += [["fish", [5, 5, 50, 50]]] if chance.random() < 0.2 else []
    chance.shuffle(said)
    objects = [{"bbox_2d": place, "label": label} for label, place in said]
    capitals = [{**each, "label": str(each["label"]).upper()} for each in objects]
    other_key = [{"bbox": place, "label": label} for label, place in said]
    way, text = chance.choice(
        (
            ("Qwen", json.dumps(objects)),
            ("fence", f"```json\n{json.dumps(objects, indent=1)}\n```"),
            ("words around", f"Here they are:\n```json\n{json.dumps(objects)}\n```\nDone."),
            ("some", json.dumps(objects[:1])),
            ("twice", json.dumps(objects + objects)),
            ("capitals", json.dumps(capitals)),
            ("another key", json.dumps(other_key)),
            ("no labels", json.dumps([{"bbox_2d": place} for _, place in said])),
            ("cut off", json.dumps(objects)[:-9]),
            ("one object", json.dumps(objects[0])),
            ("lines", "\n".join(json.dumps(each) for each in objects)),
            ("none", "There are none."),
            ("empty list", "[]"),
            ("nothing", ""),
        )
    )
    return Pair(way, text, {"names": list(names), "gold": gold, "size": [SIDE, SIDE]})
