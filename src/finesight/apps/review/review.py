# SPDX-License-Identifier: Apache-2.0
"""Apply rules to a document: each page is asked for quotes, code finds them on the page and decides.

A quote that its page does not have is no evidence. A clause is called missing only if every page of the document was
read to its end and asked about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rapidfuzz import fuzz

from finesight.apps.document.records import ReadPage
from finesight.apps.evidence import Coverage, Evidence, Skipped
from finesight.apps.extract.ask import ExtractOptions
from finesight.apps.extract.extract import extract_page, provenance
from finesight.apps.extract.records import Reading, Tree
from finesight.apps.extract.schema import Schema
from finesight.apps.numbers import NUMBER, amounts, plain
from finesight.apps.page_images import PageAndImage
from finesight.apps.quotes import find_quote, page_lines
from finesight.apps.review.records import ClauseChange, Review, RuleResult, Verdict
from finesight.apps.review.rules import Playbook, Rule, days_in, parse_limit
from finesight.responder import Responder

__all__ = ["definitions_of", "review"]

_MOST_QUOTES = 3
"""Most quotes of one rule on one page."""
_EXPECTED = 90.0
"""Similarity (0 to 100) from which a text has an expected one."""
_DEFINITION = re.compile(
    r"[\"“„«]([^\"“”„«»\n]{2,60})[\"”“»]\s+"
    r"(?:means|shall mean|has the meaning|bedeutet|bezeichnet|désigne|signifie)\s+([^.;\n]{3,200})"
)
_REFERENCE = re.compile(
    r"\b(?:Section|Clause|Article|Ziffer|Abschnitt|Artikel)\s+(\d{1,3}(?:\.\d{1,3})*)|[§第]\s*(\d{1,3}(?:\.\d{1,3})*)",
    re.IGNORECASE,
)

Quote = tuple[Reading, Reading | None]
"""A quote, and the value inside it."""


def review(
    pages: Sequence[ReadPage],
    images: Iterable[PageAndImage],
    playbook: Playbook,
    responder: Responder,
    options: ExtractOptions,
    *,
    total: int,
    changes: tuple[ClauseChange, ...] | None = None,
    model: str = "",
) -> Review:
    """Review one document.

    Args:
        pages: those that were read.
        images: the same pages with their pictures, one by one; without rules, none is drawn.
        playbook: the rules.
        responder: answers questions about pictures.
        options: how it is asked.
        total: number of all pages of the document.
        changes: differences from another version, to be part of the result.
        model: its name, for the provenance.
    """
    schema = _schema(playbook, definitions_of(pages))
    quotes: dict[str, list[Quote]] = {rule.id: [] for rule in playbook.rules}
    seen: list[int] = []
    problems: list[str] = []
    skipped: list[Skipped] = []
    media = {name: index for index, name in enumerate(dict.fromkeys(one.source for one in pages))}
    for at, (page, image) in enumerate(images if playbook.rules else ()):
        answer = extract_page(page, image, schema, responder, options, media=media[page.source])
        problems += answer.problems
        for rule in playbook.rules:
            quotes[rule.id] += _quotes(answer.tree, rule.id)
        if answer.is_whole and page.status in ("read", "text_layer"):
            seen.append(at)
        else:
            reasons = "; ".join((*answer.problems, *page.problems)) or page.status
            skipped.append(Skipped(f"page {page.number}", reasons))
    if len(pages) < total:
        skipped.append(Skipped(f"{total - len(pages)} pages", "they were not chosen"))
    coverage = Coverage(unit="pages", total=total, seen=tuple(seen), skipped=tuple(skipped))
    return Review(
        title=playbook.title,
        results=tuple(_result(rule, quotes[rule.id], pages, coverage) for rule in playbook.rules),
        changes=changes,
        coverage=coverage,
        provenance=provenance(schema, model, options),
        problems=tuple(problems),
    )


def definitions_of(pages: Sequence[ReadPage]) -> dict[str, str]:
    """Terms that the document defines, such as "Services", with what they mean."""
    text = "\n".join(page.text for page in pages)
    return {match[1].strip(): " ".join(match[2].split()) for match in _DEFINITION.finditer(text)}


def _schema(playbook: Playbook, definitions: dict[str, str]) -> Schema:
    """What is asked of a page: for each rule, the sentences that answer its question, and the value in each."""
    properties = {}
    for rule in playbook.rules:
        told = [
            f'"{term}" means {text}.'
            for term, text in definitions.items()
            if re.search(rf"\b{re.escape(term)}\b", rule.question)
        ]
        task = "copy the sentences of the page that answer it, word for word, and the value in each"
        properties[rule.id] = {
            "type": "array",
            "description": " ".join([rule.question, *told, f"({task}; no sentence if none does)"]),
            "maxItems": _MOST_QUOTES,
            "items": {
                "type": "object",
                "properties": {"quote": {"type": "string"}, "value": {"type": "string"}},
                "required": ["quote", "value"],
            },
        }
    return Schema({"type": "object", "properties": properties, "required": list(properties)})


def _quotes(tree: Tree, name: str) -> list[Quote]:
    items = tree.get(name) if isinstance(tree, dict) else None
    found: list[Quote] = []
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and isinstance(quote := item.get("quote"), Reading):
            value = item.get("value")
            found.append((quote, value if isinstance(value, Reading) else None))
    return found


def _result(
    rule: Rule, quotes: Sequence[Quote], pages: Sequence[ReadPage], coverage: Coverage
) -> RuleResult:
    placed = [one for one in quotes if one[0].evidence and one[0].evidence[0].match != "none"]
    lost = [one for one, _ in quotes if not one.evidence or one.evidence[0].match == "none"]
    problems = [f"page {one.page} does not have the quote {one.raw[:160]!r}" for one in lost]
    if not placed:
        verdict, reason = _absent(rule, coverage, is_disputed=bool(lost))
        return RuleResult(rule=rule, verdict=verdict, reason=reason, problems=tuple(problems))
    judged = [_judged(rule, quote, value) for quote, value in placed]
    worst = min(range(len(judged)), key=lambda at: ("fail", "unclear", "pass").index(judged[at][0]))
    verdict, reason, value = judged[worst]
    order = [worst, *(at for at in range(len(placed)) if at != worst)]
    evidence = tuple(placed[at][0].evidence[0] for at in order)
    return RuleResult(
        rule=rule,
        verdict=verdict,
        reason=reason,
        value=value,
        score=placed[worst][0].score,
        evidence=evidence,
        references=_references(evidence, pages),
        problems=tuple(problems),
    )


def _absent(rule: Rule, coverage: Coverage, *, is_disputed: bool) -> tuple[Verdict, str]:
    if is_disputed:
        return "unclear", f"A quote for {rule.clause!r} was given, but its page does not have it."
    if not coverage.is_full:
        seen = f"{len(coverage.seen)} of {coverage.total} pages"
        return "unclear", f"No clause {rule.clause!r} was found, but only {seen} were read."
    told = f"all {coverage.total} pages were read, and none has a clause {rule.clause!r}"
    if rule.kind == "forbidden":
        return "pass", f"{told[0].upper()}{told[1:]}."
    return "missing", f"{told[0].upper()}{told[1:]}."


def _judged(rule: Rule, quote: Reading, value: Reading | None) -> tuple[Verdict, str, str]:
    """Verdict, reason and compared value of one quote."""
    where = f"on page {quote.page}"
    if rule.kind == "required":
        return "pass", f"The clause {rule.clause!r} is {where}.", ""
    if rule.kind == "forbidden":
        return "fail", f"The clause {rule.clause!r}, which must not be there, is {where}.", ""
    text = value.raw if value is not None and _has(quote.raw, value.raw) else ""
    if rule.kind == "compare":
        text = text or quote.raw
        for one in rule.expected:
            if _has_nearly(text, one) or _has_nearly(quote.raw, one):
                return "pass", f"The clause {rule.clause!r} {where} has {one!r}.", text
        wanted = " or ".join(repr(one) for one in rule.expected)
        return "fail", f"The clause {rule.clause!r} {where} has {text[:120]!r}, not {wanted}.", text
    return _limited(rule, text or quote.raw, where)


def _limited(rule: Rule, text: str, where: str) -> tuple[Verdict, str, str]:
    limit = parse_limit(rule.limit)
    numbers = amounts(text)
    if len(numbers) != 1:
        return "unclear", f"{text[:120]!r} {where} is not one number.", text
    clean = plain(text)
    behind = "".join(clean[match.end() :] for match in NUMBER.finditer(clean))
    number, own, wanted = numbers[0], days_in(behind) or days_in(text), days_in(limit.unit)
    if own is not None and wanted is not None:
        number = number * own / wanted
    holds = limit.holds(number)
    relation = "keeps" if holds else "breaks"
    return (
        ("pass" if holds else "fail"),
        f"{text[:120]!r} {where} {relation} the limit {rule.limit}.",
        text,
    )


def _has_nearly(text: str, expected: str) -> bool:
    """Whether a text has an expected one, which it cannot if it is clearly shorter."""
    likeness = fuzz.partial_ratio if len(text) >= len(expected) else fuzz.ratio
    return likeness(expected.casefold(), text.casefold()) >= _EXPECTED


def _has(quote: str, value: str) -> bool:
    folded = " ".join(value.split()).casefold()
    return bool(folded) and folded in " ".join(quote.split()).casefold()


def _references(evidence: Sequence[Evidence], pages: Sequence[ReadPage]) -> tuple[Evidence, ...]:
    """Places of the numbered headings that quotes name, such as that of "Section 12.3"."""
    numbers = [match[1] or match[2] for one in evidence for match in _REFERENCE.finditer(one.quote)]
    found: list[Evidence] = []
    for number in dict.fromkeys(numbers):
        start = re.compile(rf"[§第]?\s*{re.escape(number)}[.)条]?\s+\S")
        for page in pages:
            line = next((text for text, _ in page_lines(page) if start.match(text)), None)
            if line is not None:
                found += find_quote(line, pages, page=page.number)[:1]
                break
    return tuple(found)
