# SPDX-License-Identifier: Apache-2.0
"""The loop: observe, ask, rule, act, compare, write down; until the task ends or a budget is used up."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from finesight.apps.agent.ends import judge, verify
from finesight.apps.agent.gate import Gate, Proposal, Ruling
from finesight.apps.agent.look import Look, element_as_json, is_other_control, look_at
from finesight.apps.agent.reading import words_at
from finesight.apps.agent.records import AgentOptions, End, Run, Step, Verified
from finesight.apps.agent.remarks import MOST_REPETITIONS, remarks_for, repetitions, texts_of
from finesight.apps.agent.trace import Trace
from finesight.apps.agent.turn import Asker
from finesight.elements import ScreenElement
from finesight.errors import ActionRefused, FinesightError, ScreenUnavailable
from finesight.responder import Responder
from finesight.screen.act import Act
from finesight.screen.effect import Effect, effect_of
from finesight.screen.environment import Screen
from finesight.screen.history import act_in_words, call_as_json

__all__ = ["Agent"]

_CLICKS = frozenset({"left_click", "right_click", "middle_click", "double_click", "click"})
_KEYED = frozenset({"type", "key", "system_button"})
_NOTHING = "The last action changed nothing on the screen."
_EDITED = "The user has replaced the last action by another one."
_RESUMED = "The run was interrupted; the last action may or may not have been performed."


@dataclass(slots=True)
class Agent:
    """Works on one task.

    Attributes:
        goal: the task; empty takes the one that the screen states.
        screen: what it works on.
        responder: answers questions about screens.
        trace: keeps the steps; those of an interrupted run are the first ones here.
        options: settings.
        gate: allows or refuses each step.
        ask_user: answers a question of the model; None if nobody is there.
        on_step: called with each finished step.
    """

    goal: str
    screen: Screen
    responder: Responder
    trace: Trace
    options: AgentOptions = field(default_factory=AgentOptions)
    gate: Gate = field(default_factory=Gate)
    ask_user: Callable[[str], str] | None = None
    on_step: Callable[[Step], None] = lambda step: None
    _started: float = field(default_factory=time.monotonic)
    _acted: deque[float] = field(default_factory=deque)
    _told: list[str] = field(default_factory=list)
    _asker: Asker | None = None

    def run(self) -> Run:
        """Work until the end; an error of the screen or the model ends the run and keeps all finished steps."""
        self.options.check()
        self._asker = Asker(
            self.responder, self.screen.tool, self.options, self.trace.folder.resolve() / "screens"
        )
        look: Look | None = None
        end: End
        problem = ""
        try:
            if self.trace.steps or self.trace.pending:
                self._go_on()
            look = self.look()
            end, look = self._play(look)
        except ScreenUnavailable as error:
            end, problem = "screen_gone", error.message
        except KeyboardInterrupt:
            end, problem = "stopped", "interrupted"
        except FinesightError as error:
            end, problem = "model_failed", error.message
        run = self._result(end, problem, look)
        if end != "stopped":
            self.trace.finish(run)
        return run

    def look(self) -> Look:
        """Observe the screen."""
        return look_at(self.screen, self.trace, self.gate.secrets)

    def carry_out(self, act: Act, look: Look) -> tuple[Step, Look]:
        """Rule on a step that somebody else chose, perform it if it is allowed, and write it down.

        Returns:
            The step, and the screen after it.
        """
        begun = time.monotonic()
        step = Step(
            n=len(self.trace.steps) + 1,
            at_seconds=round(begun - self._started, 3),
            before=look.digest,
            place=look.seen.place,
            words=act.kind,
            warnings=look.warnings,
        )
        step, look = self._done(step, act, look)
        return self._kept(replace(step, seconds=round(time.monotonic() - begun, 3))), look

    def _kept(self, step: Step) -> Step:
        """Store a finished step, without secrets."""
        step = self.gate.secrets.hidden_step(step)
        self.trace.keep(step)
        self.on_step(step)
        return step

    def _play(self, look: Look) -> tuple[End, Look]:
        while True:
            end = self._before(look)
            if end:
                return end, look
            step, look = self._step(look)
            end = self._after(self._kept(step))
            if end:
                return end, look

    def _before(self, look: Look) -> End | None:
        """Why no further step is done."""
        return "over" if look.seen.is_over else self.ended()

    def ended(self) -> End | None:
        """Why no further step is done, if the user has stopped the run or a budget is used up."""
        if self.trace.is_stopped:
            return "stopped"
        if len(self.trace.steps) >= self.options.most_steps:
            return "steps"
        if time.monotonic() - self._started >= self.options.most_seconds:
            return "seconds"
        return None

    def _after(self, step: Step) -> End | None:
        """Why the run ends with this step."""
        if self.options.dry_run and step.act is not None:
            return "dry_run"
        if step.act is not None and step.act["kind"] == "terminate":
            return "terminated"
        recent = self.trace.steps[-self.options.most_unreadable :]
        if len(recent) == self.options.most_unreadable and all(each.act is None for each in recent):
            return "unreadable"
        return "stuck" if repetitions(self.trace.steps) >= MOST_REPETITIONS else None

    def _step(self, look: Look) -> tuple[Step, Look]:
        """Ask for a step and perform it if it is allowed."""
        begun = time.monotonic()
        assert self._asker is not None
        told = self._told
        remarks = (
            remarks_for(look, self.trace.steps, told, self.gate.secrets)
            if self.options.hints
            else []
        )
        turn = self._asker.next(self._goal(look), self.trace.steps, look.path, remarks)
        step = Step(
            n=len(self.trace.steps) + 1,
            at_seconds=round(begun - self._started, 3),
            before=look.digest,
            place=look.seen.place,
            prompt_digest=turn.prompt_digest,
            replies=turn.replies,
            shown=turn.shown,
            call=turn.call,
            words=turn.words,
            warnings=look.warnings,
            remarks=tuple(remarks),
            problem=turn.problem,
            tokens=turn.tokens,
        )
        if turn.act is not None:
            step, look = self._done(step, turn.act, look)
        else:
            self._told = [f"The last answer could not be read: {turn.problem}"]
        return replace(step, seconds=round(time.monotonic() - begun, 3)), look

    def _done(self, step: Step, act: Act, look: Look) -> tuple[Step, Look]:
        """The step after its act was ruled on and, if allowed, performed; and the screen after it."""
        self._told = []
        ruling, element = self._ruled(act, look)
        step = replace(
            step,
            act=ruling.act.as_json(),
            element=element_as_json(element),
            gate=ruling.to_dict(),
        )
        if ruling.act is not act:
            step = self._edited(step, ruling.act, look)
        if self.options.dry_run or ruling.act.kind == "terminate":
            return step, look
        if not ruling.allowed:
            return self._not_done(step, ruling.reason), look
        try:
            after, effect = self._perform(step.n, ruling.act, look, element)
        except ActionRefused as error:
            return self._not_done(step, error.message), look
        step = replace(step, effect=effect.to_dict(), after=after.digest)
        is_own = ruling.act is act
        if effect.verdict == "unchanged" and act.kind in _CLICKS and is_own and self.options.regrounds:  # fmt: skip
            step, after = self._regrounded(step, act, after)
        if step.effect and step.effect["verdict"] == "unchanged" and ruling.act.kind != "wait":
            self._told.append(_NOTHING)
        return step, after

    def _edited(self, step: Step, act: Act, look: Look) -> Step:
        """The step with another act, given by the approver; the model is told at its next step."""
        self._told.append(_EDITED)
        words = act_in_words(act)
        if not step.shown:  # chosen by somebody else than the model
            return replace(step, words=words)
        size, seen = look.picture.size, step.shown[0]
        arguments = act.arguments((size[0] / seen[0], size[1] / seen[1]))
        return replace(step, words=words, call=call_as_json(self.screen.tool, arguments))

    def _regrounded(self, step: Step, act: Act, look: Look) -> tuple[Step, Look]:
        """Ask for the target of a click without effect on an enlarged crop, and click there if it is elsewhere."""
        assert self._asker is not None
        if act.point is None:
            return step, look
        turn = self._asker.again(self._goal(look), self.trace.steps, look.path, act.point)
        if turn is None:
            return step, look
        step = replace(
            step,
            replies=(*step.replies, *turn.replies),
            shown=(*step.shown, *turn.shown),
            tokens=step.tokens + turn.tokens,
        )
        if turn.act is None or turn.act.point is None or turn.act.kind != act.kind:
            return step, look
        ruling, element = self._ruled(replace(act, point=turn.act.point), look)
        if not ruling.allowed:
            return step, look
        try:
            after, effect = self._perform(step.n, ruling.act, look, element)
        except ActionRefused:
            return step, look
        step = replace(
            step,
            act=ruling.act.as_json(),
            element=element_as_json(element),
            gate=ruling.to_dict(),
            effect=effect.to_dict(),
            after=after.digest,
            regrounded=True,
        )
        return step, after

    def _ruled(self, act: Act, look: Look) -> tuple[Ruling, ScreenElement | None]:
        """The gate's decision, and the control that the step uses."""
        element = self._element(act, look)
        text = None
        is_seen = element is not None and element.role != "canvas"
        if (
            not is_seen
            and act.point is not None
            and act.kind in _CLICKS
            and (element or not look.elements)
        ):
            text = words_at(self.responder, look.path, act.point)
        risk = self.gate.risk(act, element, text=text, warned=bool(look.warnings))
        proposal = Proposal(
            act=act,
            risk=risk,
            element=element,
            place=look.seen.place,
            goal=self._goal(look),
            picture=look.picture,
            tool=self.screen.tool,
        )
        ruling = self.gate.rule(proposal)
        return ruling, element if ruling.act is act else self._element(ruling.act, look)

    def _element(self, act: Act, look: Look) -> ScreenElement | None:
        try:
            if act.kind in _KEYED:
                return look.focus
            point = act.point2 or act.point
            return None if point is None else self.screen.element_at(point)
        except ActionRefused:  # outside of the screen: performing it says so
            return None

    def _perform(
        self, number: int, act: Act, look: Look, element: ScreenElement | None
    ) -> tuple[Look, Effect]:
        """Perform a step; returns the screen after it and what changed.

        Raises:
            ActionRefused: it is not possible.
        """
        self._wait_for_rate()
        if act.kind in ("note", "answer", "ask_user"):
            self._speak(act)
            return look, Effect(verdict="changed")
        before = look.seen.screenshot
        if act.kind in _CLICKS and act.point is not None and self.screen.tool == "computer_use":
            # what hovering changes is not an effect of the click
            self.screen.act(Act(kind="mouse_move", point=act.point))
            before = self.screen.observe().screenshot
            if is_other_control(element, self.screen.element_at(act.point)):
                raise ActionRefused(
                    "another control has moved to this point; look at the screen again"
                )
        secrets = self.gate.secrets
        self.trace.announce(number, secrets.hidden_in(act.as_json()))
        text = act.text and secrets.typed(act.text, look.seen.place, element)
        self.screen.act(replace(act, text=text))
        after = self.look()
        effect = effect_of(
            before,
            after.seen.screenshot,
            point=act.point,
            places=(look.seen.place, after.seen.place),
            focus=(look.focus, after.focus),
            elements=(look.elements, after.elements),
        )
        return after, effect

    def _speak(self, act: Act) -> None:
        """Handle a function that is for the user and not for the screen."""
        if act.kind != "ask_user":
            return
        if self.ask_user is None:
            raise ActionRefused("no user is there to answer")
        self._told.append(f"The user answered: {self.ask_user(act.text or '')}")

    def _not_done(self, step: Step, reason: str) -> Step:
        self._told = [f"The last action was not performed: {reason}"]
        return replace(step, effect=Effect(verdict="error").to_dict(), problem=reason)

    def _go_on(self) -> None:
        """After an interrupted run: show its last place again, as this browser is a new one."""
        self._told = [_RESUMED] if self.trace.pending else []
        place = self.trace.steps[-1].place if self.trace.steps else ""
        if place.startswith(("http:", "https:", "file:")):
            try:
                self.screen.act(Act(kind="open_url", text=place))
            except ActionRefused as error:
                self._told.append(f"The last page could not be opened again: {error.message}")

    def _wait_for_rate(self) -> None:
        """Wait until the acts of the last minute are fewer than allowed."""
        now = time.monotonic()
        while self._acted and now - self._acted[0] > 60.0:
            self._acted.popleft()
        if len(self._acted) >= self.options.acts_per_minute:
            time.sleep(max(60.0 - (now - self._acted[0]), 0.0))
        self._acted.append(time.monotonic())

    def _result(self, end: End, problem: str, look: Look | None) -> Run:
        steps = self.trace.steps
        last = steps[-1].act if steps else None
        claimed = str(last["status"]) if last and last["kind"] == "terminate" else ""
        answers = texts_of(steps, "answer")
        hidden = self.gate.secrets.hidden_in
        run = Run(
            goal=hidden(self.goal or (look.seen.instruction if look else "")),
            end=end,
            claimed=claimed,
            answer=answers[-1] if answers else "",
            notes=tuple(texts_of(steps, "note")),
            steps=tuple(steps),
            problem=hidden(problem),
        )
        if look is None or end in ("screen_gone", "model_failed", "dry_run", "stopped"):
            return run
        verified = self._verified(look, claimed)
        return replace(run, verified=replace(verified, details=hidden(verified.details)))

    def _verified(self, look: Look, claimed: str) -> Verified:
        try:
            if self.options.expectations:
                now = self.look()
                return verify(self.options.expectations, self.screen, now.seen.place, now.elements)
            if self.options.judges and claimed == "success":
                words = [step.words for step in self.trace.steps if step.words]
                return judge(self.responder, self._goal(look), words, look.path)
        except FinesightError as error:
            is_expected = bool(self.options.expectations)
            return Verified(how="expectations" if is_expected else "none", details=(error.message,))
        return Verified()

    def _goal(self, look: Look) -> str:
        return self.gate.secrets.hidden(self.goal or look.seen.instruction)
