# SPDX-License-Identifier: Apache-2.0
"""`finesight.classify`: kinds of pages, and packets of pages split into documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from finesight.api.shared import paths_of, responder_and_name
from finesight.apps.classify.classify import ClassifyOptions, ScoringResponder
from finesight.apps.classify.files import classify_files, threshold_from
from finesight.apps.classify.records import PacketResult
from finesight.apps.document.pages import find_pages


def classify(
    files: str | Path | Sequence[str | Path],
    labels: Sequence[str] | Mapping[str, str],
    *,
    model: str | Path | ScoringResponder = "tiny",
    pages: str | None = None,
    threshold: float = 0.5,
    examples: Sequence[tuple[str | Path, str]] = (),
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> PacketResult:
    """Say of which kind pages are, and split packets into documents.

    Args:
        files: PDFs, pictures and folders of them; each file is a packet of its own.
        labels: names of the kinds, or names with descriptions.
        model: name of a model, which is loaded on first use and cached, or what answers and scores.
        pages: pages of each file, from 1: "1-3,7" or "5-"; None takes all.
        threshold: share of the best kind below which a page is "other".
        examples: at least 20 files with their labels, some of them "other", that the threshold is fitted on.
        min_pixels: least area at which a page is shown.
        max_pixels: largest area at which a page is shown.

    Returns:
        Kinds of the pages, and the documents that they make up.

    Raises:
        ConfigError: labels, threshold or examples are wrong, or the model gives no log-probabilities.
        MediaError: a file cannot be opened.
    """
    kinds = dict(labels) if isinstance(labels, Mapping) else dict.fromkeys(labels, "")
    asked = ClassifyOptions(
        labels=kinds, threshold=threshold, min_pixels=min_pixels, max_pixels=max_pixels
    )
    asked.check()
    addresses = find_pages(paths_of(files), pages)
    scorer, name = responder_and_name(model)
    if examples:
        known = [(Path(path), label) for path, label in examples]
        asked = replace(asked, threshold=threshold_from(known, scorer, asked)[0])
    return classify_files(addresses, scorer, asked, name=name)
