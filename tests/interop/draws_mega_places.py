# SPDX-License-Identifier: Apache-2.0
"""Boxes and points in fields of answers to MEGA-Bench; numbers are shares of the picture."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from tests.interop.draws_mega import field_pair
from tests.interop.pairs import Pair

PLACES = (
    *("nbbox_iou_tuple", "nbbox_iou_single", "nbbox_iou_sequence", "xml_nbbox_iou_single"),
    *("dict_nbbox_iou_tuple_agg_jaccard", "xml_norm_point_in_bbox", "xml_norm_point_distance"),
    "sequence_coords_similarity",
)


def _share_box(chance: random.Random) -> list[float]:
    x, y = chance.uniform(0, 0.6), chance.uniform(0, 0.6)
    ends = (x + chance.uniform(0.05, 0.4), y + chance.uniform(0.05, 0.4))
    return [round(value, 3) for value in (x, y, *ends)]


def _near(values: Sequence[float], chance: random.Random) -> list[float]:
    return [round(value + chance.choice((0, 0.02, -0.03, 0.1)), 3) for value in values]


def place(chance: random.Random) -> Pair:
    """Boxes and points as shares of the picture."""
    metric = chance.choice(PLACES)
    gold = [_share_box(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
    near = [_near(box, chance) for box in gold]
    if metric.startswith("xml_norm"):
        return _point_field(metric, gold, chance)
    if metric == "sequence_coords_similarity":
        return _coordinates(metric, gold, near, chance)
    if metric == "xml_nbbox_iou_single":
        tag = f"<box>{str(near[0])[1:-1]}</box>"
        said = chance.choice(
            (tag, f"It is {tag}.", tag * 2, near[0], "<box>1, 2</box>", str(near[0]), "")
        )
        return field_pair("tags", metric, said, f"<box>{str(gold[0])[1:-1]}</box>")
    if metric == "nbbox_iou_single":
        return field_pair(*_box_form(metric, [near[0]], chance), str(gold[0]))
    if metric == "dict_nbbox_iou_tuple_agg_jaccard":
        wanted = {"cat": [tuple(box) for box in gold], "dog": [[0.1, 0.1, 0.9, 0.9]]}
        found = {"cat": near, "dog": chance.choice(([], [near[0]], "[0.1, 0.1, 0.9, 0.9]"))}
        said = chance.choice((found, found, {"cat": near}, {**found, "cow": near}, {}, [near], ""))
        return field_pair("boxes by name", metric, said, wanted)
    return field_pair(*_box_form(metric, near, chance), str(gold))


def _box_form(metric: str, near: list[list[float]], chance: random.Random) -> tuple[str, str, Any]:
    one = near[0]
    way, said = chance.choice(
        (
            *(("text", str(near)), ("JSON", near), ("one", str(one)), ("one of JSON", one)) * 2,
            ("tuples", str([tuple(box) for box in near])),
            ("tuple of tuples", str(tuple(tuple(box) for box in near))),
            ("swapped corners", str([one[2], one[3], one[0], one[1]])),
            ("swapped and another", str([[one[2], one[3], one[0], one[1]], one])),
            ("three numbers", str(one[:3])),
            ("five numbers", str([*one, 1])),
            ("words among them", str([one, "cat"])),
            ("bare", str(one)[1:-1]),
            ("sentence", f"The box is {one}."),
            ("words", "no box"),
            ("pixels", str([value * 1000 for value in one])),
            ("more boxes", str([*near, one])),
            ("empty", "[]"),
            ("nothing", ""),
        )
    )
    return way, metric, said


def _point_field(metric: str, gold: Sequence[Sequence[float]], chance: random.Random) -> Pair:
    x1, y1, x2, y2 = gold[0]
    middle = ((x1 + x2) / 2, (y1 + y2) / 2)
    x, y = chance.choice((middle, (x1, y1), (x2 + 0.05, y2), (0.99, 0.01), (1.2, 0.5)))
    tag = f"<point>{x}, {y}</point>"
    way, said = chance.choice(
        (
            *(("tag", tag),) * 4,
            ("sentence", f"It is at {tag}."),
            ("two tags", tag * 2),
            ("list", [x, y]),
            ("text", f"({x}, {y})"),
            ("three numbers", f"<point>{x}, {y}, 1</point>"),
            ("percent", f"<point>{x}%, {y}%</point>"),
            ("words", "<point>here</point>"),
            ("nothing", ""),
        )
    )
    if metric == "xml_norm_point_in_bbox":
        return field_pair(way, metric, said, [str(tuple(box)) for box in gold])
    return field_pair(way, metric, said, f"<point>{middle[0]}, {middle[1]}</point>")


def _coordinates(
    metric: str,
    gold: Sequence[Sequence[float]],
    near: Sequence[Sequence[float]],
    chance: random.Random,
) -> Pair:
    wanted = [tuple(box[:2]) for box in gold]
    found = [tuple(box[:2]) for box in near]
    way, said = chance.choice(
        (
            *(("text", str(found)), ("JSON", found)) * 3,
            ("brackets", json.dumps(found)),
            ("bare", str(found)[1:-1]),
            ("one more", str([*found, (0.5, 0.5)])),
            ("three numbers", str([(*point, 1) for point in found])),
            ("words among them", str([*found, "cat"])),
            ("words", "no point"),
            ("empty", "[]"),
            ("nothing", ""),
        )
    )
    return field_pair(way, metric, said, str(wanted))
