# SPDX-License-Identifier: Apache-2.0
"""Questions about a scene, with answers in the official formats.

Boxes are a JSON list in a fenced block, one tab-indented object per line; points are XML or JSON. The answer to a count
is the points of the counted objects, then the number: a small model locates objects one by one better than it
estimates a number, and the user can check it. The answer about an absent object is "none", or "0" for a count. Objects
are sorted by their top edge, then their left edge.

The first wordings are those of the Qwen2.5-VL cookbooks; a few paraphrases follow.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finesight.data.record import SceneObject

__all__ = ["ScenePlan", "Turn", "ask", "fenced", "row_of"]

NONE = "none"
DETECT = (
    "Locate every {name} in the image and output the coordinates in JSON format.",
    "Outline the position of each {name} and output all the coordinates in JSON format.",
    "Detect all {name} objects and report the bbox coordinates in JSON format.",
)
REFER = (
    "Locate the {phrase}, output its bbox coordinates using JSON format.",
    "Locate the {phrase}, report the bbox coordinates in JSON format.",
)
POINT_XML = (
    "Point to the {phrase}, output its coordinates in XML format <points x y>object</points>",
    "point to the {phrase}, output its coordinates in XML format <points x y>object</points>",
)
POINT_JSON = (
    "Point to every {name} in the image and output the coordinates in JSON format.",
    "Point to each {name}, output the point coordinates in JSON format.",
)
COUNT = ("How many {plural} are there in the image?", "Count the {plural} in the image.")
LIST_ALL = (
    "Locate every object in the image and output the coordinates in JSON format.",
    "Please output bbox coordinates and names of every item in this image in JSON format.",
)
CATEGORIES = (
    "Locate every item from the category list in the image and output the coordinates in JSON format. "
    "The category set includes {names}.",
)
NAME_BOX = ("What is in the box {box}?", "What is the object in the region {box}?")
PRESENT = ("Is there a {name} in the image?",)
SPOTTING = ("Spotting all the text in the image with line-level, and output in JSON format.",)
READ = ("Read all the text in the image.",)
UNCOUNTED = frozenset({"glasses", "sunglasses", "scissors", "jeans", "shorts", "headphones", "dice", "grapes",
                       "cherries", "fries", "socks", "gloves", "pancakes", "blueberries", "sushi", "bread", "rice",
                       "honey", "lightning", "salad", "broccoli", "popcorn", "bacon", "fish", "tropical fish", "deer",
                       "shrimp", "luggage", "garlic", "candy", "cheese", "corn"})  # fmt: skip
"""Names whose plural is the same word."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its answer and what an evaluation needs to score it.

    Attributes:
        question: text of the user.
        answer: in the official format.
        task: kind of question, object name, indices of the objects in the answer.
    """

    question: str
    answer: str
    task: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """What can be asked about a scene.

    Attributes:
        objects: every object, sorted by top edge, then left edge; the name of a word is its text.
        words: indices of the objects that are words.
        absent: names of objects that are not in the scene, for questions about absent objects.
        target: name of the crowd (the object that is repeated), or "".
    """

    objects: tuple[SceneObject, ...]
    words: frozenset[int]
    absent: tuple[str, ...]
    target: str = ""
    names: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        named = (self.objects[index].name for index in self.indices())
        object.__setattr__(self, "names", Counter(named))

    def indices(self, names: Container[str] | None = None) -> list[int]:
        """Objects that are not words: those with one of the names, or all."""
        return [
            index
            for index, thing in enumerate(self.objects)
            if index not in self.words and (names is None or thing.name in names)
        ]

    def some_name(self, rng: random.Random) -> str:
        """Name of an object in the scene: in 80% of the draws that of the crowd, if there is one."""
        if self.target in self.names and rng.random() < 0.8:
            return self.target
        return rng.choice(sorted(self.names))


def ask(rng: random.Random, plan: ScenePlan, num_turns: int, absent_share: float) -> list[Turn]:
    """Draw up to `num_turns` different questions.

    Args:
        rng: random generator.
        plan: the scene.
        num_turns: largest number of questions.
        absent_share: share of questions by object name that ask for an absent object.
    """
    turns: list[Turn] = []
    seen: set[str] = set()
    kinds, weights = list(_KINDS), [weight for _, weight in _KINDS.values()]
    for _ in range(4 * num_turns):
        if len(turns) == num_turns:
            break
        make = _KINDS[rng.choices(kinds, weights)[0]][0]
        turn = make(rng, plan, rng.random() < absent_share)
        key = f"{turn.task['kind']}/{turn.task.get('name', '')}" if turn else ""
        if turn and key not in seen:
            seen.add(key)
            turns.append(turn)
    return turns or [_absent_count(rng, plan)]


def _detect(rng: random.Random, plan: ScenePlan, is_absent: bool) -> Turn | None:
    name = _name(rng, plan, is_absent)
    found = plan.indices([name])
    question = rng.choice(DETECT).format(name=name)
    return Turn(question, _boxes(plan, found), _task("detect", name, found))


def _count(rng: random.Random, plan: ScenePlan, is_absent: bool) -> Turn | None:
    # Without these shares most counts would be 0 or 1.
    is_absent = is_absent and rng.random() < 0.35
    has_crowd = plan.target in plan.names
    if not has_crowd and rng.random() < 0.85:
        return None
    is_crowd = has_crowd and not is_absent and rng.random() < 0.9
    name = plan.target if is_crowd else _name(rng, plan, is_absent)
    found = plan.indices([name])
    question = rng.choice(COUNT).format(plural=plural(name))
    answer = f"{_points_xml(plan, found, name)}\n{len(found)}" if found else "0"
    return Turn(question, answer, _task("count", name, found))


def _absent_count(rng: random.Random, plan: ScenePlan) -> Turn:
    """A question that every scene allows."""
    name = rng.choice(plan.absent)
    return Turn(rng.choice(COUNT).format(plural=plural(name)), "0", _task("count", name, []))


def _point_json(rng: random.Random, plan: ScenePlan, is_absent: bool) -> Turn | None:
    name = _name(rng, plan, is_absent)
    found = plan.indices([name])
    rows = [row_of("point_2d", _centre(plan.objects[index]), "label", name) for index in found]
    question = rng.choice(POINT_JSON).format(name=name)
    return Turn(question, fenced(rows), _task("point_json", name, found))


def _point_xml(rng: random.Random, plan: ScenePlan, is_absent: bool) -> Turn | None:
    if is_absent or not plan.names:
        name = phrase = _name(rng, plan, True)
        found: list[int] = []
    else:
        name, phrase, found = _referred(rng, plan)
        if not found and plan.names[name] <= 5:
            phrase, found = name, plan.indices([name])
        if not found:
            return None
    question = rng.choice(POINT_XML).format(phrase=phrase)
    answer = _points_xml(plan, found, phrase) if found else NONE
    return Turn(question, answer, _task("point_xml", name, found))


def _refer(rng: random.Random, plan: ScenePlan, is_absent: bool) -> Turn | None:
    if is_absent or not plan.names:
        name = _name(rng, plan, True)
        return Turn(rng.choice(REFER).format(phrase=name), NONE, _task("refer", name, []))
    name, phrase, found = _referred(rng, plan)
    if not found:
        return None
    question = rng.choice(REFER).format(phrase=phrase)
    return Turn(question, _boxes(plan, found), _task("refer", name, found))


def _name_box(rng: random.Random, plan: ScenePlan, _is_absent: bool) -> Turn | None:
    if not plan.objects:
        return None
    index = rng.randrange(len(plan.objects))
    thing = plan.objects[index]
    question = rng.choice(NAME_BOX).format(box=list(thing.box))
    kind = "read_box" if index in plan.words else "name_box"
    return Turn(question, thing.name, _task(kind, thing.name, [index]))


def _list_all(rng: random.Random, plan: ScenePlan, _is_absent: bool) -> Turn | None:
    found = plan.indices()
    if len(found) > 8:
        return None
    return Turn(rng.choice(LIST_ALL), _boxes(plan, found), _task("list_all", "", found))


def _categories(rng: random.Random, plan: ScenePlan, _is_absent: bool) -> Turn | None:
    if not plan.names:
        return None
    present = rng.sample(sorted(plan.names), min(len(plan.names), rng.randint(1, 2)))
    asked = [*present, *rng.sample(plan.absent, min(len(plan.absent), rng.randint(0, 2)))]
    rng.shuffle(asked)
    found = plan.indices(asked)
    if len(found) > 8:
        return None
    question = rng.choice(CATEGORIES).format(names=", ".join(asked))
    return Turn(question, _boxes(plan, found), _task("categories", "", found))


def _present(rng: random.Random, plan: ScenePlan, _is_absent: bool) -> Turn | None:
    name = _name(rng, plan, rng.random() < 0.5)
    found = plan.indices([name])
    answer = "Yes" if found else "No"
    return Turn(rng.choice(PRESENT).format(name=name), answer, _task("present", name, found))


def _spotting(rng: random.Random, plan: ScenePlan, _is_absent: bool) -> Turn | None:
    if not plan.words:
        return None
    found = sorted(plan.words)
    if len(found) == 1 and rng.random() < 0.4:
        return Turn(READ[0], plan.objects[found[0]].name, _task("read", "", found))
    answer = _boxes(plan, found, "text_content")
    return Turn(rng.choice(SPOTTING), answer, _task("spotting", "", found))


_KINDS: dict[str, tuple[Callable[[random.Random, ScenePlan, bool], Turn | None], float]] = {
    "detect": (_detect, 0.20),
    "count": (_count, 0.20),
    "refer": (_refer, 0.15),
    "point_xml": (_point_xml, 0.10),
    "point_json": (_point_json, 0.10),
    "name_box": (_name_box, 0.08),
    "present": (_present, 0.05),
    "spotting": (_spotting, 0.05),
    "list_all": (_list_all, 0.04),
    "categories": (_categories, 0.03),
}


def _referred(rng: random.Random, plan: ScenePlan) -> tuple[str, str, list[int]]:
    """A name, a phrase for exactly one of its objects, and that object; no object if every phrase is ambiguous."""
    name = plan.some_name(rng)
    found = plan.indices([name])
    if len(found) == 1:
        return name, name, found
    ways = list(_EXTREMES)
    rng.shuffle(ways)
    for way in ways:
        measure, least, sign = _EXTREMES[way]
        ranked = sorted(found, key=lambda index: -sign * measure(plan.objects[index]))
        low, high = sorted(measure(plan.objects[index]) for index in ranked[:2])
        gap = high / low if measure is _area else high - low
        if gap >= least:
            return name, f"{way} {name}", ranked[:1]
    return name, name, []


def _area(thing: SceneObject) -> float:
    x1, y1, x2, y2 = thing.box
    return float((x2 - x1) * (y2 - y1))


_EXTREMES: dict[str, tuple[Callable[[SceneObject], float], float, int]] = {
    "left-most": (lambda thing: thing.box[0] + thing.box[2], 20, -1),
    "right-most": (lambda thing: thing.box[0] + thing.box[2], 20, 1),
    "top-most": (lambda thing: thing.box[1] + thing.box[3], 20, -1),
    "bottom-most": (lambda thing: thing.box[1] + thing.box[3], 20, 1),
    "largest": (_area, 1.4, 1),
    "smallest": (_area, 1.4, -1),
}
"""Superlative: measure, least difference to the next object (twice the pixels, or a ratio of areas), and 1 for the
largest value or -1 for the smallest."""


def plural(name: str) -> str:
    """English plural of an object name."""
    if name in UNCOUNTED:
        return name
    irregular = {
        "mouse": "mice",
        "goose": "geese",
        "tooth": "teeth",
        "wolf": "wolves",
        "leaf": "leaves",
    }
    head, _, last = name.rpartition(" ")
    if last in irregular:
        last = irregular[last]
    elif last.endswith(("s", "x", "ch", "sh")) or last in {"potato", "tomato", "mango", "volcano"}:
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head} {last}" if head else last


def _name(rng: random.Random, plan: ScenePlan, is_absent: bool) -> str:
    return rng.choice(plan.absent) if is_absent or not plan.names else plan.some_name(rng)


def _boxes(plan: ScenePlan, indices: Sequence[int], name_key: str = "label") -> str:
    things = (plan.objects[index] for index in indices)
    return fenced([row_of("bbox_2d", thing.box, name_key, thing.name) for thing in things])


def _points_xml(plan: ScenePlan, indices: Sequence[int], phrase: str) -> str:
    marks = " ".join(
        f'x{number}="{x}" y{number}="{y}"'
        for number, (x, y) in enumerate((_centre(plan.objects[index]) for index in indices), 1)
    )
    return f'```xml\n<points {marks} alt="{phrase}">{phrase}</points>\n```'


def fenced(rows: Sequence[str]) -> str:
    """Rows as a JSON list in a fenced block, or "none"."""
    return "```json\n[\n\t" + ",\n\t".join(rows) + "\n]\n```" if rows else NONE


def row_of(place_key: str, place: Sequence[int], name_key: str, name: str) -> str:
    """One JSON object of a place and a name."""
    return json.dumps({place_key: place, name_key: name}, ensure_ascii=False)


def _centre(thing: SceneObject) -> tuple[int, int]:
    x1, y1, x2, y2 = thing.box
    return (x1 + x2) // 2, (y1 + y2) // 2


def _task(kind: str, name: str, found: Sequence[int]) -> dict[str, Any]:
    return {"kind": kind, "name": name, "objects": list(found)}
