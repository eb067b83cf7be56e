# SPDX-License-Identifier: Apache-2.0
"""Traces as programs: a Python script for Playwright, or a shell script of `adb` commands, that repeats the steps.

The scripts know neither the model nor the gate. They repeat what was performed, at the recorded coordinates, in a
screen of the recorded size. Secrets are read from environment variables, and only typed where they were typed.
Everything that comes from a trace is quoted, as a page may have written it.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from finesight import files
from finesight.apps.agent.records import Step
from finesight.apps.agent.replay import act_of, read_trace
from finesight.apps.agent.script_texts import ADB, PLAYWRIGHT, PLAYWRIGHT_END
from finesight.apps.agent.secrets import split_at_secrets, variable_of
from finesight.apps.agent.trace import FILES, read_steps
from finesight.browser.keys import key_name
from finesight.browser.reach import origin_of
from finesight.errors import AppError, ConfigError
from finesight.geometry import Point
from finesight.screen.act import Act
from finesight.screen.phone import BUTTONS, SWIPE_SECONDS, key_code
from finesight.screen.phone import LONGEST_WAIT_SECONDS as LONGEST_WAIT_ON_A_PHONE
from finesight.screen.web import LONGEST_WAIT_SECONDS

__all__ = ["ScriptForm", "write_script"]

ScriptForm = Literal["playwright", "adb"]

_SCREENS: dict[ScriptForm, str] = {"playwright": "web", "adb": "phone"}
_WORDS_ONLY = ("terminate", "answer", "ask_user", "note")
"""Acts that do nothing on the screen."""
_CLICKS = {
    "left_click": "",
    "double_click": ", click_count=2",
    "right_click": ', button="right"',
    "middle_click": ', button="middle"',
}
_CUT = "# The run was killed during a further step, which may have been performed; it is left out."
_PACKAGE = re.compile(r"[A-Za-z]\w*(?:\.\w+)+", re.ASCII)


def write_script(source: Path, path: Path, form: ScriptForm) -> tuple[int, int]:
    """Write the steps of a trace as a program.

    Args:
        source: folder of the trace.
        path: of the script; an earlier file is replaced.
        form: playwright for traces of web pages, adb for those of phones.

    Returns:
        How many steps it repeats, and how many were left out because they were not performed, or because the run
        was killed during them.

    Raises:
        ConfigError: the folder holds no trace, or one of another kind of screen; or `path` is a file of the trace.
        AppError: the trace is damaged, a step cannot be written, or the file cannot be.
    """
    meta, steps = read_trace(source)
    if source.resolve() in (own := path.resolve()).parents:
        name = own.relative_to(source.resolve()).parts[0]
        if name in FILES:
            raise ConfigError(f"{path} belongs to the trace", hint="give another file")
    facts = meta.get("facts")
    found = facts.get("screen", "unknown") if isinstance(facts, dict) else "unknown"
    if found != _SCREENS[form]:
        other = next((name for name, screen in _SCREENS.items() if screen == found), None)
        raise ConfigError(
            f"{source} is a trace of the screen {found!r}, and {form} works on {_SCREENS[form]!r}",
            hint=f"give --format {other}" if other else "there is no script for this screen",
        )
    performed = [step for step in steps if step.act is not None and not step.problem]
    if not performed:
        raise AppError(f"no step of {source} was performed: there is nothing to repeat")
    write = _playwright if form == "playwright" else _adb
    _, is_cut = read_steps(source / "steps.jsonl")
    try:
        _check_variables(performed)
        text = write(meta, steps, is_cut)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        kind = type(error).__name__
        raise AppError(f"the trace {source} is damaged: {kind}: {error!s:.200}") from error
    with files.whole_file(path, error=AppError, parents=True) as draft:
        draft.write_bytes(text.encode())
        if form == "adb":
            draft.chmod(0o755)
    return len(performed), len(steps) - len(performed) + is_cut


def _check_variables(steps: Sequence[Step]) -> None:
    """Raise `AppError` if two secrets would be read from one environment variable."""
    names: dict[str, str] = {}
    for step in steps:
        for piece, is_secret in split_at_secrets((step.act or {}).get("text") or ""):
            if is_secret and names.setdefault(variable_of(piece), piece) != piece:
                variable = variable_of(piece)
                raise AppError(
                    f"the secrets {names[variable]!r} and {piece!r} have one variable, {variable}"
                )


def _playwright(meta: dict[str, Any], steps: Sequence[Step], is_cut: bool) -> str:
    facts = meta["facts"]
    scale = float(facts["scale"])
    start = steps[0].place
    if not start or any(is_secret for _, is_secret in split_at_secrets(start)):
        raise AppError(f"the trace does not say on which page its first step was: {start!r}")
    lines = [f"# task: {_plain(meta['goal'])}", "page = context.new_page()"]
    lines += [f"page.goto({start!r})", "page = settled(context)"]
    mouse: Point | None = None
    for index, step in enumerate(steps):
        lines += ["", f"# {_title(step)}"]
        if step.act is None or step.problem:
            continue
        act = act_of(step.act)
        if act.kind == "open_url":
            act = replace(act, text=_address(act.text or "", step, _place_after(steps, index)))
        lines += _web_lines(act, step, mouse, scale)
        if act.kind not in _WORDS_ONLY:
            lines.append("page = settled(context)")
        mouse = act.point or mouse
    lines += ["", _CUT] if is_cut else []
    lines += ["", "return page"]
    body = "".join(f"    {line}\n" if line else "\n" for line in lines)
    viewport = dict(zip(("width", "height"), facts["viewport"], strict=True))
    end = PLAYWRIGHT_END.replace("{viewport}", repr(viewport)).replace("{scale}", repr(scale))
    return PLAYWRIGHT + body + end


def _web_lines(act: Act, step: Step, mouse: Point | None, scale: float) -> Iterator[str]:
    """Statements of one act.

    Args:
        act: with points in pixels of the screen.
        step: that it is of.
        mouse: where the mouse is.
        scale: pixels of the screen for one CSS pixel.
    """

    def place(point: Point | None) -> str:
        at = point or mouse
        if at is None:
            raise AppError(f"step {step.n}: {act.kind} has no point, and no earlier step has one")
        return f"{_number(at.x / scale)}, {_number(at.y / scale)}"

    match act.kind:
        case kind if kind in _CLICKS:
            yield f"page.mouse.click({place(act.point)}{_CLICKS[kind]})"
        case "mouse_move":
            yield f"page.mouse.move({place(act.point)})"
        case "left_click_drag":
            yield f"drag(page, ({place(None)}), ({place(act.point)}))"
        case "scroll":
            yield from [f"page.mouse.move({place(act.point)})"] if act.point else []
            yield f"page.mouse.wheel(0, {_number(-(act.pixels or 0.0) / scale)})"
        case "type":
            yield f"page.keyboard.type({_python_text(act.text or '', step)})"
        case "key":
            yield f"page.keyboard.press({'+'.join(map(key_name, act.keys))!r})"
        case "wait":
            seconds = min(act.seconds or 0.0, LONGEST_WAIT_SECONDS)
            yield f"page.wait_for_timeout({_number(1000 * seconds)})"
        case "open_url":
            yield f"page.goto({_python_text(act.text or '', step)})"
        case _ if act.kind not in _WORDS_ONLY:
            raise AppError(f"step {step.n}: {act.kind!r} cannot be written for playwright")


def _python_text(text: str, step: Step) -> str:
    """A Python expression of a typed text; secrets are looked up."""
    parts = []
    for piece, is_secret in split_at_secrets(text):
        if is_secret:
            origin = origin_of(step.place)
            if not origin:
                raise AppError(f"step {step.n} types the secret {piece!r} on a page of no origin")
            parts.append(f"secret(page, {variable_of(piece)!r}, {origin!r})")
        else:
            parts.append(repr(piece))
    return " + ".join(parts) or "''"


def _address(text: str, step: Step, after: str) -> str:
    """The address that was opened: the text, or, if that is a path, what was shown afterwards."""
    if urlsplit(text).scheme in ("http", "https", "file", "data", "about"):
        return text
    if not after.startswith("file:"):
        raise AppError(
            f"step {step.n} opens {text[:60]!r}, and the trace does not say which address that is"
        )
    return after


def _place_after(steps: Sequence[Step], index: int) -> str:
    """Where the next step was; empty if there is none."""
    return steps[index + 1].place if index + 1 < len(steps) else ""


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return f"{value:g}"


def _adb(meta: dict[str, Any], steps: Sequence[Step], is_cut: bool) -> str:
    lines = [f"# task: {_plain(meta['goal'])}"]
    for index, step in enumerate(steps):
        lines += ["", f"# {_title(step)}"]
        if step.act is not None and not step.problem:
            lines += _phone_lines(act_of(step.act), step, _place_after(steps, index))
    lines += ["", _CUT] if is_cut else []
    return ADB + "\n".join(lines) + "\n"


def _phone_lines(act: Act, step: Step, after: str) -> Iterator[str]:
    """Commands of one act.

    Args:
        act: with points in pixels of the screen.
        step: that it is of.
        after: package and activity in front after it, if known.
    """
    match act.kind:
        case "click":
            yield _on_phone("input", "tap", *_pixels(act.point, step))
        case "long_press" | "swipe":
            ends = (act.point, act.point2 if act.kind == "swipe" else act.point)
            seconds = SWIPE_SECONDS if act.kind == "swipe" else act.seconds or 1.0
            time = round(1000 * min(seconds, LONGEST_WAIT_ON_A_PHONE))
            yield _on_phone(
                "input", "swipe", *(each for end in ends for each in _pixels(end, step)), time
            )
        case "type":
            yield from _typed(
                act.text or "", step, _on_phone("input", "keyevent", BUTTONS["Enter"])
            )
        case "key":
            yield _on_phone("input", "keyevent", key_code(act.text or ""))
        case "system_button":
            yield _on_phone("input", "keyevent", BUTTONS[act.button or ""])
        case "open":
            launcher = "android.intent.category.LAUNCHER"
            package = _package(act.text or "", step, after)
            yield _on_phone("monkey", "-p", package, "-c", launcher, "1") + " >/dev/null"
        case "wait":
            yield f"sleep {_number(min(act.seconds or 0.0, LONGEST_WAIT_ON_A_PHONE))}"
        case _ if act.kind not in _WORDS_ONLY:
            raise AppError(f"step {step.n}: {act.kind!r} cannot be written for adb")


def _on_phone(*words: object) -> str:
    """A command on the phone, quoted for the shell there and for the one here."""
    return f"on_phone {shlex.quote(shlex.join(map(str, words)))}"


def _typed(text: str, step: Step, enter: str) -> Iterator[str]:
    if odd := next(
        (letter for letter in text if letter == "\0" or "\ud800" <= letter < "\ue000"), ""
    ):
        raise AppError(f"step {step.n} types {odd!r}, which a shell script cannot contain")
    for piece, is_secret in split_at_secrets(text):
        if is_secret:
            package = step.place.partition("/")[0]
            if not package:
                raise AppError(f"step {step.n} types the secret {piece!r} in an unknown app")
            yield f"only_in {shlex.quote(package)}"
            yield f'type_text "${{{variable_of(piece)}:?}}"'
            continue
        for number, line in enumerate(piece.split("\n")):
            if number:
                yield enter
            if line:
                yield f"type_text {shlex.quote(line)}"


def _package(name: str, step: Step, after: str) -> str:
    """The package of an app that was opened: its name, or what was in front afterwards."""
    if _PACKAGE.fullmatch(name):
        return name
    package = after.partition("/")[0]
    if not _PACKAGE.fullmatch(package):
        raise AppError(
            f"step {step.n} opens {name[:60]!r}, and the trace does not say which package that is"
        )
    return package


def _pixels(point: Point | None, step: Step) -> tuple[int, int]:
    if point is None:
        raise AppError(f"step {step.n} has no point")
    return round(point.x), round(point.y)


def _title(step: Step) -> str:
    """Number and intent of a step, on one line."""
    element = step.element or {}
    on = " ".join(str(element.get(name, "")) for name in ("role", "name"))
    why = f" - not performed: {step.problem}" if step.problem else ""
    return _plain(
        f"step {step.n}: {step.words or 'no step'}{on.strip() and f' ({on.strip()})'}{why}"
    )


def _plain(text: str) -> str:
    """Text for a comment: one line of printable characters, so that it can be nothing else than a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300]
