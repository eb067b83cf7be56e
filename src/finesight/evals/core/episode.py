# SPDX-License-Identifier: Apache-2.0
"""Episodes as text, so that they are stored, replayed, rescored and compared like any other answer.

An episode is one answer to one item. Its text is JSON: for each step the answer of the model, the action executed and
the digest of the screen; then why the episode ended and the score of the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from finesight.evals.core.task import Answered, Extractor

End = Literal["over", "terminated", "steps", "stuck", "stored"]
"""Ended by the environment; by the model; by the limit of steps; because the next question would repeat the last one;
not known, where only the score of an episode was stored."""

GROUNDED = ("left_click", "right_click", "middle_click", "double_click", "click", "long_press")
"""Kinds of actions with a point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        answer: of the model, raw.
        act: the action executed, in pixels of the screenshot; None if there was none.
        problem: why no action was executed; empty if one was.
        screenshot: SHA-256 of the screen shown to the model.
    """

    answer: str
    act: Mapping[str, Any] | None
    problem: str
    screenshot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """All steps of one item.

    Attributes:
        episode: id of the item.
        instruction: the task as text.
        score: of the environment, 0 to 1.
        end: why it ended.
        facts: further values of the environment.
        targets: boxes of which one must be clicked first, [x1, y1, x2, y2] in pixels of the first screenshot.
        steps: in order.
    """

    episode: str
    instruction: str
    score: float
    end: End
    facts: Mapping[str, Any] = field(default_factory=dict)
    targets: Sequence[Sequence[float]] = ()
    steps: Sequence[Step] = ()

    def text(self) -> str:
        """The episode as the text of an answer."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read_episode(answered: Answered) -> dict[str, Any] | None:
    """Fields of an episode that scores and reports need; None for a text that is not an episode.

    `point` is the point of the first action, if it has one.
    """
    try:
        values = json.loads(answered.text)
    except ValueError:
        return None
    if not isinstance(values, dict) or not {"episode", "score", "end", "steps"} <= values.keys():
        return None
    acts = [step["act"] for step in values["steps"]]
    first = acts[0] if acts and acts[0] is not None and acts[0]["kind"] in GROUNDED else {}
    kept = ("episode", "instruction", "score", "end", "facts", "targets")
    read = {name: values.get(name) for name in kept}
    problems = sum(1 for step in values["steps"] if step["problem"])
    return {**read, "point": first.get("point"), "num_steps": len(acts), "num_problems": problems}


def in_words(text: str) -> str:
    """An episode as readable text: per step the action or the problem; any other text unchanged."""
    read = read_episode(Answered(text, {}))
    if read is None:
        return text
    lines = [f"task: {read['instruction']}"]
    for number, step in enumerate(json.loads(text)["steps"], 1):
        done = step["problem"] or json.dumps(step["act"], ensure_ascii=False)
        answer = f"\n   answer: {step['answer']!r}" if step["problem"] else ""
        lines.append(f"{number}. {done}{answer}")
    return "\n".join([*lines, f"end: {read['end']}, score: {read['score']:g}"])


EPISODE = Extractor("episode", "1", read_episode)
