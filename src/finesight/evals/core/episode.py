# SPDX-License-Identifier: Apache-2.0
"""An episode as text, so that it is journalled, replayed, rescored and compared like any other answer.

To the rest of the harness an episode is one answer to one item. Its text is JSON: each answer of the model, what was
done on its account, the digest of the screen it was shown, why the episode ended, and the score the environment gave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from finesight.evals.core.task import Answered, Extractor

End = Literal["over", "terminated", "steps", "stuck", "stored"]
"""By the environment; by the model; after the last step allowed; because the same question would be asked again;
or not known, where only the score of an episode was stored."""

GROUNDED = ("left_click", "right_click", "middle_click", "double_click", "click", "long_press")
"""Kinds of steps that mean a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn.

    Attributes:
        answer: of the model, raw.
        act: what was done, in pixels of the screenshot; None where nothing could be.
        problem: why nothing could be done; empty where something was.
        screenshot: SHA-256 of the screen that the model was shown.
    """

    answer: str
    act: Mapping[str, Any] | None
    problem: str
    screenshot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """All turns of one item.

    Attributes:
        episode: id of the item.
        instruction: the task in words.
        score: as the environment gave it, 0 to 1.
        end: why it ended.
        facts: what the environment said besides.
        targets: boxes of which one had to be clicked first, [x1, y1, x2, y2] in pixels of the first screenshot.
        steps: the turns.
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
    """What scores and reports need of an episode; None for a text that is none.

    `point` is the place of the first step, if that step means one.
    """
    try:
        said = json.loads(answered.text)
    except ValueError:
        return None
    if not isinstance(said, dict) or not {"episode", "score", "end", "steps"} <= said.keys():
        return None
    acts = [step["act"] for step in said["steps"]]
    first = acts[0] if acts and acts[0] is not None and acts[0]["kind"] in GROUNDED else {}
    kept = ("episode", "instruction", "score", "end", "facts", "targets")
    read = {name: said.get(name) for name in kept}
    problems = sum(1 for step in said["steps"] if step["problem"])
    return {**read, "point": first.get("point"), "num_steps": len(acts), "num_problems": problems}


def in_words(text: str) -> str:
    """An episode as a person reads it: what was done in each turn, or why nothing was; any other text as it is."""
    read = read_episode(Answered(text, {}))
    if read is None:
        return text
    lines = [f"task: {read['instruction']}"]
    for number, step in enumerate(json.loads(text)["steps"], 1):
        done = step["problem"] or json.dumps(step["act"], ensure_ascii=False)
        said = f"\n   said: {step['answer']!r}" if step["problem"] else ""
        lines.append(f"{number}. {done}{said}")
    return "\n".join([*lines, f"end: {read['end']}, score: {read['score']:g}"])


EPISODE = Extractor("episode", "1", read_episode)
