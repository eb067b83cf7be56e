# SPDX-License-Identifier: Apache-2.0
"""Sanity check of a benchmark with oracle, shuffled and empty answers; it needs no model.

Right answers must score full marks, and the same answers given to other questions, or none at all, must not. This finds
rules of reading that lose right answers, and scores that give marks for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.rows import BROKEN
from finesight.evals.core.scoring import score_answer
from finesight.evals.core.task import Answered, CoordinateFrame, Extractor, Item, Scored, Task
from finesight.evals.core.worker import size_of
from finesight.geometry import Size

_UNSEEN = Size(1000, 1000)
"""Size given to pictures that are not there: a copy may lack them, and rules may need one."""
_PARTICULARS = re.compile(r"'[^']{0,200}'|\"[^\"]{0,200}\"|\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Check:
    """The quoted metric, not multiplied, for three answerers.

    Attributes:
        oracle: for right answers.
        shuffled: for right answers of other items.
        empty: for no answer.
        num_items: items that were checked.
        failures: what rules raised, with the item's id; nothing may.
    """

    oracle: float
    shuffled: float
    empty: float
    num_items: int
    failures: tuple[str, ...]


def stored_oracle(item: Item) -> str:
    """The right answer in words, which tasks keep as `oracle` in an item's truth.

    Raises:
        EvalError: the item has none.
    """
    if "oracle" not in item.truth:
        raise EvalError(f"item {item.id} has no oracle; its truth has {sorted(item.truth)}")
    return str(item.truth["oracle"])


def check_task(
    task: Task,
    items: Iterable[Item],
    *,
    extractor: Extractor | None = None,
    oracle: Callable[[Item], str] = stored_oracle,
) -> Check:
    """Score three answerers on the items of a benchmark.

    Answers are read as numbers in pixels of the original.

    Args:
        task: the benchmark.
        items: its questions.
        extractor: the rule to check; None takes the task's first.
        oracle: gives a right answer.

    Raises:
        EvalError: there is no item, or one is a broken row.
    """
    asked = list(items)
    broken = [f"{item.id}: {item.truth[BROKEN]}" for item in asked if BROKEN in item.truth]
    if broken or not asked:
        raise EvalError(f"task {task.name} has {len(asked)} items, broken: {broken[:3]}")
    rule = extractor or task.extractors[0]
    right = [oracle(item) for item in asked]
    failures: list[str] = []
    silence = [""] * len(asked)
    full, dealt_out, none = (
        _value(task, rule, asked, texts, failures) for texts in (right, dealt(right), silence)
    )
    return Check(full, dealt_out, none, len(asked), tuple(failures))


def lost_rows(items: Sequence[Item]) -> dict[str, list[str]]:
    """Rows that are no questions, by reason: broken ones, and ids that stand more than once.

    Reasons that differ in numbers and quoted words only are one.
    """
    lost: dict[str, list[str]] = {}
    seen: set[str] = set()
    for item in items:
        reason = "its id stands more than once" if item.id in seen else item.truth.get(BROKEN)
        seen.add(item.id)
        if reason is not None:
            lost.setdefault(_PARTICULARS.sub("...", reason), []).append(f"{item.id}: {reason}")
    return lost


def usable(items: Sequence[Item]) -> list[Item]:
    """Items that are questions, each id once."""
    whole: dict[str, Item] = {}
    for item in items:
        if BROKEN not in item.truth:
            whole.setdefault(item.id, item)
    return list(whole.values())


def dealt(texts: Sequence[str]) -> list[str]:
    """Answers moved by half their number, so that none stays where it was."""
    half = max(1, len(texts) // 2)
    return [*texts[half:], *texts[:half]]


def _value(
    task: Task, rule: Extractor, items: Sequence[Item], texts: Sequence[str], failures: list[str]
) -> float:
    scored = []
    for item, text in zip(items, texts, strict=True):
        found = score_answer(task, rule, Answered(text, item.truth, _frames(item)))
        if found.error is not None:
            failures.append(f"{item.id}: {found.error}: {found.message} on {text[:60]!r}")
        one = Scored(item=item, parsed=found.parsed, parts=found.parts, error=found.error)
        scored.append(one)
    return float(task.aggregate(scored)[task.main])


def _frames(item: Item) -> tuple[CoordinateFrame, ...]:
    pictures = [part for part in item.conversation.media() if isinstance(part, ImagePart)]
    sizes = [size_of(part) or _UNSEEN for part in pictures]
    return tuple(CoordinateFrame("original", size, size) for size in sizes)
