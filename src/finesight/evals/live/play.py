# SPDX-License-Identifier: Apache-2.0
"""The one loop that plays episodes: show the screen, read the answer, act, until something ends it; then score.

`Player` is an `ItemResponder` like any other. Its item is an episode, its answer the episode's transcript, so the
runner that asks questions also plays: journal, resume, shards and errors are those of every benchmark.
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
from finesight.evals.core.responders import ItemResponder
from finesight.evals.core.task import Answered, Budget, CoordinateFrame, Item, Space
from finesight.evals.extract.places import FIRST_POINT
from finesight.geometry import Point, Resize, Size
from finesight.parse.action import read_action, read_tool_calls
from finesight.parse.thinking import answer_part
from finesight.screen.act import Act
from finesight.screen.environment import Environment, Observation
from finesight.screen.history import POINT_WISH, call_as_json, progress
from finesight.screen.tools import computer_use, mobile_use, mobile_use_answering
from finesight.text.chat_template import DEFAULT_SYSTEM, dump_json

TOOLS = {"computer_use": computer_use, "mobile_use": mobile_use}
ANSWERING_TOOLS = {**TOOLS, "mobile_use": mobile_use_answering}
MANNERS = ("progress", "answer", "point")


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """Plays each item with an environment.

    Attributes:
        inner: answers one screen at a time.
        environment: is played with.
        space: what numbers in the answers mean.
        most_steps: answers per episode at most.
        budget: pixels of a screenshot.
        screens: folder for the screenshots that were shown, named by their digests.
        manner: of asking: "progress" offers a tool and tells the steps so far; "answer" does the same with a tool for
            telephones that has the action `answer`; "point" wishes for a point, which is clicked.
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
        if self.space == "resized" and not self.inner.declares_resize:
            raise EvalError(
                f"answers are said to be in resized pixels, but {self.inner.name} does not say how it resizes",
                hint="state the space of its numbers, or have pictures resized before they are sent",
            )
        if self.space == "relative_1":
            raise EvalError(
                "the tools of episodes speak of pixels, and answers are said to be shares",
                hint="resized, original or relative_1000",
            )
        if self.manner not in MANNERS:
            raise EvalError(f"episodes are not asked in the manner {self.manner!r}")
        if self.most_steps < 1:
            raise EvalError(f"an episode of {self.most_steps} steps is none")

    @property
    def name(self) -> str:
        """Of whoever answers."""
        return self.inner.name

    @property
    def reads_media(self) -> bool:
        """An item of an environment has no pictures before it is played."""
        return False

    @property
    def declares_resize(self) -> bool:
        """Of whoever answers."""
        return self.inner.declares_resize

    @property
    def wording(self) -> str:
        """Digest of the words around every task: an item of an environment does not hold them, so a run keeps this."""
        if self.manner == "point":
            return digest_of({"wish": POINT_WISH.format(text="")})
        name, done = self.environment.tool, Act(kind="wait", seconds=2.0).arguments((1.0, 1.0))
        tool = dump_json(self._tool(Size(1000, 1000)))
        return digest_of({"tool": tool, "turn": progress("", [call_as_json(name, done)] * 2)})

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """Play one episode; its transcript is the text, its first screen the medium.

        `finish_reason` is "length" where the steps ran out.
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
        """Task, what was done so far, and the screen as it is now; earlier screens are not shown."""
        path, digest = _kept(seen.screenshot, self.screens)
        size = Size(*seen.screenshot.size)
        screen = ImagePart(
            source=str(path),
            min_pixels=self.budget.min_pixels,
            max_pixels=self.budget.max_pixels,
        )
        if self.manner == "point":
            wish = TextPart(POINT_WISH.format(text=seen.instruction))
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
        """The size that the tool names: numbers of answers are meant in it."""
        if self.space == "resized":
            return self._resized.get(size) or self.budget.seen_size(size.width, size.height)
        if self.space == "relative_1000":
            return Size(1000, 1000)
        return size

    def _turn(
        self, item: Item, seen: Observation, turns: Sequence[_Turn], sampling: Sampling
    ) -> _Turn:
        """Ask, read the answer and carry it out; what cannot be is a problem of this turn and ends nothing."""
        question, reply = self._answered(item, seen, turns, sampling)
        try:
            said = answer_part(reply.text) or ""  # what was only thought is no step
            act = self._read(said, self._frame(question, reply))
            self.environment.act(act)
        except (ParseError, ActionRefused) as error:
            return _Turn(question, reply, None, error.message)
        return _Turn(question, reply, act, "")

    def _read(self, text: str, frame: CoordinateFrame) -> Act:
        """The step that an answer means.

        Raises:
            ParseError: none that can be read.
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
        """A question and its answer; asked anew if the tool named another size than the one that was seen.

        The size is known for sure only from a reply: a checkpoint may have limits of its own. From then on it is
        named rightly.
        """
        name = f"{item.id}/{len(turns) + 1}"
        question = self._question(seen, turns)
        reply = self.inner.answer(Item(id=name, conversation=question.asked, truth={}), sampling)
        resized = self._frame(question, reply).resized
        is_named = self.space == "resized" and self.manner != "point"
        if not is_named or resized == self._shown(question.size):
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
    """What the model is asked in one turn."""

    asked: Conversation
    done: tuple[str, ...]
    size: Size
    path: Path
    digest: str

    def is_same(self, other: _Question) -> bool:
        """Whether a model that draws nothing would answer both alike."""
        return (self.done, self.digest) == (other.done, other.digest)


@dataclass(frozen=True, slots=True)
class _Turn:
    question: _Question
    reply: Reply
    act: Act | None
    problem: str

    def step(self) -> Step:
        """The turn as the transcript has it."""
        act = None if self.act is None else self.act.as_json()
        return Step(
            answer=self.reply.text,
            act=act,
            problem=self.problem,
            screenshot=self.question.digest,
        )


def _only_call(text: str) -> Any:
    """The first call of an answer: what follows it was written without having seen the next screen.

    Raises:
        ParseError: there is none that can be read.
    """
    found = read_tool_calls(text)
    if found.calls:
        return found.calls[0]
    said = found.problems[0].message if found.problems else "the answer holds no tool call"
    raise ParseError(said)


def _kept(screenshot: Image, folder: Path) -> tuple[Path, str]:
    """A screenshot as a file named by its digest; equal screens are one file."""
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
