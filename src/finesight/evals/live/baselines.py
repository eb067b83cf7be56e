# SPDX-License-Identifier: Apache-2.0
"""Baselines without a model: scripted solutions, random clicks, and clicks on the middle of the screen.

The scripted solutions check that every episode can be solved and is rewarded; the others show what chance achieves.
"""

from __future__ import annotations

import random
from typing import Literal, Protocol

from finesight.evals.core.responders import Baseline
from finesight.evals.core.task import Item
from finesight.geometry import Size
from finesight.screen.act import Act
from finesight.screen.history import call_in_words

BaselineKind = Literal["oracle", "random", "constant"]


class Solvable(Protocol):
    """An environment whose tasks have scripted solutions."""

    def solution(self) -> Act:
        """The next action; raises `EvalError` if there is none."""


def baseline(kind: BaselineKind, environment: Solvable, screen: Size, *, seed: int = 0) -> Baseline:
    """A baseline; its coordinates are pixels of the screenshot.

    Args:
        kind: "oracle" executes scripted solutions; "random" clicks on a random point per episode and step; "constant"
            clicks on the middle.
        environment: of the episodes.
        screen: size of its screenshots.
        seed: of the random points.
    """
    if kind == "oracle":
        return Baseline("oracle", lambda item: _solved(environment, item))
    if kind == "random":
        return Baseline(f"random clicks, seed {seed}", lambda item: _anywhere(item, screen, seed))
    middle = _click(screen.width // 2, screen.height // 2)
    return Baseline("clicks on the middle", lambda _: middle)


def _solved(environment: Solvable, item: Item) -> str:
    del item  # the environment holds the current episode
    return call_in_words("computer_use", environment.solution().arguments((1.0, 1.0)))


def _anywhere(item: Item, screen: Size, seed: int) -> str:
    draw = random.Random(f"{seed}/{item.id}")
    return _click(draw.randrange(screen.width), draw.randrange(screen.height))


def _click(x: int, y: int) -> str:
    return call_in_words("computer_use", {"action": "left_click", "coordinate": [x, y]})
