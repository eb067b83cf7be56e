# SPDX-License-Identifier: Apache-2.0
"""Sanity check of a benchmark with oracle, shuffled and empty answers; it needs no model.

Oracle answers must score full marks; shuffled and empty answers must not. This finds extractors that reject correct
answers and scores that reward wrong ones.
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
"""Size assumed for missing pictures."""
_PARTICULARS = re.compile(r"'[^']{0,200}'|\"[^\"]{0,200}\"|\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Check:
    """The main metric, not multiplied by its unit, for three sets of answers.

    Attributes:
        oracle: for correct answers.
        shuffled: for correct answers of other items.
        empty: for empty answers.
        num_items: items checked.
        failures: errors of extractor and score, with the item's id; must be empty.
    """

    oracle: float
    shuffled: float
    empty: float
    num_items: int
    failures: tuple[str, ...]


def stored_oracle(item: Item) -> str:
    """The correct answer as text, which tasks store as `oracle` in an item's truth.

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
    """Score oracle, shuffled and empty answers on the items of a benchmark.

    Coordinates in answers are pixels of the original.

    Args:
        task: the benchmark.
        items: its questions.
        extractor: to check; None takes the task's first.
        oracle: gives a correct answer.

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
    empty = [""] * len(asked)
    full, shuffled, none = (
        _value(task, rule, asked, texts, failures) for texts in (right, dealt(right), empty)
    )
    return Check(full, shuffled, none, len(asked), tuple(failures))


def lost_rows(items: Sequence[Item]) -> dict[str, list[str]]:
    """Unusable rows by reason: broken rows and repeated ids.

    Reasons that differ only in numbers and quoted words are merged.
    """
    lost: dict[str, list[str]] = {}
    seen: set[str] = set()
    for item in items:
        reason = "its id occurs more than once" if item.id in seen else item.truth.get(BROKEN)
        seen.add(item.id)
        if reason is not None:
            lost.setdefault(_PARTICULARS.sub("...", reason), []).append(f"{item.id}: {reason}")
    return lost


def usable(items: Sequence[Item]) -> list[Item]:
    """Usable items, each id once."""
    whole: dict[str, Item] = {}
    for item in items:
        if BROKEN not in item.truth:
            whole.setdefault(item.id, item)
    return list(whole.values())


def dealt(texts: Sequence[str]) -> list[str]:
    """Answers rotated by half their number, so that no item keeps its own."""
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
