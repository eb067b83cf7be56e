# SPDX-License-Identifier: Apache-2.0
"""One question to the model about the next step, and the step that its answer names.

The request has the tool with the size at which the model sees the screen; only a reply states that size for certain. If
it is another one than the tool stated, the question is asked again with the right size.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from finesight.apps.agent.records import AgentOptions, Step
from finesight.apps.crop import crop
from finesight.conversation import Conversation, ImagePart, Reply, Sampling, TextPart
from finesight.errors import ParseError
from finesight.geometry import Box, Point, Size
from finesight.media.image import load_image
from finesight.parse.action import read_action, read_tool_calls
from finesight.parse.records import AnswerCall
from finesight.parse.thinking import answer_part
from finesight.processor.resize import smart_resize
from finesight.responder import Responder
from finesight.screen.act import Act, ToolName
from finesight.screen.history import PastStep, act_in_words, call_as_json, turns
from finesight.screen.tools import EXTRAS, computer_use, extra_tool, mobile_use

__all__ = ["Asker", "Turn"]

_TOOLS = {"computer_use": computer_use, "mobile_use": mobile_use}
_CONCLUSION = re.compile(r"<conclusion>\s*(.*?)\s*(?:</conclusion>|$)", re.DOTALL)
_ACTION = re.compile(r"^\s*Action:\s*(.+?)\s*$", re.MULTILINE)
_CROP_SHARE = 0.5
"""Side of the crop for a second question about a click, as a share of the screen's: it is shown twice as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question and its answer.

    Attributes:
        prompt_digest: SHA-256 of the request's texts and tools.
        replies: what the model wrote, in order; the last one counts.
        shown: size at which the model saw the screen, for each reply.
        act: the step, in pixels of the screen; None if the answer names none.
        call: the step as a call.
        words: the step in words.
        problem: why there is no step.
        tokens: of prompts and answers.
    """

    prompt_digest: str
    replies: tuple[str, ...]
    shown: tuple[tuple[int, int], ...]
    act: Act | None = None
    call: str = ""
    words: str = ""
    problem: str = ""
    tokens: int = 0


@dataclass(slots=True)
class Asker:
    """Asks for steps.

    Attributes:
        responder: answers.
        tool: the official tool of the screen.
        options: settings of the run.
        screens: folder of the stored screens.
        resized: size at which the model sees screens of a size, where it has said so.
    """

    responder: Responder
    tool: ToolName
    options: AgentOptions
    screens: Path
    resized: dict[Size, Size] = field(default_factory=dict)

    def next(self, goal: str, done: Sequence[Step], screen: Path, remarks: Sequence[str]) -> Turn:
        """Ask for the next step.

        Args:
            goal: the task.
            done: earlier steps.
            screen: file of the screen.
            remarks: what else the model should know.
        """
        return self._answered(self.request(goal, done, screen, remarks), _size_of(screen))

    def request(
        self, goal: str, done: Sequence[Step], screen: Path, remarks: Sequence[str]
    ) -> Conversation:
        """The question for the next step; arguments as in `next`."""
        return self._request(goal, done, self._part(screen), remarks)

    def again(self, goal: str, done: Sequence[Step], screen: Path, point: Point) -> Turn | None:
        """Ask for the target of a click once more, on an enlarged crop around its point.

        Returns:
            None if the answer is not a step with a point.
        """
        part = crop(np.asarray(load_image(screen)), _around(point, _size_of(screen)))
        size = Size(part.pixels.shape[1], part.pixels.shape[0])
        whole = self._shown(_size_of(screen))
        picture = ImagePart(
            source=part.pixels, min_pixels=whole.area, max_pixels=self.options.max_pixels
        )
        self.resized[size] = _grid(size, whole.area, self.options.max_pixels)
        asked = self._request(goal, done, picture, (), size=size)
        turn = self._answered(asked, size)
        if turn.act is None or turn.act.point is None:
            return replace(turn, act=None)
        return replace(turn, act=replace(turn.act, point=part.point(turn.act.point)))

    def _request(
        self,
        goal: str,
        done: Sequence[Step],
        picture: ImagePart,
        remarks: Sequence[str],
        *,
        size: Size | None = None,
    ) -> Conversation:
        instructions = self.options.instructions
        now = instructions[len(done)] if len(done) < len(instructions) else None
        if self.options.manner == "low" and now is None:
            now = "Finish the task."
        messages = turns(
            self.options.manner, goal, self._past(done), picture, instruction=now, remarks=remarks
        )
        shown = self._shown(size or _size_of(Path(str(picture.source))))
        extras = [extra_tool(name) for name in self.options.extras]
        return Conversation(messages, tools=(_TOOLS[self.tool](shown), *extras))

    def _answered(self, asked: Conversation, size: Size) -> Turn:
        replies: list[Reply] = []
        sampling = Sampling(max_new_tokens=self.options.max_new_tokens)
        for _ in range(2):
            reply = self.responder.respond([asked], sampling)[0]
            replies.append(reply)
            seen = reply.media[-1].resize.resized if reply.media else self._shown(size)
            if seen == self._shown(size):
                break
            self.resized[size] = seen
            asked = replace(asked, tools=(_TOOLS[self.tool](seen), *asked.tools[1:]))
        turn = Turn(
            prompt_digest=_digest(asked),
            replies=tuple(reply.text for reply in replies),
            shown=tuple(
                _pair(each.media[-1].resize.resized if each.media else seen) for each in replies
            ),
            tokens=sum(each.usage.prompt_tokens + each.usage.completion_tokens for each in replies),
        )
        scale = (size.width / seen.width, size.height / seen.height)
        try:
            act, call = self._read(replies[-1].text, scale)
        except ParseError as error:
            return replace(turn, problem=error.message)
        return replace(turn, act=act, call=call, words=_words(replies[-1].text, act))

    def _read(self, text: str, scale: tuple[float, float]) -> tuple[Act, str]:
        """The step of an answer, and its call as JSON.

        Raises:
            ParseError: the answer has no valid call.
        """
        found = read_tool_calls(answer_part(text) or "")
        if not found.calls:
            problems = found.problems
            raise ParseError(problems[0].message if problems else "the answer has no tool call")
        call = found.calls[0]  # later ones were written without seeing the next screen
        if call.name in self.options.extras:
            return _extra(call), call_as_json(call.name, call.arguments)
        if call.name != self.tool:
            raise ParseError(f"the answer calls {call.name[:60]!r}; the tool here is {self.tool}")
        act = Act.placed(read_action(call), scale)
        return act, call_as_json(self.tool, act.arguments(scale))

    def _past(self, done: Sequence[Step]) -> list[PastStep]:
        """Earlier steps that were performed."""
        return [
            PastStep(
                call=step.call,
                words=step.words,
                reply=step.replies[-1],
                screen=self._part(self.screens / f"{step.before}.png"),
                instruction=dict(enumerate(self.options.instructions)).get(step.n - 1),
            )
            for step in done
            if step.call and not step.problem
        ]

    def _part(self, screen: Path) -> ImagePart:
        return ImagePart(
            source=str(screen),
            min_pixels=self.options.min_pixels,
            max_pixels=self.options.max_pixels,
        )

    def _shown(self, size: Size) -> Size:
        if size not in self.resized:
            self.resized[size] = _grid(size, self.options.min_pixels, self.options.max_pixels)
        return self.resized[size]


def _extra(call: AnswerCall) -> Act:
    text = call.arguments.get("text")
    if not isinstance(text, str) or set(call.arguments) != {"text"}:
        raise ParseError(f"{call.name} takes one argument `text`, not {dict(call.arguments)!s:.80}")
    assert call.name in EXTRAS
    return Act(kind=call.name, text=text)


def _words(text: str, act: Act) -> str:
    """What the model says that the step does, else the step in words."""
    said = _CONCLUSION.search(text) or _ACTION.search(text)
    return said[1] if said and said[1] else act_in_words(act)


def _around(point: Point, size: Size) -> Box:
    """A crop around a point, moved into the screen."""
    width, height = size.width * _CROP_SHARE, size.height * _CROP_SHARE
    left = min(max(point.x - width / 2, 0.0), size.width - width)
    top = min(max(point.y - height / 2, 0.0), size.height - height)
    return Box(left, top, left + width, top + height)


def _grid(size: Size, min_pixels: int | None, max_pixels: int | None) -> Size:
    rows, columns = smart_resize(
        size.height, size.width, min_pixels=min_pixels, max_pixels=max_pixels
    )
    return Size(columns, rows)


def _size_of(path: Path) -> Size:
    with Image.open(path) as picture:
        return Size(*picture.size)


def _pair(size: Size) -> tuple[int, int]:
    return size.width, size.height


def _digest(asked: Conversation) -> str:
    texts: list[Any] = [
        [message.role, [part.text for part in message.parts if isinstance(part, TextPart)]]
        for message in asked.messages
    ]
    content = json.dumps([texts, [dict(tool) for tool in asked.tools]], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()
