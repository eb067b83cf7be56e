# SPDX-License-Identifier: Apache-2.0
"""An environment without a screen: a picture whose colour counts the steps, and a task that wants some clicks."""

from __future__ import annotations

from PIL import Image

from finesight.errors import ActionRefused, ScreenUnavailable
from finesight.geometry import Box
from finesight.screen.environment import Observation, Outcome


class Counter:
    """Over after `config["clicks"]` clicks; a click left of x = 10 is refused; `breaks` ends the world.

    Args:
        size: of the screen.
        is_lively: whether the picture changes with every step.
    """

    tool = "computer_use"

    def __init__(self, size=(560, 280), *, is_lively=True, breaks=False):
        self.size, self.is_lively, self.breaks = size, is_lively, breaks
        self.acts, self.configs, self.num_closed = [], [], 0
        self.facts = {"environment": "counter"}

    def reset(self, config):
        self.configs.append(dict(config))
        self.acts = []
        return self._observed(targets=(Box(100, 100, 200, 200),))

    def observe(self):
        return self._observed()

    def act(self, act):
        if self.breaks:
            raise ScreenUnavailable("the lamp is broken")
        if act.point is not None and act.point.x < 10:
            raise ActionRefused("too far left")
        self.acts.append(act)

    def evaluate(self):
        return Outcome(score=float(self._is_over()), facts={"clicks": self._clicks()})

    def close(self):
        self.num_closed += 1

    def _clicks(self):
        return sum(act.kind == "left_click" for act in self.acts)

    def _is_over(self):
        return self._clicks() >= self.configs[-1]["clicks"]

    def _observed(self, targets=()):
        colour = (40 * len(self.acts) % 256, 0, 0) if self.is_lively else (0, 0, 0)
        picture = Image.new("RGB", self.size, colour)
        return Observation(
            screenshot=picture,
            instruction="Click.",
            is_over=self._is_over(),
            targets=targets,
        )
