# SPDX-License-Identifier: Apache-2.0
"""Extract the values of a schema from one document.

The steps: each page is asked once; the places of its values are found by code; values with a small score are read a
second time on a crop; the pages are joined; the rules of the schema are checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from rapidfuzz import fuzz

from finesight.apps.crop import ask_about, crop
from finesight.apps.document.job import PageStore
from finesight.apps.document.read import PROMPTS, PageImage
from finesight.apps.document.records import ReadPage
from finesight.apps.document.turned import turned_box, turned_page
from finesight.apps.evidence import Coverage, Found, Provenance, Score, Skipped
from finesight.apps.extract.ask import ExtractOptions, PageAnswer, ask_page, prompt_for
from finesight.apps.extract.checks import checks_of
from finesight.apps.extract.merge import Merger
from finesight.apps.extract.places import Placer
from finesight.apps.extract.records import CheckResult, Extraction, Reading, Tree, paths_of
from finesight.apps.extract.schema import Schema
from finesight.apps.extract.schema_checks import check_schema
from finesight.apps.extras import required
from finesight.apps.numbers import decimal_mark
from finesight.apps.page_images import PageAndImage
from finesight.conversation import Sampling
from finesight.errors import ConfigError, FinesightError
from finesight.geometry import Size
from finesight.responder import Responder

__all__ = ["extract", "extract_page", "page_answers", "provenance"]

_AGREES = 80.0
"""Similarity (0 to 100) from which a second reading agrees with the first."""


def extract(
    pages: Iterable[PageAndImage],
    schema: Schema,
    responder: Responder,
    options: ExtractOptions,
    *,
    model: str = "",
    store: PageStore[PageAnswer] | None = None,
) -> Extraction:
    """Extract from all pages of a document.

    Args:
        pages: one by one, so that not all pictures are in memory at once.
        schema: of the values.
        responder: answers questions about pictures.
        options: how it is asked.
        model: its name, for the provenance.
        store: keeps the answer about each page; pages that are in it are not asked about again.

    Raises:
        ConfigError: the schema has a mistake.
        AppError: an optional library is not installed.
    """
    check_schema(schema)
    trees: list[Tree] = []
    read: list[ReadPage] = []
    problems: list[str] = []
    skipped: list[Skipped] = []
    seen: list[int] = []
    media: dict[str, int] = {}
    for page, image in pages:
        index = media.setdefault(page.source, len(media))
        answer = store.known(page.number) if store else None
        if answer is None:
            answer = extract_page(page, image, schema, responder, options, media=index)
            if store and answer.tree is not None:  # a page without an answer is asked again
                store.keep(page.number, answer)
        read.append(page)
        trees.append(answer.tree)
        problems += answer.problems
        if answer.is_whole:
            seen.append(len(trees) - 1)
        else:
            reason = "; ".join(answer.problems or page.problems) or page.status
            skipped.append(Skipped(f"page {page.number}", reason))
    coverage = Coverage(unit="pages", total=len(read), seen=tuple(seen), skipped=tuple(skipped))
    merger = Merger(schema, coverage, decimal_mark(page.text for page in read))
    data = merger.joined(trees)
    checks = checks_of(schema, _sound(data, merger.fields))
    fields, broken = _with_violations(schema, data, _with_checks(merger.fields, checks))
    return Extraction(
        data=data,
        fields=fields,
        checks=checks,
        coverage=coverage,
        provenance=provenance(schema, model, options),
        problems=tuple(dict.fromkeys([*problems, *merger.problems, *broken])),
    )


def page_answers(
    folder: Path | None, schema: Schema, options: ExtractOptions, *, is_one: bool = True
) -> PageStore[PageAnswer]:
    """The answers about pages that are kept in the folder of a document, apart for each schema and its options.

    Args:
        folder: of the document; None keeps nothing.
        schema: of the values.
        options: how it is asked.
        is_one: whether all files are pages of one document, in which places name the file.
    """
    settings = json.dumps([schema.root, asdict(options), is_one], default=str)
    key = hashlib.sha256(settings.encode()).hexdigest()[:16]
    return PageStore(None if folder is None else folder / "values" / key, TypeAdapter(PageAnswer))


def extract_page(
    page: ReadPage,
    image: PageImage | None,
    schema: Schema,
    responder: Responder,
    options: ExtractOptions,
    *,
    media: int = 0,
) -> PageAnswer:
    """The readings of one page with their places."""
    if image is None:
        return PageAnswer(
            None, page.problems or (f"page {page.number} cannot be drawn",), is_whole=False
        )
    if page.turn:
        pixels = np.ascontiguousarray(np.rot90(image.pixels, page.turn))
        upright = replace(turned_page(page, page.turn), turn=0)
        image = replace(image, pixels=pixels)
        answer = extract_page(upright, image, schema, responder, options, media=media)
        return replace(answer, tree=_turned_back(answer.tree, upright.size, page.turn))
    answer = ask_page(image, schema, responder, options)
    if answer.tree is None:
        return answer
    tree = Placer(page, schema, media, image.pixels).placed(answer.tree)
    return replace(answer, tree=_checked(tree, image, responder, options))


def _checked(tree: Tree, image: PageImage, responder: Responder, options: ExtractOptions) -> Tree:
    """Read values with a small score a second time on a crop, all at once."""
    doubtful = [
        (path, one, one.evidence[0].box)
        for path, one in paths_of(tree).items()
        if one.evidence and one.score.value is not None and one.score.value < options.check_below
    ]
    boxed = [(path, one, box) for path, one, box in doubtful if box is not None and box.area > 0]
    if not boxed:
        return tree
    crops = [crop(image.pixels, box, margin=0.1) for _, _, box in boxed]
    try:
        answers = ask_about(
            responder, crops, PROMPTS["text"], Sampling(max_new_tokens=128), min_pixels=112 * 112
        )
    except FinesightError as error:
        text = f"page {image.number}: the second reading failed: {error.message}"
        return _replaced(
            tree, {path: replace(one, problems=(*one.problems, text)) for path, one, _ in boxed}
        )
    second = {
        path: _compared(one, answer.text)
        for (path, one, _), answer in zip(boxed, answers, strict=True)
    }
    return _replaced(tree, second)


def _compared(one: Reading, text: str) -> Reading:
    """A reading with the agreement of a second one in its score."""
    words = " ".join(text.split())
    likeness = fuzz.partial_ratio(one.raw.casefold(), words.casefold()) if words else 0.0
    assert one.score.value is not None
    parts = {**one.score.parts, "first_reading": one.score.value, "second_reading": likeness / 100}
    if likeness >= _AGREES:
        return replace(one, score=Score((one.score.value + 1) / 2, "agreement", parts))
    problem = f"page {one.page}: a second reading of {one.raw!r} is {words[:60]!r}"
    value = one.score.value * likeness / 100
    return replace(one, score=Score(value, "agreement", parts), problems=(*one.problems, problem))


def _replaced(tree: Tree, new: dict[str, Reading], path: str = "") -> Tree:
    if isinstance(tree, dict):
        return {
            key: _replaced(one, new, f"{path}.{key}" if path else key) for key, one in tree.items()
        }
    if isinstance(tree, list):
        return [_replaced(one, new, f"{path}[{at}]") for at, one in enumerate(tree)]
    return new.get(path, tree)


def _turned_back(tree: Tree, size: Size, turns: int) -> Tree:
    """The readings of an upright page with their places on the page as it came."""
    return _replaced(
        tree,
        {
            path: replace(
                one,
                evidence=tuple(
                    replace(place, box=place.box and turned_box(place.box, size, -turns))
                    for place in one.evidence
                ),
            )
            for path, one in paths_of(tree).items()
        },
    )


def _sound(data: Any, fields: dict[str, Found[Any]], path: str = "") -> Any:
    """The data with None for values that are not of their type, so that no rule compares them."""
    if isinstance(data, dict):
        return {
            key: _sound(one, fields, f"{path}.{key}" if path else key) for key, one in data.items()
        }
    if isinstance(data, list):
        return [_sound(one, fields, f"{path}[{at}]") for at, one in enumerate(data)]
    return None if path in fields and fields[path].status == "invalid" else data


def _with_checks(
    fields: dict[str, Found[Any]], checks: Sequence[CheckResult]
) -> dict[str, Found[Any]]:
    """The fields, with a problem for each that a failed rule names."""
    found = dict(fields)
    for check in checks:
        if check.outcome != "fail":
            continue
        for path in check.used:
            for name in [
                one for one in found if one == path or one.startswith((f"{path}.", f"{path}["))
            ]:
                told = (*found[name].problems, f"the rule {check.rule!r} fails")
                found[name] = replace(found[name], problems=told)
    return found


def _with_violations(
    schema: Schema, data: Any, fields: dict[str, Found[Any]]
) -> tuple[dict[str, Found[Any]], list[str]]:
    """The fields whose values the user's schema refuses as invalid, and violations of other parts."""
    found, rest = dict(fields), []
    for path, message in _violations(schema, data):
        one = found.get(path)
        if one is None:
            rest.append(f"{path or 'the data'}: {message}")
        elif one.status in ("found", "conflict"):
            status = "invalid" if one.status == "found" else one.status
            value = None if status == "invalid" else one.value
            problems = (*one.problems, message)
            found[path] = replace(one, status=status, value=value, problems=problems)
    return found, rest


def _violations(schema: Schema, data: Any) -> Iterator[tuple[str, str]]:
    with required("jsonschema", "extraction by schema"):
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
    try:
        Draft202012Validator.check_schema(schema.root)
        violations = list(Draft202012Validator(schema.root).iter_errors(data))
    except SchemaError as error:
        raise ConfigError(f"the schema is no JSON Schema: {error.message[:300]}") from error
    for one in violations:
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in one.absolute_path]
        yield "".join(steps).removeprefix("."), one.message[:300]


def provenance(schema: Schema, model: str, options: ExtractOptions) -> Provenance:
    """What made the values: model, prompt, settings."""
    prompt = prompt_for(schema)
    budget = (options.min_pixels, options.max_pixels)
    return Provenance(
        model=model,
        prompt="extract",
        prompt_digest=hashlib.sha256(prompt.encode()).hexdigest()[:16],
        pixel_budget=(budget[0], budget[1]) if budget[0] and budget[1] else None,
        sampling={"max_new_tokens": options.max_new_tokens, "constrained": options.is_constrained},
        version=version("finesight"),
    )
