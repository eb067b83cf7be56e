# SPDX-License-Identifier: Apache-2.0
"""Ask one page for the values of a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from finesight.apps.document.read import PageImage
from finesight.apps.extract.records import Reading, Tree
from finesight.apps.extract.schema import Schema, kind_of
from finesight.apps.scores import score_of
from finesight.conversation import Conversation, ImagePart, Message, Reply, Sampling, TextPart
from finesight.errors import FinesightError
from finesight.parse.json_block import find_blocks
from finesight.parse.records import JsonValue
from finesight.responder import Responder

__all__ = ["ExtractOptions", "PageAnswer", "ask_page", "prompt_for"]

_LABEL = "Extract the key-value information in the format:"
"""Official prompt; the structure follows without a space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractOptions:
    """How values are asked for.

    Attributes:
        max_new_tokens: most tokens of the answer about one page.
        is_constrained: whether the answer must follow the schema, where the model can do that.
        check_below: values with a smaller score are read a second time on a crop; 0 never does.
        min_pixels: least area at which a page is shown.
        max_pixels: largest area at which a page is shown.
    """

    max_new_tokens: int = 2048
    is_constrained: bool = True
    check_below: float = 0.5
    min_pixels: int | None = None
    max_pixels: int | None = None


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """What one page gave.

    Attributes:
        tree: its readings; None if the page gave no answer.
        problems: in words.
        is_whole: whether the answer came to its end; otherwise nothing is called absent.
    """

    tree: Tree
    problems: tuple[str, ...] = ()
    is_whole: bool = True


def prompt_for(schema: Schema) -> str:
    """The official prompt with the structure of the schema, and with the descriptions of its fields, if any."""
    structure = json.dumps(schema.blank(), ensure_ascii=False)
    notes = schema.notes()
    return "\n".join([f"{_LABEL}{structure}", *notes])


def ask_page(
    image: PageImage, schema: Schema, responder: Responder, options: ExtractOptions
) -> PageAnswer:
    """Ask a page; errors of the responder become problems.

    A responder that cannot follow a schema is asked again without one, and the answer says so.
    """
    part = ImagePart(
        source=image.pixels, min_pixels=options.min_pixels, max_pixels=options.max_pixels
    )
    asked = Conversation((Message("user", (part, TextPart(prompt_for(schema)))),))
    free = Sampling(max_new_tokens=options.max_new_tokens, logprobs=0)
    settings = [free]
    if options.is_constrained:
        settings.insert(0, replace(free, json_schema=schema.answer()))
    problems = []
    for sampling in settings:
        try:
            (reply,) = responder.respond([asked], sampling)
        except FinesightError as error:
            way = "with the schema as a constraint" if sampling.json_schema else "without one"
            problems.append(f"page {image.number}: the question {way} failed: {error.message}")
            continue
        return _read(reply, schema, image.number, problems)
    return PageAnswer(None, tuple(problems), is_whole=False)


def _read(reply: Reply, schema: Schema, page: int, problems: list[str]) -> PageAnswer:
    blocks = [one for one in find_blocks(reply.text) if isinstance(one.value, dict)]
    if not blocks:
        shown = " ".join(reply.text.split())[:120] or "nothing"
        problems.append(f"page {page}: the answer has no JSON object but {shown!r}")
        return PageAnswer(None, tuple(problems), is_whole=False)
    block = blocks[0]
    is_whole = block.state == "closed" and reply.finish_reason in ("stop", "tool_calls")
    if not is_whole:
        problems.append(
            f"page {page}: the answer broke off ({reply.finish_reason}); values at its end may be missing"
        )
    reader = _TreeReader(schema, reply, block.span[0], page)
    tree = reader.tree(block.value, schema.root, "")
    return PageAnswer(tree, (*problems, *reader.problems), is_whole)


class _TreeReader:
    """Puts the values of an answer into the structure of the schema, with the score of each.

    Args:
        schema: the user's.
        reply: the answer.
        start: where its object begins.
        page: number of the page.
    """

    def __init__(self, schema: Schema, reply: Reply, start: int, page: int) -> None:
        self._schema, self._reply, self._at, self._page = schema, reply, start, page
        self.problems: list[str] = []

    def tree(self, value: JsonValue, node: Any, path: str) -> Tree:
        plain = self._schema.resolved(node)
        kind = kind_of(plain)
        if kind == "object" and isinstance(value, dict):
            return self._members(value, plain, path)
        if kind == "array" and isinstance(value, list):
            items = plain.get("items", {})
            trees = [self.tree(one, items, f"{path}[{at}]") for at, one in enumerate(value)]
            return [one for one in trees if _has_reading(one)]
        if value is None:
            return None
        if kind != "leaf" or isinstance(value, (dict, list)):
            shown = json.dumps(value, ensure_ascii=False)[:80]
            self.problems.append(
                f"page {self._page}: {path or 'the answer'} is {shown}, not {kind}"
            )
            return None
        return self._leaf(value)

    def _members(self, value: Mapping[str, JsonValue], node: Mapping[str, Any], path: str) -> Tree:
        properties = self._schema.properties(node)
        rest = node.get("additionalProperties") if not properties else None
        found: dict[str, Tree] = {}
        for key, one in value.items():
            self._skip(json.dumps(key, ensure_ascii=False))
            if properties and key not in properties:
                self.problems.append(
                    f"page {self._page}: the schema has no {path}.{key}".replace(" .", " ")
                )
                continue
            form = properties[key] if properties else rest
            found[key] = self.tree(one, form, f"{path}.{key}" if path else key)
        return {key: found[key] for key in (properties or found) if key in found}

    def _leaf(self, value: JsonValue) -> Reading | None:
        raw = value if isinstance(value, str) else json.dumps(value)
        written = json.dumps(raw, ensure_ascii=False)[1:-1]
        at = self._reply.text.find(written, self._at)
        if not raw.strip():
            return None
        if at < 0:  # written with other escapes
            return Reading(" ".join(raw.split()), self._page)
        self._at = at + len(written)
        return Reading(" ".join(raw.split()), self._page, score_of(self._reply, (at, self._at)))

    def _skip(self, text: str) -> None:
        at = self._reply.text.find(text, self._at)
        self._at = at + len(text) if at >= 0 else self._at


def _has_reading(tree: Tree) -> bool:
    if isinstance(tree, Reading):
        return True
    if isinstance(tree, dict):
        return any(_has_reading(one) for one in tree.values())
    return any(_has_reading(one) for one in tree or ())
