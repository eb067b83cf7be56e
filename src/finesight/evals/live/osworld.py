# SPDX-License-Identifier: Apache-2.0
"""OSWorld's virtual computers as an environment, through its package `desktop-env`.

The package pins many versions and needs a virtual machine, so it is not a dependency; it is imported when a task is
first set up. Scores are those of the package: an infeasible task is solved only by the action FAIL; conditions joined
by "and" give 0 if one fails and their mean otherwise; joined by "or" they give the maximum.

Written against the wheel desktop-env 1.0.2: `DesktopEnv(...)`, `reset(task_config=)`, `step(action, pause)`,
`evaluate()`, `close()`, with actions as lines of pyautogui and the words WAIT, DONE and FAIL.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, cast

from PIL import Image

from finesight.errors import ActionRefused, EvalError, ScreenUnavailable
from finesight.geometry import Point, Size
from finesight.screen.act import Act, ToolName
from finesight.screen.environment import Observation, Outcome

PACKAGE = "desktop-env"
PAUSE_SECONDS = 2.0
"""Pause after each action, as in OSWorld's run scripts."""
SCREEN = Size(1920, 1080)

_CLICKS = {
    "left_click": "click",
    "right_click": "rightClick",
    "middle_click": "middleClick",
    "double_click": "doubleClick",
    "mouse_move": "moveTo",
}


class Desktop(Protocol):
    """The methods of `DesktopEnv` that are used here."""

    def reset(self, task_config: dict[str, Any]) -> dict[str, Any]:
        """Start a task; the observation has `screenshot`, the bytes of a PNG file or None."""

    def step(self, action: str, pause: float) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        """Execute an action; the observation comes first."""

    def evaluate(self) -> float:
        """Score the task."""

    def close(self) -> None:
        """Stop the virtual machine."""


class OsWorld:
    """A virtual computer, started with the first task.

    Args:
        provider: of the virtual machine: "docker", "vmware", "virtualbox", "aws" and others.
        path_to_vm: image of the machine, if the provider needs one.
        screen: its size in pixels.
        make: makes the environment; None uses `DesktopEnv`.
    """

    tool: ToolName = "computer_use"

    def __init__(
        self,
        *,
        provider: str = "docker",
        path_to_vm: str | None = None,
        screen: Size = SCREEN,
        make: Callable[[], Desktop] | None = None,
    ) -> None:
        self._provider, self._path_to_vm, self._screen = provider, path_to_vm, screen
        self._make = make or self._made
        self._desktop: Desktop | None = None
        self._seen: Observation | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        """Version of the package, provider and screen.

        Raises:
            EvalError: the package is missing.
        """
        try:
            found = version(PACKAGE)
        except PackageNotFoundError as error:
            raise _missing(error) from error
        return {
            "environment": "osworld",
            "version": found,
            "provider": self._provider,
            "screen": [self._screen.width, self._screen.height],
            "pause_seconds": PAUSE_SECONDS,
        }

    def reset(self, config: Mapping[str, Any]) -> Observation:
        """Start a task.

        Args:
            config: content of the task's file.

        Raises:
            EvalError: the package is missing.
            ScreenUnavailable: there is no screenshot.
        """
        if self._desktop is None:
            self._desktop = self._make()
        seen = self._desktop.reset(task_config=dict(config))
        self._seen = _observed(seen, str(config["instruction"]))
        return self._seen

    def observe(self) -> Observation:
        """The screen after the last action."""
        return self._started()[1]

    def act(self, act: Act) -> None:
        """Execute an action of `computer_use` as a line of pyautogui."""
        desktop, seen = self._started()
        shown, _, _, _ = desktop.step(command(act), PAUSE_SECONDS)
        self._seen = _observed(shown, seen.instruction)

    def evaluate(self) -> Outcome:
        """The score of OSWorld."""
        return Outcome(score=float(self._started()[0].evaluate()))

    def close(self) -> None:
        """Stop the virtual machine."""
        if self._desktop is not None:
            self._desktop.close()
            self._desktop = None

    def _started(self) -> tuple[Desktop, Observation]:
        if self._desktop is None or self._seen is None:
            raise ScreenUnavailable("no task is set up: reset comes first")
        return self._desktop, self._seen

    def _made(self) -> Desktop:
        try:
            module = import_module("desktop_env.desktop_env")
        except ImportError as error:
            raise _missing(error) from error
        made = module.DesktopEnv(
            provider_name=self._provider,
            path_to_vm=self._path_to_vm,
            action_space="pyautogui",
            screen_size=(self._screen.width, self._screen.height),
            require_a11y_tree=False,
        )
        return cast("Desktop", made)


def command(act: Act) -> str:
    """An action in the format of desktop-env.

    Raises:
        ActionRefused: pyautogui has no such action.
    """
    if act.kind in _CLICKS:
        return f"pyautogui.{_CLICKS[act.kind]}({_place(act.point)})"
    match act.kind:
        case "left_click_drag":
            return f"pyautogui.dragTo({_place(act.point)}, duration=0.5, button='left')"
        case "type":
            return f"pyautogui.typewrite({_typed(act.text or '')!r})"
        case "key":
            return f"pyautogui.hotkey({', '.join(repr(key.lower()) for key in act.keys)})"
        case "scroll":
            return f"pyautogui.scroll({round(act.pixels or 0)})"
        case "wait":
            return "WAIT"
        case "terminate":
            return "DONE" if act.status == "success" else "FAIL"
    raise ActionRefused(f"OSWorld has no action {act.kind!r}")


def _missing(error: ImportError) -> EvalError:
    return EvalError(
        f"OSWorld cannot be played: {error}",
        hint=f"pip install {PACKAGE}, in an environment of its own; stored runs need no package: --replay",
    )


def _place(point: Point | None) -> str:
    return "" if point is None else f"{round(point.x)}, {round(point.y)}"


def _typed(text: str) -> str:
    """The text if pyautogui can type it; pyautogui silently omits other characters."""
    lacking = sorted({character for character in text if not character.isascii()})
    if lacking:
        raise ActionRefused(f"pyautogui cannot type {''.join(lacking)[:20]!r}")
    return text


def _observed(seen: Mapping[str, Any], instruction: str) -> Observation:
    data = seen["screenshot"]
    if data is None:
        raise ScreenUnavailable("the virtual computer gave no screenshot")
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    return Observation(screenshot=picture, instruction=instruction)
