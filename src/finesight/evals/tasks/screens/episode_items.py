# SPDX-License-Identifier: Apache-2.0
"""Benchmarks whose items are episodes: set up by an environment, answered by a transcript, scored by the environment.

A question here is only a name and a configuration. Whoever answers plays it, or has played it before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.episode import Episode
from finesight.evals.core.task import Prompt
from finesight.evals.tasks.shared.questions import Question, Read, prompt

SAMPLING = Sampling(max_new_tokens=512)
"""Of one step."""
PROGRESS = (
    "tool and system turn as in the agent cookbooks of Qwen2.5-VL; the user's turn is that of the cookbook for"
    " telephones: the task, the steps done so far, and the present screen alone"
)


def episode(
    name: str,
    text: str,
    config: Mapping[str, Any],
    tags: Mapping[str, str],
    *,
    cluster: str | None = None,
) -> Question:
    """An episode as a question; its oracle is a transcript that says it was won.

    Args:
        name: of the episode, unique in its task.
        text: what is to be done, as far as it is known before it is played.
        config: for the environment.
        tags: columns to break scores down by.
        cluster: what it shares with episodes that are won or lost together.
    """
    won = Episode(episode=name, instruction=text, score=1.0, end="stored")
    return Question(
        id=name,
        text=text,
        truth={"episode": name, "config": dict(config)},
        oracle=won.text(),
        cluster=cluster,
        tags=tags,
    )


def progress_prompt(read: Read) -> Prompt:
    """The way in which Qwen2.5-VL is asked to act."""
    return prompt("progress", PROGRESS, read, lambda question: [question.text])


def answer_prompt(read: Read) -> Prompt:
    """As `progress_prompt`, with a tool that has the action `answer`, for tasks that ask a question."""
    source = f"{PROGRESS}; the tool has the action `answer` as that of Qwen3-VL has it"
    return prompt("answer", source, read, lambda question: [question.text])


def point_prompt(read: Read) -> Prompt:
    """For models that point but know no tools: each answer is a point, and it is clicked."""
    return prompt("point", "a plain wish for a point", read, lambda question: [question.text])


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """What the environment gave; nothing for the transcript of another episode."""
    is_own = parsed is not None and parsed["episode"] == truth["episode"]
    return {"success": float(parsed["score"]) if is_own else 0.0}
