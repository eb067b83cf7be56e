# SPDX-License-Identifier: Apache-2.0
"""The gate between a proposed step and the screen; one for all kinds of screens.

A consequential step needs approval. No answer in time is a refusal. In `record` mode the gate decides as always but
blocks nothing, so that false alarms can be counted on benchmarks.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from PIL.Image import Image

from finesight.apps.agent.risk import Risk, risk_of
from finesight.apps.agent.secrets import Secrets, is_private
from finesight.browser.reach import origin_of
from finesight.elements import ScreenElement
from finesight.errors import ActionRefused, FinesightError
from finesight.screen.act import Act, ToolName

__all__ = ["Approver", "Gate", "Proposal", "Ruling", "always", "in_time", "never"]

Answer: TypeAlias = Literal["allow", "allow_kind", "refuse"] | Act
"""allow: this step; allow_kind: all steps of this kind at this origin in this run; a step: that one instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A step that the model wants.

    Attributes:
        act: the step; secrets are names.
        risk: how far it reaches.
        element: the control that it uses; None if it is not known.
        place: see `Observation.place`.
        goal: the task.
        picture: the screen, without secrets.
        tool: the official tool of the screen.
    """

    act: Act
    risk: Risk
    element: ScreenElement | None
    place: str
    goal: str
    picture: Image
    tool: ToolName = "computer_use"


Approver: TypeAlias = Callable[[Proposal], Answer]
"""Decides about a consequential step; a `FinesightError` is a refusal with this reason."""


def never(proposal: Proposal) -> Answer:
    """Refuse every consequential step."""
    del proposal
    return "refuse"


def always(proposal: Proposal) -> Answer:
    """Allow every consequential step."""
    del proposal
    return "allow"


def in_time(approver: Approver, seconds: float) -> Approver:
    """An approver that refuses the step if no answer comes within a time limit, or if it fails."""

    def decide(proposal: Proposal) -> Answer:
        answers: queue.SimpleQueue[Answer | ActionRefused] = queue.SimpleQueue()
        asking = threading.Thread(target=lambda: answers.put(_asked(approver, proposal)), daemon=True)  # fmt: skip
        asking.start()
        try:
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            raise ActionRefused(f"no answer came within {seconds:g} s") from None
        if isinstance(answer, ActionRefused):
            raise answer
        return answer

    return decide


def _asked(approver: Approver, proposal: Proposal) -> Answer | ActionRefused:
    """The answer of an approver that may be a function of the user and may raise anything."""
    try:
        return approver(proposal)
    except FinesightError as error:
        return ActionRefused(error.message)
    except Exception as error:  # noqa: BLE001  # a function of the user; the thread must answer
        return ActionRefused(f"the approver failed: {error!r:.200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the gate decided about a step.

    Attributes:
        allowed: whether it is performed.
        act: the step; another one if the approver gave one.
        risk: how far it reaches.
        by: what decided: the rules, the approver, an earlier approval, or record mode, which blocks nothing.
        reason: why it is not allowed.
    """

    allowed: bool
    act: Act
    risk: Risk
    by: Literal["rule", "approver", "granted", "record"] = "rule"
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "allowed": self.allowed,
            "level": self.risk.level,
            "kind": self.risk.kind,
            "why": self.risk.reason,
            "by": self.by,
            "reason": self.reason,
        }


@dataclass(slots=True)
class Gate:
    """Decides about each step of a run.

    Attributes:
        approver: asked about consequential steps.
        secrets: of the run.
        blocks: False in record mode.
    """

    approver: Approver = never
    secrets: Secrets = field(default_factory=Secrets)
    blocks: bool = True
    _granted: set[tuple[str, str]] = field(default_factory=set)

    def risk(
        self, act: Act, element: ScreenElement | None, *, text: str | None, warned: bool
    ) -> Risk:
        """The risk of a step.

        Args:
            act: the step.
            element: the control that it uses.
            text: text around the point, read from pixels; None if there are elements.
            warned: whether the screen tries to give orders; then a plain step counts as consequential.
        """
        found = risk_of(act, element, text=text)
        if warned and found.level == "edit":
            return Risk("consequential", "warned", "text on the screen tries to give orders")
        return found

    def rule(self, proposal: Proposal) -> Ruling:
        """Allow or refuse a step; asks the approver if it is consequential."""
        act, risk = proposal.act, proposal.risk
        try:
            self._check_secrets(proposal)
        except ActionRefused as error:  # also in record mode: a secret never goes elsewhere
            return Ruling(allowed=False, act=act, risk=risk, reason=error.message)
        if risk.level != "consequential":
            return Ruling(allowed=True, act=act, risk=risk)
        if not self.blocks:
            return Ruling(allowed=True, act=act, risk=risk, by="record")
        kind = (origin_of(proposal.place) or proposal.place, risk.kind)
        if kind in self._granted:
            return Ruling(allowed=True, act=act, risk=risk, by="granted")
        try:
            answer = self.approver(self._shown(proposal))
        except FinesightError as error:
            reason = f"it was not approved: {risk.reason}; {error.message}"
            return Ruling(allowed=False, act=act, risk=risk, by="approver", reason=reason)
        if answer == "allow_kind":
            self._granted.add(kind)
        if isinstance(answer, Act):
            try:  # whether its field is private is checked when it is typed
                self._check_secrets(replace(proposal, act=answer, element=None))
            except ActionRefused as error:
                return Ruling(
                    allowed=False, act=answer, risk=risk, by="approver", reason=error.message
                )
            return Ruling(allowed=True, act=answer, risk=risk, by="approver")
        allowed = answer in ("allow", "allow_kind")
        reason = "" if allowed else f"it was not approved: {risk.reason}"
        return Ruling(allowed=allowed, act=act, risk=risk, by="approver", reason=reason)

    def _shown(self, proposal: Proposal) -> Proposal:
        """The proposal with names of secrets instead of their values, for the approver."""
        hidden = self.secrets.hidden
        act, element, risk = proposal.act, proposal.element, proposal.risk
        if element is not None:
            traits = {name: hidden(value) for name, value in element.traits.items()}
            value = "" if is_private(element) else hidden(element.value)
            element = replace(element, name=hidden(element.name), value=value, traits=traits)
        return replace(
            proposal,
            act=replace(act, text=act.text and hidden(act.text)),
            risk=replace(risk, reason=hidden(risk.reason)),
            element=element,
            place=hidden(proposal.place),
            goal=hidden(proposal.goal),
        )

    def _check_secrets(self, proposal: Proposal) -> None:
        act = proposal.act
        if not self.secrets.used_in(act.text or ""):
            return
        if act.kind != "type":
            raise ActionRefused(f"a secret can only be typed, not used in {act.kind}")
        self.secrets.typed(act.text or "", proposal.place, proposal.element)
