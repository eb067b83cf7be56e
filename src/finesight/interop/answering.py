# SPDX-License-Identifier: Apache-2.0
"""What all adapters share: find the other program, load a model, put its pixels and frames on every part, ask."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from importlib import import_module
from types import ModuleType

from finesight.api.model import load
from finesight.conversation import (
    Conversation,
    Message,
    Part,
    Reply,
    Responder,
    Sampling,
    TextPart,
    VideoPart,
)
from finesight.errors import ConfigError
from finesight.evals.core.task import Budget
from finesight.inputs import VIDEO_LIMITS

_OF_PICTURES = ("min_pixels", "max_pixels")


def module_of(name: str, *, package: str) -> ModuleType:
    """A module of the other program.

    Args:
        name: of the module.
        package: what to install where it is not there.

    Raises:
        ConfigError: it, or something it needs, is not installed; names both.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{name} cannot be imported: there is no module {error.name!r}",
            hint=f"install {package} with what it needs into the environment of finesight",
        ) from error


@dataclass(frozen=True, slots=True)
class Asked:
    """A model with the settings that hold for all it is asked.

    Attributes:
        responder: answers.
        budget: pixels and frames of parts that bring none of their own.
    """

    responder: Responder
    budget: Budget

    def answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        """Answer one conversation.

        Raises:
            FinesightError: its media cannot be read, it is too long, or an option is wrong.
        """
        budgeted = tuple(
            replace(each, parts=tuple(_with_budget(part, self.budget) for part in each.parts))
            for each in messages
        )
        return self.responder.respond([Conversation(budgeted)], sampling)[0]


def load_responder(name: str, *, device: str | None, dtype: str | None) -> Responder:
    """The engine of a model; arguments and errors as in `finesight.load`, a device of None is "auto"."""
    return load(name, device=device or "auto", dtype=dtype).engine


def budget_of(
    *,
    min_pixels: float | None,
    max_pixels: float | None,
    total_pixels: float | None,
    max_frames: float | None,
    fps: float | None = None,
) -> Budget:
    """A budget of settings; command lines turn `1e6` into a float.

    Raises:
        ConfigError: what counts pixels or frames is not whole; names it.
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
    """A part with the budget where it has none of its own; a fixed number of frames leaves no room for a rate."""
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
