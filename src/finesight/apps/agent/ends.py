# SPDX-License-Identifier: Apache-2.0
"""Check at the end of a run whether the task is done; that the model says so is only a claim."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from finesight.apps.agent.records import Expectation, Verified
from finesight.apps.evidence import Score
from finesight.apps.yes_no import ask_yes_no
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.elements import ScreenElement
from finesight.errors import ConfigError, FinesightError
from finesight.responder import Responder
from finesight.screen.environment import Screen
from finesight.screen.web import WebScreen

__all__ = ["check_scripts", "judge", "verify"]

_QUESTION = (
    "The task was: {goal}\n\nThese steps were done:\n{done}\n\nLook at the screen as it is now. Is the task completed?"
    " Answer Yes or No."
)

_PARSED = """(text) => {
  try { new Function(text); return ''; } catch (first) {
    if (!(first instanceof SyntaxError)) return '';
    try { new Function(`return (${text}\n)`); return ''; } catch (error) { return String(error); }
  }
}"""
"""JavaScript: the error of a script that cannot be parsed; the script is not run."""


def check_scripts(expectations: Sequence[Expectation], screen: Screen) -> None:
    """Check before a run that the scripts of expectations can be evaluated at its end.

    Args:
        expectations: of the run.
        screen: on which they are evaluated.

    Raises:
        ConfigError: a script cannot be parsed, or the screen runs no scripts.
    """
    for each in expectations:
        if each.kind != "js":
            continue
        if not isinstance(screen, WebScreen):
            raise ConfigError(
                f"expectation js:{each.value} cannot be checked: this screen runs no scripts",
                hint="js: is for web pages; give text:TEXT or state:ROLE/NAME/STATE",
            )
        if problem := screen.browser.evaluate(_PARSED, each.value):
            raise ConfigError(
                f"expectation js:{each.value} is no JavaScript: {problem}",
                hint="give an expression, such as js:document.title === 'Done'",
            )


def verify(
    expectations: Sequence[Expectation],
    screen: Screen,
    place: str,
    elements: Sequence[ScreenElement],
) -> Verified:
    """Check all expectations.

    Args:
        expectations: at least one.
        screen: as it is at the end.
        place: see `Observation.place`.
        elements: of the screen.
    """
    results = [_holds(each, screen, place, elements) for each in expectations]
    details = tuple(
        f"{each.kind}:{each.value}: {'yes' if holds else 'no'}{why and f', {why}'}"
        for each, (holds, why) in zip(expectations, results, strict=True)
    )
    is_met = all(holds for holds, _ in results)
    return Verified(value=is_met, how="expectations", details=details, score=Score(float(is_met), "rule"))  # fmt: skip


def judge(responder: Responder, goal: str, done: Sequence[str], screen: Path) -> Verified:
    """Ask about the last screen whether the task is done.

    Args:
        responder: answers; its probability of "Yes" is the score.
        goal: the task.
        done: the steps in words.
        screen: file of the last screen.
    """
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(done, 1)) or "none"
    text = TextPart(_QUESTION.format(goal=goal, done=steps))
    asked = Conversation((Message("user", (ImagePart(source=str(screen)), text)),))
    found = ask_yes_no(responder, [asked])[0]
    return Verified(value=found.value, how="judge", details=found.problems, score=found.score)


def _holds(
    expected: Expectation, screen: Screen, place: str, elements: Sequence[ScreenElement]
) -> tuple[bool, str]:
    """Whether an expectation holds, and what was found instead."""
    value = expected.value
    if expected.kind == "url":
        return re.search(value, place) is not None, f"it is {place}"
    if expected.kind == "file":
        return Path(value).exists(), ""
    if expected.kind == "js":
        return _evaluated(screen, value)
    if expected.kind == "state":
        return _has_state(value, elements)
    shown = " ".join(f"{each.name} {each.value}" for each in elements)
    is_shown = _plain(value) in _plain(shown)
    return is_shown, "" if elements else "this screen lists no elements"


def _has_state(value: str, elements: Sequence[ScreenElement]) -> tuple[bool, str]:
    role, _, rest = value.partition("/")
    name, _, state = rest.rpartition("/")
    same = [each for each in elements if each.role == role and _plain(each.name) == _plain(name)]
    if not same:
        return False, f"there is no {role} {name!r}"
    is_met = any(state in each.states or each.value == state for each in same)
    return is_met, f"its states are: {', '.join(same[0].states) or 'none'}"


def _evaluated(screen: Screen, script: str) -> tuple[bool, str]:
    """The value of a script of the user; only web pages run one."""
    if not isinstance(screen, WebScreen):
        return False, "this screen runs no scripts"
    try:
        value = screen.browser.evaluate(script)
    except FinesightError as error:
        return False, error.message
    return bool(value), f"it is {value!r:.100}"


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
