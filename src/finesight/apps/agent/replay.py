# SPDX-License-Identifier: Apache-2.0
"""Replay a trace: its answers on a live screen (`Recorded`), or its acts without a model (`macro`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from finesight.apps.agent.gate import Gate, Proposal
from finesight.apps.agent.look import element_as_json, look_at
from finesight.apps.agent.records import End, Run, Step
from finesight.apps.agent.trace import Trace, read_steps
from finesight.conversation import Conversation, ImagePart, MediaRecord, Reply, Sampling, Usage
from finesight.errors import ActionRefused, AppError, ConfigError, ScreenUnavailable
from finesight.geometry import Point, Resize, Size
from finesight.screen.act import Act
from finesight.screen.effect import effect_of
from finesight.screen.environment import Screen
from finesight.screen.history import act_in_words

__all__ = ["Recorded", "act_of", "differences", "macro", "read_trace", "similarity"]

LEAST_SIMILARITY = 0.8
"""Structural similarity of the surroundings of a click below which a macro stops."""
_REACH = 40
"""Half the side of the compared square, in pixels."""
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def read_trace(folder: Path) -> tuple[dict[str, Any], list[Step]]:
    """Settings and steps of a trace.

    Raises:
        ConfigError: the folder holds no trace.
        AppError: the trace is damaged.
    """
    if not (folder / "meta.json").is_file():
        raise ConfigError(
            f"{folder} holds no trace: there is no {folder / 'meta.json'}",
            hint="give the folder of an earlier run with --trace",
        )
    try:
        meta = json.loads((folder / "meta.json").read_bytes())
        if not isinstance(meta, dict):
            raise ValueError("meta.json holds no object")
    except (OSError, ValueError) as error:
        raise AppError(f"the trace {folder} is damaged: {error}") from error
    steps, _ = read_steps(folder / "steps.jsonl")
    return meta, steps


@dataclass(slots=True)
class Recorded:
    """A responder that gives the answers of a trace in their order.

    Attributes:
        steps: of the trace.
    """

    steps: Sequence[Step]
    _given: int = 0

    def respond(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """The next recorded answers.

        Raises:
            AppError: the trace has no more answers.
        """
        del sampling
        return [self._next(conversation) for conversation in conversations]

    def _next(self, conversation: Conversation) -> Reply:
        pairs = [pair for step in self.steps for pair in zip(step.replies, step.shown, strict=True)]
        if self._given >= len(pairs):
            raise AppError(f"the trace has {len(pairs)} answers, and one more was asked for")
        text, shown = pairs[self._given]
        self._given += 1
        screen = next(part for part in reversed(list(conversation.media())) if isinstance(part, ImagePart))  # fmt: skip
        resize = Resize(_size_of(screen), Size(*shown))
        seen = MediaRecord(kind="image", source="screen", resize=resize, visual_tokens=0)
        return Reply(text=text, token_ids=(), finish_reason="stop", usage=Usage(0, 0, 0), media=(seen,))  # fmt: skip


def differences(first: Sequence[Step], second: Sequence[Step]) -> list[str]:
    """Where a replay differs from its trace: screens, acts, decisions of the gate and effects, in words."""
    found = [] if len(first) == len(second) else [f"{len(first)} steps became {len(second)}"]
    for one, other in zip(first, second, strict=False):
        found += [
            f"step {one.n}: {name} was {before!s:.80}, now {after!s:.80}"
            for name in ("before", "after", "act", "gate")
            if (before := getattr(one, name)) != (after := getattr(other, name))
        ]
        verdicts = [each.effect and each.effect["verdict"] for each in (one, other)]
        if verdicts[0] != verdicts[1]:
            found.append(f"step {one.n}: effect was {verdicts[0]}, now {verdicts[1]}")
    return found


def macro(
    source: Path,
    screen: Screen,
    trace: Trace,
    gate: Gate,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Run:
    """Perform the acts of a trace without a model; stops at the first screen whose target looks different.

    Args:
        source: folder of the trace.
        screen: is acted on.
        trace: keeps the steps of this run.
        gate: allows or refuses each step, as always.
        on_step: called with each finished step.
    """
    meta, recorded = read_trace(source)
    performed = [step for step in recorded if step.act is not None and not step.problem]
    end: End = "terminated"
    problem = ""
    try:
        for old in performed:
            step = gate.secrets.hidden_step(_repeated(old, source, screen, trace, gate))
            trace.keep(step)
            on_step(step)
            if step.problem:
                end, problem = "differs", f"step {old.n}: {step.problem}"
                break
    except ScreenUnavailable as error:
        end, problem = "screen_gone", gate.secrets.hidden(error.message)
    last = performed[-1].act if performed and end == "terminated" else None
    claimed = str(last["status"]) if last and last["kind"] == "terminate" else ""
    run = Run(
        goal=meta["goal"], end=end, claimed=claimed, steps=tuple(trace.steps), problem=problem
    )
    trace.finish(run)
    return run


def _repeated(old: Step, source: Path, screen: Screen, trace: Trace, gate: Gate) -> Step:
    """One act of a trace, done again."""
    assert old.act is not None
    look = look_at(screen, trace, gate.secrets)
    act = act_of(old.act)
    number = len(trace.steps) + 1
    step = replace(old, n=number, before=look.digest, after="", replies=(), shown=(), problem="")
    if act.point is not None:
        try:
            with Image.open(source / "screens" / f"{old.before}.png") as before:
                alike = similarity(before, look.picture, act.point)
        except OSError as error:
            return replace(step, problem=f"its recorded screen cannot be read: {error}")
        if alike < LEAST_SIMILARITY:
            return replace(step, problem=f"the target looks different (similarity {alike:.2f})")
    if act.kind in ("terminate", "note", "answer", "ask_user"):
        return step
    try:
        element = look.focus if act.point is None else screen.element_at(act.point)
        risk = gate.risk(act, element, text=None, warned=bool(look.warnings))
        ruling = gate.rule(
            Proposal(
                act=act,
                risk=risk,
                element=element,
                place=look.seen.place,
                goal="",
                picture=look.picture,
                tool=screen.tool,
            )
        )
        if not ruling.allowed:
            return replace(step, gate=ruling.to_dict(), problem=ruling.reason)
        if ruling.act is not act:  # the approver gave another one
            act = ruling.act
            element = look.focus if act.point is None else screen.element_at(act.point)
            step = replace(
                step,
                act=act.as_json(),
                element=element_as_json(element),
                words=act_in_words(act),
            )
        trace.announce(step.n, step.act or {})
        text = act.text and gate.secrets.typed(act.text, look.seen.place, element)
        screen.act(replace(act, text=text))
    except ActionRefused as error:
        return replace(step, problem=error.message)
    after = look_at(screen, trace, gate.secrets)
    effect = effect_of(
        look.seen.screenshot,
        after.seen.screenshot,
        point=act.point,
        places=(look.seen.place, after.seen.place),
        focus=(look.focus, after.focus),
        elements=(look.elements, after.elements),
    )
    return replace(step, after=after.digest, gate=ruling.to_dict(), effect=effect.to_dict())


def act_of(stored: Mapping[str, Any]) -> Act:
    """A step of a trace, from its JSON."""
    values = dict(stored)
    for name in ("point", "point2"):
        if name in values:
            values[name] = Point(*values[name])
    return Act(**{**values, "keys": tuple(values.get("keys", ()))})


def similarity(first: Image.Image, second: Image.Image, point: Point) -> float:
    """Structural similarity of the squares around a point, from -1 to 1.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, with one
    window for the whole square.
    """
    if first.size != second.size:
        return 0.0
    edges = (int(point.x) - _REACH, int(point.y) - _REACH, int(point.x) + _REACH, int(point.y) + _REACH)  # fmt: skip
    a, b = (np.asarray(each.convert("L").crop(edges), dtype=np.float64) for each in (first, second))
    together = float(((a - a.mean()) * (b - b.mean())).mean())
    light = (2 * a.mean() * b.mean() + _C1) / (a.mean() ** 2 + b.mean() ** 2 + _C1)
    return float(light * (2 * together + _C2) / (a.var() + b.var() + _C2))


def _size_of(part: ImagePart) -> Size:
    if isinstance(part.source, str):
        with Image.open(part.source) as picture:
            return Size(*picture.size)
    height, width = np.asarray(part.source).shape[:2]
    return Size(width, height)
