# SPDX-License-Identifier: Apache-2.0
"""finesight as a model of VLMEvalKit.

Written against the wheel ms-vlmeval 0.0.20: `vlmeval.vlm.base.BaseModel` (the base class), and the table
`vlmeval.config.supported_VLM`, which its `run.py` looks names up in. The wheel reads no entry points, so a name is
added to that table by `register`, or by hand at the end of `vlmeval/config.py`::

    from functools import partial
    from finesight.interop.vlmevalkit import FinesightVLM
    supported_VLM["finesight-tiny"] = partial(FinesightVLM, model_path="tiny")

`FinesightVLM` is made when it is first asked for, because its base class is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from types import new_class
from typing import Any, TypedDict, Unpack, cast

from finesight.conversation import ImagePart, Message, Part, Role, Sampling, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.interop.answering import Asked, budget_of, load_responder, module_of

PACKAGE = "ms-vlmeval"
_ROLES = ("system", "user", "assistant")


class Settings(TypedDict, total=False):
    """Arguments of `FinesightVLM`, where they are explained."""

    model_path: str
    device: str | None
    dtype: str | None
    min_pixels: float | None
    max_pixels: float | None
    total_pixels: float | None
    fps: float | None
    nframe: int | None
    max_frames: float | None
    max_new_tokens: int
    system_prompt: str


class KitModel:
    """What `FinesightVLM` does; its other base class is VLMEvalKit's own.

    Answers are greedy.

    Args:
        model_path: as in `finesight.load`.
        device: "cpu", "cuda", ...; None or "auto" takes cuda where there is one.
        dtype: of the weights; None takes the checkpoint's.
        min_pixels: lower bound of the area of each picture and frame.
        max_pixels: upper bound of it.
        total_pixels: upper bound of all frames of a video together.
        fps: frames per second of videos; where it is given, VLMEvalKit puts the data set's in its place.
        nframe: number of frames of videos; likewise.
        max_frames: largest number of frames of a video, where no `nframe` decides.
        max_new_tokens: of an answer.
        system_prompt: put before every conversation that has none; empty leaves the template's own.

    Raises:
        ConfigError: a value is wrong.
        WeightsError: there is no such model.
    """

    INTERLEAVE = True
    VIDEO_LLM = True
    is_api = False

    def __init__(
        self,
        model_path: str = "tiny",
        *,
        device: str | None = None,
        dtype: str | None = None,
        min_pixels: float | None = None,
        max_pixels: float | None = None,
        total_pixels: float | None = None,
        fps: float | None = None,
        nframe: int | None = None,
        max_frames: float | None = None,
        max_new_tokens: int = 2048,
        system_prompt: str = "",
    ) -> None:
        super().__init__()
        budget = budget_of(
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            total_pixels=total_pixels,
            max_frames=max_frames,
        )
        self._asked = Asked(load_responder(model_path, device=device, dtype=dtype), budget)
        self._sampling = Sampling(max_new_tokens=max_new_tokens)
        self._system = system_prompt
        self.fps, self.nframe = fps, nframe

    def generate_inner(
        self, message: Sequence[Mapping[str, Any]], dataset: str | None = None
    ) -> str:
        """Answer one message: a list of `{"type": "text" | "image" | "video", "value": ...}`, some with a `role`.

        Raises:
            FinesightError: the message cannot be read or answered.
        """
        del dataset
        return self._answer(self._turns(message, "user"))

    def chat_inner(self, messages: Sequence[Mapping[str, Any]], dataset: str | None = None) -> str:
        """Answer a conversation of `{"role": ..., "content": list as in generate_inner}`.

        Raises:
            FinesightError: the conversation cannot be read or answered.
        """
        del dataset
        return self._answer(
            [turn for each in messages for turn in self._turns(each["content"], each["role"])]
        )

    def _answer(self, turns: Sequence[Message]) -> str:
        if not turns:
            raise ConfigError("the message is empty; a part of type text, image or video is needed")
        if self._system and turns[0].role != "system":
            turns = [Message("system", (TextPart(self._system),)), *turns]
        return self._asked.answer(tuple(turns), self._sampling).text

    def _turns(self, message: Sequence[Mapping[str, Any]], default: str) -> list[Message]:
        """Parts in their order; neighbours of one role make one turn."""
        turns: list[Message] = []
        for each in message:
            role = each.get("role", default)
            if role not in _ROLES:
                raise ConfigError(
                    f"a part has the role {role!r}", hint=f"one of {', '.join(_ROLES)}"
                )
            if not turns or turns[-1].role != role:
                turns.append(Message(cast("Role", role), ()))
            turns[-1] = replace(turns[-1], parts=(*turns[-1].parts, self._part(each)))
        return turns

    def _part(self, part: Mapping[str, Any]) -> Part:
        kind, value = part["type"], part["value"]
        if kind == "text":
            return TextPart(str(value))
        if kind == "image":
            return ImagePart(source=value)
        if kind != "video":
            raise ConfigError(f"a part is of type {kind!r}; finesight takes text, image and video")
        # Read here and not once: VLMEvalKit changes both between data sets, and sets the one it does not use to None.
        if self.nframe:
            return VideoPart(source=value, nframes=int(self.nframe))
        return VideoPart(source=value, fps=self.fps or None)


def register(name: str = "finesight", **settings: Unpack[Settings]) -> None:
    """Add a model to the table that VLMEvalKit's `--model` looks in; call it before `vlmeval.run.main`.

    Args:
        name: what `--model` and its result files call the model.
        **settings: arguments of `FinesightVLM`.

    Raises:
        ConfigError: VLMEvalKit is not installed, or another model has this name.
    """
    table = module_of("vlmeval.config", package=PACKAGE).supported_VLM
    if name in table:
        raise ConfigError(f"VLMEvalKit already has a model {name!r}", hint="give another name")
    table[name] = partial(_adapter(), **settings)


@cache
def _adapter() -> type:
    base = module_of("vlmeval.vlm.base", package=PACKAGE).BaseModel
    own = {"__module__": __name__, "__doc__": KitModel.__doc__}
    return new_class("FinesightVLM", (KitModel, base), exec_body=lambda body: body.update(own))


def __getattr__(name: str) -> Any:
    if name == "FinesightVLM":
        return _adapter()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
