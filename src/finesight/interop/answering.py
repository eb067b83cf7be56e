# SPDX-License-Identifier: Apache-2.0
"""Code shared by the adapters: import the harness, load a model, apply the pixel and frame budget, answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from types import ModuleType

from finesight.api.model import load
from finesight.conversation import Conversation, Message, Part, Reply, Sampling, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.evals.core.task import Budget
from finesight.inputs import VIDEO_LIMITS
from finesight.responder import Responder

_OF_PICTURES = ("min_pixels", "max_pixels")


def module_of(name: str, *, package: str) -> ModuleType:
    """Import a module of the harness.

    Args:
        name: of the module.
        package: the package to install if it is missing.

    Raises:
        ConfigError: the module, or one that it imports, is not installed; names both.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{name} cannot be imported: there is no module {error.name!r}",
            hint=f"install {package} with its dependencies into the environment of finesight",
        ) from error


@dataclass(frozen=True, slots=True)
class AdaptedModel:
    """A model with the settings for all its conversations.

    Attributes:
        responder: the model.
        budget: pixels and frames of parts that set none themselves.
        system_prompt: put before conversations without a system message; empty keeps the template's default.
    """

    responder: Responder
    budget: Budget
    system_prompt: str = ""

    def answer(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """Answer one conversation, which is not empty.

        Raises:
            FinesightError: its media cannot be read, it is too long, or an option is wrong.
        """
        if self.system_prompt and messages[0].role != "system":
            messages = (Message("system", (TextPart(self.system_prompt),)), *messages)
        budgeted = tuple(
            replace(each, parts=tuple(_with_budget(part, self.budget) for part in each.parts))
            for each in messages
        )
        return self.responder.respond([Conversation(budgeted)], sampling)[0]


def load_responder(name: str, *, device: str | None, dtype: str | None) -> Responder:
    """The engine of a model; arguments and errors as in `finesight.load`; device None means "auto"."""
    return load(name, device=device or "auto", dtype=dtype).engine


def budget_of(
    *,
    min_pixels: float | None,
    max_pixels: float | None,
    total_pixels: float | None,
    max_frames: float | None,
    fps: float | None = None,
) -> Budget:
    """A budget from settings; values such as `1e6` may be floats, as command lines give them.

    Raises:
        ConfigError: a number of pixels or frames is not an integer; names it.
    """
    return Budget(
        min_pixels=_whole("min_pixels", min_pixels),
        max_pixels=_whole("max_pixels", max_pixels),
        total_pixels=_whole("total_pixels", total_pixels),
        max_frames=_whole("max_frames", max_frames),
        fps=fps,
    )


def _whole(name: str, value: object) -> int | None:
    limits = VIDEO_LIMITS[name]
    number: int | None = limits.settled(value)
    limits.check(name, number)
    return number


def _with_budget(part: Part, budget: Budget) -> Part:
    """A part with the budget where it sets no value itself; frame limits do not apply to a fixed number of frames."""
    if isinstance(part, TextPart):
        return part
    names = [each.name for each in fields(Budget)] if isinstance(part, VideoPart) else _OF_PICTURES
    if isinstance(part, VideoPart) and (part.nframes is not None or part.is_frame_list):
        names = [name for name in names if name not in ("fps", "max_frames")]
    given = {
        name: value
        for name in names
        if (value := getattr(budget, name)) is not None and getattr(part, name) is None
    }
    return replace(part, **given)
