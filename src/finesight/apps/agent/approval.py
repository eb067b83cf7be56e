# SPDX-License-Identifier: Apache-2.0
"""Approval over HTTP: each proposal is posted as JSON, and the answer decides.

::

    request:  {"goal": ..., "words": "left click on button 'Pay'", "place": ..., "tool": "computer_use",
               "arguments": {"action": "left_click", "coordinate": [90, 40]}, "element": {"role", "name", "box"},
               "risk": {"level", "kind", "reason"}, "screen": [width, height], "picture": "data:image/png;base64,...",
               "seconds": 60}
    answer:   {"answer": "allow" | "allow_kind" | "refuse"}
              {"answer": "edit", "arguments": {"action": "wait", "time": 1}}

Coordinates are pixels of the screen. The picture is the screen with the step drawn on it. Secrets are names in all
texts and painted over in the picture.
"""

from __future__ import annotations

import base64
import io
import ipaddress
import json
from typing import Any, cast
from urllib.parse import urlsplit

import httpcore

from finesight.apps.agent.gate import Answer, Approver, Proposal, in_time
from finesight.apps.agent.look import element_as_json
from finesight.apps.agent.report import drawn
from finesight.errors import ActionRefused, ConfigError, ParseError
from finesight.media.fetch import address_name
from finesight.parse.action import read_action
from finesight.parse.records import AnswerCall
from finesight.screen.act import Act
from finesight.screen.history import act_in_words

__all__ = ["over_http", "proposed_in_words"]

_MOST_BYTES = 65536
"""Of an answer."""
_ANSWERS = ("allow", "allow_kind", "refuse", "edit")


def over_http(url: str, seconds: float) -> Approver:
    """An approver that posts each proposal to a URL; a time-out or any error is a refusal that names its reason.

    Args:
        url: `https:`, or `http:` on this machine: whoever can change the answer could approve everything.
        seconds: time limit of an answer.

    Raises:
        ConfigError: the URL is neither.
    """
    _check(url)

    def decide(proposal: Proposal) -> Answer:
        return _answer_of(_post(url, _body(proposal, seconds), seconds), proposal, address_name(url))  # fmt: skip

    return in_time(decide, seconds)


def proposed_in_words(proposal: Proposal) -> str:
    """The step and its control, such as `left click on button 'Pay'`."""
    element = proposal.element
    name = "" if element is None else f" on {element.role} {element.name[:80]!r}"
    return f"{act_in_words(proposal.act)}{name}"


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"{address_name(url)!r} is no URL: {error}") from error
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))
    if not host or not is_safe:
        raise ConfigError(
            f"approvals cannot come from {address_name(url)!r}",
            hint="give an https: URL, or an http: URL of this machine, such as http://127.0.0.1:8000/approve",
        )


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _body(proposal: Proposal, seconds: float) -> bytes:
    element = element_as_json(proposal.element)
    picture = io.BytesIO()
    drawn(proposal.picture, proposal.act.as_json(), element).save(picture, "PNG")
    risk = proposal.risk
    values = {
        "goal": proposal.goal,
        "words": proposed_in_words(proposal),
        "place": proposal.place,
        "tool": proposal.tool,
        "arguments": proposal.act.arguments((1.0, 1.0)),
        "element": element,
        "risk": {"level": risk.level, "kind": risk.kind, "reason": risk.reason},
        "screen": list(proposal.picture.size),
        "picture": f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode('ascii')}",
        "seconds": seconds,
    }
    return json.dumps(values, ensure_ascii=False).encode()


def _post(url: str, content: bytes, seconds: float) -> bytes:
    """The body of the answer.

    Raises:
        ActionRefused: there is none.
    """
    name = address_name(url)
    kinds = ("connect", "read", "write", "pool")
    extensions = {"timeout": dict.fromkeys(kinds, seconds)}
    headers: dict[bytes | str, bytes | str] = {
        "Content-Type": "application/json",
        "User-Agent": "finesight",
    }
    body = bytearray()
    try:
        with (
            httpcore.ConnectionPool() as pool,
            pool.stream("POST", url, headers=headers, content=content, extensions=extensions) as response,
        ):  # fmt: skip
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise ActionRefused(f"{name} sent more than {_MOST_BYTES:,} bytes")
            status = response.status
    except httpcore.TimeoutException as error:
        raise ActionRefused(f"{name} did not answer within {seconds:g} s") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise ActionRefused(f"the connection to {name} failed: {reason}") from error
    if status != 200:
        raise ActionRefused(f"{name} answered with status {status}")
    return bytes(body)


def _answer_of(body: bytes, proposal: Proposal, name: str) -> Answer:
    """The decision that an answer holds.

    Raises:
        ActionRefused: it holds none.
    """
    try:
        values = json.loads(body)
    except ValueError as error:
        raise ActionRefused(f"the answer of {name} is no JSON: {error}") from error
    answer = values.get("answer") if isinstance(values, dict) else None
    if answer not in _ANSWERS:
        known = ", ".join(_ANSWERS)
        raise ActionRefused(f"the answer of {name} is {values!r:.100}, not one of {known}")
    return _edited(values, proposal, name) if answer == "edit" else cast("Answer", answer)


def _edited(values: dict[str, Any], proposal: Proposal, name: str) -> Act:
    arguments = values.get("arguments")
    if not isinstance(arguments, dict):
        raise ActionRefused(f"the edit of {name} has no arguments of {proposal.tool}")
    try:
        call = AnswerCall(proposal.tool, arguments, (0, 0))
        return Act.placed(read_action(call), (1.0, 1.0))
    except ParseError as error:
        raise ActionRefused(f"the edit of {name} cannot be read: {error.message}") from error
