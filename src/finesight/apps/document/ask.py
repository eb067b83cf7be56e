# SPDX-License-Identifier: Apache-2.0
"""Questions about a read document: the best pages are found by their text, and the model sees their pictures.

A question that counts parts of the document ("How many tables are there?") is answered by counting what was read;
`DocumentAnswer.way` says which way an answer was obtained. Quotes of an answer are looked up on the pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any, Literal, TypeAlias

from finesight.apps.document.count import counted
from finesight.apps.document.pages import PageAddress, load
from finesight.apps.document.records import Document, ReadPage
from finesight.apps.document.text_layer import words_of
from finesight.apps.evidence import Coverage, Evidence, Found, Score, Skipped
from finesight.apps.quotes import find_quote
from finesight.apps.scores import score_of
from finesight.conversation import Conversation, ImagePart, Message, Reply, Sampling, TextPart
from finesight.errors import FinesightError
from finesight.parse.json_block import find_blocks
from finesight.responder import Responder

__all__ = ["ASK_PROMPT", "DocumentAnswer", "Way", "ask_document", "ranked"]

Way: TypeAlias = Literal["structure", "pages"]
"""structure: counted in what was read; pages: asked about pictures of pages."""

ASK_PROMPT = (
    "{question}\n\n"
    'Answer in JSON: {{"answer": "...", "quotes": [{{"page": 1, "quote": "..."}}]}}. Copy each quote word by word '
    'from the page that supports the answer. If the pages do not answer the question, "answer" is null.'
)

_SATURATION, _LENGTH_SHARE = 1.5, 0.75
"""Usual constants k1 and b of BM25."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentAnswer:
    """An answer about a document.

    Attributes:
        question: as it was asked.
        found: the answer, with the places that support it. Its status is absent if the pages that were shown do not
            answer the question, and unread if there is no answer.
        way: how it was obtained.
        coverage: pages that were looked at.
    """

    question: str
    found: Found[str]
    way: Way
    coverage: Coverage

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "question": self.question,
            "way": self.way,
            **self.found.to_dict(),
            "coverage": self.coverage.to_dict(),
        }


def ask_document(
    question: str,
    document: Document,
    addresses: Sequence[PageAddress],
    responder: Responder,
    *,
    max_pages: int = 8,
    max_new_tokens: int = 512,
    dpi: float | None = None,
    max_pixels: int | None = None,
) -> DocumentAnswer:
    """Answer a question about a document.

    Args:
        question: the question.
        document: its pages, as `stitched` returns them.
        addresses: where the pages are.
        responder: answers questions about pictures.
        max_pages: most pages that are shown to it.
        max_new_tokens: most tokens of the answer.
        dpi: resolution of PDF pages.
        max_pixels: largest area at which a page is shown.
    """
    by_counting = counted(question, document)
    if by_counting is not None:
        return DocumentAnswer(
            question=question, found=by_counting, way="structure", coverage=document.coverage
        )
    chosen = sorted(ranked(question, document.pages)[:max_pages])
    parts: list[TextPart | ImagePart] = []
    shown, skipped = [], []
    for index in chosen:
        try:
            pixels = load(addresses[index], dpi=dpi).pixels
        except FinesightError as error:
            skipped.append(Skipped(f"page {index + 1}", error.message))
            continue
        number = document.pages[index].number
        parts += [TextPart(f"Page {number}:"), ImagePart(source=pixels, max_pixels=max_pixels)]
        shown.append(index)
    skipped += [
        Skipped(f"page {page.number}", "other pages fit the question better")
        for index, page in enumerate(document.pages)
        if index not in chosen
    ]
    parts.append(TextPart(ASK_PROMPT.format(question=question)))
    return DocumentAnswer(
        question=question,
        found=_asked(parts, document, responder, max_new_tokens),
        way="pages",
        coverage=Coverage(
            unit="pages", total=len(document.pages), seen=tuple(shown), skipped=tuple(skipped)
        ),
    )


def ranked(question: str, pages: Sequence[ReadPage]) -> list[int]:
    """Indices of pages from the best to the worst for a question, by BM25; equal ones in their order."""
    texts = [Counter(words_of(page.text)) for page in pages]
    lengths = [sum(words.values()) for words in texts]
    mean = sum(lengths) / max(len(lengths), 1) or 1.0
    wanted = set(words_of(question))
    holders = {word: sum(1 for words in texts if word in words) for word in wanted}

    def score(index: int) -> float:
        norm = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * lengths[index] / mean)
        return sum(
            log(1 + (len(texts) - holders[word] + 0.5) / (holders[word] + 0.5))
            * texts[index][word] * (_SATURATION + 1) / (texts[index][word] + norm)
            for word in wanted
        )  # fmt: skip

    return sorted(range(len(pages)), key=lambda index: (-score(index), index))


def _asked(
    parts: Sequence[TextPart | ImagePart],
    document: Document,
    responder: Responder,
    max_new_tokens: int,
) -> Found[str]:
    if len(parts) == 1:
        return Found(status="unread", problems=("no page could be shown to the model",))
    conversation = Conversation((Message("user", tuple(parts)),))
    sampling = Sampling(max_new_tokens=max_new_tokens, logprobs=0)
    try:
        (reply,) = responder.respond([conversation], sampling)
    except FinesightError as error:
        return Found(status="unread", problems=(error.message,))
    return _found(reply, document)


def _found(reply: Reply, document: Document) -> Found[str]:
    """The answer of a reply in JSON; another reply is an answer without quotes."""
    cut = () if reply.finish_reason in ("stop", "tool_calls") else (
        f"the answer was cut off ({reply.finish_reason})",
    )  # fmt: skip
    values = [block.value for block in find_blocks(reply.text)]
    named = next((one for one in values if isinstance(one, dict) and "answer" in one), None)
    if named is None:
        text = reply.text.strip()
        if not text:
            return Found(status="unread", problems=("the model gave no answer",))
        score = score_of(reply, (0, len(reply.text)))
        places = find_quote(text, document.pages)
        lacks = () if places else ("the answer has no quote",)
        problems = (*cut, *lacks)
        return Found(value=text, raw=text, score=score, evidence=places[:1], problems=problems)
    answer = named["answer"]
    if answer is None or answer == "":
        return Found(raw=reply.text, status="absent")
    text = answer if isinstance(answer, str) else str(answer)
    evidence, lost = _citations(named.get("quotes"), document)
    if not evidence:
        lost.append("no quote of the answer was found on the pages")
    return Found(
        value=text,
        raw=reply.text,
        score=_score(reply, text),
        evidence=tuple(evidence),
        problems=(*cut, *lost),
    )


def _citations(quotes: object, document: Document) -> tuple[list[Evidence], list[str]]:
    """Places of quotes, and those that are not where the model says."""
    found, problems = [], []
    for page, quote in _quotes(quotes):
        places = find_quote(quote, document.pages, page=page) if page else ()
        if not places and (places := find_quote(quote, document.pages)):
            number = _number(places[0], document)
            problems.append(f'"{quote}" is not on page {page} but on page {number}')
        if places:
            found.append(replace(places[0], quote=places[0].quote or quote))
        else:
            problems.append(f'"{quote}" is on no page')
    return found, problems


def _quotes(quotes: object) -> Iterator[tuple[int | None, str]]:
    for one in quotes if isinstance(quotes, list) else []:
        quote = one.get("quote") if isinstance(one, dict) else one
        page = one.get("page") if isinstance(one, dict) else None
        if isinstance(quote, str) and quote.strip():
            yield (page if isinstance(page, int) else None), quote


def _number(place: Evidence, document: Document) -> int:
    """Page of the document on which a place is."""
    sources = list(dict.fromkeys(page.source for page in document.pages))
    return next(
        page.number
        for page in document.pages
        if page.source == sources[place.media] and page.index == place.page
    )


def _score(reply: Reply, text: str) -> Score:
    start = reply.text.find(text)
    if start < 0:  # the JSON escapes some of its characters
        return Score(None, "logprob")
    return score_of(reply, (start, start + len(text)))
