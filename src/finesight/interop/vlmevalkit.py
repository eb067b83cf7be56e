# SPDX-License-Identifier: Apache-2.0
"""finesight as a model of VLMEvalKit.

Written against the wheel ms-vlmeval 0.0.20: `vlmeval.vlm.base.BaseModel` (the base class), and the table
`vlmeval.config.supported_VLM`, where its `run.py` looks up names. The wheel has no entry points, so a name is added to
that table by `register`, or by hand at the end of `vlmeval/config.py`::

    from functools import partial
    from finesight.interop.vlmevalkit import FinesightVLM
    supported_VLM["finesight-tiny"] = partial(FinesightVLM, model_path="tiny")

`FinesightVLM` is created at its first access, because its base class belongs to VLMEvalKit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from types import new_class
from typing import Any, TypedDict, Unpack, cast

from finesight.conversation import ImagePart, Message, Part, Role, Sampling, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.interop.answering import AdaptedModel, budget_of, load_responder, module_of

PACKAGE = "ms-vlmeval"
_ROLES = ("system", "user", "assistant")


class Settings(TypedDict, total=False):
    """Arguments of `FinesightVLM`, explained there."""

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
    """Implementation of `FinesightVLM`, which also derives from VLMEvalKit's base class.

    Decoding is greedy.

    Args:
        model_path: name of the model, as in `finesight.load`.
        device: "cpu", "cuda", ...; None or "auto" uses cuda if available.
        dtype: of the weights; None takes the checkpoint's.
        min_pixels: least area of each picture and frame, in pixels.
        max_pixels: largest area of each picture and frame, in pixels.
        total_pixels: largest area of all frames of a video together, in pixels.
        fps: frames per second of videos; if given, VLMEvalKit replaces it by the data set's value.
        nframe: number of frames of videos; if given, VLMEvalKit replaces it by the data set's value.
        max_frames: largest number of frames of a video without `nframe`.
        max_new_tokens: longest answer.
        system_prompt: put before conversations without a system message; empty keeps the template's default.

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
        responder = load_responder(model_path, device=device, dtype=dtype)
        self._model = AdaptedModel(responder, budget, system_prompt)
        self._sampling = Sampling(max_new_tokens=max_new_tokens)
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
        return self._model.answer(turns, self._sampling).text

    def _turns(self, message: Sequence[Mapping[str, Any]], default: str) -> list[Message]:
        """Turns of a message; consecutive parts with the same role form one turn."""
        turns: list[Message] = []
        for each in message:
            role = each.get("role", default)
            if role not in _ROLES:
                raise ConfigError(
                    f"a part has the role {role!r}", hint=f"give one of {', '.join(_ROLES)}"
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
        # Read for each part: VLMEvalKit changes both between data sets, and sets the unused one to None.
        if self.nframe:
            return VideoPart(source=value, nframes=int(self.nframe))
        return VideoPart(source=value, fps=self.fps or None)


def register(name: str = "finesight", **settings: Unpack[Settings]) -> None:
    """Add a model to the table of VLMEvalKit's `--model`; call it before `vlmeval.run.main`.

    Args:
        name: the model's name for `--model` and in result files.
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
