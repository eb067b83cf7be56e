# SPDX-License-Identifier: Apache-2.0
"""MiniWoB++: small web pages with a task each, played in a browser by looking and clicking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.evals.core.episode import EPISODE
from finesight.evals.core.task import Scored, Task
from finesight.evals.live.miniwob import pages_folder, read_pages
from finesight.evals.metrics.boxes import point_in_box
from finesight.evals.tasks.screens import episode_items
from finesight.evals.tasks.shared.aggregates import average, mean, part
from finesight.evals.tasks.shared.questions import Broken, Question

NUM_SEEDS = 5
"""Problems per page; those of the first seed come first, so that a limit takes every page once."""


def episodes(folder: Path) -> Iterator[Question | Broken]:
    """Each page with each seed; a page that the copy lacks is a broken row."""
    below = pages_folder(folder)
    for seed in range(NUM_SEEDS):
        for page in read_pages().values():
            name = f"{page.name}/{seed}"
            if not (below / f"{page.name}.html").is_file():
                yield Broken(name, f"there is no {page.name}.html in {below}")
                continue
            target = "known" if page.has_target else "unknown"
            yield episode_items.episode(
                name,
                f"{page.name}, seed {seed}",
                {"page": page.name, "seed": seed},
                {"page": page.name, "family": page.family, "target": target},
                cluster=page.name,
            )


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Success, whether the page paid in full, and whether the first click lies in an element that had to be clicked.

    Where that element is not known, the click is as good as the episode; `point_in_box` leaves those out.
    """
    won = episode_items.score(parsed, truth)
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


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Success in all and per family; full pay; and first clicks in the box, where there is one."""
    known = [one for one in scored if one.item.tags["target"] == "known"]
    return {
        **average("success", name="success", by=("family",))(scored),
        **average("full", name="full_reward")(scored),
        "point_in_box": mean(part(one, "in_box") for one in known),
    }


TASKS = (
    Task(
        name="miniwob",
        title="MiniWoB++, thirty pages",
        source="Liu et al., arXiv 1802.08802; pages of the PyPI package miniwob 1.1.0",
        layout="the folder miniwob/html of the unpacked wheel: miniwob/{page}.html beside core/ and common/",
        prompts=(episode_items.progress_prompt(episodes), episode_items.point_prompt(episodes)),
        sampling=episode_items.SAMPLING,
        extractors=(EPISODE,),
        score=score,
        aggregate=aggregate,
        main="success",
        is_live=True,
        notes=(
            "there are no published numbers for this form: thirty pages that can be solved by looking, five seeds each",
            "an episode is a success where the page's own raw reward, not reduced for time, is above 0; full_reward"
            " counts those where it is 1",
            "time never decides: the pages' limit is put out of reach",
            "point_in_box is over the fifteen pages that one click decides: the first step is a click on an element"
            " whose click the page pays",
        ),
    ),
)
