# SPDX-License-Identifier: Apache-2.0
"""Score a model on held-back examples of its own training data, one benchmark per kind of answer.

The kind follows from the gold answer:

| kind | gold answer | score of an answer, 0..1 |
|---|---|---|
| boxes | has boxes in a format of Qwen2.5-VL | mean IoU of matched boxes of equal label; unmatched ones count 0 |
| fields | a JSON object, or two and more lines `key: value` | share of correct fields among the keys of both |
| count | a whole number, where the question asks how many | whether the last number of the answer is correct |
| text | of more than 60 characters, or of several lines | 1 - character error rate, at least 0 |
| exact | any other | whether the answer is the gold text, white space apart |

A higher score is better for every kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal, get_args

from finesight.conversation import Sampling, TextPart
from finesight.errors import EvalError
from finesight.evals.core.task import Answered, Extractor, Item, Prompt, Task
from finesight.evals.extract.places import ALL_BOXES
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.boxes import iou
from finesight.evals.metrics.chars import cer_capped
from finesight.evals.metrics.count import count_hit, last_count
from finesight.evals.metrics.detection import Labelled
from finesight.evals.metrics.kie import kie_score
from finesight.evals.tasks.shared.aggregates import average
from finesight.parse.json_block import find_blocks

AnswerKind = Literal["boxes", "fields", "count", "text", "exact"]
KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)
SCORE = "score"

LONGEST_EXACT = 60
"""Characters of a gold answer that must be matched exactly; longer ones are scored by their error rate."""

MEASURES: Mapping[str, str] = {
    "boxes": "mean IoU of matched boxes",
    "fields": "share of correct fields",
    "count": "share of correct numbers",
    "text": "1 - character error rate",
    "exact": "share of exact matches",
}
"""What the score of each kind is, in words."""

_HOW_MANY = re.compile(r"\b(how many|count|number of)\b|多少|几个", re.IGNORECASE)
_LINE = re.compile(r"([^\W\d][\w ]{0,40})\s*:\s*(\S.{0,400})")
_MAX_TOKENS_FACTOR, _FEWEST_TOKENS, _MOST_TOKENS = 2, 32, 2048
"""An answer may have twice as many tokens as the longest gold one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A held-back question with its gold answer.

    Attributes:
        item: question and id; its truth is filled in by `held_back_tasks`.
        answer: gold text as the model should write it.
        boxes: label and `(x1, y1, x2, y2)` in original pixels of every box in it.
        num_tokens: length of the gold answer.
    """

    item: Item
    answer: str
    boxes: Sequence[Labelled]
    num_tokens: int


def held_back_tasks(examples: Sequence[Example], *, kind: AnswerKind | None = None) -> list[Task]:
    """One benchmark per kind of answer, in the order of `KINDS`.

    Args:
        examples: at least one.
        kind: scores all of them as this kind; None chooses by the answers.

    Raises:
        EvalError: a gold answer is not of the given kind.
    """
    found: dict[AnswerKind, list[Example]] = {}
    for example, own in zip(examples, _kinds(examples), strict=True):
        found.setdefault(kind or own, []).append(example)
    return [_task(each, found[each]) for each in KINDS if each in found]


def _kinds(examples: Sequence[Example]) -> list[AnswerKind]:
    """The kind of each example. Texts are all exact or all by error rate, by their median length."""
    kinds = [_kind(example) for example in examples]
    texts = [one.answer for one, kind in zip(examples, kinds, strict=True) if kind == "exact"]
    is_long = bool(texts) and (
        median(map(len, texts)) > LONGEST_EXACT or median(text.count("\n") for text in texts) > 0
    )
    return ["text" if kind == "exact" and is_long else kind for kind in kinds]


def _kind(example: Example) -> AnswerKind:
    if example.boxes:
        return "boxes"
    if read_fields(example.answer) is not None:
        return "fields"
    if re.fullmatch(r"\d{1,6}", example.answer.strip()) and _HOW_MANY.search(_question(example)):
        return "count"
    return "exact"


def _question(example: Example) -> str:
    last = example.item.conversation.messages[-1]
    return "".join(part.text for part in last.parts if isinstance(part, TextPart))


def read_fields(text: str) -> dict[str, Any] | None:
    """The fields that an answer consists of: a JSON object, possibly in a fenced block, or lines `key: value`.

    None if it is neither.
    """
    lines = [_LINE.fullmatch(line.strip()) for line in text.strip().splitlines()]
    if len(lines) > 1 and all(lines):
        return {line[1].strip(): line[2].strip() for line in lines if line}
    blocks = find_blocks(text)
    if len(blocks) != 1 or not isinstance(blocks[0].value, dict) or not blocks[0].num_keys:
        return None
    start, end = blocks[0].span
    around = f"{text[:start]}{text[end:]}".replace("```json", "").replace("```", "")
    return None if around.strip() else dict(blocks[0].value)


def _task(kind: AnswerKind, examples: Sequence[Example]) -> Task:
    items = [_filled(kind, example) for example in examples]
    longest = max(example.num_tokens for example in examples)
    tokens = min(max(_MAX_TOKENS_FACTOR * longest, _FEWEST_TOKENS), _MOST_TOKENS)
    extractor, score = _RULES[kind]
    return Task(
        name=kind,
        title=f"Held-back examples: {MEASURES[kind]}",
        source="the user's data",
        layout="records that were not trained on",
        prompts=(Prompt("as given", "the data", lambda *_: iter(items)),),
        sampling=Sampling(max_new_tokens=tokens, temperature=0.0),
        extractors=(extractor,),
        score=score,
        aggregate=average(SCORE, name=SCORE),
        main=SCORE,
    )


def _filled(kind: AnswerKind, example: Example) -> Item:
    """The item with the truth that the rule of its kind needs."""
    truth: dict[str, Any] = {"answer": example.answer, "oracle": example.answer}
    if kind == "boxes":
        truth["boxes"] = [[label, list(box)] for label, box in example.boxes]
    if kind == "fields" and (fields := read_fields(example.answer)) is not None:
        truth["fields"] = fields
    elif kind == "fields" or (kind == "count" and last_count(example.answer) is None):
        raise EvalError(
            f"the answer of {example.item.id} is not of the kind {kind}: {example.answer[:80]!r}",
            hint=f"give another --metric: {', '.join(KINDS)}, or leave it out",
        )
    return replace(example.item, truth=truth)


def _exact(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    answer, gold = str(parsed or ""), truth["answer"]
    return {
        SCORE: float(answer.split() == gold.split()),
        "characters": 1 - cer_capped(answer, gold),
    }


def _text(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    answer, gold = str(parsed or ""), truth["answer"]
    return {SCORE: 1 - cer_capped(answer, gold), "exact": float(answer.split() == gold.split())}


def _count(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    gold = last_count(truth["answer"])
    assert gold is not None  # checked in `_filled`
    return {SCORE: float(count_hit(last_count(str(parsed or "")), gold))}


def _fields(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return {SCORE: kie_score(_flat(parsed or {}), _flat(truth["fields"]))}


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields whose lists and objects are JSON texts: `kie_score` takes a list of gold values as alternatives."""
    return {
        key: json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
        for key, value in fields.items()
    }


def _found_fields(answered: Answered) -> dict[str, Any] | None:
    """The first JSON object of an answer with or without text around it, else its lines `key: value`."""
    values = (block.value for block in find_blocks(answered.text))
    found = next((dict(value) for value in values if isinstance(value, dict)), None)
    lines = map(_LINE.fullmatch, map(str.strip, answered.text.splitlines()))
    return found or {line[1].strip(): line[2].strip() for line in lines if line} or None


def _boxes(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return {SCORE: matched_iou(parsed or (), truth["boxes"])}


def matched_iou(predicted: Sequence[Labelled], gold: Sequence[Labelled]) -> float:
    """Sum of the IoU of matched boxes over the larger number of boxes; 1 without any box.

    Pairs are matched by falling IoU. Labels must be equal except for case; an empty label fits every other.
    """
    pairs = sorted(
        (
            (iou(box, wanted), place, number)
            for place, (label, box) in enumerate(predicted)
            for number, (name, wanted) in enumerate(gold)
            if not label or not name or label.lower() == name.lower()
        ),
        reverse=True,
    )
    total, used, met = 0.0, set[int](), set[int]()
    for value, place, number in pairs:
        if place not in used and number not in met:
            used.add(place)
            met.add(number)
            total += value
    most = max(len(predicted), len(gold))
    return total / most if most else 1.0


_RULES: Mapping[AnswerKind, tuple[Extractor, Callable[[Any, Mapping[str, Any]], dict[str, float]]]]
_RULES = {
    "boxes": (ALL_BOXES, _boxes),
    "fields": (Extractor("fields", "1", _found_fields), _fields),
    "count": (WHOLE_TEXT, _count),
    "text": (WHOLE_TEXT, _text),
    "exact": (WHOLE_TEXT, _exact),
}
