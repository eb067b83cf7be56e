# SPDX-License-Identifier: Apache-2.0
"""Episodes of AndroidWorld, MobileMiniWoB++, MiniWoB++ and OSWorld, which an environment runs and scores.

A question is a name and a configuration; its answer is the transcript of the episode, played now or stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.core.episode import EPISODE, Episode
from finesight.evals.core.rows import broken_item, rows
from finesight.evals.core.task import Item, Scored
from finesight.evals.live.miniwob import pages_folder, read_pages
from finesight.evals.live.stored import EPISODE_COLUMNS, episode_name
from finesight.evals.metrics.boxes import point_in_box
from finesight.evals.tasks.shared.aggregates import average, mean, means, part
from finesight.evals.tasks.shared.build import build, whole
from finesight.evals.tasks.shared.questions import Question, Wording, template

NUM_SEEDS = 5
"""Problems per page, sorted by seed, so that a limit takes every page once."""
NEEDED = {"id", "instruction", "evaluator"}
"""Required keys of a task of OSWorld."""
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
    """An episode as a question; its oracle is the transcript of a successful episode.

    Args:
        name: unique in its task.
        text: the instruction, as far as it is known before the episode starts.
        config: for the environment.
        tags: to break scores down by.
        cluster: shared with episodes whose scores are correlated.
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


ACTS = Wording("progress", PROGRESS, template())
"""The agent prompt of Qwen2.5-VL; the player adds screens and steps."""
ANSWERS = Wording(
    "answer", f"{PROGRESS}; the tool has the action `answer` as that of Qwen3-VL has it", template()
)
"""The same with a tool that has the action `answer`, for tasks that ask a question."""
POINTS = Wording("point", "a plain wish for a point", template())
"""For models without tool calls: each answer is a point, which is clicked."""


def _android_episodes(path: Path) -> Iterator[Question | Item]:
    columns = {"task": EPISODE_COLUMNS["task"]}
    optional = {"instance": EPISODE_COLUMNS["instance"], "goal": ("goal", "instruction")}
    for row in rows(path, columns=columns, optional=optional):
        if row.error is not None:
            yield broken_item(row.where, row.error)
            continue
        name = episode_name(row["task"], row.get("instance"))
        task, _, seed = name.rpartition("/")
        if not seed.isdigit():
            yield broken_item(row.where, f"instance {seed!r} is not a number")
            continue
        text = str(row.get("goal") or task)
        yield episode(name, text, {"task": task, "seed": int(seed)}, {"task": task})


def _miniwob_episodes(folder: Path) -> Iterator[Question | Item]:
    """Each page with each seed; a page that the copy lacks is a broken item."""
    below = pages_folder(folder)
    for seed in range(NUM_SEEDS):
        for page in read_pages().values():
            name = f"{page.name}/{seed}"
            if not (below / f"{page.name}.html").is_file():
                yield broken_item(name, f"there is no {page.name}.html in {below}")
                continue
            target = "known" if page.has_target else "unknown"
            yield episode(
                name,
                f"{page.name}, seed {seed}",
                {"page": page.name, "seed": seed},
                {"page": page.name, "family": page.family, "target": target},
                cluster=page.name,
            )


def _osworld_episodes(folder: Path) -> Iterator[Question | Item]:
    """One episode per file {app}/{id}.json; other JSON files, such as lists of ids, are skipped."""
    num_found = 0
    for path in sorted(folder.rglob("*.json")):
        try:
            task = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            yield broken_item(str(path), f"not JSON: {error}")
            continue
        if not isinstance(task, Mapping) or "instruction" not in task:
            continue
        if missing := NEEDED - task.keys():
            yield broken_item(str(path), f"lacks {', '.join(sorted(missing))}")
            continue
        num_found += 1
        app = path.parent.name
        is_feasible = task["evaluator"].get("func") != "infeasible"
        tags = {"app": app, "feasible": "yes" if is_feasible else "no"}
        yield episode(f"{app}/{task['id']}", str(task["instruction"]), task, tags)
    if not num_found:
        raise EvalError(
            f"{folder} holds no task of OSWorld",
            hint="give the folder evaluation_examples of its repository",
        )


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The environment's score; 0 for the transcript of another episode."""
    is_own = parsed is not None and parsed["episode"] == truth["episode"]
    return {"success": float(parsed["score"]) if is_own else 0.0}


def score_miniwob(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Success, full reward, and whether the first click is in a target element.

    Without a known target, `in_box` equals success; `aggregate_miniwob` leaves these items out.
    """
    won = score(parsed, truth)
    is_won = won["success"] > 0
    targets = (parsed or {}).get("targets") or []
    point = (parsed or {}).get("point")
    is_own = parsed is not None and parsed["episode"] == truth["episode"]
    hit = is_own and point is not None and any(point_in_box(point, box) for box in targets)
    reward = ((parsed or {}).get("facts") or {}).get("raw_reward", 1.0)
    return {
        **won,
        "full": float(is_won and reward == 1),
        "in_box": float(hit if targets else is_won),
    }


def aggregate_miniwob(scored: Sequence[Scored]) -> dict[str, float]:
    """Success overall and per family, full rewards, and first clicks in a known target."""
    known = [one for one in scored if one.item.tags["target"] == "known"]
    return {
        **average("success", name="success", by=("family",))(scored),
        **average("full", name="full_reward")(scored),
        "point_in_box": mean(part(one, "in_box") for one in known),
    }


def _aggregate_osworld(scored: Sequence[Scored]) -> dict[str, float]:
    """Mean score overall, per app and by feasibility, and the mean of the episodes with an answer."""
    played = [one for one in scored if one.error != "no_answer"]
    return {
        **average("success", name="success", by=("app", "feasible"))(scored),
        "success_of_played": mean(part(one, "success") for one in played),
    }


ANDROID = build(
    whole(_android_episodes),
    ACTS,
    ANSWERS,
    extractors=(EPISODE,),
    score=score,
    total=means({"success": "success"}),
)
TASKS: Mapping[str, Build] = {
    "android_world": ANDROID,
    "miniwob": build(
        whole(_miniwob_episodes),
        ACTS,
        POINTS,
        extractors=(EPISODE,),
        score=score_miniwob,
        aggregate=aggregate_miniwob,
    ),
    "mobile_miniwob": ANDROID,
    "osworld": build(
        whole(_osworld_episodes),
        ACTS,
        extractors=(EPISODE,),
        score=score,
        aggregate=_aggregate_osworld,
    ),
}
