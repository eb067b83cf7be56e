# SPDX-License-Identifier: Apache-2.0
"""AndroidWorld and MobileMiniWoB++ as an environment, through the package `android_world` and a running emulator.

The package is imported when a task is first set up. As in its own suite, a task is solved if the package finds it
solved and either the model terminated the episode or the task ended by itself.

Written against google-research/android_world: `env_launcher.load_and_setup_env`, `registry.TaskRegistry`,
`TaskEval.generate_random_params`, `initialize_task`, `is_successful`, `tear_down`, and `json_action.JSONAction`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, Literal

from PIL import Image

from finesight.errors import ActionRefused, EvalError, ScreenUnavailable
from finesight.geometry import Point
from finesight.screen.act import Act, ToolName, scrolled
from finesight.screen.environment import Observation, Outcome

Family = Literal["android_world", "miniwob"]
PACKAGE = "android_world"
_BUTTONS = {"Back": "navigate_back", "Home": "navigate_home", "Enter": "keyboard_enter"}


class AndroidWorld:
    """A telephone in a running emulator.

    Args:
        family: tasks of apps, or pages of MiniWoB++ on a telephone.
        console_port: of the emulator.
        adb_path: the program `adb`; empty takes the one on the path.
    """

    tool: ToolName = "mobile_use"

    def __init__(
        self, family: Family = "android_world", *, console_port: int = 5554, adb_path: str = "adb"
    ) -> None:
        self._family: Family = family
        self._console_port, self._adb_path = console_port, adb_path
        self._phone: Any = None
        self._task: Any = None
        self._touched: Point | None = None
        self._is_done = False

    @property
    def facts(self) -> Mapping[str, Any]:
        """Version of the package, and the family of tasks.

        Raises:
            EvalError: the package is missing.
        """
        try:
            found = version(PACKAGE)
        except PackageNotFoundError as error:
            raise _missing(error) from error
        return {"environment": PACKAGE, "version": found, "family": self._family}

    def reset(self, config: Mapping[str, Any]) -> Observation:
        """Start a task with parameters drawn from a seed.

        Args:
            config: `task`, the name in the registry, and `seed`.

        Raises:
            EvalError: the package is missing or has no such task.
        """
        if self._phone is None:
            launcher = _module("android_world.env.env_launcher")
            self._phone = launcher.load_and_setup_env(
                console_port=self._console_port, adb_path=self._adb_path
            )
        self._tear_down()
        name = str(config["task"])
        known = _module("android_world.registry").TaskRegistry().get_registry(self._family)
        if name not in known:
            raise EvalError(f"{self._family} has no task {name!r} among {len(known)}")
        random.seed(int(config["seed"]))  # the package uses the global generator
        self._phone.reset(go_home=True)
        self._task = known[name](known[name].generate_random_params())
        self._task.initialize_task(self._phone)
        self._touched, self._is_done = None, False
        return self.observe()

    def observe(self) -> Observation:
        """The screen after it has stabilised."""
        task = self._started()
        pixels = self._phone.get_state(wait_to_stabilize=True).pixels
        return Observation(
            screenshot=Image.fromarray(pixels).convert("RGB"),
            instruction=str(task.goal),
            is_over=self._has_ended(),
        )

    def act(self, act: Act) -> None:
        """Execute an action of `mobile_use`."""
        self._started()
        if act.kind == "terminate":
            self._is_done = True
            return
        actions = _module("android_world.env.json_action")
        self._phone.execute_action(actions.JSONAction(**self._arguments(act)))
        self._touched = act.point or self._touched

    def evaluate(self) -> Outcome:
        """1 if the task is solved and was terminated by the model or ended by itself; otherwise 0."""
        task = self._started()
        ended = self._has_ended()
        solved = float(task.is_successful(self._phone))
        return Outcome(
            score=solved if self._is_done or ended else 0.0,
            facts={"is_successful": solved, "said_done": self._is_done},
        )

    def close(self) -> None:
        """End the task and disconnect from the emulator, which keeps running."""
        self._tear_down()
        if self._phone is not None:
            self._phone.close()
            self._phone = None

    def _has_ended(self) -> bool:
        """Whether a page of MiniWoB++ has ended; tasks of apps never end by themselves."""
        if self._family != "miniwob":
            return False
        base = _module("android_world.task_evals.miniwob.miniwob_base")
        return bool(base.is_episode_terminated(self._phone))

    def _arguments(self, act: Act) -> dict[str, Any]:
        """Arguments of a `JSONAction`.

        Raises:
            ActionRefused: AndroidWorld has no such action.
        """
        place = {} if act.point is None else {"x": round(act.point.x), "y": round(act.point.y)}
        match act.kind:
            case "click" | "long_press":
                return {"action_type": act.kind, **place}
            case "swipe" if act.point is not None and act.point2 is not None:
                ends = [[point.x, point.y] for point in (act.point, act.point2)]
                return {"action_type": "scroll", "direction": scrolled(*ends)}
            case "type":
                return {"action_type": "input_text", "text": act.text, **self._field()}
            case "open":
                return {"action_type": "open_app", "app_name": act.text}
            case "answer":
                return {"action_type": "answer", "text": act.text}
            case "system_button" if act.button in _BUTTONS:
                return {"action_type": _BUTTONS[act.button]}
            case "wait":
                return {"action_type": "wait"}
        raise ActionRefused(f"AndroidWorld has no action for {act.as_json()}")

    def _field(self) -> dict[str, int]:
        """Coordinates of the text field, which the package touches before it types."""
        if self._touched is None:
            raise ActionRefused("text needs a field that was touched before")
        return {"x": round(self._touched.x), "y": round(self._touched.y)}

    def _started(self) -> Any:
        if self._task is None:
            raise ScreenUnavailable("no task is set up: reset comes first")
        return self._task

    def _tear_down(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.tear_down(self._phone)


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: ImportError) -> EvalError:
    return EvalError(
        f"AndroidWorld cannot be played: {error}",
        hint=f"install the package {PACKAGE} from its repository; stored runs need no package: --replay",
    )
