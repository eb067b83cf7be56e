# SPDX-License-Identifier: Apache-2.0
"""Kinds of pages by the log-probabilities of their labels, and where documents begin.

The lift of a label is the mean log-probability of its tokens as the answer about the page, minus the same without a
page: long labels and labels that a model likes to say have no advantage. The share of a label is its softmax over all
lifts. A page whose best share is below a threshold is `other`; the threshold can be fitted on examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from math import exp, fsum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from finesight.apps.classify.records import OTHER, ClassifiedPage, PacketDocument, PacketResult
from finesight.apps.document.read import PageImage, has_ink
from finesight.apps.evidence import Coverage, Found, Provenance, Score, Skipped
from finesight.apps.yes_no import ask_yes_no
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.errors import ConfigError, FinesightError
from finesight.responder import Responder, Scorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "LEAST_EXAMPLES",
    "ClassifyOptions",
    "ScoringResponder",
    "classify_packet",
    "fitted_threshold",
]

LEAST_EXAMPLES = 20
"""Fewest examples that a threshold is fitted on."""

_DENIED = 0.25
"""Below this P(yes), a change of the kind alone does not begin a document."""

_BEGINS = (
    "Picture 1 and Picture 2 are pages that follow each other in a stack of papers. Is Picture 2 the first page of "
    "another document?"
)


@runtime_checkable
class ScoringResponder(Responder, Scorer, Protocol):
    """A model that answers and that gives log-probabilities of given answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyOptions:
    """How pages are classified.

    Attributes:
        labels: names of the kinds, each with a description or an empty text.
        threshold: share of the best label below which a page is `other`.
        min_pixels: least area at which a page is shown.
        max_pixels: largest area at which a page is shown.
    """

    labels: Mapping[str, str]
    threshold: float = 0.5
    min_pixels: int | None = None
    max_pixels: int | None = None

    def check(self) -> None:
        """Raise `ConfigError` if the labels or the threshold are wrong."""
        names = [name.strip() for name in self.labels]
        if not all(names):
            raise ConfigError("a label is empty", hint="give a name, such as invoice")
        if len(names) < 2:
            raise ConfigError(
                f"the labels are {', '.join(names) or 'missing'}",
                hint="give at least two kinds of documents",
            )
        if OTHER in (name.casefold() for name in names):
            raise ConfigError(
                f"{OTHER!r} is among the labels",
                hint="it is what pages of no kind are called; leave it out",
            )
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"threshold is {self.threshold}; it must be from 0 to 1")


def classify_packet(
    images: Iterable[PageImage | tuple[PageImage, str]],
    model: ScoringResponder,
    options: ClassifyOptions,
    *,
    name: str = "",
) -> PacketResult:
    """Classify the pages of a packet and split it into documents.

    Args:
        images: pages in order; a page that cannot be drawn comes with the reason.
        model: gives log-probabilities.
        options: the kinds.
        name: of the model, for the provenance.

    Raises:
        ConfigError: the options are wrong.
    """
    options.check()
    prior: dict[str, float] = {}
    pages: list[ClassifiedPage] = []
    last: PageImage | None = None
    for given in images:
        image, reason = given if isinstance(given, tuple) else (given, "")
        page = _empty(image, reason) if reason else _classified(image, model, options, prior)
        if not reason:
            follows = last is not None and last.source == image.source
            page = replace(page, begins=_begins(last, image, model, options) if follows else None)
            last = image
        pages.append(page)
    bad = [one for one in pages if one.kind.status == "unread"]
    return PacketResult(
        pages=tuple(pages),
        documents=tuple(_split(pages, options)),
        coverage=Coverage(
            unit="pages",
            total=len(pages),
            seen=tuple(at for at, one in enumerate(pages) if one.kind.status != "unread"),
            skipped=tuple(
                Skipped(f"page {one.number}", "; ".join(one.kind.problems)) for one in bad
            ),
        ),
        provenance=_provenance(options, name),
    )


def fitted_threshold(
    examples: Sequence[tuple[Mapping[str, float], str]],
) -> tuple[float, int]:
    """The threshold that tells pages of a known kind from others with the fewest mistakes.

    Args:
        examples: lifts of a page, and its true label; `OTHER` for pages of no kind.

    Returns:
        The middle between the two shares around the best cut, and how many examples are wrong with it.

    Raises:
        ConfigError: there are too few examples, or all of them are of known kinds or all are not.
    """
    if len(examples) < LEAST_EXAMPLES:
        raise ConfigError(
            f"{len(examples)} examples are given",
            hint=f"a threshold needs at least {LEAST_EXAMPLES}",
        )
    found = []
    for lifts, label in examples:
        shares = _shares(lifts)
        best = max(shares, key=lambda one: shares[one])
        found.append((shares[best], best == label, label == OTHER))
    if len({is_other for _, _, is_other in found}) < 2:
        raise ConfigError(
            "the examples have no page of another kind, or nothing else",
            hint=f"label some pages {OTHER!r}",
        )
    values = sorted({share for share, _, _ in found})
    cuts = [0.0, *((a + b) / 2 for a, b in pairwise(values)), 1.0]

    def num_wrong(cut: float) -> int:
        return sum(
            not (is_right if share >= cut else is_other) for share, is_right, is_other in found
        )

    best_cut = min(cuts, key=num_wrong)
    return best_cut, num_wrong(best_cut)


def _classified(
    image: PageImage, model: ScoringResponder, options: ClassifyOptions, prior: dict[str, float]
) -> ClassifiedPage:
    if not has_ink(image):
        return replace(
            _empty(image, ""),
            kind=Found(status="absent", problems=("nothing is drawn on the page",)),
        )
    part = _picture(image.pixels, options)
    try:
        if not prior:
            prior |= _mean_logprobs(model, (), options)
        seen = _mean_logprobs(model, (part,), options)
    except FinesightError as error:
        return _empty(image, error.message)
    lifts = {label: seen[label] - prior[label] for label in options.labels}
    kind = _kind(lifts, options.threshold)
    return replace(_empty(image, ""), kind=kind, lifts=lifts)


def _kind(lifts: Mapping[str, float], threshold: float) -> Found[str]:
    shares = _shares(lifts)
    best = max(shares, key=lambda label: shares[label])
    score = Score(shares[best], "logprob", shares)
    if shares[best] >= threshold:
        return Found(value=best, raw=best, score=score)
    problem = f"the best label {best!r} has a share of {shares[best]:.2f}, below {threshold:.2f}"
    return Found(
        value=OTHER,
        raw=best,
        score=Score(1.0 - shares[best], "logprob", shares),
        problems=(problem,),
    )


def _shares(lifts: Mapping[str, float]) -> dict[str, float]:
    top = max(lifts.values())
    weights = {label: exp(lift - top) for label, lift in lifts.items()}
    total = fsum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def _question(options: ClassifyOptions) -> str:
    kinds = "\n".join(
        f"- {name}: {text}" if text else f"- {name}" for name, text in options.labels.items()
    )
    return f"What kind of document is this page? Answer with one of:\n{kinds}"


def _mean_logprobs(
    model: Scorer, parts: tuple[ImagePart, ...], options: ClassifyOptions
) -> dict[str, float]:
    """Mean log-probability of the tokens of each label as the answer."""
    asked = Message("user", (*parts, TextPart(_question(options))))
    answers = [
        Conversation((asked, Message("assistant", (TextPart(label),)))) for label in options.labels
    ]
    scores = model.score(answers)
    return {
        label: fsum(logprobs) / max(len(logprobs), 1)
        for label, logprobs in zip(options.labels, scores, strict=True)
    }


def _begins(
    last: PageImage | None, image: PageImage, model: ScoringResponder, options: ClassifyOptions
) -> Found[bool]:
    assert last is not None
    parts = (_picture(last.pixels, options), _picture(image.pixels, options), TextPart(_BEGINS))
    return ask_yes_no(model, [Conversation((Message("user", parts),))])[0]


def _split(pages: Sequence[ClassifiedPage], options: ClassifyOptions) -> list[PacketDocument]:
    """Documents: one begins with each file, where the question says so, and where the kind changes unless denied."""
    groups: list[list[ClassifiedPage]] = []
    for page in pages:
        is_new = not groups or groups[-1][-1].source != page.source
        if not is_new and page.begins is not None:
            known = [one for one in groups[-1] if one.kind.value not in (None, OTHER)]
            changes = bool(known) and page.kind.value not in (None, OTHER, known[-1].kind.value)
            share = page.begins.score.value
            is_denied = page.begins.value is False and (share is None or share < _DENIED)
            is_new = page.begins.value is True or (changes and not is_denied)
        if is_new:
            groups.append([])
        groups[-1].append(page)
    return [_document(group, options) for group in groups]


def _document(group: Sequence[ClassifiedPage], options: ClassifyOptions) -> PacketDocument:
    numbers = tuple(one.number for one in group)
    problems = tuple(
        f"page {one.number}: {text}"
        for one in group
        if one.kind.status == "unread"
        for text in one.kind.problems
    )
    told = [one.lifts for one in group if one.lifts]
    if not told:
        return PacketDocument(numbers, OTHER, problems=problems or ("no page has a kind",))
    mean = {label: fsum(lifts[label] for lifts in told) / len(told) for label in options.labels}
    kind = _kind(mean, options.threshold)
    assert kind.value is not None
    return PacketDocument(numbers, kind.value, kind.score, (*problems, *kind.problems))


def _empty(image: PageImage, reason: str) -> ClassifiedPage:
    kind: Found[str] = Found(status="unread", problems=(reason,) if reason else ())
    return ClassifiedPage(source=image.source, index=image.index, number=image.number, kind=kind)


def _picture(pixels: NDArray[np.uint8], options: ClassifyOptions) -> ImagePart:
    return ImagePart(source=pixels, min_pixels=options.min_pixels, max_pixels=options.max_pixels)


def _provenance(options: ClassifyOptions, name: str) -> Provenance:
    digest = hashlib.sha256(_question(options).encode()).hexdigest()[:16]
    return Provenance(
        model=name,
        prompt="classify",
        prompt_digest=digest,
        sampling={"threshold": options.threshold},
        version=version("finesight"),
    )
