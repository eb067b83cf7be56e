# SPDX-License-Identifier: Apache-2.0
"""The loop that plays episodes: show the screen, parse the answer, execute the action, repeat; then score.

`Player` is an `ItemResponder`: its item is an episode, its answer the transcript of the episode. So the runner of
questions also runs episodes, with the same journal, resuming, shards and error handling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL.Image import Image

from finesight import files
from finesight.conversation import (
    Conversation,
    ImagePart,
    MediaRecord,
    Message,
    Reply,
    Sampling,
    TextPart,
    Usage,
)
from finesight.errors import ActionRefused, EvalError, ParseError
from finesight.evals.core.digests import digest as digest_of
from finesight.evals.core.episode import End, Episode, Step
from finesight.evals.core.responders import ItemResponder, check_space
from finesight.evals.core.task import Answered, Budget, CoordinateFrame, Item, Space
from finesight.evals.extract.places import FIRST_POINT
from finesight.geometry import Point, Resize, Size
from finesight.parse.action import read_action, read_tool_calls
from finesight.parse.thinking import answer_part
from finesight.screen.act import Act
from finesight.screen.environment import Environment, Observation
from finesight.screen.history import POINT_REQUEST, call_as_json, progress
from finesight.screen.tools import computer_use, mobile_use, mobile_use_answering
from finesight.text.chat_template import DEFAULT_SYSTEM, dump_json

TOOLS = {"computer_use": computer_use, "mobile_use": mobile_use}
ANSWERING_TOOLS = {**TOOLS, "mobile_use": mobile_use_answering}
MANNERS = ("progress", "answer", "point")


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """Plays each item in an environment.

    Attributes:
        inner: source of answers, one screen at a time.
        environment: of the episodes.
        space: unit of coordinates in answers.
        most_steps: maximum number of answers per episode.
        budget: pixels of a screenshot.
        screens: folder for the screenshots, named by their digests.
        manner: prompt: "progress" offers a tool and lists the steps so far; "answer" does the same with the action
            `answer` in the tool for telephones; "point" asks for a point, which is clicked.
    """

    inner: ItemResponder
    environment: Environment
    space: Space
    most_steps: int
    screens: Path
    budget: Budget = field(default_factory=Budget)
    manner: str = "progress"
    _resized: dict[Size, Size] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_space(self.inner, self.space)
        if self.space == "relative_1":
            raise EvalError(
                "the tools of episodes use pixels, not fractions of the sides (relative_1)",
                hint="resized, original or relative_1000",
            )
        if self.manner not in MANNERS:
            raise EvalError(
                f"episodes have no prompt {self.manner!r}", hint=f"there are: {', '.join(MANNERS)}"
            )
        if self.most_steps < 1:
            raise EvalError(f"most_steps={self.most_steps} must be at least 1")

    @property
    def name(self) -> str:
        """Name of `inner`."""
        return self.inner.name

    @property
    def reads_media(self) -> bool:
        """False: the item of an episode has no pictures."""
        return False

    @property
    def declares_resize(self) -> bool:
        """As `inner`."""
        return self.inner.declares_resize

    @property
    def wording(self) -> str:
        """Digest of the prompt template, which is not part of the items and therefore stored with the run."""
        if self.manner == "point":
            return digest_of({"wish": POINT_REQUEST.format(text="")})
        name, done = self.environment.tool, Act(kind="wait", seconds=2.0).arguments((1.0, 1.0))
        tool = dump_json(self._tool(Size(1000, 1000)))
        return digest_of({"tool": tool, "turn": progress("", [call_as_json(name, done)] * 2)})

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """Play one episode; the reply has its transcript as text and its first screen as medium.

        `finish_reason` is "length" if the limit of steps was reached.
        """
        seen = self.environment.reset(item.truth["config"])
        turns: list[_Turn] = []
        end: End = "steps"
        while len(turns) < self.most_steps:
            question = self._question(seen, turns)
            if turns and turns[-1].question.is_same(question) and sampling.temperature == 0:
                end = "stuck"
                break
            turns.append(self._turn(item, seen, turns, sampling))
            act = turns[-1].act
            if act is not None and act.kind == "terminate":
                end = "terminated"
                break
            seen = replace(self.environment.observe(), targets=seen.targets)
            if seen.is_over:
                end = "over"
                break
        return self._reply(item, seen, turns, end)

    def _question(self, seen: Observation, turns: Sequence[_Turn]) -> _Question:
        """Task, steps so far and the current screen; earlier screens are not shown."""
        path, digest = _saved(seen.screenshot, self.screens)
        size = Size(*seen.screenshot.size)
        screen = ImagePart(
            source=str(path),
            min_pixels=self.budget.min_pixels,
            max_pixels=self.budget.max_pixels,
        )
        if self.manner == "point":
            wish = TextPart(POINT_REQUEST.format(text=seen.instruction))
            asked = Conversation((Message("user", (screen, wish)),))
            return _Question(asked, (), size, path, digest)
        shown = self._shown(size)
        scale = CoordinateFrame(self.space, size, shown).scales()
        tool = self.environment.tool
        acts = [turn.act for turn in turns if turn.act is not None]
        done = tuple(call_as_json(tool, act.arguments(scale)) for act in acts)
        messages = (
            Message("system", (TextPart(DEFAULT_SYSTEM),)),
            Message("user", (TextPart(progress(seen.instruction, done)), screen)),
        )
        asked = Conversation(messages, tools=(self._tool(shown),))
        return _Question(asked, done, size, path, digest)

    def _tool(self, screen: Size) -> dict[str, Any]:
        tools = ANSWERING_TOOLS if self.manner == "answer" else TOOLS
        return tools[self.environment.tool](screen)

    def _shown(self, size: Size) -> Size:
        """The size stated in the tool; coordinates in answers refer to it."""
        if self.space == "resized":
            return self._resized.get(size) or self.budget.seen_size(size.width, size.height)
        if self.space == "relative_1000":
            return Size(1000, 1000)
        return size

    def _turn(
        self, item: Item, seen: Observation, turns: Sequence[_Turn], sampling: Sampling
    ) -> _Turn:
        """Ask, parse the answer and execute the action; a failure is recorded as problem of this turn."""
        question, reply = self._answered(item, seen, turns, sampling)
        try:
            text = answer_part(reply.text) or ""  # without the reasoning
            act = self._read(text, self._frame(question, reply))
            self.environment.act(act)
        except (ParseError, ActionRefused) as error:
            return _Turn(question, reply, None, error.message)
        return _Turn(question, reply, act, "")

    def _read(self, text: str, frame: CoordinateFrame) -> Act:
        """The action of an answer.

        Raises:
            ParseError: the answer has no valid action.
        """
        if self.manner != "point":
            return Act.placed(read_action(_only_call(text)), frame.scales())
        place = FIRST_POINT.read(Answered(text, {}, (frame,)))
        if place is None:
            raise ParseError("the answer holds no point")
        kind = "left_click" if self.environment.tool == "computer_use" else "click"
        return Act(kind=kind, point=Point(*place))

    def _answered(
        self, item: Item, seen: Observation, turns: Sequence[_Turn], sampling: Sampling
    ) -> tuple[_Question, Reply]:
        """A question and its answer; asked again if the tool stated another size than the reply.

        Only a reply states the resized size, because a checkpoint may have its own pixel limits. It is used for all
        later questions.
        """
        name = f"{item.id}/{len(turns) + 1}"
        question = self._question(seen, turns)
        reply = self.inner.answer(Item(id=name, conversation=question.asked, truth={}), sampling)
        resized = self._frame(question, reply).resized
        is_stated = self.space == "resized" and self.manner != "point"
        if not is_stated or resized == self._shown(question.size):
            return question, reply
        self._resized[question.size] = resized
        question = self._question(seen, turns)
        asked = Item(id=name, conversation=question.asked, truth={})
        return question, self.inner.answer(asked, sampling)

    def _frame(self, question: _Question, reply: Reply) -> CoordinateFrame:
        resized = reply.media[0].resize.resized if reply.media else question.size
        return CoordinateFrame(self.space, question.size, resized)

    def _reply(self, item: Item, seen: Observation, turns: Sequence[_Turn], end: End) -> Reply:
        outcome = self.environment.evaluate()
        episode = Episode(
            episode=item.id,
            instruction=seen.instruction,
            score=outcome.score,
            end=end,
            facts=outcome.facts,
            targets=[[box.x1, box.y1, box.x2, box.y2] for box in seen.targets],
            steps=[turn.step() for turn in turns],
        )
        usages = [turn.reply.usage for turn in turns]
        return Reply(
            text=episode.text(),
            token_ids=(),
            finish_reason="length" if end == "steps" else "stop",
            usage=Usage(
                prompt_tokens=sum(usage.prompt_tokens for usage in usages),
                visual_tokens=sum(usage.visual_tokens for usage in usages),
                completion_tokens=sum(usage.completion_tokens for usage in usages),
            ),
            media=(_first_screen(turns[0]),),
        )


@dataclass(frozen=True, slots=True)
class _Question:
    """The request of one turn."""

    asked: Conversation
    done: tuple[str, ...]
    size: Size
    path: Path
    digest: str

    def is_same(self, other: _Question) -> bool:
        """Whether a deterministic model would give the same answer to both."""
        return (self.done, self.digest) == (other.done, other.digest)


@dataclass(frozen=True, slots=True)
class _Turn:
    question: _Question
    reply: Reply
    act: Act | None
    problem: str

    def step(self) -> Step:
        """The turn as a step of the transcript."""
        act = None if self.act is None else self.act.as_json()
        return Step(
            answer=self.reply.text,
            act=act,
            problem=self.problem,
            screenshot=self.question.digest,
        )


def _only_call(text: str) -> Any:
    """The first call of an answer; later ones were written without seeing the next screen.

    Raises:
        ParseError: there is no valid call.
    """
    found = read_tool_calls(text)
    if found.calls:
        return found.calls[0]
    raise ParseError(
        found.problems[0].message if found.problems else "the answer holds no tool call"
    )


def _saved(screenshot: Image, folder: Path) -> tuple[Path, str]:
    """Save a screenshot under its digest; return path and digest."""
    digest = hashlib.sha256(screenshot.tobytes()).hexdigest()
    path = folder.resolve() / f"{digest[:16]}.png"
    if not path.exists():
        with files.whole_file(path, error=None, parents=True) as draft:
            screenshot.save(draft, "PNG")
    return path, digest


def _first_screen(turn: _Turn) -> MediaRecord:
    size = turn.question.size
    record = turn.reply.media[0] if turn.reply.media else None
    return MediaRecord(
        kind="image",
        source=str(turn.question.path),
        resize=record.resize if record else Resize(size, size),
        visual_tokens=record.visual_tokens if record else 0,
    )
